"""Which generation of events a worker sends, and what of it is on the output topics already.

Events follow from telemetry by rules: the limits, and this program. As long as the rules are those by which the
checkpoint was written, events that are sent again after a crash have the positions they had, and are known as repeats.
A worker with other rules may find other events in the same records, at the same positions. So it begins a generation of
its own, whose positions are above all before (`schemas.positions`). It says so in the checkpoint before it processes a
record.

It would send again what its predecessor sent of records that no checkpoint covers. So it reads what the output
partitions hold of these records, and sends only what is not there, until a checkpoint covers them all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from msgspec import structs

from common.kafka.reading import batches, end_of
from schemas.charging_sessions import ChargingSession
from schemas.device_requests import DeviceRequest
from schemas.events import Aggregate, Alarm, ControlOutcome, DeviceStatus
from schemas.positions import Event, Position
from schemas.rejects import RejectEvent
from schemas.topics import (
    AGGREGATES,
    ALARMS,
    CHARGING_SESSIONS,
    CONTROL_OUTCOMES,
    DEVICE_REQUESTS,
    DEVICE_STATUS,
    OUTPUTS,
    REJECTS,
    TELEMETRY,
)

E = TypeVar("E", Alarm, Aggregate, DeviceStatus, RejectEvent, ControlOutcome, DeviceRequest, ChargingSession)

LOOKED_BACK: Final = 2_000
"""Events by which it is told which generation an output partition is at, where no checkpoint tells [ours]."""
CLOCKS_APART_MS: Final = 30_000
"""Brokers stamp records, and an event may be stamped by another than its record: their clocks differ by less [ours]."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What the checkpoint of a partition says of its events.

    `rules` are those by which the partition is processed since `number` began, and `covered` is the first offset of
    telemetry that the rows do not reflect. Where `sent_from` is not None, the rows reflect other rules, and the output
    partitions hold events of records that are not covered, from these offsets on, by topic.
    """

    number: int = 0
    rules: str = ""
    covered: int = 0
    sent_from: Mapping[str, int] | None = None

    @classmethod
    def from_json(cls, kept: Any) -> Generation | None:
        """Read it back; None where it is none."""
        match kept:
            case {
                "number": int(number),
                "rules": str(rules),
                "covered": int(covered),
                "sent_from": dict() | None as sent,
            }:
                return cls(number, rules, covered, sent)
        return None


@dataclass(slots=True)
class SentEvents:
    """The events that are on the output topics of records from some offset on, but for those that were found again
    since. An alarm's are known by id and kind of event, others by their source."""

    alarms: Counter[tuple[str, str]] = field(default_factory=Counter)
    sources: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    last: int = -1
    """The highest offset of telemetry from which any follows."""

    def add(self, topic: str, event: Event, covered: int) -> None:
        """An event was found on a topic."""
        if event.source_offset < covered:
            return
        self.last = max(self.last, event.source_offset)
        if isinstance(event, Alarm):
            self.alarms[event.alarm_id, event.event] += 1
        else:
            self.sources.setdefault(topic, set()).add(_source(event))

    def new(self, topic: str, events: Sequence[E]) -> Sequence[E]:
        """Those of the events, which follow in order, that are not on the topic."""
        if all(event.source_offset > self.last for event in events):
            return events
        return [event for event in events if not self._is_there(topic, event)]

    def _is_there(self, topic: str, event: Event) -> bool:
        if not isinstance(event, Alarm):
            return _source(event) in self.sources.get(topic, ())
        if not self.alarms[event.alarm_id, event.event]:
            return False
        self.alarms[event.alarm_id, event.event] -= 1
        return True


def _source(event: Event) -> tuple[int, int]:
    """Offset and ordinal: the position in any generation."""
    _, offset, ordinal = Position.of(event)
    return offset, ordinal


_READ: Final[Mapping[str, Callable[[ConsumerRecord], Event]]] = {
    ALARMS.name: lambda record: Alarm.from_json(record.value),
    AGGREGATES.name: lambda record: Aggregate.from_json(record.value),
    DEVICE_STATUS.name: lambda record: DeviceStatus.from_json(record.value),
    REJECTS.name: lambda record: RejectEvent.from_headers(record.headers),
    CONTROL_OUTCOMES.name: lambda record: ControlOutcome.from_json(record.value),
    DEVICE_REQUESTS.name: lambda record: DeviceRequest.from_json(record.value),
    CHARGING_SESSIONS.name: lambda record: ChargingSession.from_json(record.value),
}


def event_in(record: ConsumerRecord) -> Event | None:
    """The event of a record of an output topic; None for what is none of ours."""
    try:
        return _READ[record.topic](record)
    except ValueError:
        return None


async def begun(
    kept: Generation | None, rules: str, covered: int, partition: int, outputs: AIOKafkaConsumer
) -> Generation:
    """The generation of a worker of these rules that goes on from what is kept of a partition, which may be nothing:
    then rows cover it up to the offset `covered`. `outputs` is a consumer of the output topics without a group."""
    if kept is not None and kept.rules == rules:
        return kept
    known = kept or Generation(covered=covered)
    starts, highest = dict(known.sent_from or {}), known.number
    arrived_ts = await _arrival(outputs, TopicPartition(TELEMETRY.name, partition), known.covered)
    for topic in OUTPUTS:
        tp = TopicPartition(topic.name, partition)
        if topic.name not in starts:
            starts[topic.name] = await _start(outputs, tp, arrived_ts)
        if kept is None:
            # Else the checkpoint knows: what claims to be of a later generation is a stranger's.
            highest = max(highest, await _last_generation(outputs, tp))
    return replace(known, number=highest + 1, rules=rules, sent_from=starts)


async def _arrival(consumer: AIOKafkaConsumer, telemetry: TopicPartition, covered: int) -> int | None:
    """When the first record from the offset `covered` on arrived, epoch ms; None where there is none."""
    async for records in batches(consumer, telemetry, covered):
        for record in records:
            return int(record.timestamp)
    return None


async def _start(outputs: AIOKafkaConsumer, tp: TopicPartition, arrived_ts: int | None) -> int:
    """The offset from which on an output partition holds all events of records that arrived at a time or later.

    By the time, for positions do not tell: after a crash events are sent again, so that those of earlier records may
    lie behind those of later ones, any number of times."""
    end = await end_of(outputs, tp)
    if arrived_ts is None:
        return end
    found = (await outputs.offsets_for_times({tp: max(arrived_ts - CLOCKS_APART_MS, 0)}))[tp]
    return int(end if found is None else found.offset)


async def _last_generation(outputs: AIOKafkaConsumer, tp: TopicPartition) -> int:
    """The highest generation among the last events of an output partition, -1 where there are none."""
    end = await end_of(outputs, tp)
    (beginning,) = (await outputs.beginning_offsets([tp])).values()
    found = [
        event.generation
        async for records in batches(outputs, tp, max(beginning, end - LOOKED_BACK))
        for record in records
        if (event := event_in(record))
    ]
    return max(found, default=-1)


async def sent_since(generation: Generation, partition: int, outputs: AIOKafkaConsumer) -> SentEvents:
    """What the output partitions hold of records that rows of these rules do not cover."""
    sent = SentEvents()
    for topic, start in (generation.sent_from or {}).items():
        async for records in batches(outputs, TopicPartition(topic, partition), start):
            for record in records:
                if (event := event_in(record)) is not None:
                    sent.add(topic, event, generation.covered)
    return sent


def covered_to(generation: Generation, covered: int, sent: SentEvents | None) -> Generation:
    """What a checkpoint says that covers records below the offset `covered`."""
    done = sent is None or covered > sent.last
    return replace(generation, covered=covered, sent_from=None if done else generation.sent_from)


def stamped(events: Iterable[E], generation: int, topic_id: str) -> list[E]:
    """The events as they are sent."""
    return [structs.replace(event, generation=generation, source_topic_id=topic_id) for event in events]
