"""The recorded cases of the field, by the table beside them: each has its right outcome. They are not part of the
project; where they are absent this part is left out, and says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from benchmarks.processes import ROOT
from benchmarks.rightness.told import Line, summed
from cli.trying.command import arrivals
from detectors.limits import load_limits
from detectors.trial import Arrival, Summary, Trial
from schemas.events import Alarm, DeviceStatus, Severity

FOLDER: Final = ROOT.parent / "shared" / "cases"
_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 86_400_000
_RESIDUAL, _TEMPERATURE = "residual_current", "temperature"


class CaseOutcome(NamedTuple):
    """What came of a case."""

    sent: Sequence[Arrival]
    alarms: Sequence[Alarm]
    statuses: Sequence[DeviceStatus]
    summary: Summary

    def urgent(self, kind: str, device: str | None = None) -> list[Alarm]:
        """The 紧急 of a kind, of a device where one is named."""
        found = (one for one in self.alarms if one.kind == kind and one.severity == Severity.ALARM)
        return [one for one in found if device in (None, one.device_id)]

    def events(self, kind: str) -> list[str]:
        """What happened to alarms of a kind, in order."""
        return [one.event for one in self.alarms if one.kind == kind]

    def faults(self, device: str) -> set[str]:
        """All faults that statuses of a device ever named."""
        return {fault for one in self.statuses if one.device_id == device for fault in one.faults}

    def arrived(self, piece: bytes) -> list[int]:
        """When records that hold these bytes arrived."""
        return [one.ingest_ts for one in self.sent if piece in one.value]


def _probe_off(of: CaseOutcome) -> bool:
    sensor = "sensor_fault:temperature_c[2]:sentinel" in of.faults("F03-1")
    return bool(of.urgent(_RESIDUAL)) and sensor and of.statuses[0].status == "online" and not of.summary.rejects


def _solar(of: CaseOutcome) -> bool:
    both = of.urgent(_RESIDUAL) and of.urgent(_TEMPERATURE)
    return bool(both) and not of.summary.rejects and not of.summary.absent_values


def _clock_never_set(of: CaseOutcome) -> bool:
    by_arrival = {"F06A-1": True, "F06B-1": True, "F06C-1": True, "F06D-1": True, "F06E-1": False}
    return all(
        {one.by_arrival for one in of.urgent(kind, device)} == {marked}
        for device, marked in by_arrival.items()
        for kind in (_RESIDUAL, _TEMPERATURE)
    )


def _uint32(of: CaseOutcome) -> bool:
    devices = {one.device_id for one in of.urgent(_RESIDUAL)}
    return devices == {f"F08{letter}-1" for letter in "ABCDE"} and not of.summary.rejects


def _set_back(of: CaseOutcome) -> bool:
    over = of.arrived(b"[450.0]")
    first = [one for one in of.alarms if one.ingest_ts == over[0]]
    urgent = of.urgent(_RESIDUAL)
    return all(one.event == "provisional" for one in first) and bool(urgent) and urgent[0].ingest_ts <= over[2]


def _newest_first(of: CaseOutcome) -> bool:
    """With its true onset and end: the first value over, and the first normal one after the last."""
    told = [one for one in of.alarms if one.kind == _RESIDUAL]
    measured = {
        one["event_ts"]: one["residual_current_ma"][0] for one in map(orjson.loads, (one.value for one in of.sent))
    }
    over = [ts for ts, value in measured.items() if value >= 300]
    end = min(ts for ts in measured if ts > max(over))
    one_late = len({one.alarm_id for one in told}) == 1 and all(one.late for one in told)
    ends = [one.event_ts for one in told if one.event == "recovered"]
    return one_late and ends == [end] and told[-1].onset_ts == min(over)


def _power_on(of: CaseOutcome) -> bool:
    return not of.urgent(_TEMPERATURE)


def _spike(of: CaseOutcome) -> bool:
    return not of.urgent(_RESIDUAL) and of.events(_RESIDUAL) == ["provisional", "withdrawn"]


def _one_report(of: CaseOutcome) -> bool:
    return of.events(_TEMPERATURE) == ["provisional"] and any(one.status == "offline" for one in of.statuses)


def _six_hours(of: CaseOutcome) -> bool:
    over = of.arrived(b"[450.0]")
    told = [(one.event, one.ingest_ts) for one in of.alarms if one.kind == _RESIDUAL]
    return told[:2] == [("provisional", over[0]), ("confirmed", over[1])]


def _intermittent(of: CaseOutcome) -> bool:
    first = of.sent[0].ingest_ts
    return any(one.ingest_ts <= first + _MINUTE_MS for one in of.urgent(_RESIDUAL))


def _heating(of: CaseOutcome) -> bool:
    hot = of.arrived(b"[58.0]")
    told = [one for one in of.alarms if one.kind == "temperature_rise" and one.event != "provisional"]
    return bool(told) and told[0].ingest_ts <= hot[1]


def _worsening(of: CaseOutcome) -> bool:
    return of.events(_RESIDUAL).count("worsened") == 1


def _dropout(of: CaseOutcome) -> bool:
    return bool(of.alarms) and not {"recovered", "reactivated"} & set(of.events(_RESIDUAL))


def _ninety_days(of: CaseOutcome) -> bool:
    opened = [one for one in of.alarms if one.kind == _RESIDUAL and one.event in ("opened", "confirmed")]
    ended = {one.alarm_id for one in of.alarms if one.kind == _RESIDUAL and one.event == "superseded"}
    return len(opened) == 2 and opened[0].alarm_id != opened[1].alarm_id and ended == {opened[0].alarm_id}


def _lawful_rise(of: CaseOutcome) -> bool:
    told = [one for one in of.events("residual_current_rise") if one not in ("provisional", "withdrawn")]
    return told in (["opened", "closed"], ["confirmed", "closed"])


def _open_transformer(of: CaseOutcome) -> bool:
    """By the log's time: a status has the offset of the record that it follows from."""
    zero = of.arrived(b"[0.0]")[0]
    named = (
        of.sent[one.source_offset].ingest_ts
        for one in of.statuses
        if any(fault.startswith("sensor_fault:residual_current_ma[0]") for fault in one.faults)
    )
    return any(ts <= zero + _DAY_MS for ts in named)


TABLE: Final[dict[str, tuple[str, Callable[[CaseOutcome], bool]]]] = {
    "minus-127-hides-leakage": ("紧急, the probe's fault, online", _probe_off),
    "negative-current-hides-fire": ("both alarmed, nothing absent", _solar),
    "clock-never-set": ("all five alarmed, four by arrival", _clock_never_set),
    "uint32-seq": ("all alarmed, nothing rejected", _uint32),
    "clock-back-an-hour-at-the-fault": ("紧急 by the third report over", _set_back),
    "history-newest-first-over-by-then": ("one alarm, late, with its end", _newest_first),
    "power-on-85": ("no 紧急", _power_on),
    "one-spike-of-301": ("provisional, withdrawn", _spike),
    "one-report-of-95": ("provisional, then offline", _one_report),
    "two-reports-every-6-h": ("provisional, confirmed", _six_hours),
    "intermittent-400-ma": ("紧急 within 60 s", _intermittent),
    "heating-seen-every-5-min": ("told by the second report of 58", _heating),
    "worsening-while-open": ("one worsened", _worsening),
    "one-dropout-while-open": ("no recovered, no reactivated", _dropout),
    "second-event-90-days-later": ("a second alarm supersedes the first", _ninety_days),
    "lawful-rise-accepted": ("told once, closed by a person", _lawful_rise),
    "transformer-open": ("sensor fault within a day", _open_transformer),
}


def run() -> list[Line]:
    """Each case that is there."""
    return [_line(name, *right) for name, right in TABLE.items() if (FOLDER / f"{name}.jsonl").exists()]


def _line(name: str, target: str, right: Callable[[CaseOutcome], bool]) -> Line:
    line = Line("cases", name, target)
    of = _outcome(FOLDER / f"{name}.jsonl")
    line.check(right(of), f"emberline try {name}.jsonl: told {summed(of.alarms)}")
    return line


def _outcome(file: Path) -> CaseOutcome:
    trial, sent = Trial(load_limits()), list(arrivals(file))
    values = [event.value for event in trial.events(sent)]
    alarms = [one for one in values if isinstance(one, Alarm)]
    return CaseOutcome(sent, alarms, [one for one in values if isinstance(one, DeviceStatus)], trial.summary)
