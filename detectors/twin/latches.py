"""The slow twins of the detectors: one component, one value at a time, plain Python. See `detectors.twin`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.events import AlarmEvent, Severity

Limits = dict[str, Any]
"""The fields of a LIMIT row, by name."""


class Value(NamedTuple):
    """One value of a component in its time."""

    value: float
    ts: int
    ingest_ts: int
    before_ts: int = 0
    elapsed_ms: int = 0
    step_ms: int = 0
    credit_ms: int = 0
    gap: bool = False


class TwinFinding(NamedTuple):
    """One thing that happened to one latch."""

    event: AlarmEvent
    severity: Severity
    level: Severity
    value: float
    limit: float
    onset_ts: int
    episode: int
    peak: float
    ts: int
    late: bool = False
    baseline: float | None = None


@dataclass
class Stretch:
    """Since when a value has been at or above a level, and how long that has lasted."""

    since: int | None = None
    lasted_ms: int = 0


class Latch:
    """One component's alarm of one kind."""

    def __init__(self) -> None:
        self.stretches = {Severity.WARNING: Stretch(), Severity.ALARM: Stretch()}
        self.severity: Severity | None = None
        self.active = False
        self.onset_ts = self.episode = self.normal_ts = self.recovered_ts = 0
        self.late_until_ts = self.late_heard_ts = 0
        self.peak = -math.inf

    @property
    def rests(self) -> bool:
        """Whether it holds nothing."""
        return self.severity is None and all(stretch.since is None for stretch in self.stretches.values())

    def step(self, one: Value, limits: Limits) -> TwinFinding | None:
        """Move on by one live value."""
        if self.rests:
            if one.value < limits["lowest"]:
                return None
            self.peak, self.normal_ts = -math.inf, one.before_ts
        quiet = not self.active and all(stretch.since is None for stretch in self.stretches.values())
        if self.severity is not None and quiet and one.value < limits["lowest"]:
            return None
        self.peak = max(self.peak, one.value)
        reached = self._reached(one, limits)
        if one.value >= limits["lowest"]:
            self.late_until_ts = 0
        drained = self.late_until_ts == 0 or one.ingest_ts - self.late_heard_ts > 600_000
        event = self._move(one, reached, one.value < limits["recovery"] and drained)
        if event is None or self.severity is None:
            return None
        level = reached if reached is not None else Severity.WARNING
        return self._told(event, level, one.value, one.ts, limits)

    def _reached(self, one: Value, limits: Limits) -> Severity | None:
        reached = None
        for severity, name in ((Severity.WARNING, "warning"), (Severity.ALARM, "alarm")):
            stretch = self.stretches[severity]
            if one.value < limits[name]:
                stretch.since, stretch.lasted_ms = None, 0
                continue
            if stretch.since is None or one.gap:
                stretch.since, stretch.lasted_ms = one.ts, 0
            else:
                stretch.lasted_ms += one.step_ms
            if max(stretch.lasted_ms, one.credit_ms) >= limits[f"confirm_{name}_ms"]:
                reached = severity
        return reached

    def _move(self, one: Value, reached: Severity | None, normal: bool) -> AlarmEvent | None:
        if reached is not None and self.severity is None:
            self.severity, self.active, self.episode = reached, True, one.ingest_ts
            self.onset_ts = self.stretches[reached].since or 0
            return AlarmEvent.OPENED
        if reached is not None and self.severity is not None and reached > self.severity:
            self.severity, self.active = reached, True
            return AlarmEvent.ESCALATED
        if reached is not None and not self.active:
            self.active = True
            return AlarmEvent.REACTIVATED
        if self.active and normal:
            self.active, self.recovered_ts, self.late_until_ts = False, one.ts, 0
            return AlarmEvent.RECOVERED
        return None

    def _told(
        self, event: AlarmEvent, level: Severity, value: float, ts: int, limits: Limits, late: bool = False
    ) -> TwinFinding:
        """A finding; a level that does not exist is that of the alarm."""
        if limits["warning"] == math.inf:
            level = Severity.ALARM
        limit = float(limits["alarm" if level is Severity.ALARM else "warning"])
        severity = self.severity or Severity.NOTICE
        return TwinFinding(event, severity, level, value, limit, self.onset_ts, self.episode, self.peak, ts, late)

    def late(self, one: Value, points: list[tuple[int, float]], limits: Limits) -> Iterator[TwinFinding]:
        """Take a late value on; `points` are those kept, it among them, as they are compared with the limits."""
        if one.value < limits["lowest"]:
            yield from self._late_under(one, limits)
            return
        level, run = self._late_reached(one, sorted(points), limits)
        times = [ts for ts, _ in run]
        if level is not None and self.severity is None:
            yield from self._late_open(one, level, run, sorted(points), limits)
        elif level is not None and self.severity is not None and level > self.severity:
            self.severity = level
            self.peak = max(self.peak, *(value for _, value in run))
            if times[0] > self.normal_ts:
                self.onset_ts = min(self.onset_ts, times[0])
            yield self._told(AlarmEvent.ESCALATED, level, one.value, one.ts, limits, late=True)
        elif self.severity is not None and self.normal_ts < one.ts < self.onset_ts:
            self.onset_ts, self.peak = one.ts, max(self.peak, one.value)
            over = Severity.WARNING if one.value < limits["alarm"] else Severity.ALARM
            yield self._told(AlarmEvent.AMENDED, over, one.value, one.ts, limits, late=True)
        elif self.severity is not None and self.active:
            if self.late_until_ts:
                self.late_until_ts, self.late_heard_ts = max(self.late_until_ts, one.ts), one.ingest_ts
                self.peak = max(self.peak, one.value)
        elif level is not None and times[0] > self.recovered_ts:
            self.active, self.peak = True, max(self.peak, *(value for _, value in run))
            yield self._told(AlarmEvent.REACTIVATED, level, one.value, times[0], limits, late=True)
            yield from self._late_last(one, level, run, sorted(points), limits)

    def _late_under(self, one: Value, limits: Limits) -> Iterator[TwinFinding]:
        if self.severity is not None and one.ts < self.onset_ts:
            self.normal_ts = max(self.normal_ts, one.ts)
        if self.active and 0 < self.late_until_ts < one.ts and one.value < limits["recovery"]:
            self.active, self.recovered_ts, self.late_until_ts = False, one.ts, 0
            yield self._told(AlarmEvent.RECOVERED, Severity.WARNING, one.value, one.ts, limits, late=True)

    def _late_reached(
        self, one: Value, points: list[tuple[int, float]], limits: Limits
    ) -> tuple[Severity | None, list[tuple[int, float]]]:
        run: list[tuple[int, float]] = []
        for severity, name in ((Severity.ALARM, "alarm"), (Severity.WARNING, "warning")):
            if one.value >= limits[name]:
                run = _run(points, (one.ts, one.value), limits[name])
                if len(run) >= 2 or limits[f"confirm_{name}_ms"] == 0:
                    return severity, run
        return None, run

    def _late_open(
        self, one: Value, level: Severity, run: list[tuple[int, float]], points: list[tuple[int, float]], limits: Limits
    ) -> Iterator[TwinFinding]:
        live = not self.rests
        self.severity, self.active, self.episode = level, True, one.ingest_ts
        self.onset_ts = run[0][0]
        before = points.index(run[0])
        self.normal_ts = points[before - 1][0] if before else 0
        self.peak = max(self.peak if live else -math.inf, *(value for _, value in run))
        yield self._told(AlarmEvent.OPENED, level, one.value, run[0][0], limits, late=True)
        if not live:
            yield from self._late_last(one, level, run, points, limits)

    def _late_last(
        self, one: Value, level: Severity, run: list[tuple[int, float]], points: list[tuple[int, float]], limits: Limits
    ) -> Iterator[TwinFinding]:
        self.late_until_ts, self.late_heard_ts = run[-1][0], one.ingest_ts
        after = points[points.index(run[-1]) + 1 :]
        if after and after[0][1] < limits["recovery"]:
            self.active, self.recovered_ts, self.late_until_ts = False, after[0][0], 0
            yield self._told(AlarmEvent.RECOVERED, level, after[0][1], after[0][0], limits, late=True)


def _run(points: list[tuple[int, float]], one: tuple[int, float], level: float) -> list[tuple[int, float]]:
    """The points around one of them, in the order of time, with none under the level between."""
    at = points.index(one)
    first = max((number + 1 for number in range(at) if points[number][1] < level), default=0)
    last = min((number for number in range(at, len(points)) if points[number][1] < level), default=len(points))
    return points[first:last]


@dataclass
class Level:
    """The latch on what is measured."""

    latch: Latch = field(default_factory=Latch)

    def step(self, one: Value, limits: Limits) -> TwinFinding | None:
        """A live value."""
        return self.latch.step(one, limits)

    def late(self, one: Value, points: list[tuple[int, float]], limits: Limits) -> Iterator[TwinFinding]:
        """A late value."""
        return self.latch.late(one, points, limits)


class Rise:
    """The latch on what a component's value lies above its own learned baseline."""

    def __init__(self) -> None:
        self.latch = Latch()
        self.baseline = 0.0
        self.samples = 0
        self.known_ms = 0
        self.unlearned_ms = 0

    def step(self, one: Value, limits: Limits) -> TwinFinding | None:
        """A live value."""
        baseline = self.baseline
        self.known_ms += one.elapsed_ms
        self.unlearned_ms += one.elapsed_ms
        if not self._learned(limits):
            self._learn(one.value, limits["memory_ms"])
            return None
        rise = one.value - baseline
        if rise < limits["warning"]:
            self._learn(one.value, limits["memory_ms"])
        finding = self.latch.step(one._replace(value=rise), limits)
        return finding and finding._replace(baseline=baseline)

    def late(self, one: Value, points: list[tuple[int, float]], limits: Limits) -> Iterator[TwinFinding]:
        """A late value: compared, but not learned from."""
        if self._learned(limits):
            over = [(ts, value - self.baseline) for ts, value in points]
            for finding in self.latch.late(one._replace(value=one.value - self.baseline), over, limits):
                yield finding._replace(baseline=self.baseline)

    def _learned(self, limits: Limits) -> bool:
        return bool(self.samples >= limits["learn_samples"] and self.known_ms >= limits["learn_ms"])

    def _learn(self, value: float, memory_ms: int) -> None:
        self.samples = min(self.samples + 1, 1_000_000)
        weight = max(1.0 / self.samples, self.unlearned_ms / max(memory_ms + self.unlearned_ms, 1))
        self.baseline += weight * (value - self.baseline)
        self.unlearned_ms = 0


class Rate:
    """The latch on how fast a component's value rises, per minute, over windows of at least `window_ms`."""

    def __init__(self) -> None:
        self.latch = Latch()
        self.begin: float | None = None
        self.window_ms = 0

    def step(self, one: Value, limits: Limits) -> TwinFinding | None:
        """A live value."""
        self.window_ms += one.elapsed_ms
        if self.begin is None:
            self.begin, self.window_ms = one.value, 0
            return None
        if self.window_ms < limits["window_ms"]:
            return None
        lasted, rate = self.window_ms, (one.value - self.begin) * 60_000 / max(self.window_ms, 1)
        self.begin, self.window_ms = one.value, 0
        # Two windows confirm, however seldom a device reports.
        return self.latch.step(one._replace(value=rate, step_ms=lasted, credit_ms=0, gap=False), limits)

    def late(self, one: Value, points: list[tuple[int, float]], limits: Limits) -> Iterator[TwinFinding]:
        """A rate needs values one after the other."""
        return iter(())
