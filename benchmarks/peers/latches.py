"""One alarm of one component in plain Python, as a peer would write it: fast where nothing happens.

What it must say is defined by `detectors.twin.latches`; tests/benchmarks holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from detectors.limits import LimitTable
from schemas.events import AlarmEvent, AlarmKind, Severity
from schemas.quantities import DEVICE_KINDS

NEVER: Final = -1
DAY_MS: Final = 86_400_000
_OVER: Final = (AlarmEvent.RECOVERED, AlarmEvent.SUPERSEDED)


class Limit(NamedTuple):
    """One row of a limit table as Python numbers, and the documents of its two levels."""

    warning: float
    alarm: float
    lowest: float
    recovery: float
    confirm_warning_ms: int
    confirm_alarm_ms: int
    confirm_recovery_ms: int
    learn_ms: int
    learn_samples: int
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
    return [PeerLimits(*(_limit(table, kind, profile) for kind in AlarmKind)) for profile in profiles]


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
    credit_ms: int
    gap: bool


class PeerLatch:
    """An alarm that is on its way, or open. A component at rest has none.

    `warning`, `alarm`, `worse` and `normal` say since when values have been such, NEVER if the last was not, and how
    long that has lasted: `worse` is half again as high as `told_value`, the highest that was told. `repeats` are the
    arrivals of the last five recoveries and reactivations that were told, `untold` counts those that were not."""

    __slots__ = (
        "active",
        "alarm",
        "episode",
        "normal",
        "onset_ts",
        "peak",
        "recovered_ts",
        "repeats",
        "severity",
        "stretch_peak",
        "told_active",
        "told_value",
        "untold",
        "warning",
        "worse",
    )

    def __init__(self) -> None:
        self.warning = [NEVER, 0]
        self.alarm = [NEVER, 0]
        self.worse = [NEVER, 0]
        self.normal = [NEVER, 0]
        self.active = self.told_active = False
        self.onset_ts = self.episode = 0
        self.peak = self.stretch_peak = float("-inf")
        self._end()

    def _end(self) -> None:
        """There is no episode."""
        self.severity = NEVER
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
    def at_rest(self) -> bool:
        """Whether it can be forgotten."""
        return self.severity == NEVER and self.warning[0] == NEVER and self.alarm[0] == NEVER

    def step(self, time: Time, value: float, limit: Limit) -> Iterator[PeerFinding]:
        """Take a value in; what happened, if anything."""
        self._note_peaks(time, value, limit)
        worse = self._is_worse(time, value, limit)
        reached = self._reached(time, value, limit)
        if reached == NEVER:
            event = self._under(time, value, limit)
        else:
            onset_ts = (self.alarm if reached == Severity.ALARM else self.warning)[0]
            if not self.active and 0 < self.recovered_ts <= onset_ts - DAY_MS:
                yield self._finding(AlarmEvent.SUPERSEDED, NEVER, time, value, limit)
                self._end()
            event = self._over(reached, worse, onset_ts, time.ingest_ts)
            self.normal[0] = NEVER
        if event is None:
            return
        self.told_active = event is not AlarmEvent.RECOVERED
        if self.told_active:
            self.told_value, self.worse[0] = max(self.told_value, value), NEVER
        yield self._finding(event, reached, time, value, limit)

    def _note_peaks(self, time: Time, value: float, limit: Limit) -> None:
        runs = self.warning[0] != NEVER or self.alarm[0] != NEVER
        if value > self.stretch_peak or (value >= limit.lowest and (time.gap or not runs)):
            self.stretch_peak = value
        if value > self.peak:
            self.peak = value

    def _is_worse(self, time: Time, value: float, limit: Limit) -> bool:
        is_over = self.severity != NEVER and value >= 1.5 * self.told_value
        confirm_ms = limit.confirm_warning_ms if limit.alarm == float("inf") else limit.confirm_alarm_ms
        return _is_confirmed(self.worse, is_over, time, time.credit_ms, confirm_ms)

    def _reached(self, time: Time, value: float, limit: Limit) -> int:
        credit_ms = time.credit_ms
        warned = _is_confirmed(self.warning, value >= limit.warning, time, credit_ms, limit.confirm_warning_ms)
        if _is_confirmed(self.alarm, value >= limit.alarm, time, credit_ms, limit.confirm_alarm_ms):
            return Severity.ALARM
        return Severity.WARNING if warned else NEVER

    def _over(self, reached: int, worse: bool, onset_ts: int, ingest_ts: int) -> AlarmEvent | None:
        was_active, self.active = self.active, True
        if self.severity == NEVER:
            self.severity, self.onset_ts, self.episode, self.peak = reached, onset_ts, ingest_ts, self.stretch_peak
            return AlarmEvent.OPENED
        if reached > self.severity:
            self.severity = reached
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
        # No interval confirms that all is well.
        if _is_confirmed(self.normal, self.active and is_under, time, 0, limit.confirm_recovery_ms):
            self.active, self.recovered_ts, self.normal[0] = False, self.normal[0], NEVER
            self.untold += 1
        # Six are told a day, and the sixth is a reactivation: what burns is not left for over.
        has_room = time.ingest_ts - self.repeats[0] >= DAY_MS
        if self.active or not self.told_active or not is_under or not has_room:
            return None
        self.untold -= 1
        self.repeats = [*self.repeats[1:], time.ingest_ts]
        return AlarmEvent.RECOVERED

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


def _is_confirmed(stretch: list[int], holds: bool, time: Time, credit_ms: int, confirm_ms: int) -> bool:
    """Note for how long values have been of one sort, and say whether that is long enough."""
    if not holds:
        stretch[0] = NEVER
        return False
    if stretch[0] == NEVER or time.gap:
        stretch[:] = time.ts, 0
    else:
        stretch[1] += time.step_ms
    return max(stretch[1], credit_ms) >= confirm_ms
