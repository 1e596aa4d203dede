"""Since when a partition has had something to finish, and nothing was."""

from __future__ import annotations

from faust.types import TP

from streams.watching.stall import Stall

ONE, OTHER = TP("emberline.telemetry", 0), TP("emberline.telemetry", 1)


def _idle_s(stall: Stall, *unfinished: TP) -> float:
    stall.look(unfinished)
    return stall.idle_s


def _waiting(*tps: TP) -> Stall:
    """A stall in which these have waited for some time."""
    stall = Stall()
    stall._since = dict.fromkeys(tps, -1e9)
    return stall


def test_who_has_nothing_to_finish_is_not_idle() -> None:
    assert _idle_s(Stall()) == 0
    assert _idle_s(_waiting(ONE)) == 0


def test_what_one_partition_finishes_is_no_progress_of_another() -> None:
    stall = _waiting(ONE, OTHER)
    stall.finished(OTHER)
    assert _idle_s(stall, ONE, OTHER) > 1e8
    stall.finished(ONE)
    assert _idle_s(stall, ONE, OTHER) < 1e8


def test_what_all_may_have_waited_for_is_progress_of_all() -> None:
    stall = _waiting(ONE, OTHER)
    stall.finished()
    assert _idle_s(stall, ONE, OTHER) < 1e8


def test_a_partition_that_comes_anew_has_waited_for_nothing_yet() -> None:
    stall = _waiting(ONE)
    stall.finished(OTHER)
    assert _idle_s(stall, OTHER) < 1e8
