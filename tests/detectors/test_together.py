"""Partitions that are processed together say what each says by itself, and are left in the same state."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.limits import LimitTable
from detectors.rounds import Result
from detectors.state import Devices, PartitionState
from detectors.twin.oracle import Record, timeless
from streams.pieces import Piece, Processing, advance, pieces_of
from tests.detectors import given_orders
from tests.detectors.given_reports import T0, contents, crowds, cut, fleets, record, records_of, report, told
from tests.detectors.test_process_equals_twin import CUTS, PROFILE, limits

__all__ = ["limits"]


def together(
    logs: Sequence[Iterator[Piece]], states: Sequence[PartitionState], table: LimitTable, most: int
) -> list[Result]:
    """What the pieces of several partitions mean, so many reports of all together at a time."""
    results, at_work = [Result() for _ in logs], dict[int, Processing]()
    while True:
        for number, (log, state) in enumerate(zip(logs, states, strict=True)):
            if number not in at_work and (piece := next(log, None)) is not None:
                at_work[number] = Processing(piece, state)
        if not at_work:
            return results
        advance(list(at_work.values()), table, most)
        for number, one in [*at_work.items()]:
            if one.is_done:
                results[number] += at_work.pop(number).result


def pieces(chunks: Iterable[Sequence[Record]], state: PartitionState, table: LimitTable) -> Iterator[Piece]:
    for chunk in chunks:
        yield from pieces_of(records_of(chunk), table.absences, state.log)
        if chunk:
            state.log.reach(max(ts for _, ts, _ in chunk))


def states_of(count: int, devices_most: int = 1_000) -> list[PartitionState]:
    devices = Devices()
    return [PartitionState(devices_most, devices) for _ in range(count)]


LOGS = st.lists(st.tuples(st.one_of(fleets(), crowds()), CUTS), min_size=2, max_size=4)


@settings(PROFILE, max_examples=25)
@given(logs=LOGS, most=st.sampled_from([3, 1_000]), at_once=st.integers(1, 60))
def test_what_is_processed_together_means_what_it_means_by_itself(
    limits: LimitTable, logs: list[tuple[list[Record], list[int]]], most: int, at_once: int
) -> None:
    states = states_of(len(logs), most)
    chunks = [cut(records, cuts) for records, cuts in logs]
    iterators = [pieces(one, state, limits) for one, state in zip(chunks, states, strict=True)]
    found = together(iterators, states, limits, at_once)
    for one, state, result in zip(chunks, states, found, strict=True):
        alone = PartitionState(most)
        by_itself = told(one, alone, limits)
        assert timeless(result.alarms) == by_itself.alarms
        assert (result.statuses, result.aggregates) == (by_itself.statuses, by_itself.aggregates)
        assert (result.requests, result.outcomes) == (by_itself.requests, by_itself.outcomes)
        refused = {(*at, fault.reason) for at, fault in result.refused.items()}
        assert refused <= set(by_itself.rejects)
        assert contents(state) == contents(alone)
        assert state.forgotten == alone.forgotten


@pytest.mark.parametrize("seed", range(4))
def test_orders_and_entries_hold_for_the_partition_that_has_them(seed: int, limits: LimitTable) -> None:
    rng = random.Random(seed)
    logs = [given_orders.anything(rng) for _ in range(3)]
    chunks = [[log[first : first + 50] for first in range(0, len(log), 50)] for log in logs]
    states = states_of(len(logs))
    iterators = [given_orders.pieces(one, state, limits) for one, state in zip(chunks, states, strict=True)]
    for one, state, result in zip(chunks, states, together(iterators, states, limits, 5_000), strict=True):
        alone = PartitionState()
        by_itself, _ = given_orders.quickly(one, alone, limits)
        assert timeless(result.alarms) == timeless(by_itself.alarms)
        assert (result.statuses, result.outcomes) == (by_itself.statuses, by_itself.outcomes)
        assert contents(state) == contents(alone)
        assert state.registered.limits == alone.registered.limits


def test_what_a_partition_gives_back_is_taken_by_others(limits: LimitTable) -> None:
    first, second, third = states_of(3)
    records = [record(n, report(T0, f"LY-{n}", residual_current_ma=[450.0] * (1 + n % 3))) for n in range(40)]
    for state in (first, second):
        told([records], state, limits)
    held, before, size = first.held(), contents(second), first.devices.size
    for _ in first.leave():
        pass
    assert len(first) == 0
    assert contents(second) == before
    told([records], third, limits)
    assert sorted(third.held()) == sorted(held)
    assert third.devices.size == size
    assert contents(third) == before
    assert not np.isin(second.dirty_rows(), held).any()
