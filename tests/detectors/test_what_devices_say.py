"""What devices say of themselves, by words and by saying the same for ever: by hand, and as the twin says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from detectors.limits import load_limits
from detectors.state import PartitionState
from detectors.twin.oracle import Record
from schemas.alarm_kinds import WHOLE
from schemas.events import Alarm, DeviceStatus
from tests.detectors.given_reports import T0, never_still, readings, record, report, slowly, told

LIMITS = load_limits()
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MINUTE_MS = 60_000


def found(records: Sequence[Record]) -> tuple[list[Alarm], list[DeviceStatus]]:
    """Alarms and statuses, of which the twin must say the same."""
    said = told([records], PartitionState(), LIMITS)
    assert said == slowly(records, LIMITS)
    return said.alarms, said.statuses


def faults_after(records: Sequence[Record]) -> list[str]:
    """What is told of the device at last."""
    _, statuses = found(records)
    return statuses[-1].faults


def words(*said: list[str], every_ms: int = MINUTE_MS, **fields: Any) -> list[Record]:
    """One report for each list of words."""
    return [
        record(n, report(T0 + n * every_ms, faults=one, arc_half_cycles=[0], **fields)) for n, one in enumerate(said)
    ]


def test_an_alarm_that_a_device_says_opens_at_once_with_its_word_as_source() -> None:
    (alarm,), (status,) = found(words(["smoke_alarm", "battery_low"]))
    assert (alarm.kind, alarm.event, alarm.severity, alarm.component) == ("smoke", "opened", 2, WHOLE)
    assert alarm.limit_from == "设备自报：smoke_alarm"
    assert alarm.message == "【紧急】LY-1 整机 烟雾报警，设备自报（smoke_alarm）"
    assert status.faults == ["smoke_alarm", "battery_low"]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("residual_current_alarm", "residual_current"),
        ("GroundFailure", "residual_current"),
        ("Smoke Alarm", "smoke"),
        ("arc-alarm", "arc_fault"),
        ("trip", "device_alarm"),
        ("hot_melt_alarm", "device_alarm"),
        ("LeakageAlarm", "residual_current"),
        ("smokeAlarm", "smoke"),
        ("over_voltage_alarm", "over_voltage"),
        ("miss_phase_alarm", "phase_loss"),
    ],
)
def test_words_are_known_however_they_are_written(word: str, kind: str) -> None:
    (alarm,), _ = found(words([word]))
    assert alarm.kind == kind


def test_any_other_word_is_a_fault_and_no_alarm() -> None:
    alarms, (status,) = found(words(["sensor_open", "alarming_news", "low_battery_alarm"]))
    assert (alarms, status.faults) == ([], ["sensor_open", "alarming_news", "low_battery_alarm"])


def test_it_is_one_alarm_while_the_word_is_said_and_recovers_once_it_is_not_for_a_while() -> None:
    on, off = ["smoke_alarm"], list[str]()
    alarms, _ = found(words(on, on, on, off, off, on, off, off))
    seen = [(str(one.event), (one.ingest_ts - T0) // MINUTE_MS, one.active, one.severity) for one in alarms]
    assert seen == [
        ("opened", 0, True, 2), ("recovered", 4, False, 0), ("reactivated", 5, True, 2), ("recovered", 7, False, 0),
    ]  # fmt: skip
    assert len({one.alarm_id for one in alarms}) == 1
    assert alarms[1].event_ts == T0 + 3 * MINUTE_MS + 1_000


def test_one_report_without_the_word_is_no_recovery() -> None:
    alarms, _ = found(words(["trip"], [], ["trip"], []))
    assert [one.event for one in alarms] == ["opened"]


def test_a_day_later_it_is_another_alarm() -> None:
    alarms, _ = found(
        [*words(["trip"], [], [], every_ms=MINUTE_MS), record(3, report(T0 + 2 * DAY_MS, faults=["trip"]))]
    )
    assert [one.event for one in alarms] == ["opened", "recovered", "superseded", "opened"]
    assert alarms[2].alarm_id == alarms[0].alarm_id != alarms[3].alarm_id


def test_a_word_in_a_report_that_comes_late_is_told_as_late() -> None:
    now = [record(n, report(T0 + n * MINUTE_MS, residual_current_ma=[40])) for n in range(3)]
    late = record(3, report(T0 - HOUR_MS, faults=["fire_alarm"], residual_current_ma=[40]), ingest_ts=T0 + 200_000)
    (alarm,), _ = found([*now, late])
    assert (alarm.kind, alarm.late, alarm.onset_ts) == ("device_alarm", True, T0 - HOUR_MS)


def steady(*values: float, name: str = "residual_current_ma", every_ms: int = 10 * MINUTE_MS) -> list[Record]:
    """One value a report."""
    return readings(name, *values, step_ms=every_ms)


def hours(value: float, count: float) -> list[float]:
    """A value each ten minutes for so many hours."""
    return [value] * int(count * 6)


@pytest.mark.parametrize(
    ("values", "told_as"),
    [
        ([*hours(80, 1), 81, *hours(0, 25)], "open"),
        ([*hours(80, 1), 81, *hours(0, 23)], None),
        (hours(0, 30), None),
        ([*hours(80, 1), *hours(0, 2), *hours(80, 1), *hours(0, 30)], None),
        ([61, *hours(63.2, 25)], "stuck"),
        ([61, *hours(63.2, 23)], None),
    ],
    ids=["falls to 0", "not for a day", "never anything", "off at times", "the same", "the same, not for a day"],
)
def test_leakage_that_stands_still_for_a_day_is_a_fault_of_its_sensor(values: list[float], told_as: str | None) -> None:
    expected = [] if told_as is None else [f"sensor_fault:residual_current_ma[0]:{told_as}"]
    assert faults_after(steady(*values)) == expected


def test_it_ends_with_another_value() -> None:
    assert faults_after(steady(61, *hours(63.2, 25), 61, 62, 61, 62)) == []


@pytest.mark.parametrize(
    ("name", "value", "told_as"), [("voltage_v", 0.0, []), ("current_a", 0.0, []), ("smoke", 0, [])]
)
def test_what_may_be_at_rest_for_a_day_is_no_fault(name: str, value: float, told_as: list[str]) -> None:
    assert faults_after(steady(1.0, *hours(value, 30), name=name)) == told_as


def returns_of(present: int, absent_min: int, every_s: int) -> list[bool]:
    """Whether each return of a device is told as flapping that reports so often at a time, and then is gone."""
    records, ts = list[Record](), T0
    for _ in range(8):
        records += [record(0, report(ts + n * every_s * 1_000, arc_half_cycles=[0])) for n in range(present)]
        ts += present * every_s * 1_000 + absent_min * MINUTE_MS
    _, statuses = found(never_still(records, each_ms=60_000))
    return ["flapping" in one.faults for one in statuses if one.status == "online"]


@pytest.mark.parametrize(("present", "absent_min", "every_s"), [(4, 25, 60), (4, 40, 300), (30, 40, 10), (20, 120, 60)])
def test_absences_that_repeat_are_not_how_far_apart_reports_usually_are(
    present: int, absent_min: int, every_s: int
) -> None:
    assert returns_of(present, absent_min, every_s) == [False] * 6 + [True] * 2


def test_a_device_that_reports_more_seldom_from_now_on_has_been_away_but_once() -> None:
    assert returns_of(1, 40, 60) == [False] * 2


@pytest.mark.parametrize(("count", "every_s"), [(2, 1), (3, 1), (4, 60)])
def test_a_device_whose_channels_come_in_reports_of_their_own_is_not_away_between(count: int, every_s: int) -> None:
    # What its interval is shows with the second silence.
    assert returns_of(count, 60, every_s) == [False] * 3


@pytest.mark.parametrize("count", [2, 6, 60])
def test_a_device_that_keeps_what_it_measures_and_sends_it_at_once_is_not_away_between(count: int) -> None:
    hour_ms = 60 * MINUTE_MS
    records = [
        record(0, *(report(T0 + hour * hour_ms + n * hour_ms // count, arc_half_cycles=[0]) for n in range(count)))
        for hour in range(12)
    ]
    _, statuses = found(never_still(records, each_ms=60_000))
    # What its interval is shows with the second time.
    assert [one.status for one in statuses] == ["online", "offline", "online"]


def test_a_device_that_comes_and_goes_is_told_as_flapping_until_a_day_later() -> None:
    records, ts = list[Record](), T0
    for silence in (1, 9, 1, 9, 1, 9, 1):
        records += [record(0, report(ts + n * MINUTE_MS, arc_half_cycles=[0])) for n in range(3)]
        ts += silence * 20 * MINUTE_MS
    calm = [record(0, report(ts + n * 10 * MINUTE_MS, arc_half_cycles=[0])) for n in range(160)]
    _, statuses = found(never_still([*records, *calm]))
    returns = [one for one in statuses if one.status == "online"]
    assert ["flapping" in one.faults for one in returns[:8]] == [False] * 6 + [True] * 2
    assert statuses[-1].faults == []
