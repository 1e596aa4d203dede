"""Recorded inputs of the field, through the pure core: each has the right outcome, or fails for the rule that it names.

The cases lie beside the project and are not part of it; where they are absent their tests are skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from cli.trying.command import arrivals
from detectors.limits import load_limits
from detectors.trial import Happening, Summary, Trial
from schemas.events import Alarm, DeviceStatus, Severity
from schemas.reports import decode
from tests.detectors.given_reports import records_of

CASES: Final = Path(__file__).parents[3] / "shared" / "cases"
MINUTE_MS: Final = 60_000


class FieldCase:
    """What a case came to."""

    def __init__(self, name: str) -> None:
        file = CASES / f"{name}.jsonl"
        if not file.exists():
            pytest.skip(f"{file.name} is not beside the project (../shared/cases)")
        trial = Trial(load_limits())
        self.begin_ts = next(arrivals(file)).ingest_ts
        self.events: Sequence[Happening] = list(trial.events(arrivals(file)))
        self.summary: Summary = trial.summary

    def alarms(self, kind: str | None = None, device: str | None = None) -> list[Alarm]:
        """Alarm events, of a kind and a device where these are named."""
        found = [one.value for one in self.events if isinstance(one.value, Alarm)]
        return [one for one in found if kind in (None, one.kind) and device in (None, one.device_id)]

    def urgent(self, kind: str, device: str | None = None) -> list[Alarm]:
        """Those that are 紧急."""
        return [one for one in self.alarms(kind, device) if one.severity == Severity.ALARM]

    def statuses(self, device: str) -> list[DeviceStatus]:
        """A device's statuses."""
        found = [one.value for one in self.events if isinstance(one.value, DeviceStatus)]
        return [one for one in found if one.device_id == device]


def test_one_probe_off_hides_no_leakage() -> None:
    case = FieldCase("minus-127-hides-leakage")
    (fire,) = case.urgent("residual_current")
    assert (fire.event, fire.value) == ("confirmed", 520.0)
    assert case.summary.rejects == 0
    assert case.summary.absent_values == 60
    (online, *_) = case.statuses("F03-1")
    assert (online.status, online.faults) == ("online", ["sensor_fault:temperature_c[2]:sentinel"])


def test_solar_feed_in_hides_no_fire() -> None:
    case = FieldCase("negative-current-hides-fire")
    assert case.urgent("residual_current")
    assert case.urgent("temperature")
    assert (case.summary.rejects, case.summary.absent_values) == (0, 0)


def test_whatever_the_clock_says_all_five_alarm_and_four_are_marked() -> None:
    case = FieldCase("clock-never-set")
    wrong = {"F06A-1": "clock_behind", "F06B-1": "clock_behind", "F06C-1": "clock_behind", "F06D-1": "clock_ahead"}
    for device in (*wrong, "F06E-1"):
        for kind in ("residual_current", "temperature"):
            assert {alarm.by_arrival for alarm in case.urgent(kind, device)} == {device in wrong}, (device, kind)
        assert case.statuses(device)[0].faults == ([wrong[device]] if device in wrong else [])
    assert case.summary.rejects == 0


def test_no_sequence_number_text_or_null_hides_a_fire() -> None:
    case = FieldCase("uint32-seq")
    for device in ("F08A-1", "F08B-1", "F08C-1", "F08D-1", "F08E-1"):
        assert case.urgent("residual_current", device)
    assert case.summary.rejects == 0
    assert "faults_cut" in case.statuses("F08C-1")[0].faults
    assert "faults_cut" in case.statuses("F08D-1")[0].faults
    assert case.statuses("F08E-1")[0].faults == []


def test_a_clock_that_falls_back_as_the_fault_begins_delays_the_alarm_to_the_third_report_at_most() -> None:
    case = FieldCase("clock-back-an-hour-at-the-fault")
    over = [arrival for arrival in arrivals(CASES / "clock-back-an-hour-at-the-fault.jsonl") if b"450" in arrival.value]
    (opened,) = case.urgent("residual_current")
    assert opened.ingest_ts in (over[1].ingest_ts, over[2].ingest_ts)


def test_an_episode_that_was_over_before_it_was_handed_in_is_told_with_its_true_onset_and_end() -> None:
    case = FieldCase("history-newest-first-over-by-then")
    events = case.alarms("residual_current")
    assert len({alarm.alarm_id for alarm in events}) == 1
    assert all(alarm.late for alarm in events)
    assert [(alarm.event, alarm.severity) for alarm in events[:2]] == [("provisional", 1), ("confirmed", 2)]
    (end,) = (alarm.event_ts for alarm in events if alarm.event == "recovered")
    over = [(ts, value) for ts, value in _readings("history-newest-first-over-by-then") if value >= 300]
    after = min(ts for ts, value in _readings("history-newest-first-over-by-then") if ts > max(over)[0])
    assert (events[-1].onset_ts, end) == (min(over)[0], after)


def _readings(name: str) -> list[tuple[int, float]]:
    found = [(number, one.ingest_ts, one.value) for number, one in enumerate(arrivals(CASES / f"{name}.jsonl"))]
    reports, _ = decode(records_of(found))
    values = reports.quantities["residual_current_ma"].values.tolist()
    return list(zip(reports.event_ts.tolist(), values, strict=True))


def test_a_power_on_value_is_no_temperature() -> None:
    case = FieldCase("power-on-85")
    assert case.alarms() == []
    assert case.summary.absent_values == 2


def test_worsening_from_310_to_3000_ma_is_told_once() -> None:
    events = [alarm.event for alarm in FieldCase("worsening-while-open").alarms("residual_current")]
    assert events == ["provisional", "confirmed", "worsened"]


def test_single_zeros_while_an_alarm_is_open_are_no_recovery() -> None:
    events = [alarm.event for alarm in FieldCase("one-dropout-while-open").alarms("residual_current")]
    assert not {"recovered", "reactivated"} & set(events)


def test_the_same_component_after_90_days_is_another_episode_and_supersedes_the_first() -> None:
    found = FieldCase("second-event-90-days-later").alarms("residual_current")
    first, second = (alarm for alarm in found if alarm.event == "confirmed")
    assert first.alarm_id != second.alarm_id
    assert [alarm.alarm_id for alarm in found if alarm.event == "superseded"] == [first.alarm_id]


def test_a_lawful_rise_that_a_person_accepts_is_told_once_and_closed() -> None:
    found = FieldCase("lawful-rise-accepted").alarms("residual_current_rise")
    assert [alarm.event for alarm in found] == ["provisional", "confirmed", "closed"]
    assert len({alarm.alarm_id for alarm in found}) == 1
    assert (found[-1].by, found[-1].why) == ("duty officer", "new equipment behind the line")


def test_one_spike_of_301_is_a_provisional_that_is_withdrawn() -> None:
    case = FieldCase("one-spike-of-301")
    assert case.urgent("residual_current") == []
    for kind in ("residual_current", "residual_current_rise"):
        assert [alarm.event for alarm in case.alarms(kind)] == ["provisional", "withdrawn"]


def test_the_only_report_of_a_device_is_a_provisional_and_then_it_is_offline() -> None:
    case = FieldCase("one-report-of-95")
    assert [(alarm.kind, alarm.event) for alarm in case.alarms()] == [("temperature", "provisional")]
    assert [one.status for one in case.statuses(case.alarms()[0].device_id)][:2] == ["online", "offline"]


def test_of_reports_each_six_hours_the_first_over_is_provisional_and_the_second_confirms_it() -> None:
    events = [alarm.event for alarm in FieldCase("two-reports-every-6-h").alarms("residual_current")]
    assert events == ["provisional", "confirmed"]


def test_400_ma_for_two_seconds_of_four_is_urgent_within_a_minute() -> None:
    case = FieldCase("intermittent-400-ma")
    assert any(alarm.ingest_ts <= case.begin_ts + MINUTE_MS for alarm in case.urgent("residual_current"))


def test_heating_between_two_reports_of_five_minutes_is_told_by_the_second_report_of_it() -> None:
    first, then = FieldCase("heating-seen-every-5-min").alarms("temperature_rise")
    assert [first.event, then.event] == ["provisional", "confirmed"]
    assert then.ingest_ts == first.ingest_ts + 5 * MINUTE_MS


def test_a_transformer_whose_leakage_falls_to_0_is_a_fault_of_its_sensor_within_a_day() -> None:
    case = FieldCase("transformer-open")
    (first, *_) = (status for status in case.statuses("CT-000001") if status.faults)
    assert first.faults == ["sensor_fault:residual_current_ma[0]:open"]
    assert first.since_ts - case.begin_ts <= 73 * 60 * MINUTE_MS
