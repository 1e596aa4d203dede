"""The slow twins of the detectors: one component, one value at a time, plain Python. See `detectors.twin`."""

from __future__ import annotations

from typing import Any, NamedTuple

from schemas.events import AlarmEvent, Severity

Limits = dict[str, Any]
"""The fields of a LIMIT row, by name."""


class Finding(NamedTuple):
    """One thing that happened to one latch."""

    event: AlarmEvent
    severity: Severity
    level: Severity
    value: float
    limit: float
    onset_ts: int
    peak: float
    baseline: float | None = None


class Latch:
    """One component's alarm of one kind."""

    def __init__(self) -> None:
        self.since: dict[Severity, int | None] = {Severity.WARNING: None, Severity.ALARM: None}
        self.severity: Severity | None = None
        self.active = False
        self.onset_ts = 0
        self.peak = float("-inf")

    def step(self, ts: int, value: float, gap_ms: int, limits: Limits) -> Finding | None:
        self._track(ts, value, limits)
        reached = self._reached(ts, gap_ms, limits)
        event = self._move(reached, value < limits["recovery"])
        if event is None or self.severity is None:
            return None
        level = self._level(reached, limits)
        limit = float(limits["alarm" if level is Severity.ALARM else "warning"])
        return Finding(event, self.severity, level, value, limit, self.onset_ts, self.peak)

    def _track(self, ts: int, value: float, limits: Limits) -> None:
        """Note since when the value has been at or above each level, and the worst of this alarm or stretch."""
        if self.severity is None and not any(self.since.values()):
            self.peak = float("-inf")
        self.peak = max(self.peak, value)
        for severity, name in ((Severity.WARNING, "warning"), (Severity.ALARM, "alarm")):
            if value < limits[name]:
                self.since[severity] = None
            elif self.since[severity] is None or (self.since[severity] or 0) > ts:
                self.since[severity] = ts

    def _reached(self, ts: int, gap_ms: int, limits: Limits) -> Severity | None:
        for severity, name in ((Severity.ALARM, "confirm_alarm_ms"), (Severity.WARNING, "confirm_warning_ms")):
            since = self.since[severity]
            if since is not None and max(ts - since, gap_ms) >= limits[name]:
                return severity
        return None

    def _move(self, reached: Severity | None, normal: bool) -> AlarmEvent | None:
        if reached is not None and self.severity is None:
            self.severity, self.active = reached, True
            self.onset_ts = self.since[reached] or 0
            return AlarmEvent.OPENED
        if reached is not None and self.severity is not None and reached > self.severity:
            self.severity, self.active = reached, True
            return AlarmEvent.ESCALATED
        if reached is not None and not self.active:
            self.active = True
            return AlarmEvent.REACTIVATED
        if self.active and normal:
            self.active = False
            return AlarmEvent.RECOVERED
        return None

    def _level(self, reached: Severity | None, limits: Limits) -> Severity:
        """The level that the value was compared with."""
        if reached is Severity.ALARM or limits["warning"] == float("inf"):
            return Severity.ALARM
        return Severity.WARNING


class Rise:
    """The latch on what a component's value lies above its own learned baseline."""

    def __init__(self) -> None:
        self.latch = Latch()
        self.baseline = 0.0
        self.samples = 0
        self.first_ts = 0
        self.last_ts = 0

    def step(self, ts: int, value: float, gap_ms: int, limits: Limits) -> Finding | None:
        baseline = self.baseline
        if self.samples < limits["learn_samples"] or ts - self.first_ts < limits["learn_ms"]:
            self._learn(ts, value, limits["memory_ms"])
            return None
        rise = value - baseline
        if rise < limits["warning"]:
            self._learn(ts, value, limits["memory_ms"])
        finding = self.latch.step(ts, rise, gap_ms, limits)
        return finding and finding._replace(baseline=baseline)

    def _learn(self, ts: int, value: float, memory_ms: int) -> None:
        self.samples = min(self.samples + 1, 1_000_000)
        if self.samples == 1:
            self.baseline, self.first_ts, self.last_ts = value, ts, ts
            return
        elapsed = max(0, ts - self.last_ts)
        weight = max(1.0 / self.samples, elapsed / max(memory_ms + elapsed, 1))
        self.baseline += weight * (value - self.baseline)
        self.last_ts = ts


class Rate:
    """The latch on how fast a component's value rises, per minute, over windows of at least `window_ms`."""

    def __init__(self) -> None:
        self.latch = Latch()
        self.begin: tuple[int, float] | None = None

    def step(self, ts: int, value: float, gap_ms: int, limits: Limits) -> Finding | None:
        if self.begin is None or self.begin[0] > ts:
            self.begin = ts, value
            return None
        begin_ts, begin_value = self.begin
        if ts - begin_ts < limits["window_ms"]:
            return None
        self.begin = ts, value
        rate = (value - begin_value) * 60_000 / max(ts - begin_ts, 1)
        return self.latch.step(ts, rate, 0, limits)  # two windows confirm, however seldom a device reports
