"""One alarm of one component in plain Python, as a peer would write it: fast where nothing happens.

What it must say is defined by `detectors.twin.latches`; tests/benchmarks holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from detectors.limits import LimitTable
from schemas.alarm_kinds import AlarmKind
from schemas.events import AlarmEvent, Severity
from schemas.quantities import DEVICE_KINDS

KINDS: Final = tuple(AlarmKind)[:5]
"""What peers find: their rules are the five that come first."""
NEVER: Final = -1
DAY_MS: Final = 86_400_000
FAST_MS: Final = 10_000
SELDOM_MS: Final = 120_000
WINDOW_MS: Final = 30_000
_OVER: Final = (AlarmEvent.RECOVERED, AlarmEvent.SUPERSEDED)
_AT_REST: Final = (NEVER, 0, 0, 0)


class Limit(NamedTuple):
    """One row of a limit table as Python numbers, and the documents of its two levels."""

    warning: float
    alarm: float
    lowest: float
    recovery: float
    confirm_warning_ms: int
    confirm_alarm_ms: int
    confirm_recovery_ms: int
    memory_ms: int
    window_ms: int
    sources: tuple[str, str]


class PeerLimits(NamedTuple):
    """The limits of one device."""

    residual_current: Limit
    residual_current_rise: Limit
    temperature: Limit
    temperature_rise: Limit
    arc_fault: Limit


def limits_by_profile(table: LimitTable) -> list[PeerLimits]:
    """The whole table, once, so that no report has to ask numpy: of each kind of device, and then again with the limits
    of each device that has some of its own."""
    owners = ["", *table.document.get("device", {})]
    profiles = [table.profile(owner, code) for owner in owners for code in range(len(DEVICE_KINDS))]
    return [PeerLimits(*(_limit(table, kind, profile) for kind in KINDS)) for profile in profiles]


def profiles_of_devices(table: LimitTable) -> dict[str, int]:
    """Where in these the limits of such a device begin, by kind of device."""
    own = enumerate(table.document.get("device", {}), start=1)
    return {device: number * len(DEVICE_KINDS) for number, device in own}


def _limit(table: LimitTable, kind: AlarmKind, profile: int) -> Limit:
    row = table.of(kind)[profile]
    warning, alarm = (table.origin(kind, profile, level).document for level in (Severity.WARNING, Severity.ALARM))
    return Limit(**dict(zip(row.dtype.names, row.item(), strict=True)), sources=(warning, alarm))


class PeerFinding(NamedTuple):
    """One thing that happened to one latch."""

    event: AlarmEvent
    severity: Severity
    highest: int
    active: bool
    untold: int
    value: float
    limit: float
    source: str
    ts: int
    onset_ts: int
    episode: int
    peak: float


class Time(NamedTuple):
    """When a value was measured and arrived, and the time that has passed for its component, as `detectors.channels`
    tells it."""

    ts: int
    ingest_ts: int
    elapsed_ms: int
    step_ms: int
    interval_ms: int
    gap: bool


class PeerLatch:
    """An alarm that is on its way, or open. A component at rest has none.

    `warning`, `alarm`, `worse` and `normal` say since when values have been such, NEVER if they are not, how long that
    has lasted in a row, -1 if the newest is not such, and how long in the window that runs and in the one before, by
    `clock_ms`. `worse` is half again as high as `told_value`, the highest that was told; `told_level` is the level of
    what was told last. `first` is the time, episode and value of a first value
    that was told as provisional. `repeats` are the arrivals of the last five recoveries and reactivations that were
    told, `untold` counts those that were not."""

    __slots__ = (
        "active",
        "alarm",
        "clock_ms",
        "episode",
        "first",
        "normal",
        "onset_ts",
        "peak",
        "recovered_ts",
        "repeats",
        "severity",
        "stretch_peak",
        "told_active",
        "told_level",
        "told_value",
        "untold",
        "warning",
        "worse",
    )

    def __init__(self) -> None:
        self.warning = [*_AT_REST]
        self.alarm = [*_AT_REST]
        self.worse = [*_AT_REST]
        self.normal = [*_AT_REST]
        self.clock_ms = 0
        self.first: Sequence[Any] | None = None
        self.active = self.told_active = False
        self.onset_ts = self.episode = 0
        self.peak = self.stretch_peak = float("-inf")
        self._end()

    def _end(self) -> None:
        """There is no episode."""
        self.severity = self.told_level = NEVER
        self.recovered_ts = self.untold = 0
        self.repeats = [0] * 5
        self.told_value = 0.0

    def dump(self) -> list[Any]:
        """Its state as JSON can hold it; the peaks are finite as soon as a value has been seen."""
        return [getattr(self, name) for name in self.__slots__]

    @classmethod
    def load(cls, state: list[Any]) -> PeerLatch:
        """The latch that was dumped."""
        latch = cls()
        for name, value in zip(cls.__slots__, state, strict=True):
            setattr(latch, name, value)
        return latch

    @property
    def over(self) -> bool:
        """Whether values are over a level, or were a moment ago."""
        return self.warning[0] != NEVER or self.alarm[0] != NEVER

    @property
    def at_rest(self) -> bool:
        """Whether it can be forgotten."""
        return self.severity == NEVER and self.first is None and not self.over

    @property
    def quiet(self) -> bool:
        """Whether a normal value means nothing to it, though its alarm is open."""
        waits = self.active or self.told_active or self.first is not None or self.over
        return self.severity != NEVER and not waits

    def step(self, time: Time, value: float, limit: Limit) -> Iterator[PeerFinding]:
        """Take a value in; what happened, if anything."""
        is_over = value >= limit.lowest
        if self.quiet and not is_over:
            return
        self._note_peaks(time, value, limit)
        if not self.at_rest:
            self.clock_ms += time.elapsed_ms
        worse = self._is_worse(time, value, limit)
        reached, onset_ts = self._reached(time, value, limit)
        first = self.first
        if first is not None and not is_over:
            self.first = None
            yield self._told_first(AlarmEvent.WITHDRAWN, first, time, value, limit)
        elif first is not None and time.gap:  # a single value confirms it: a warning, whatever that reaches
            yield from self._tell_alone(worse, onset_ts, time, value, limit)
        elif reached != NEVER or self.active or not _is_told_at_once(time, value, limit):
            yield from self._tell(reached, worse, onset_ts, time, value, limit)
        elif self.severity == NEVER or self._is_another(time.ts):
            self.first = first = (time.ts, time.ingest_ts, value)
            yield self._told_first(AlarmEvent.PROVISIONAL, first, time, value, limit)
        else:  # and by a single value it is back
            yield from self._tell_alone(worse, time.ts, time, value, limit)

    def _tell_alone(self, worse: bool, onset_ts: int, time: Time, value: float, limit: Limit) -> Iterator[PeerFinding]:
        for finding in self._tell(Severity.WARNING, worse, onset_ts, time, value, limit):
            yield finding._replace(severity=min(finding.severity, Severity.WARNING))

    def _tell(
        self, reached: int, worse: bool, onset_ts: int, time: Time, value: float, limit: Limit
    ) -> Iterator[PeerFinding]:
        if reached == NEVER:
            event = self._under(time, value, limit)
        else:
            if self._is_another(onset_ts):
                yield self._finding(AlarmEvent.SUPERSEDED, NEVER, time, value, limit)
                self._end()
            event = self._over(reached, worse, onset_ts, time.ingest_ts)
            self.normal[:] = _AT_REST
        if event is None:
            return
        self.told_active = event is not AlarmEvent.RECOVERED
        if self.told_active:
            self.told_value, self.told_level = max(self.told_value, value), reached
            self.worse[:] = _AT_REST
        yield self._finding(event, reached, time, value, limit)

    def _is_another(self, ts: int) -> bool:
        """Whether what begins then is another episode than the one that is over."""
        return not self.active and 0 < self.recovered_ts <= ts - DAY_MS

    def _note_peaks(self, time: Time, value: float, limit: Limit) -> None:
        if value > self.stretch_peak or (value >= limit.lowest and (time.gap or not self.over)):
            self.stretch_peak = value
        if value > self.peak:
            self.peak = value

    def _is_worse(self, time: Time, value: float, limit: Limit) -> bool:
        is_over = self.severity != NEVER and value >= 1.5 * self.told_value
        confirm_ms = limit.confirm_warning_ms if limit.alarm == float("inf") else limit.confirm_alarm_ms
        return self._confirms(self.worse, is_over, time, confirm_ms)

    def _reached(self, time: Time, value: float, limit: Limit) -> tuple[int, int]:
        """The level that is confirmed, and since when values have reached it."""
        warned = self._confirms(self.warning, value >= limit.warning, time, limit.confirm_warning_ms)
        alarmed = self._confirms(self.alarm, value >= limit.alarm, time, limit.confirm_alarm_ms)
        if self.first is not None:
            return _level_of(min(self.first[2], value), limit), self.first[0]
        if alarmed:
            return Severity.ALARM, self.alarm[0]
        return (Severity.WARNING, self.warning[0]) if warned else (NEVER, NEVER)

    def _confirms(self, stretch: list[int], holds: bool, time: Time, confirm_ms: int) -> bool:
        """Whether values have been of one sort for long enough, by how often the component speaks."""
        if 0 < time.interval_ms <= FAST_MS and not time.gap:
            return _lasts_within(stretch, holds, time, confirm_ms, self.clock_ms)
        goes_on = _goes_on(stretch, holds, time)
        enough = confirm_ms <= SELDOM_MS or stretch[1] >= confirm_ms
        return (goes_on and enough) or (holds and confirm_ms == 0)

    def _over(self, reached: int, worse: bool, onset_ts: int, ingest_ts: int) -> AlarmEvent | None:
        was_active, self.active = self.active, True
        if self.severity == NEVER:
            first, self.first = self.first, None
            self.severity, self.onset_ts, self.episode, self.peak = reached, onset_ts, ingest_ts, self.stretch_peak
            if first is None:
                return AlarmEvent.OPENED
            self.episode, self.peak = first[1], max(self.peak, first[2])
            return AlarmEvent.CONFIRMED
        if reached > (self.told_level if self.told_active else self.severity):
            self.severity = max(self.severity, reached)
            return AlarmEvent.ESCALATED
        if worse:
            return AlarmEvent.WORSENED
        if was_active:
            return None
        if self.told_active:
            self.untold += 1
            return None
        self.repeats = [*self.repeats[1:], ingest_ts]
        return AlarmEvent.REACTIVATED

    def _under(self, time: Time, value: float, limit: Limit) -> AlarmEvent | None:
        is_under = value < limit.recovery
        goes_on = _goes_on(self.normal, self.active and is_under, time)
        if goes_on and self.normal[1] >= limit.confirm_recovery_ms:
            self.active, self.recovered_ts = False, self.normal[0]
            self.normal[:] = _AT_REST
            self.untold += 1
        # Six are told a day, and the sixth is a reactivation: what burns is not left for over.
        has_room = time.ingest_ts - self.repeats[0] >= DAY_MS
        if self.active or not self.told_active or not is_under or not has_room:
            return None
        self.untold -= 1
        self.repeats = [*self.repeats[1:], time.ingest_ts]
        return AlarmEvent.RECOVERED

    def _told_first(
        self, event: AlarmEvent, first: Sequence[Any], time: Time, value: float, limit: Limit
    ) -> PeerFinding:
        """What is told of a first value, which is a warning whatever it reaches."""
        waits = event is AlarmEvent.PROVISIONAL
        return self._finding(event, _level_of(first[2], limit), time, value, limit)._replace(
            severity=Severity.WARNING if waits else Severity.NOTICE,
            highest=Severity.WARNING,
            active=waits,
            untold=0,
            onset_ts=first[0],
            episode=first[1],
            peak=first[2],
        )

    def _finding(self, event: AlarmEvent, reached: int, time: Time, value: float, limit: Limit) -> PeerFinding:
        of_alarm = reached == Severity.ALARM or limit.warning == float("inf")
        active = event not in _OVER
        return PeerFinding(
            event=event,
            severity=Severity(1 + of_alarm) if active else Severity.NOTICE,
            highest=self.severity,
            active=active,
            untold=self.untold,
            value=value,
            limit=limit.alarm if of_alarm else limit.warning,
            source=limit.sources[of_alarm],
            ts=self.recovered_ts if event is AlarmEvent.RECOVERED else time.ts,
            onset_ts=self.onset_ts,
            episode=self.episode,
            peak=self.peak,
        )


def _level_of(value: float, limit: Limit) -> int:
    return Severity.ALARM if value >= limit.alarm else Severity.WARNING


def _is_told_at_once(time: Time, value: float, limit: Limit) -> bool:
    """Whether a first value of a component that speaks seldom is told. Of what must last for minutes none is."""
    if 0 < time.interval_ms <= SELDOM_MS and not time.gap:
        return False
    warns = value >= limit.warning and limit.confirm_warning_ms <= SELDOM_MS
    return warns or (value >= limit.alarm and limit.confirm_alarm_ms <= SELDOM_MS)


def _goes_on(stretch: list[int], holds: bool, time: Time) -> bool:
    """Note for how long values have been of one sort in a row, and say whether this follows another."""
    if not holds:
        stretch[:] = _AT_REST
        return False
    if stretch[0] == NEVER or stretch[1] < 0 or time.gap:
        stretch[:] = time.ts, 0, 0, 0
        return False
    stretch[1] += time.step_ms
    stretch[2] = stretch[3] = 0
    return True


def _lasts_within(stretch: list[int], holds: bool, time: Time, confirm_ms: int, clock_ms: int) -> bool:
    """Whether values have been of one sort for long enough of a window that slides over two fixed ones: of the one
    before counts the share it still covers."""
    since, lasted, now_ms, before_ms = stretch
    if not holds and since == NEVER:
        return False
    step_ms, window_ms = time.step_ms, max(WINDOW_MS, 2 * confirm_ms)
    into = clock_ms % window_ms
    passed = clock_ms // window_ms - (clock_ms - time.elapsed_ms) // window_ms
    if passed:
        now_ms, before_ms = 0, now_ms if passed == 1 else 0
    if not holds:
        stretch[:] = (since, -1, now_ms, before_ms) if now_ms or before_ms else _AT_REST
        return False
    if since == NEVER:
        stretch[:] = time.ts, 0, 1, 0  # a first value does not say for how long it has been so
    else:
        of_now = min(step_ms, into) if passed else step_ms
        before_ms = min(before_ms + step_ms - of_now, window_ms)
        stretch[:] = since, lasted + step_ms if lasted >= 0 else 0, now_ms + of_now, before_ms
    return stretch[2] + stretch[3] * (window_ms - into) // window_ms >= confirm_ms
