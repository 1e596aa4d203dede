"""Recorded reports and orders through the pure core, in virtual time: what emberline makes of them, without Kafka or a
clock.

Each record arrives when it is said to have arrived. Silence is found at the moment when it falls due, between records
and for `AFTER_MS` after the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np
from msgspec import structs

from detectors.control.applying import apply_control
from detectors.control.changes import change
from detectors.device_status import OFFLINE_AFTER_MS
from detectors.limits import LimitTable
from detectors.process import process
from detectors.rounds import Result
from detectors.state import PartitionState
from detectors.statuses import check_silence, silent_until
from schemas.charging_sessions import ChargingSession
from schemas.control import COMMAND, ControlRecord, Orders, order_of
from schemas.device_requests import DeviceRequest
from schemas.events import Aggregate, Alarm, ControlOutcome, DeviceStatus
from schemas.records import Records
from schemas.registry import ChangeNumber, DeviceEntry, LimitsEntry
from schemas.rejects import RejectEvent, event_of
from schemas.report_rejects import Reject, reject_reports
from schemas.reports import decode
from schemas.topics import (
    ALARMS,
    CHARGING_SESSIONS,
    COMMANDS,
    CONTROL_OUTCOMES,
    DEVICE_REQUESTS,
    DEVICE_STATUS,
    REJECTS,
    TELEMETRY,
)

AFTER_MS: Final = 7 * 3_600_000
"""Long enough for a device to be overdue (A7: 6 h), whatever its interval (`device_status.OFFLINE_MOST_MS`)."""
CHUNK: Final = 256
"""Records processed at once, where nothing falls due between them [ours]."""
_SOONEST_MS: Final = min(OFFLINE_AFTER_MS.values())


class Arrival(NamedTuple):
    """A record as it arrives at the broker, epoch ms; where `is_order`, a command in the log, which needs no proof here
    of who sent it."""

    ingest_ts: int
    key: bytes | None
    value: bytes
    is_order: bool = False


class Happening(NamedTuple):
    """An event on a topic, and the virtual time of its sending."""

    topic: str
    at: int
    value: Alarm | DeviceStatus | RejectEvent | ControlOutcome | DeviceRequest | ChargingSession


@dataclass(slots=True)
class Summary:
    """How many there were of what. `reports` are those that could be read."""

    reports: int = 0
    absent_values: int = 0
    rejects: int = 0
    alarms: int = 0
    requests: int = 0
    statuses: int = 0
    outcomes: int = 0
    sessions: int = 0


@dataclass(slots=True)
class Trial:
    """One partition on trial. `events` may be asked for once; then `summary` is complete. `minutes` gets what minutes
    come to, as they close."""

    limits: LimitTable
    minutes: Callable[[Sequence[Aggregate]], object] = field(default=len)
    summary: Summary = field(default_factory=Summary)
    _state: PartitionState = field(default_factory=PartitionState)
    _offset: int = 0

    def register(self, entry: DeviceEntry | LimitsEntry) -> str:
        """Have what an entry of the registry says, from the beginning on. Why it is refused, empty where it is not."""
        return change(entry, self._state, self.limits)

    def events(self, arrivals: Iterable[Arrival]) -> Iterator[Happening]:
        """What the records mean, in the order of their arrival."""
        waiting: list[Arrival] = []
        last_ts, due_ts = 0, None
        for arrival in arrivals:
            last_ts = max(last_ts, arrival.ingest_ts)
            if due_ts is not None and last_ts > due_ts:
                yield from self._take(waiting)
                waiting = []
                yield from self._silence(last_ts)
                due_ts = None
            elif len(waiting) == CHUNK or arrival.is_order or (waiting and waiting[-1].is_order):
                yield from self._take(waiting)
                waiting, due_ts = [], None
            if due_ts is None:
                found = silent_until(self._state)
                due_ts = last_ts + _SOONEST_MS if found is None else min(found, last_ts + _SOONEST_MS)
            waiting.append(arrival)
        yield from self._take(waiting)
        yield from self._silence(last_ts + AFTER_MS)

    def _silence(self, until_ts: int) -> Iterator[Happening]:
        """Tell silence at each moment before `until_ts` at which it falls due, as if a record of time came then."""
        while (due_ts := silent_until(self._state)) is not None and due_ts < until_ts:
            for status in check_silence(self._state, due_ts, due_ts, self._offset):
                self.summary.statuses += 1
                yield Happening(DEVICE_STATUS.name, due_ts, status)

    def _take(self, arrivals: Sequence[Arrival]) -> Iterator[Happening]:
        if not arrivals:
            return
        if arrivals[0].is_order:
            yield from self._obey(arrivals[0])
            return
        records = self._records(arrivals)
        reports, rejects = decode(records, self.limits.absences)
        result = process(reports, self._state, self.limits, now=0)
        rejects += reject_reports(records, result.refused)
        self._add(result, rejects)
        first = int(records.offsets[0])
        at = {first + number: arrival.ingest_ts for number, arrival in enumerate(arrivals)}
        events = [
            *(Happening(REJECTS.name, at[one.offset], event_of(one, TELEMETRY.name, 0)) for one in rejects),
            *(Happening(ALARMS.name, at[one.source_offset], one) for one in result.alarms),
            *(Happening(DEVICE_REQUESTS.name, at[one.source_offset], one) for one in result.requests),
            *(Happening(CHARGING_SESSIONS.name, at[one.source_offset], one) for one in result.sessions),
            *(Happening(DEVICE_STATUS.name, at[one.source_offset], one) for one in result.statuses),
        ]
        for one in sorted(events, key=lambda one: one.value.source_offset):
            told = one.value
            yield one._replace(value=structs.replace(told, detected_ts=one.at)) if isinstance(told, Alarm) else one

    def _obey(self, order: Arrival) -> Iterator[Happening]:
        """Apply an order where it stands, as if a worker had copied it."""
        (offset,), at = self._records([order]).offsets.tolist(), order.ingest_ts
        copied = order_of(offset, order.value, ChangeNumber("try", 1, offset).to_headers())
        held = Orders(COMMANDS.name, UUID(int=0), 1, [copied])
        record = ControlRecord(offset, at, COMMAND.decode(), "", held)
        result = apply_control(record, self._state, self.limits, at, lambda key, partitions: False)
        self._add(result, ())
        yield from (Happening(ALARMS.name, at, alarm) for alarm in result.alarms)
        yield from (Happening(DEVICE_REQUESTS.name, at, request) for request in result.requests)
        yield from (Happening(CONTROL_OUTCOMES.name, at, outcome) for outcome in result.outcomes)

    def _records(self, arrivals: Sequence[Arrival]) -> Records:
        offsets = np.arange(self._offset, self._offset + len(arrivals))
        self._offset += len(arrivals)
        return Records(
            topic=TELEMETRY.name,
            partition=0,
            offsets=offsets,
            timestamps=np.array([arrival.ingest_ts for arrival in arrivals], dtype=np.int64),
            keys=[arrival.key for arrival in arrivals],
            values=[arrival.value for arrival in arrivals],
            headers=[()] * len(arrivals),
        )

    def _add(self, result: Result, rejects: Sequence[Reject]) -> None:
        self.minutes(result.aggregates)
        self.summary.reports += result.readable
        self.summary.absent_values += result.absent_values
        self.summary.rejects += sum(reject.reports for reject in rejects)
        self.summary.alarms += len(result.alarms)
        self.summary.requests += len(result.requests)
        self.summary.statuses += len(result.statuses)
        self.summary.outcomes += len(result.outcomes)
        self.summary.sessions += len(result.sessions)
