"""One-minute aggregates and device status, worked out by hand; the twin is held to the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from detectors.device_status import OFFLINE_AFTER_MS
from detectors.limits import load_limits
from detectors.log_time import CHECK_MS, HOLE_MS
from detectors.state import PartitionState
from detectors.statuses import silent_until
from detectors.twin.oracle import Record, Told
from schemas.events import DeviceStatus
from tests.detectors.given_reports import T0, never_still, record, report, run, slowly, time_record, told

LIMITS = load_limits()
HOUR_MS = 3_600_000


def both(records: Sequence[Record]) -> Told:
    found: Told = told([[one] for one in records], PartitionState(), LIMITS)
    assert found == told([records], PartitionState(), LIMITS) == slowly(records, LIMITS)
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
    same = report(T0, current_a=[5])
    assert minutes([*(record(n, same) for n in range(3)), record(3, report(T0 + 90_000))]) == [(3, 0, [1])]


def test_what_is_measured_within_one_time_of_the_clock_is_counted_each() -> None:
    assert minutes(at(0, 0, 0, 90)) == [(3, 0, [3])]


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


# Statuses.

SeenStatuses = list[tuple[str, list[str], int]]


def status(events: Sequence[DeviceStatus]) -> SeenStatuses:
    """Status, faults, and since when, counted from T0."""
    return [(str(event.status), event.faults, event.since_ts - T0) for event in events]


def heard(*each: tuple[float, dict[str, Any]]) -> list[Record]:
    """Reports of one device that arrive so many seconds after T0; they are dated so too, and hold a current, unless
    their fields say otherwise."""
    return [
        record(n, report(T0 + int(second * 1000)) | {"current_a": [n]} | fields, ingest_ts=T0 + int(second * 1000))
        for n, (second, fields) in enumerate(each)
    ]


def statuses(*each: tuple[float, dict[str, Any]]) -> SeenStatuses:
    return status(both(heard(*each)).statuses)


def test_a_device_comes_online_once_and_its_faults_are_told_as_they_change() -> None:
    faults: list[list[str]] = [[], ["a"], ["a"], ["a", "b"], []]
    assert statuses(*((n, {"faults": found}) for n, found in enumerate(faults))) == [
        ("online", [], 0),
        ("online", ["a"], 1_000),
        ("online", ["a", "b"], 3_000),
        ("online", [], 4_000),
    ]


def test_faults_of_a_late_report_are_history() -> None:
    assert len(statuses((9, {}), (10, {"event_ts": T0, "faults": ["a"]}))) == 1


OFF = {"temperature_c": [30, -127]}
GOOD = {"temperature_c": [30, 31]}
FAULT = ["sensor_fault:temperature_c[1]:sentinel"]


def test_a_sensor_fault_is_told_once_and_not_with_each_report() -> None:
    assert statuses(*((n, OFF) for n in range(20))) == [("online", FAULT, 0)]


def test_a_sensor_fault_that_comes_and_goes_is_told_once_and_held() -> None:
    assert statuses((0, GOOD), *((n, OFF if n % 2 else GOOD) for n in range(1, 40))) == [
        ("online", [], 0),
        ("online", FAULT, 1_000),
    ]


def test_a_sensor_fault_ends_with_a_value_ten_minutes_after_it_last_held() -> None:
    assert statuses((0, OFF), (599, GOOD), (600, GOOD)) == [("online", FAULT, 0), ("online", [], 600_000)]


@pytest.mark.parametrize("silent", [{}, {"temperature_c": [30]}, {"temperature_c": [30, None]}])
def test_a_sensor_fault_does_not_end_because_the_sensor_is_not_sent_any_more(silent: dict[str, Any]) -> None:
    assert statuses((0, OFF), (700, silent), (800, silent)) == [("online", FAULT, 0)]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"temperature_c": ["x"]}, "sensor_fault:temperature_c[0]:not_a_number"),
        ({"temperature_c": [1e9]}, "sensor_fault:temperature_c[0]:impossible"),
        ({"temperature_c": ["NaN"]}, "sensor_fault:temperature_c[0]:not_finite"),
        ({"residual_current_ma": [-3]}, "sensor_fault:residual_current_ma[0]:impossible"),
        ({"voltage_v": [9_999]}, "sensor_fault:voltage_v[0]:impossible"),
        ({"arc_half_cycles": [101]}, "sensor_fault:arc_half_cycles[0]:impossible"),
        ({"tempp_c": [50]}, "unknown_quantity:tempp_c"),
        ({"device_kind": "toaster"}, "unknown_device_kind"),
        ({"components": 7}, "components_differ"),
        ({"seq": -1}, "bad_seq"),
        ({"event_ts": 740}, "clock_behind"),
        ({"event_ts": T0 + 10**9}, "clock_ahead"),
        ({"event_ts": T0 // 1000}, "clock_in_seconds"),
        ({"event_ts": None}, "no_clock"),
    ],
)
def test_what_is_wrong_with_a_report_is_told_of_its_device(fields: dict[str, Any], fault: str) -> None:
    assert statuses((0, fields)) == [("online", [fault], 0)]


def test_a_sensor_that_was_never_fitted_is_no_fault_and_one_that_was_is() -> None:
    assert statuses((0, {"temperature_c": [30, -200]})) == [("online", [], 0)]
    lost = ["sensor_fault:temperature_c[1]:not_fitted"]
    assert statuses((0, GOOD), (1, {"temperature_c": [30, -200]})) == [("online", [], 0), ("online", lost, 1_000)]


def test_null_is_no_fault() -> None:
    assert statuses((0, {"temperature_c": [30, None]})) == [("online", [], 0)]


def test_a_first_report_without_any_value_is_told_and_a_later_one_once_the_device_would_be_offline() -> None:
    none: dict[str, Any] = {"current_a": []}
    assert statuses((0, none)) == [("online", ["no_values"], 0)]
    later = [(0, {}), (1, none), (900, none), (901, none), (902, {})]
    assert statuses(*later) == [("online", [], 0), ("online", ["no_values"], 901_000)]


def test_a_quantity_of_which_all_is_late_is_told_as_not_judged() -> None:
    late = [(second, {"temperature_c": [30], "event_ts": T0 - 10**6 - second}) for second in range(60, 1_020, 60)]
    found = statuses((-60, {"temperature_c": [30]}), (0, {"temperature_c": [30]}), *late)
    assert found == [("online", [], -60_000), ("online", ["not_judged:current_a", "not_judged:temperature_c"], 960_000)]


def test_a_quantity_that_is_sent_no_more_or_is_not_usable_any_more_is_told_as_not_judged() -> None:
    arcs: list[tuple[float, dict[str, Any]]] = [(-60, {"arc_half_cycles": [0]}), (0, {"arc_half_cycles": [0]})]
    gone = statuses(*arcs, *((second, {}) for second in range(60, 1_020, 60)))
    assert gone == [("online", [], -60_000), ("online", ["not_judged:arc_half_cycles"], 960_000)]
    unusable = statuses(*arcs, *((60 * n, {"arc_half_cycles": [101]}) for n in range(1, 17)))
    assert unusable[-1][1] == ["not_judged:arc_half_cycles", "sensor_fault:arc_half_cycles[0]:impossible"]


def test_a_quantity_that_comes_once_an_hour_among_reports_each_minute_is_judged() -> None:
    each = [(60 * n, {"temperature_c": [30]} if n % 60 == 0 else {}) for n in range(400)]
    assert statuses(*each) == [("online", [], 0)]


def test_a_quantity_that_came_once_may_be_any_seldom_but_not_more_seldom_than_each_six_hours() -> None:
    each = [(0, {"temperature_c": [30]}), *((600 * n, {}) for n in range(1, 40))]
    assert statuses(*each) == [("online", [], 0), ("online", ["not_judged:temperature_c"], 22_800_000)]


def test_a_rejected_report_puts_its_device_online_and_says_so() -> None:
    records = [*heard((0, {})), record(1, report(T0 + 1_000, v=2), ingest_ts=T0 + HOUR_MS)]
    found = both(never_still(records)).statuses
    assert status(found) == [("online", [], 0), ("offline", [], 900_000), ("online", ["rejected"], HOUR_MS)]


def test_a_rejected_record_puts_the_device_of_its_key_online_and_makes_none() -> None:
    broken = (1, T0 + 1_000, b"{")
    assert status(both([*heard((0, {})), broken]).statuses)[-1] == ("online", ["rejected"], 1_000)
    assert both([broken]).statuses == []


def test_the_kind_is_the_newest_reported_and_one_corrected_later_counts() -> None:
    fields: dict[str, Any] = {"residual_current_ma": [40.0]}
    wrong = [record(n, report(T0 + n * 1_000, **fields)) for n in range(5)]
    right = [record(n, report(T0 + n * 1_000, kind="charging_pile", **fields)) for n in range(5, 10)]
    (alarm, *_) = both([*wrong, *right]).alarms
    assert (alarm.device_kind, alarm.limit, alarm.source_offset) == ("charging_pile", 30.0, 8)


def test_a_kind_that_is_not_known_leaves_the_one_that_is() -> None:
    fields: dict[str, Any] = {"residual_current_ma": [40.0]}
    records = [record(0, report(T0, kind="charging_pile", **fields))]
    records += [record(n, report(T0 + n * 1_000, kind="toaster", **fields)) for n in range(1, 6)]
    assert {alarm.device_kind for alarm in both(records).alarms} == {"charging_pile"}


# Silence.


def silence(records: Sequence[Record], silent_ms: int) -> SeenStatuses:
    """What is told while a device is silent for so long after its records, and records of time come."""
    last = records[-1][1]
    passing = never_still(records, last + silent_ms)
    first = next(offset for offset, ts, _ in passing if ts == last)
    found = [event for event in both(passing).statuses if event.source_offset > first]
    return [(name, faults, since - (last - T0)) for name, faults, since in status(found)]


@pytest.mark.parametrize(("kind", "after_ms"), OFFLINE_AFTER_MS.items())
def test_silence_puts_a_device_offline_and_overdue_at_the_exact_times(kind: str, after_ms: int) -> None:
    overdue_ms = max(6 * HOUR_MS, after_ms)
    offline: SeenStatuses = [("offline", [], after_ms)] if after_ms < overdue_ms else []
    records = heard((0, {"device_kind": kind}))
    assert silence(records, min(after_ms, overdue_ms) - 1) == []
    assert silence(records, after_ms)[:1] == (offline or [("overdue_offline", [], overdue_ms)])
    assert silence(records, overdue_ms - 1) == offline
    assert silence(records, overdue_ms) == [*offline, ("overdue_offline", [], overdue_ms)]
    assert silence(records, 30 * HOUR_MS) == [*offline, ("overdue_offline", [], overdue_ms)]


@pytest.mark.parametrize(
    ("kind", "interval_s", "after_ms"),
    [
        ("electrical_monitor", 1, 900_000),
        ("electrical_monitor", 360, 900_000),
        ("electrical_monitor", 600, 1_500_000),
        ("electrical_monitor", 3_600, 9_000_000),
        ("electrical_monitor", 4 * 3_600, 22_200_000),
        ("electrical_monitor", 6 * 3_600, 22_200_000),
        ("charging_pile", 180, 450_000),
        ("smoke_detector", 12 * 3_600, 90_000_000),
        ("smoke_detector", 24 * 3_600, 90_000_000),
    ],
)
def test_a_device_is_offline_after_two_and_a_half_of_its_own_intervals_within_bounds(
    kind: str, interval_s: int, after_ms: int
) -> None:
    records = heard(*((n * interval_s, {"device_kind": kind}) for n in range(4)))
    assert silence(records, after_ms - 1) == []
    ((name, _, since), *_) = silence(records, after_ms + CHECK_MS)
    assert (name, since) == ("offline" if after_ms < 6 * HOUR_MS else "overdue_offline", after_ms)


def test_an_outage_is_no_interval() -> None:
    records = heard(*((n, {}) for n in range(10)), (5 * 3_600, {}), (5 * 3_600 + 1, {}))
    assert silence(records, 899_999) == []
    assert silence(records, 900_000 + CHECK_MS) == [("offline", [], 900_000)]


def test_the_next_report_even_a_repeat_puts_a_device_online_again() -> None:
    (first,) = heard((0, {}))
    again = (1, T0 + HOUR_MS, first[2])
    found = both(never_still([first, again])).statuses
    assert status(found) == [("online", [], 0), ("offline", [], 900_000), ("online", [], HOUR_MS)]


def test_silence_is_told_at_the_record_by_which_it_is_seen_before_all_else_and_by_the_devices_ids() -> None:
    records = [record(n, report(T0, device), ingest_ts=T0) for n, device in enumerate(["LY-2", "LY-10", "LY-1"])]
    passing = never_still([*records, record(3, report(T0, "LY-3"), ingest_ts=T0 + 900_000)])
    found = [event for event in both(passing).statuses if event.source_offset > 2]
    last = passing[-1][0]
    positions = [(event.device_id, event.source_offset, event.source_ordinal) for event in found]
    assert positions == [("LY-1", last, -4), ("LY-10", last, -3), ("LY-2", last, -2), ("LY-3", last, 0)]


def test_a_hole_of_the_whole_log_is_nobodys_silence() -> None:
    records = heard((0, {}))
    late = time_record(1, T0 + HOUR_MS)
    assert status(both([*records, late]).statuses) == [("online", [], 0)]
    after = never_still([late], T0 + HOUR_MS + 900_000)
    resumed = [*records, *((1 + offset, ts, value) for offset, ts, value in after)]
    assert status(both(resumed).statuses)[1:] == [("offline", [], HOUR_MS + 900_000)]


def test_a_worker_that_was_away_for_less_than_a_hole_hides_no_silence() -> None:
    still = [*heard((0, {})), *(time_record(n, T0 + n * HOLE_MS) for n in range(1, 16))]
    assert status(both(still).statuses)[1:] == [("offline", [], 900_000)]


def test_what_brokers_say_came_before_takes_no_time_back() -> None:
    records = [
        *heard((0, {})),
        time_record(1, T0 + 50_000),
        record(2, report(T0, "LY-2", current_a=[1]), ingest_ts=T0 + 20_000),
    ]
    until = [time_record(3 + n, T0 + 50_000 + n * 30_000) for n in range(1, 40)]
    found = status(both([*records, *until]).statuses)
    assert found == [("online", [], 0), ("online", [], 20_000), ("offline", [], 900_000), ("offline", [], 920_000)]


def test_silence_is_judged_by_arrival_and_marks_the_row_for_the_next_checkpoint() -> None:
    state = PartitionState()
    run([record(0, report(T0 - 5 * HOUR_MS), ingest_ts=T0)], state, LIMITS)
    state.devices.dirty[:] = False
    run(never_still([time_record(0, T0)], T0 + 899_999), state, LIMITS)
    assert not state.devices.dirty.any()
    assert silent_until(state) == T0 + 900_000
    (event,) = run([time_record(99, T0 + 900_000)], state, LIMITS).statuses
    assert (event.status, event.source_offset) == ("offline", 99)
    assert state.devices.dirty[0]


def test_no_devices_no_silence() -> None:
    assert run([time_record(0, T0)], PartitionState(), LIMITS).statuses == []
    assert silent_until(PartitionState()) is None
