"""What was found, sent to the output topics: rejects, then alarms before all else."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from faust.types import TP

from detectors.rounds import Result
from schemas.rejects import event_of
from schemas.report_rejects import Reject
from schemas.topics import (
    AGGREGATES,
    ALARMS,
    CHARGING_SESSIONS,
    CONTROL_OUTCOMES,
    DEVICE_REQUESTS,
    DEVICE_STATUS,
    REJECTS,
)
from streams.batches import Outgoing, send_all
from streams.generations import E, stamped
from streams.partitioner import with_home
from streams.partitions import Partition


class EventSender:
    """Sends by one producer the events that follow from the telemetry topic of an id. What is on its way is noted at
    the partition: `sending`."""

    def __init__(self, producer: AIOKafkaProducer, telemetry_id: str) -> None:
        self._producer = producer
        self._telemetry_id = telemetry_id

    async def send_rejects(self, rejects: list[Reject], tp: TP, partition: Partition) -> None:
        """Send rejects with their records' bytes."""
        topic, number = tp
        told = [event_of(with_home(reject, number, partition.widths.now), topic, number) for reject in rejects]
        originals = {(reject.offset, reject.index): reject for reject in rejects}
        partition.sending += await send_all(
            self._producer,
            REJECTS.name,
            number,
            (
                Outgoing(reject.key, reject.value, event.to_headers(reject.headers))
                for event in self._to_send(REJECTS.name, told, partition)
                for reject in (originals[event.source_offset, event.source_index],)
            ),
        )

    async def send(self, result: Result, partition: Partition, number: int) -> None:
        """Fire first (domain.md, rule 4): alarms, what devices are asked for, what became of orders, status,
        charges, aggregates."""
        for topic, told in (
            (ALARMS, self._to_send(ALARMS.name, result.alarms, partition)),
            (DEVICE_REQUESTS, self._to_send(DEVICE_REQUESTS.name, result.requests, partition)),
            (CONTROL_OUTCOMES, self._to_send(CONTROL_OUTCOMES.name, result.outcomes, partition)),
            (DEVICE_STATUS, self._to_send(DEVICE_STATUS.name, result.statuses, partition)),
            (CHARGING_SESSIONS, self._to_send(CHARGING_SESSIONS.name, result.sessions, partition)),
            (AGGREGATES, self._to_send(AGGREGATES.name, result.aggregates, partition)),
        ):
            records = (Outgoing(event.device_id.encode(), event.to_json()) for event in told)
            partition.sending += await send_all(self._producer, topic.name, number, records)

    def _to_send(self, topic: str, events: Sequence[E], partition: Partition) -> list[E]:
        """The events as they are sent, without those that are there already."""
        new = events if partition.sent is None else partition.sent.new(topic, events)
        return stamped(new, partition.generation.number, self._telemetry_id)
