"""The rules of detection, slow and obvious, one report at a time: what the planted truth is held against.

Limits and confirm times are written out again here, and the baseline is the plain mean of what was learned from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.events import AlarmKind, Severity

Key = tuple[str, int, AlarmKind]

RESIDUAL = {"electrical_monitor": ((200.0, 10.0), (300.0, 3.0)), "charging_pile": (None, (30.0, 3.0))}
RISE = {"electrical_monitor": 100.0, "charging_pile": 15.0}
TEMPERATURE = {"electrical_monitor": ((60.0, 10.0), (70.0, 5.0)), "charging_pile": ((70.0, 10.0), (80.0, 5.0))}


@dataclass
class Held:
    """How long something has been so, without a break."""

    since: int | None = None

    def for_s(self, holds: bool, ts: int) -> float:
        self.since = (ts if self.since is None else self.since) if holds else None
        return -1.0 if self.since is None else (ts - self.since) / 1_000


@dataclass
class Window:
    """Rate of rise over windows of 15 s, and how many in a row were at or over 10 ℃/min."""

    begin: tuple[int, float] | None = None
    steep: int = 0

    def add(self, ts: int, value: float) -> bool:
        if self.begin is None:
            self.begin = (ts, value)
        elif ts - self.begin[0] >= 15_000:
            rate = (value - self.begin[1]) / (ts - self.begin[0]) * 60_000
            self.steep = self.steep + 1 if rate >= 10 else 0
            self.begin = (ts, value)
        return self.steep >= 2


@dataclass
class OracleDevice:
    """All that is remembered of one device."""

    newest: int = -1
    first: int = 0
    learned: list[float] = field(default_factory=list)
    baseline: float | None = None
    held: dict[tuple[AlarmKind, int, Severity], Held] = field(default_factory=dict)
    windows: dict[int, Window] = field(default_factory=dict)

    def over(self, kind: AlarmKind, component: int, severity: Severity, holds: bool, ts: int, confirm_s: float) -> bool:
        held = self.held.setdefault((kind, component, severity), Held())
        return held.for_s(holds, ts) >= confirm_s


def alarms(reports: Iterable[dict[str, Any]], learn_s: float) -> dict[Key, tuple[Severity, int]]:
    """The highest severity of every alarm, and the event time of the report that first confirmed it."""
    devices: dict[str, OracleDevice] = {}
    found: dict[Key, tuple[Severity, int]] = {}
    for report in reports:
        device = devices.setdefault(report["device_id"], OracleDevice(first=report["event_ts"]))
        if report["event_ts"] <= device.newest:
            continue
        device.newest = ts = report["event_ts"]
        for kind, component, severity in judge(device, report, learn_s):
            key = (report["device_id"], component, kind)
            highest, first_ts = found.get(key, (severity, ts))
            found[key] = (max(highest, severity), first_ts)
    return found


def judge(device: OracleDevice, report: dict[str, Any], learn_s: float) -> Iterator[tuple[AlarmKind, int, Severity]]:
    kind, ts = report["device_kind"], report["event_ts"]
    levels = (
        ("residual_current_ma", AlarmKind.RESIDUAL_CURRENT, RESIDUAL),
        ("temperature_c", AlarmKind.TEMPERATURE, TEMPERATURE),
    )
    for quantity, alarm, limits in levels:
        for component, value in enumerate(report[quantity]):
            for severity, limit in zip((Severity.WARNING, Severity.ALARM), limits[kind], strict=True):
                if limit and device.over(alarm, component, severity, value >= limit[0], ts, limit[1]):
                    yield alarm, component, severity
    yield from judge_rises(device, report, learn_s)
    for component, count in enumerate(report.get("arc_half_cycles", ())):
        if count >= 10:
            yield AlarmKind.ARC_FAULT, component, Severity.ALARM if count >= 14 else Severity.WARNING


def judge_rises(
    device: OracleDevice, report: dict[str, Any], learn_s: float
) -> Iterator[tuple[AlarmKind, int, Severity]]:
    ts, value = report["event_ts"], report["residual_current_ma"][0]
    if device.baseline is None:
        device.learned.append(value)
        if ts - device.first >= learn_s * 1_000 and len(device.learned) >= 10:
            device.baseline = sum(device.learned) / len(device.learned)
    elif device.over(
        AlarmKind.RESIDUAL_CURRENT_RISE,
        0,
        Severity.WARNING,
        value - device.baseline >= RISE[report["device_kind"]],
        ts,
        10,
    ):
        yield AlarmKind.RESIDUAL_CURRENT_RISE, 0, Severity.WARNING
    for component, temperature in enumerate(report["temperature_c"]):
        if temperature != -200 and device.windows.setdefault(component, Window()).add(ts, temperature):
            yield AlarmKind.TEMPERATURE_RISE, component, Severity.WARNING
