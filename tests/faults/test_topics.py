"""Topics that are made, widened or set otherwise under workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from schemas.topics import TELEMETRY
from streams.settings import Settings
from streams.topic_metadata import asking, described, nodes
from streams.topics import count_partitions, make_topics
from tests.faults.arena import ALL_TOPICS, Arena, Servers, delete, settings_for
from tests.streams.processes import until, working

Open = Callable[..., AbstractContextManager[Arena]]
MANY: Final = 64
TIMES: Final = 4


def test_a_worker_starts_on_topics_of_many_partitions_that_were_made_a_moment_before(
    servers: Servers, tmp_path: Path
) -> None:
    settings = settings_for(servers, tmp_path, partitions=MANY)
    for _ in range(TIMES):
        _make_anew(settings)
        with working("detect", settings, tmp_path / "fresh") as worker:
            assert worker.stop() == 0, worker.said
        assert "Traceback" not in worker.said


def test_partitions_are_counted_when_all_are_there(servers: Servers, tmp_path: Path) -> None:
    settings = settings_for(servers, tmp_path, partitions=MANY)
    for _ in range(TIMES):
        _make_anew(settings)
        assert asyncio.run(count_partitions(settings.kafka, TELEMETRY.name)) == MANY


def _make_anew(settings: Settings) -> None:
    """Topics that brokers may not have heard of yet."""
    # Brokers hear of a topic, and forget it, a little after one has agreed to.
    until(lambda: asyncio.run(_gone(settings)), "topics gone")
    asyncio.run(make_topics(settings))


async def _gone(settings: Settings) -> bool:
    await delete(settings, ALL_TOPICS)
    async with asking(settings.kafka) as client:
        return not any([await described(client, ALL_TOPICS, node) for node in nodes(client)])
