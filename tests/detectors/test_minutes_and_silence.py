"""One-minute aggregates and device status, worked out by hand; the twin is held to the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from detectors.device_status import OFFLINE_AFTER_MS
from detectors.limits import load_limits
from detectors.process import tick
from detectors.state import PartitionState
from detectors.twin import Oracle, Record, Told, oracle_events
from schemas.events import DeviceStatus
from tests.detectors.given_reports import T0, record, report, run, told

LIMITS = load_limits()
HOUR_MS = 3_600_000


def both(records: Sequence[Record]) -> Told:
    found: Told = told([[one] for one in records], PartitionState(), LIMITS)
    assert found == told([records], PartitionState(), LIMITS) == oracle_events(records, LIMITS)
    return found


def at(*seconds: float, **fields: Any) -> list[Record]:
    return [record(n, report(T0 + int(one * 1000), current_a=[n], **fields)) for n, one in enumerate(seconds)]


def minutes(records: Sequence[Record]) -> list[tuple[int, int, list[int]]]:
    """Per aggregate: the record that closed it, its minute counted from T0, and the counts."""
    return [
        (one.source_offset, (one.minute_ts - T0) // 60_000, one.quantities["current_a"]["count"])
        for one in both(records).aggregates
    ]


def test_a_minute_closes_with_the_first_report_half_a_minute_after_its_end() -> None:
    assert minutes(at(0, 59.999, 60, 89.999)) == []
    assert minutes(at(0, 59.999, 60, 90)) == [(3, 0, [2])]


def test_two_minutes_may_be_open_and_each_counts_its_own() -> None:
    assert minutes(at(0, 61, 59, 62, 400)) == [(4, 0, [2]), (4, 1, [2])]


def test_what_comes_after_its_minute_closed_is_not_counted() -> None:
    assert minutes(at(0, 90, 59, 400)) == [(1, 0, [1]), (3, 1, [1])]


def test_repeats_are_counted_once() -> None:
    assert minutes(at(0, 0, 0, 90)) == [(3, 0, [1])]


def test_a_device_that_falls_silent_closes_its_last_minute_with_its_next_report() -> None:
    assert minutes(at(0, 6 * 3600)) == [(1, 0, [1])]


def test_the_statistics_are_those_of_the_values_that_are_there() -> None:
    given = [[0.1, -200.0], [0.3], [0.2, -200.0, 7]]
    records = [record(n, report(T0 + n, temperature_c=values)) for n, values in enumerate(given)]
    (aggregate,) = both([*records, record(3, report(T0 + 90_000))]).aggregates
    assert aggregate.quantities == {
        "temperature_c": {
            "count": [3, 0, 1],
            "min": [0.1, None, 7.0],
            "max": [0.3, None, 7.0],
            "mean": [(0.1 + 0.3 + 0.2) / 3, None, 7.0],
            "last": [0.2, None, 7.0],
        }
    }


def test_the_last_value_is_the_newest_and_not_the_latest_to_arrive() -> None:
    (aggregate, *_) = both(at(1, 5, 3, 90)).aggregates
    assert aggregate.quantities["current_a"]["last"] == [1.0]


def test_a_minute_without_values_is_not_told() -> None:
    assert both([record(0, report(T0, faults=["x"])), record(1, report(T0 + 90_000))]).aggregates == []


def status(events: Sequence[DeviceStatus]) -> list[tuple[str, list[str], int]]:
    return [(str(event.status), event.faults, event.since_ts - T0) for event in events]


def test_a_device_comes_online_once_and_its_faults_are_told_as_they_change() -> None:
    faults: list[list[str]] = [[], ["a"], ["a"], ["a", "b"], []]
    records = [record(n, report(T0 + n, faults=found), ingest_ts=T0 + n) for n, found in enumerate(faults)]
    assert status(both(records).statuses) == [
        ("online", [], 0),
        ("online", ["a"], 1),
        ("online", ["a", "b"], 3),
        ("online", [], 4),
    ]


def test_faults_of_a_late_report_are_history() -> None:
    records = [record(0, report(T0 + 9, faults=[])), record(1, report(T0, faults=["a"]))]
    assert len(both(records).statuses) == 1


@pytest.mark.parametrize(("kind", "after_ms"), OFFLINE_AFTER_MS.items())
def test_silence_puts_a_device_offline_and_overdue_at_the_exact_times(kind: str, after_ms: int) -> None:
    state, oracle = PartitionState(), Oracle(LIMITS)
    heard = record(0, report(T0, kind=kind), ingest_ts=T0)
    run([heard], state, LIMITS)
    oracle.feed(*heard)
    overdue_ms = max(6 * HOUR_MS, after_ms)
    found: list[tuple[str, list[str], int]] = []
    for wait in sorted({after_ms - 1, after_ms, after_ms + 1, overdue_ms - 1, overdue_ms, 30 * HOUR_MS}):
        events = tick(state, T0 + wait)
        assert events == oracle.tick(T0 + wait)
        found += status(events)
    offline: list[tuple[str, list[str], int]] = [("offline", [], after_ms)] if after_ms < overdue_ms else []
    assert found == [*offline, ("overdue_offline", [], overdue_ms)]


def test_the_next_report_even_a_repeat_puts_a_device_online_again() -> None:
    state = PartitionState()
    run([record(0, report(T0), ingest_ts=T0)], state, LIMITS)
    tick(state, T0 + HOUR_MS)
    events = run([record(1, report(T0), ingest_ts=T0 + HOUR_MS)], state, LIMITS).statuses
    assert status(events) == [("online", [], HOUR_MS)]


def test_silence_is_judged_by_arrival_and_marks_the_row_for_the_next_checkpoint() -> None:
    state = PartitionState()
    run([record(0, report(T0 - 5 * HOUR_MS), ingest_ts=T0)], state, LIMITS)
    state.dirty[:] = False
    assert tick(state, T0 + 60_000) == []
    assert not state.dirty.any()
    assert len(tick(state, T0 + HOUR_MS)) == 1
    assert state.dirty[0]


def test_no_devices_no_silence() -> None:
    assert tick(PartitionState(), T0) == []
