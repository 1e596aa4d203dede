"""Recorded inputs of the field, through the pure core: each has the right outcome, or fails for the rule that it names.

The cases lie beside the project and are not part of it; where they are absent their tests are skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
DETECTION: Final = "comes with the full detection: windows, provisionals, rise by time constant, stuck sensors"


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
    (opened,) = case.urgent("residual_current")
    assert (opened.event, opened.value) == ("opened", 520.0)
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
    assert events[0].event == "opened"
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
    assert events == ["opened", "worsened"]


def test_single_zeros_while_an_alarm_is_open_are_no_recovery() -> None:
    events = [alarm.event for alarm in FieldCase("one-dropout-while-open").alarms("residual_current")]
    assert not {"recovered", "reactivated"} & set(events)


def test_the_same_component_after_90_days_is_another_episode_and_supersedes_the_first() -> None:
    found = FieldCase("second-event-90-days-later").alarms("residual_current")
    first, second = (alarm for alarm in found if alarm.event == "opened")
    assert first.alarm_id != second.alarm_id
    assert [alarm.alarm_id for alarm in found if alarm.event == "superseded"] == [first.alarm_id]


def test_a_lawful_rise_that_a_person_accepts_is_told_once_and_closed() -> None:
    found = FieldCase("lawful-rise-accepted").alarms("residual_current_rise")
    assert [alarm.event for alarm in found] == ["opened", "closed"]
    assert (found[-1].by, found[-1].why) == ("duty officer", "new equipment behind the line")


def _spike() -> None:
    case = FieldCase("one-spike-of-301")
    assert case.urgent("residual_current") == []
    assert [alarm.event for alarm in case.alarms("residual_current")] == ["provisional", "withdrawn"]


def _one_report() -> None:
    assert [alarm.event for alarm in FieldCase("one-report-of-95").alarms("temperature")] == ["provisional"]


def _six_hours() -> None:
    events = [alarm.event for alarm in FieldCase("two-reports-every-6-h").alarms("residual_current")]
    assert events == ["provisional", "confirmed"]


def _intermittent() -> None:
    case = FieldCase("intermittent-400-ma")
    assert any(alarm.ingest_ts <= case.begin_ts + MINUTE_MS for alarm in case.urgent("residual_current"))


def _heating() -> None:
    assert FieldCase("heating-seen-every-5-min").alarms("temperature_rise")


def _transformer() -> None:
    faults = {fault for status in FieldCase("transformer-open").statuses("CT-000001") for fault in status.faults}
    assert any(fault.startswith("sensor_fault:residual_current_ma[0]") for fault in faults)


TO_COME: Final[dict[str, tuple[Callable[[], None], str]]] = {
    "one spike of 301 is a provisional that is withdrawn": (_spike, DETECTION),
    "one report of 95 is a provisional": (_one_report, DETECTION),
    "a report each 6 h is confirmed by the next": (_six_hours, DETECTION),
    "400 mA for two seconds of four": (_intermittent, DETECTION),
    "heating seen each 5 min": (_heating, DETECTION),
    "a transformer that is open": (_transformer, DETECTION),
}


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=name, marks=pytest.mark.xfail(raises=AssertionError, reason=rule, strict=True))
        for name, (check, rule) in TO_COME.items()
    ],
)
def test_what_is_to_come(check: Callable[[], None]) -> None:
    check()
