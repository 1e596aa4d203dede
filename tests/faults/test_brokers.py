"""Brokers fail under load."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from embedded.kafka.brokers import Broker
from streams.storage import run_migrations
from tests.faults.arena import Servers, make_anew, running_arena, settings_for
from tests.faults.conftest import Open
from tests.faults.crew import Crew, Post
from tests.support.processes import until

AWAY_S: Final = 6.0
PATIENT_S: Final = 120.0
"""Longer than two brokers are away, start, and agree on leaders again on a busy machine."""


def test_a_broker_killed_under_load_and_all_restarted_in_turn_cost_no_record(arena: Open) -> None:
    with arena(detect=2, sink=1) as ring, ring.load(61) as load:
        ring.live()
        first, *_ = ring.brokers.brokers
        first.kill()
        ring.live()
        first.start()
        ring.live()
        for broker in ring.brokers.brokers:
            broker.stop()
            broker.start()
            ring.live()
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert ring.crew.gave_up == []


def test_with_two_of_three_brokers_lost_workers_wait_and_go_on_when_they_are_back(arena: Open) -> None:
    with arena(detect=1, sink=1, stall_s=PATIENT_S) as ring, ring.load(62) as load:
        ring.live()
        lost = ring.brokers.brokers[1:]
        for broker in lost:
            broker.kill()
        for post in ring.crew.posts:
            post.stays(AWAY_S)
        ring.brokers.start()
        ring.live(PATIENT_S)
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert ring.crew.gave_up == []


def test_workers_are_not_ready_soon_after_brokers_are_away_or_hang_though_nothing_waits(
    servers: Servers, tmp_path: Path
) -> None:
    # No arena: those who look there do not survive brokers that are all away.
    servers.all_up()
    settings = settings_for(servers, tmp_path)
    make_anew(settings)
    run_migrations(settings)
    crew = Crew(settings, tmp_path / "workers")
    try:
        crew.scale(detect=1, sink=1)
        crew.wait_ready()
        for away, back in ((Broker.kill, Broker.launch), (Broker.pause, Broker.resume)):
            for broker in servers.kafka.brokers:
                away(broker)
            for post in crew.posts:
                _until_not_answered(post)
            for broker in servers.kafka.brokers:
                back(broker)
            servers.all_up()
            crew.wait_ready()
        assert crew.gave_up == []
    finally:
        crew.dismiss()


def _until_not_answered(post: Post) -> None:
    until(lambda: "Kafka has not answered for" in post.worker.ask("/readyz")[1], f"not ready: {post.name}", 60)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("checkpoint", r"records wait and of a partition none was finished for \d+ s; restart me$"),
        ("commit", r"what is finished could not be committed for \d+ s; restart me$"),
    ],
)
def test_a_worker_whose_checkpoint_or_commit_is_never_answered_ends_though_chunks_go_on(
    servers: Servers, tmp_path: Path, place: str, said: str
) -> None:
    def hanging(role: str) -> Sequence[str]:
        return [sys.executable, "-m", "tests.faults.altered.hanging", place, "worker", role]

    with running_arena(servers, tmp_path, detect=1, sink=0, command=hanging, stall_s=6) as ring, ring.load(63):
        (post,) = ring.crew.detect
        until(lambda: bool(post.exits), "the end of it", 90)
        ended = post.exits[0]
    assert ended.status == 1
    assert re.search(said, ended.last_line), ended
