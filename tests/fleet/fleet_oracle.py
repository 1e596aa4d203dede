"""The rules of detection, slow and obvious, one report at a time: what the planted truth is held against.

Limits and confirm times are written out again here. Windows slide exactly, and what was usual is found
anew for each value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.alarm_kinds import AlarmKind
from schemas.events import Severity

Key = tuple[str, int, AlarmKind]
Levels = tuple[tuple[float, float], tuple[float, float]]
"""Warning and alarm, each with its confirm time in s."""

NO_LEVEL = (math.inf, 0.0)
RESIDUAL = {"electrical_monitor": ((200.0, 10.0), (300.0, 3.0)), "charging_pile": (NO_LEVEL, (30.0, 3.0))}
RISE = {"electrical_monitor": ((100.0, 10.0), NO_LEVEL), "charging_pile": ((15.0, 10.0), NO_LEVEL)}
TEMPERATURE = {"electrical_monitor": ((60.0, 10.0), (70.0, 5.0)), "charging_pile": ((70.0, 10.0), (80.0, 30.0))}
HEATING = ((15.0, 10.0), NO_LEVEL)
ARC = ((10.0, 0.0), (14.0, 0.0))
MEMORY_MS = 1_200_000


class OracleStep(NamedTuple):
    """A moment, the time since the value before and the time between the two values before that, ms; 0 if not known."""

    ts: int
    elapsed_ms: int
    interval_ms: int


@dataclass
class Held:
    """For how long of a window something has been so, and whether it was so at the value before."""

    lasted: list[tuple[int, int]] = field(default_factory=list)
    before: bool = False

    def confirms(self, holds: bool, step: OracleStep, confirm_s: float) -> bool:
        window_ms = max(30_000, 2_000 * confirm_s)
        self.lasted = [(ts, ms) for ts, ms in self.lasted if ts > step.ts - window_ms]
        before, self.before = self.before, holds
        if holds:
            self.lasted.append((step.ts, step.elapsed_ms if self.lasted else 1))
        if 0 < step.interval_ms <= 10_000:
            return holds and sum(ms for _, ms in self.lasted) >= 1_000 * confirm_s
        return holds and (before or confirm_s == 0)


@dataclass
class OracleLatch:
    """One kind of alarm of one component."""

    warning: Held = field(default_factory=Held)
    alarm: Held = field(default_factory=Held)
    first: float | None = None
    opened: bool = False

    @property
    def engaged(self) -> bool:
        """Whether a value was over a level a moment ago."""
        return self.first is not None or bool(self.warning.lasted or self.alarm.lasted)

    def step(self, value: float, step: OracleStep, levels: Levels) -> Iterator[Severity]:
        """Every severity that is told, that of a provisional among them."""
        (warning, warning_s), (alarm, alarm_s) = levels
        warned = self.warning.confirms(value >= warning, step, warning_s)
        alarmed = self.alarm.confirms(value >= alarm, step, alarm_s)
        over = value >= min(warning, alarm)
        first, self.first = self.first, None
        if first is not None and over:
            alarmed, warned = min(first, value) >= alarm, True
        seldom = step.interval_ms == 0 or step.interval_ms > 120_000
        if alarmed or warned:
            self.opened = True
            yield Severity.ALARM if alarmed else Severity.WARNING
        elif over and seldom and first is None and not self.opened:
            self.first = value
            yield Severity.WARNING


@dataclass
class Usual:
    """What was usual in the six parts of a window before this one: the second lowest of their means."""

    clock_ms: int = 0
    values: dict[int, list[float]] = field(default_factory=dict)

    def level(self, part: int) -> float | None:
        of_parts = [self.values[one] for one in range(part - 6, part) if one in self.values]
        means = sorted(sum(values) / len(values) for values in of_parts)
        return means[1] if len(means) > 1 else None


@dataclass
class OracleDevice:
    """All that is remembered of one device."""

    newest: int = -1
    interval_ms: int = 0
    latches: dict[tuple[AlarmKind, int], OracleLatch] = field(default_factory=dict)
    usual: Usual = field(default_factory=Usual)
    means: dict[int, float] = field(default_factory=dict)

    def step(self, ts: int) -> OracleStep:
        """Time goes on. All components are in all reports."""
        elapsed_ms = ts - self.newest if self.newest >= 0 else 0
        step = OracleStep(ts, elapsed_ms, self.interval_ms)
        self.newest, self.interval_ms = ts, elapsed_ms
        return step

    def latch(self, kind: AlarmKind, component: int) -> OracleLatch:
        return self.latches.setdefault((kind, component), OracleLatch())


def alarms(reports: Iterable[dict[str, Any]], rise_window_s: float) -> dict[Key, tuple[Severity, int]]:
    """The highest severity of every alarm, and the event time of the report that first told it."""
    devices: dict[str, OracleDevice] = {}
    found: dict[Key, tuple[Severity, int]] = {}
    for report in reports:
        device = devices.setdefault(report["device_id"], OracleDevice())
        if report["event_ts"] <= device.newest:
            continue
        step = device.step(report["event_ts"])
        for kind, component, severity in judge(device, report, step, rise_window_s):
            key = (report["device_id"], component, kind)
            highest, first_ts = found.get(key, (severity, step.ts))
            found[key] = (max(highest, severity), first_ts)
    return found


def judge(
    device: OracleDevice, report: dict[str, Any], step: OracleStep, rise_window_s: float
) -> Iterator[tuple[AlarmKind, int, Severity]]:
    kind = report["device_kind"]
    for component, value in enumerate(report["residual_current_ma"]):
        yield from told(device, AlarmKind.RESIDUAL_CURRENT, component, value, step, RESIDUAL[kind])
        rise = risen(device, value, step, int(rise_window_s * 1_000), RISE[kind][0][0])
        if rise is not None:
            yield from told(device, AlarmKind.RESIDUAL_CURRENT_RISE, component, rise, step, RISE[kind])
    for component, value in enumerate(report["temperature_c"]):
        if value == -200:
            continue
        yield from told(device, AlarmKind.TEMPERATURE, component, value, step, TEMPERATURE[kind])
        heated = value - followed(device, component, value, step)
        yield from told(device, AlarmKind.TEMPERATURE_RISE, component, heated, step, HEATING)
    for component, count in enumerate(report.get("arc_half_cycles", ())):
        yield from told(device, AlarmKind.ARC_FAULT, component, count, step, ARC)


def told(
    device: OracleDevice, kind: AlarmKind, component: int, value: float, step: OracleStep, levels: Levels
) -> Iterator[tuple[AlarmKind, int, Severity]]:
    for severity in device.latch(kind, component).step(value, step, levels):
        yield kind, component, severity


def followed(device: OracleDevice, component: int, value: float, step: OracleStep) -> float:
    """The running mean, which follows a value by no more than twice the limit, and waits while a value does."""
    mean = device.means.get(component, value)
    most = 30.0 * (1 + step.elapsed_ms / MEMORY_MS)
    latch = device.latch(AlarmKind.TEMPERATURE_RISE, component)
    if not latch.engaged or latch.opened:
        mean += max(-most, min(value - mean, most)) * step.elapsed_ms / (MEMORY_MS + step.elapsed_ms)
    device.means[component] = mean
    return mean


def risen(device: OracleDevice, value: float, step: OracleStep, window_ms: int, limit: float) -> float | None:
    """What a value lies above what was usual, which is not learned from what rises nor while it lasts."""
    usual = device.usual
    stays = device.latch(AlarmKind.RESIDUAL_CURRENT_RISE, 0).engaged
    if not stays:
        usual.clock_ms += step.elapsed_ms
    part = usual.clock_ms * 6 // window_ms
    level = usual.level(part)
    if not stays and (level is None or value - level < limit):
        usual.values.setdefault(part, []).append(value)
    return None if level is None else value - level
