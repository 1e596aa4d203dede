"""One alarm of one component in plain Python, as a peer would write it: fast where nothing happens.

What it must say is defined by `detectors.twin.latches`; tests/benchmarks holds the two against each other.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from detectors.limits import LimitTable
from schemas.events import AlarmEvent, AlarmKind, Severity

NEVER: Final = -1


class Limit(NamedTuple):
    """One row of a limit table as Python numbers, and the documents of its two levels."""

    warning: float
    alarm: float
    lowest: float
    recovery: float
    confirm_warning_ms: int
    confirm_alarm_ms: int
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
    """The whole table, once, so that no report has to ask numpy."""
    by_kind = [
        [
            Limit(**dict(zip(row.dtype.names, row.item(), strict=True)), sources=sources)
            for row, sources in zip(table.of(kind), table.sources[kind], strict=True)
        ]
        for kind in AlarmKind
    ]
    return [PeerLimits(*row) for row in zip(*by_kind, strict=True)]


class PeerFinding(NamedTuple):
    """One thing that happened to one latch."""

    event: AlarmEvent
    severity: Severity
    value: float
    limit: float
    source: str
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
    """An alarm that is on its way, or open. A component at rest has none."""

    __slots__ = (
        "active",
        "alarm_ms",
        "alarm_since",
        "episode",
        "onset_ts",
        "peak",
        "severity",
        "warning_ms",
        "warning_since",
    )

    def __init__(self) -> None:
        self.warning_since = NEVER
        self.alarm_since = NEVER
        self.warning_ms = 0
        self.alarm_ms = 0
        self.severity = NEVER
        self.active = False
        self.onset_ts = 0
        self.episode = 0
        self.peak = float("-inf")

    def dump(self) -> list[Any]:
        """Its state as JSON can hold it; `peak` is finite as soon as a value has been seen."""
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
        return self.severity == NEVER and self.warning_since == NEVER and self.alarm_since == NEVER

    def step(self, time: Time, value: float, limit: Limit) -> PeerFinding | None:
        """Take a value in; what happened, if anything."""
        self._track(time, value, limit)
        reached = self._reached(time.credit_ms, limit)
        event = self._move(reached, value < limit.recovery, time.ingest_ts)
        if event is None:
            return None
        of_alarm = reached == Severity.ALARM or limit.warning == float("inf")
        level, source = limit.alarm if of_alarm else limit.warning, limit.sources[of_alarm]
        return PeerFinding(event, Severity(self.severity), value, level, source, self.onset_ts, self.episode, self.peak)

    def _track(self, time: Time, value: float, limit: Limit) -> None:
        if self.at_rest or value > self.peak:
            self.peak = value
        if value < limit.warning:
            self.warning_since, self.warning_ms = NEVER, 0
        elif self.warning_since == NEVER or time.gap:
            self.warning_since, self.warning_ms = time.ts, 0
        else:
            self.warning_ms += time.step_ms
        if value < limit.alarm:
            self.alarm_since, self.alarm_ms = NEVER, 0
        elif self.alarm_since == NEVER or time.gap:
            self.alarm_since, self.alarm_ms = time.ts, 0
        else:
            self.alarm_ms += time.step_ms

    def _reached(self, credit_ms: int, limit: Limit) -> int:
        if self.alarm_since != NEVER and max(self.alarm_ms, credit_ms) >= limit.confirm_alarm_ms:
            return Severity.ALARM
        if self.warning_since != NEVER and max(self.warning_ms, credit_ms) >= limit.confirm_warning_ms:
            return Severity.WARNING
        return NEVER

    def _move(self, reached: int, normal: bool, ingest_ts: int) -> AlarmEvent | None:
        if reached > self.severity:
            opened = self.severity == NEVER
            if opened:
                self.episode = ingest_ts
                self.onset_ts = self.alarm_since if reached == Severity.ALARM else self.warning_since
            self.severity, self.active = reached, True
            return AlarmEvent.OPENED if opened else AlarmEvent.ESCALATED
        if reached != NEVER and not self.active:
            self.active = True
            return AlarmEvent.REACTIVATED
        if self.active and normal:
            self.active = False
            return AlarmEvent.RECOVERED
        return None
