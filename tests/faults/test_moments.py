"""Workers killed under load at each moment that matters, as often as planned: those of `tests.faults.altered.dying`."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

from schemas.topics import TELEMETRY
from tests.faults.altered.dying import Deaths, Moment
from tests.faults.arena import PARTITIONS, SETTLED_S, Arena
from tests.faults.conftest import Open
from tests.faults.watch import Look
from tests.support.processes import until

TIMES: Final = 2
DIED_S: Final = 240.0
"""For all deaths, one after the other in each role: a session, a restart and a rebalance each, on a busy machine."""


def _all_have_committed(look: Look) -> bool:
    """There is something to restore and something stored, so that a fault can harm it."""
    return all(look.detect.get(number) and look.sink.get((TELEMETRY.name, number)) for number in range(PARTITIONS))


def _wait_for_all(deaths: Deaths, ring: Arena) -> None:
    try:
        until(lambda: not deaths.left, "every planned death", DIED_S)
    except AssertionError as error:
        raise AssertionError(f"{error}; left are {deaths.left}; {ring.told()}") from None


def test_workers_that_die_at_every_moment_that_matters_lose_nothing_and_repeat_nothing(
    arena: Open, tmp_path: Path
) -> None:
    deaths = Deaths(tmp_path / "deaths")
    with arena(detect=1, sink=1, command=deaths.command) as ring, ring.load(91) as load:
        ring.watch.until(_all_have_committed, "a checkpoint and rows of every partition", SETTLED_S)
        planned = deaths.plan(TIMES, set(Moment) - {Moment.MOVED})
        _wait_for_all(deaths, ring)
        verdict = ring.judge(load)
        killed = [one for one in ring.crew.exits if one.status == -signal.SIGKILL]
    assert len(killed) == planned
    assert verdict.complaints == []
    assert verdict.counts["alarms"] > 0
    assert ring.crew.gave_up == []


def test_workers_that_die_while_devices_move_have_them_come_along_all_the_same(arena: Open, tmp_path: Path) -> None:
    deaths = Deaths(tmp_path / "deaths")
    with arena(detect=1, sink=1, command=deaths.command) as ring, ring.load(92) as unaware:
        ring.watch.until(_all_have_committed, "a checkpoint and rows of every partition", SETTLED_S)
        planned = deaths.plan(TIMES, {Moment.MOVED})
        ring.widen(PARTITIONS + 2)
        unaware.stop()
        # The same devices, by senders that have heard of the new partitions.
        with ring.load(92) as load:
            _wait_for_all(deaths, ring)
            load.add(unaware)
            verdict = ring.judge(load, widened=True)
        killed = [one for one in ring.crew.exits if one.status == -signal.SIGKILL]
    assert len(killed) == planned
    assert verdict.complaints == []
    assert verdict.counts["moved"] > 0
    assert ring.crew.gave_up == []
