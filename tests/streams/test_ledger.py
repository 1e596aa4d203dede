"""The ledger against its slow twin, a set of unfinished offsets."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.ledger import Ledger, Range

SHAPES = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), min_size=1, max_size=12)
"""Ranges, each as the gap before it and how many records it holds."""


def _bounds(first: int, shapes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    bounds = []
    for gap, count in shapes:
        first += gap
        bounds.append((first, first + count - 1))
        first += count
    return bounds


@given(st.integers(0, 10**12), SHAPES, st.randoms(use_true_random=False))
def test_the_commit_never_passes_an_unfinished_record(
    first: int, shapes: Sequence[tuple[int, int]], rng: random.Random
) -> None:
    ledger, unfinished, waiting = Ledger(), set[int](), list[Range]()
    to_begin = _bounds(first, shapes)
    finished_to = None
    while to_begin or waiting:
        if to_begin and (not waiting or rng.random() < 0.5):
            low, high = to_begin.pop(0)
            waiting.append(ledger.begin(low, high))
            unfinished |= set(range(low, high + 1))
        else:
            done = waiting.pop(rng.randrange(len(waiting)))
            ledger.finish(done)
            unfinished -= set(range(done.first, done.last + 1))
            finished_to = max(finished_to or 0, done.last + 1)
        committable = ledger.committable
        assert committable is None or not unfinished or committable <= min(unfinished)
        assert committable is None or finished_to is not None
    assert ledger.committable == finished_to == _bounds(first, shapes)[-1][1] + 1
    assert ledger.in_flight == 0
    assert ledger.beginning == _bounds(first, shapes)[0][0]


@given(SHAPES, st.randoms(use_true_random=False))
def test_what_finishes_in_order_may_be_committed_at_once(shapes: Sequence[tuple[int, int]], rng: random.Random) -> None:
    ledger = Ledger()
    begun = [ledger.begin(*bounds) for bounds in _bounds(0, shapes)]
    order = list(begun)
    rng.shuffle(order)
    for done in order:
        ledger.finish(done)
        passed = [
            one.last + 1 for number, one in enumerate(begun) if all(before.finished for before in begun[: number + 1])
        ]
        assert ledger.committable == (max(passed) if passed else None)


@given(SHAPES, SHAPES)
def test_a_late_finish_on_an_old_ledger_changes_nothing(
    shapes: Sequence[tuple[int, int]], later: Sequence[tuple[int, int]]
) -> None:
    old, new = Ledger(), Ledger()
    late = [old.begin(*bounds) for bounds in _bounds(0, shapes)]
    anew = [new.begin(*bounds) for bounds in _bounds(0, later)]
    for done in late:
        old.finish(done)
    assert new.committable is None
    assert new.in_flight == len(anew)


def test_nothing_may_be_committed_before_something_is_finished() -> None:
    ledger = Ledger()
    assert ledger.committable is None
    ledger.begin(7, 9)
    assert ledger.committable is None
    assert ledger.beginning == 7


@pytest.mark.parametrize("first", [0, 5, 9])
@pytest.mark.parametrize("finished", [False, True])
def test_a_range_that_does_not_come_after_all_before_it_is_refused(first: int, finished: bool) -> None:
    ledger = Ledger()
    begun = ledger.begin(5, 9)
    if finished:
        ledger.finish(begun)
    with pytest.raises(ValueError, match="begins before 10"):
        ledger.begin(first, 20)


def test_a_range_is_taken_on_only_after_all_before_it() -> None:
    ledger = Ledger()
    first, second = ledger.begin(0, 9), ledger.begin(10, 19)
    with pytest.raises(ValueError, match="was handed over"):
        ledger.take(second)
    ledger.take(first)
    ledger.finish(first)
    ledger.take(second)
    ledger.finish(second)
    assert ledger.committable == 20
