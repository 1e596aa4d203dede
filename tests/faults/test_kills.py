"""Workers killed at any moment under load; and that this suite would see it if they lost something."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from schemas.topics import DEVICE_STATUS
from tests.faults.altered.hasty import hasty, hasty_worker
from tests.faults.conftest import Open
from tests.faults.kills import kill_at_random
from tests.faults.verdict import ORDER_KINDS
from tests.faults.watch import Look

KILLS: Final = 8
SEED: Final = 31
ALWAYS_APPLIED: Final = frozenset(ORDER_KINDS) - {"reset", "accept_rise"}
"""Of so short a run: those two need an alarm that has recovered, or risen, by then. Longer ones have all."""
UNFINISHED_S: Final = 3.0
"""From record to checkpoint and to INSERT: longer than from one commit to the next, so that commits meet what waits."""
GIVEN_UP_S: Final = 15.0
"""The verdict on stock Faust need not wait for lag 0, which it does not reach: commits are judged at every look."""


def test_workers_killed_at_random_moments_lose_nothing_and_repeat_nothing(arena: Open) -> None:
    with arena(detect=2, sink=2) as ring, ring.load(SEED) as load:
        kill_at_random(ring, SEED, KILLS)
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert verdict.counts["alarms"] > 0
    assert verdict.counts["rejects"] > 0
    assert [kind for kind in ALWAYS_APPLIED if not verdict.counts[f"applied_{kind}"]] == []
    assert verdict.counts["repeated_orders"] > 0
    assert ring.crew.gave_up == []


def _statuses(look: Look) -> int:
    return sum(end for (topic, _), end in look.ends.items() if topic == DEVICE_STATUS.name)


def test_silence_is_told_once_and_as_the_log_has_it_though_workers_are_killed(arena: Open) -> None:
    with hasty(), arena(detect=2, sink=2, command=hasty_worker) as ring, ring.load(SEED) as load:
        kill_at_random(ring, SEED, KILLS)
        before = _statuses(ring.live())
        load.stop()
        # Everybody falls silent from here on, and only the workers say that time passes.
        ring.watch.until(lambda look: _statuses(look) > before, f"silence in a quiet log; {ring.told()}", 60)
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert verdict.counts["silences"] > 0


def _stock(role: str) -> Sequence[str]:
    return [sys.executable, "-m", "tests.faults.altered.stock", "worker", role]


def test_with_the_offset_logic_of_stock_faust_both_groups_commit_what_is_unfinished_and_the_verdict_says_so(
    arena: Open,
) -> None:
    waiting = {"checkpoint_interval_s": UNFINISHED_S, "insert_interval_s": UNFINISHED_S}
    with arena(detect=2, sink=2, command=_stock, **waiting) as ring, ring.load(SEED) as load:
        kill_at_random(ring, SEED, KILLS)
        verdict = ring.judge(load, GIVEN_UP_S)
    committed = [one for one in verdict.complaints if " committed " in one]
    assert any(one.startswith("partition ") and ") is at " in one for one in committed), verdict.complaints
    assert any("but stored only " in one for one in committed), verdict.complaints
