"""Workers killed at any moment under load; and that this suite would see it if they lost something."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from tests.faults.arena import Arena
from tests.faults.kills import RECOVERED_S, kill_at_random

Open = Callable[..., AbstractContextManager[Arena]]
KILLS: Final = 8
SEED: Final = 31


def test_workers_killed_at_random_moments_lose_nothing_repeat_nothing_and_recover_in_time(arena: Open) -> None:
    with arena(detect=2, sink=2) as ring, ring.load(SEED) as load:
        course = kill_at_random(ring, SEED, KILLS)
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert verdict.counts["alarms"] > 0
    assert verdict.counts["rejects"] > 0
    assert max(course.recoveries_s, default=0) <= RECOVERED_S
    assert ring.crew.gave_up == []


def _stock(role: str) -> Sequence[str]:
    return [sys.executable, "-m", "tests.faults.stock", "worker", role]


def test_with_the_offset_logic_of_stock_faust_the_same_kills_lose_records_and_the_verdict_says_so(arena: Open) -> None:
    with arena(detect=2, sink=2, command=_stock) as ring, ring.load(SEED) as load:
        kill_at_random(ring, SEED, KILLS)
        verdict = ring.judge(load)
    print(verdict)
    assert verdict.complaints
