"""The slow twins of the detectors: one component, one value at a time, plain Python. See `detectors.twin`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from detectors.twin.stretches import Stretch, Value
from schemas.events import AlarmEvent, Severity

DAY_MS: Final = 86_400_000

Limits = dict[str, Any]
"""The fields of a LIMIT row, by name."""


class TwinFinding(NamedTuple):
    """One thing that happened to one latch."""

    event: AlarmEvent
    severity: Severity
    highest: Severity
    level: Severity
    value: float
    limit: float
    onset_ts: int
    episode: int
    peak: float
    ts: int
    late: bool = False
    active: bool = True
    untold: int = 0
    baseline: float | None = None


Point = tuple[int, float]
"""Time and value of a late value."""


class First(NamedTuple):
    """A first value over a limit that waits for the next one, or for the next late one."""

    ts: int
    episode: int
    value: float
    late: bool = False


def _worse_than(told_value: float) -> float:
    """Half again as bad; where less is worse, values are negative, and none is worse than 0."""
    if told_value == 0:
        return math.nextafter(0.0, 1.0)
    return told_value * (1.5 if told_value > 0 else 1 / 1.5)


def _both(first: float, now: float, limits: Limits) -> Severity:
    """The level that two values reach."""
    return Severity.ALARM if min(first, now) >= limits["alarm"] else Severity.WARNING


def _is_short(value: float, limits: Limits) -> bool:
    """Whether a first value of this may be told: of what lasts for minutes before it is an alarm, none is."""
    return any(value >= limits[name] and limits[f"confirm_{name}_ms"] <= 120_000 for name in ("warning", "alarm"))


class Latch:
    """One component's alarm of one kind."""

    def __init__(self) -> None:
        self.rest()

    def rest(self) -> None:
        """Hold nothing."""
        self.stretches = {Severity.WARNING: Stretch(), Severity.ALARM: Stretch()}
        self.worse, self.normal = Stretch(), Stretch()
        self.clock_ms = 0
        self.stretch_peak = -math.inf
        self.active = self.told_active = False
        self.late_until_ts = self.late_heard_ts = self.normal_ts = 0
        self.first: First | None = None
        self.alone = False
        self._begin(None, 0, 0)

    def _begin(self, severity: Severity | None, onset_ts: int, episode: int) -> None:
        """An episode begins, or there is none."""
        self.severity = severity
        self.onset_ts, self.episode = onset_ts, episode
        self.recovered_ts = self.untold = 0
        self.repeats: list[int] = []
        self.told_value = -math.inf
        self.told_level: Severity | None = None
        self.peak = -math.inf
        self.worse.end()

    @property
    def over(self) -> bool:
        """Whether its values are at or over a level, or were a moment ago."""
        return any(stretch.since is not None for stretch in self.stretches.values())

    @property
    def rests(self) -> bool:
        """Whether it holds nothing."""
        return self.severity is None and self.first is None and not self.over

    @property
    def quiet(self) -> bool:
        """Whether a normal value means nothing to it, though its alarm is open."""
        waits = self.active or self.told_active or self.over or self.first is not None
        return self.severity is not None and not waits

    def step(self, one: Value, limits: Limits) -> Iterator[TwinFinding]:
        """Move on by one live value."""
        over = one.value >= limits["lowest"]
        if (self.rests or self.quiet) and not over:
            return
        if self.rests:
            self.rest()
            one = one._replace(elapsed_ms=0)
        if over and not self.over and self.severity is None:
            self.normal_ts = one.before_ts
        self.stretch_peak = one.value if over and (not self.over or one.gap) else max(self.stretch_peak, one.value)
        self.peak = max(self.peak, one.value)
        self.clock_ms += one.elapsed_ms
        reached = self._reached(one, limits)
        self.late_until_ts = 0 if over else self.late_until_ts
        worse = self._worse(one, limits)
        recovers = self._recovers(one, limits)
        onset = self.stretches[reached].since or 0 if reached is not None else 0
        self.alone = False
        reached, onset, told = self._with_first(one, reached, onset, limits)
        if told is not None:
            yield told
        if told is None or told.event is not AlarmEvent.WITHDRAWN:
            yield from self._told_all(one, reached, onset, worse, recovers, limits)
        if not self.active:
            self.normal.end()

    def _with_first(
        self, one: Value, reached: Severity | None, onset: int, limits: Limits
    ) -> tuple[Severity | None, int, TwinFinding | None]:
        """What a first value before, or this as one, makes of what is reached and since when; what is told of it."""
        first, over = self.first, one.value >= limits["lowest"]
        if first is not None and not first.late and over:
            self.alone = one.gap
            level = Severity.WARNING if one.gap else _both(first.value, one.value, limits)
            return level, first.ts, None
        if first is not None and not over and (not first.late or one.ingest_ts - self.late_heard_ts > 600_000):
            self.first = None
            return None, 0, self._first_told(AlarmEvent.WITHDRAWN, first, one, limits)
        if reached is not None or not one.is_seldom or not _is_short(one.value, limits):
            return reached, onset, None
        another = self.recovered_ts > 0 and one.ts - self.recovered_ts >= DAY_MS
        if first is None and (self.severity is None or (not self.active and another)):
            self.first = First(one.ts, one.ingest_ts, one.value)
            return None, 0, self._first_told(AlarmEvent.PROVISIONAL, self.first, one, limits)
        if self.severity is not None and not self.active and not another:
            self.alone = True
            return Severity.WARNING, one.ts, None
        return None, 0, None

    def _told_all(
        self, one: Value, reached: Severity | None, onset: int, worse: bool, recovers: bool, limits: Limits
    ) -> Iterator[TwinFinding]:
        level = reached if reached is not None else Severity.WARNING
        for event in self._events(one, reached, onset, worse, recovers, limits):
            ts = self.recovered_ts if event is AlarmEvent.RECOVERED else one.ts
            told_level = Severity.WARNING if event is AlarmEvent.SUPERSEDED else level
            told = self._told(event, told_level, one.value, ts, limits)
            yield told._replace(severity=min(told.severity, Severity.WARNING)) if self.alone else told

    def _reached(self, one: Value, limits: Limits) -> Severity | None:
        reached = None
        for severity, name in ((Severity.WARNING, "warning"), (Severity.ALARM, "alarm")):
            holds, confirm_ms = one.value >= limits[name], limits[f"confirm_{name}_ms"]
            if self.stretches[severity].confirms(holds, one, confirm_ms, self.clock_ms):
                reached = severity
        return reached

    def _worse(self, one: Value, limits: Limits) -> bool:
        holds = self.severity is not None and one.value >= _worse_than(self.told_value)
        confirm_ms = limits["confirm_alarm_ms" if limits["alarm"] < math.inf else "confirm_warning_ms"]
        return self.worse.confirms(holds, one, confirm_ms, self.clock_ms)

    def _recovers(self, one: Value, limits: Limits) -> bool:
        """Whether the condition of an active alarm is over, which takes two normal values or more."""
        holds = self.active and one.value < limits["recovery"]
        if not self.normal.lasts(holds, one, limits["confirm_recovery_ms"]):
            return False
        return self.late_until_ts == 0 or one.ingest_ts - self.late_heard_ts > 600_000

    def _first_told(
        self, event: AlarmEvent, first: First, one: Value, limits: Limits, late: bool = False
    ) -> TwinFinding:
        """What is told of a first value, which is a warning whatever it reaches."""
        waits = event is AlarmEvent.PROVISIONAL
        level = Severity.ALARM if first.value >= limits["alarm"] else Severity.WARNING
        told = self._told(event, level, one.value, one.ts, limits, late)
        return told._replace(
            severity=Severity.WARNING if waits else Severity.NOTICE,
            highest=Severity.WARNING,
            onset_ts=first.ts,
            episode=first.episode,
            peak=first.value,
            active=waits,
            untold=0,
        )

    def _events(
        self, one: Value, reached: Severity | None, onset: int, worse: bool, recovers: bool, limits: Limits
    ) -> Iterator[AlarmEvent]:
        if reached is not None:
            yield from self._over_again(one, reached, onset, worse)
            return
        if recovers:
            self.active, self.recovered_ts, self.late_until_ts = False, self.normal.since or 0, 0
            self.untold += 1
        if self.told_active and not self.active and one.value < limits["recovery"] and self._has_room(one.ingest_ts):
            self.untold -= 1
            self._repeat(one.ingest_ts)
            self.told_active = False
            yield AlarmEvent.RECOVERED

    def _over_again(self, one: Value, reached: Severity, onset: int, worse: bool) -> Iterator[AlarmEvent]:
        if self.severity is not None and not self.active and 0 < self.recovered_ts <= onset - DAY_MS:
            yield AlarmEvent.SUPERSEDED
            self.normal_ts, self.severity = self.recovered_ts, None
        event = None
        if self.severity is None:
            first, self.first = self.first, None
            self._begin(reached, onset, first.episode if first else one.ingest_ts)
            self.peak = max(self.stretch_peak, first.value if first else -math.inf)
            event = AlarmEvent.CONFIRMED if first else AlarmEvent.OPENED
        elif reached > self.severity or (
            self.told_active and self.told_level is not None and reached > self.told_level
        ):
            self.severity = max(self.severity, reached)
            event = AlarmEvent.ESCALATED
        elif worse:
            event = AlarmEvent.WORSENED
        elif not self.active and self.told_active:
            self.untold += 1
        elif not self.active:
            self._repeat(one.ingest_ts)
            event = AlarmEvent.REACTIVATED
        self.active = True
        if event is not None:
            self.told_active, self.told_value = True, max(self.told_value, one.value)
            self.told_level = reached
            self.worse.end()
            yield event

    def _has_room(self, ingest_ts: int) -> bool:
        """Whether a recovery and a reactivation after it are no more than six of a day: the fifth last is a day ago."""
        return len(self.repeats) < 5 or ingest_ts - self.repeats[0] >= DAY_MS

    def _repeat(self, ingest_ts: int) -> None:
        self.repeats = [*self.repeats, ingest_ts][-5:]

    def _told(
        self, event: AlarmEvent, level: Severity, value: float, ts: int, limits: Limits, late: bool = False
    ) -> TwinFinding:
        """A finding; a level that does not exist is that of the alarm."""
        if limits["warning"] == math.inf:
            level = Severity.ALARM
        limit = float(limits["alarm" if level is Severity.ALARM else "warning"])
        if limit == math.inf:
            limit = 0.0
        is_over = event in (AlarmEvent.RECOVERED, AlarmEvent.SUPERSEDED)
        return TwinFinding(
            event=event,
            severity=Severity.NOTICE if is_over else level,
            highest=self.severity or Severity.NOTICE,
            level=level,
            value=value,
            limit=limit,
            onset_ts=self.onset_ts,
            episode=self.episode,
            peak=self.peak,
            ts=ts,
            late=late,
            active=self.told_active and event is not AlarmEvent.SUPERSEDED,
            untold=self.untold,
        )

    def late(self, one: Value, points: list[Point], limits: Limits) -> Iterator[TwinFinding]:
        """Take a late value on; `points` are those kept, it among them, as they are compared with the limits."""
        points = sorted(points)
        if self.rests:
            self.rest()
        if one.value < limits["lowest"]:
            yield from self._late_under(one, points, limits)
            return
        level, run = self._late_reached(one, points, limits)
        if self.severity is None:
            if level is not None:
                yield from self._late_open(one, level, run, points, limits)
            elif self.first is None and _is_short(one.value, limits):
                self.first, self.late_heard_ts = First(one.ts, one.ingest_ts, one.value, late=True), one.ingest_ts
                yield self._first_told(AlarmEvent.PROVISIONAL, self.first, one, limits, late=True)
        elif level is None and not self.active and 0 < self.recovered_ts <= one.ts - DAY_MS:
            if self.first is None and _is_short(one.value, limits):
                self.first, self.late_heard_ts = First(one.ts, one.ingest_ts, one.value, late=True), one.ingest_ts
                yield self._first_told(AlarmEvent.PROVISIONAL, self.first, one, limits, late=True)
        elif level is not None and not self.active and run[0][0] > self.recovered_ts:
            yield from self._late_again(one, level, run, points, limits)
        else:
            yield from self._late_more(one, level, run, points, limits)

    def _late_again(
        self, one: Value, level: Severity, run: list[Point], points: list[Point], limits: Limits
    ) -> Iterator[TwinFinding]:
        """It was normal before and is over a limit again."""
        if run[0][0] - self.recovered_ts >= DAY_MS:
            yield self._told(AlarmEvent.SUPERSEDED, Severity.WARNING, one.value, one.ts, limits, late=True)
            yield from self._late_open(one, level, run, points, limits, self.recovered_ts)
            return
        found = self._late_change(one, level, run, points, limits)
        if found is None and self.told_active:
            self.active, self.peak = True, max(self.peak, *(value for _, value in run))
            self.untold += 1
            yield from self._late_last(one, level, run, points, limits)
            return
        if found is None:
            self._repeat(one.ingest_ts)
            found = AlarmEvent.REACTIVATED, level
        if found[0] is not AlarmEvent.AMENDED:
            self.active = self.told_active = True
        ts = run[0][0] if found[0] is AlarmEvent.REACTIVATED else one.ts
        yield self._late_tell(*found, one, run, ts, limits)
        if found[0] is not AlarmEvent.AMENDED:
            yield from self._late_last(one, level, run, points, limits)

    def _late_more(
        self, one: Value, level: Severity | None, run: list[Point], points: list[Point], limits: Limits
    ) -> Iterator[TwinFinding]:
        """It is over a limit in a time in which it was so anyway, or before."""
        found = self._late_change(one, level, run, points, limits)
        if found is not None:
            yield self._late_tell(*found, one, run, one.ts, limits)
        elif self.active and self.late_until_ts:
            self.late_until_ts, self.late_heard_ts = max(self.late_until_ts, one.ts), one.ingest_ts
            self.peak = max(self.peak, one.value)

    def _late_change(
        self, one: Value, level: Severity | None, run: list[Point], points: list[Point], limits: Limits
    ) -> tuple[AlarmEvent, Severity] | None:
        """What a late value changes of an open alarm, and the level that it reaches."""
        if level is not None and self.severity is not None and level > self.severity:
            self.severity = level
            if run[0][0] > self.normal_ts:
                self.onset_ts = min(self.onset_ts, run[0][0])
            return AlarmEvent.ESCALATED, level
        if self.normal_ts < one.ts < self.onset_ts:
            self.onset_ts = one.ts
            return AlarmEvent.AMENDED, Severity.WARNING if one.value < limits["alarm"] else Severity.ALARM
        if level is not None and self._late_worse(one, points, limits):
            return AlarmEvent.WORSENED, level
        return None

    def _late_under(self, one: Value, points: list[Point], limits: Limits) -> Iterator[TwinFinding]:
        if self.first is not None and self.first.late:
            yield self._first_told(AlarmEvent.WITHDRAWN, self.first, one, limits, late=True)
            self.first = None
        if self.severity is not None and one.ts < self.onset_ts:
            self.normal_ts = max(self.normal_ts, one.ts)
        if self.active and 0 < self.late_until_ts < one.ts:
            normal = _normal([point for point in points if point[0] > self.late_until_ts], limits)
            if normal is not None:
                yield from self._late_recover(one, normal, Severity.WARNING, limits)

    def _late_reached(self, one: Value, points: list[Point], limits: Limits) -> tuple[Severity | None, list[Point]]:
        run: list[Point] = []
        for severity, name in ((Severity.ALARM, "alarm"), (Severity.WARNING, "warning")):
            if one.value >= limits[name]:
                run = _run(points, (one.ts, one.value), limits[name])
                if len(run) >= 2 or limits[f"confirm_{name}_ms"] == 0:
                    return severity, run
        return None, run

    def _late_worse(self, one: Value, points: list[Point], limits: Limits) -> bool:
        level = _worse_than(self.told_value)
        if self.severity is None or one.value < level:
            return False
        name = "alarm" if limits["alarm"] < math.inf else "warning"
        return len(_run(points, (one.ts, one.value), level)) >= 2 or limits[f"confirm_{name}_ms"] == 0

    def _late_tell(
        self, event: AlarmEvent, level: Severity, one: Value, run: list[Point], ts: int, limits: Limits
    ) -> TwinFinding:
        if event is AlarmEvent.AMENDED:
            self.peak = max(self.peak, one.value)
        else:
            self.peak = max(self.peak, *(value for _, value in run))
            self.told_value, self.told_level = max(self.told_value, one.value), level
            self.worse.end()
        return self._told(event, level, one.value, ts, limits, late=True)

    def _late_open(
        self, one: Value, level: Severity, run: list[Point], points: list[Point], limits: Limits, normal_ts: int = 0
    ) -> Iterator[TwinFinding]:
        live, first, self.first = self.over, self.first, None
        self._begin(level, run[0][0], first.episode if first else one.ingest_ts)
        self.active = self.told_active = True
        before = points.index(run[0])
        self.normal_ts = max(points[before - 1][0] if before else 0, normal_ts)
        self.peak = max(self.stretch_peak if live else -math.inf, *(value for _, value in run))
        self.told_value, self.told_level = one.value, level
        event = AlarmEvent.CONFIRMED if first else AlarmEvent.OPENED
        yield self._told(event, level, one.value, run[0][0], limits, late=True)
        if not live:
            yield from self._late_last(one, level, run, points, limits)

    def _late_last(
        self, one: Value, level: Severity, run: list[Point], points: list[Point], limits: Limits
    ) -> Iterator[TwinFinding]:
        self.late_until_ts, self.late_heard_ts = run[-1][0], one.ingest_ts
        normal = _normal(points[points.index(run[-1]) + 1 :], limits)
        if normal is not None:
            yield from self._late_recover(one, normal, level, limits)

    def _late_recover(self, one: Value, normal: Point, level: Severity, limits: Limits) -> Iterator[TwinFinding]:
        self.active, self.recovered_ts, self.late_until_ts = False, normal[0], 0
        self.normal.end()
        if self.told_active and self._has_room(one.ingest_ts):
            self._repeat(one.ingest_ts)
            self.told_active = False
            yield self._told(AlarmEvent.RECOVERED, level, normal[1], normal[0], limits, late=True)
        else:
            self.untold += 1


def _normal(points: list[Point], limits: Limits) -> Point | None:
    """The first of the points, in the order of time, if it and those that follow show that all is normal."""
    normal: list[Point] = []
    for point in points:
        if point[1] >= limits["recovery"]:
            break
        normal.append(point)
    if normal and normal[-1][0] - normal[0][0] >= limits["confirm_recovery_ms"]:
        return normal[0]
    return None


def _run(points: list[Point], one: Point, level: float) -> list[Point]:
    """The points around one of them, in the order of time, with none under the level between."""
    at = points.index(one)
    first = max((number + 1 for number in range(at) if points[number][1] < level), default=0)
    last = min((number for number in range(at, len(points)) if points[number][1] < level), default=len(points))
    return points[first:last]


@dataclass
class Level:
    """The latch on what is measured."""

    latch: Latch = field(default_factory=Latch)

    @property
    def baseline(self) -> float | None:
        """It is compared with nothing of its own."""
        return None

    def step(self, one: Value, limits: Limits) -> Iterator[TwinFinding]:
        """A live value."""
        yield from self.latch.step(one, limits)

    def late(self, one: Value, points: list[Point], limits: Limits) -> Iterator[TwinFinding]:
        """A late value."""
        return self.latch.late(one, points, limits)
