"""A rolling upgrade from the commit before checkpoints described themselves, under load, and what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.faults.conftest import Open
from tests.faults.crew import Command, Crew, Post, product
from tests.faults.release_before import BEFORE, release_before

SEED: Final = 44


@pytest.fixture
def before(tmp_path: Path) -> Command:
    command = release_before(tmp_path)
    if command is None:
        pytest.skip(f"the history of this checkout does not reach back to {BEFORE}")
    return command


def _replace(crew: Crew, posts: list[Post]) -> None:
    """One worker after the other leaves, and one of this release comes in its place."""
    crew.command = product
    for number in range(len(posts)):
        crew.renew(posts, number)
        posts[number].wait_ready()


def test_an_upgrade_under_load_sinks_first_loses_nothing_and_repeats_nothing(arena: Open, before: Command) -> None:
    with arena(detect=2, sink=2, command=before) as ring, ring.load(SEED) as load:
        ring.live()
        _replace(ring.crew, ring.crew.sink)
        ring.live()
        _replace(ring.crew, ring.crew.detect)
        ring.live()
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert ring.crew.gave_up == []
    assert verdict.counts["alarms"] > 0
