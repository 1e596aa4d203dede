"""The state of a partition in the compacted checkpoint topic: written by its one holder, read by the next.

Where the broker has transactions, each partition's rows are written under a transactional id of its own. Whoever takes
the partition over claims the id first: from then on a predecessor that was only paused can write no row any more, and
of a checkpoint it left half-written nothing is seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Self
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import ProducerFenced

from detectors.checkpoint import CheckpointError, restore_all
from detectors.state import PartitionState
from schemas.topics import CHECKPOINTS, TELEMETRY
from streams.batches import MAX_BATCH_BYTES, Outgoing, send_all
from streams.closing import closed
from streams.errors import OperatorError
from streams.settings import Settings

TOPIC_IDS: Final = "topic_ids"
"""The header of a row that says which incarnations of the checkpoints and the telemetry topic it is of."""
_OTHER_TELEMETRY: Final = (
    f"{CHECKPOINTS.name} reflects another {TELEMETRY.name}, deleted since; offsets of that mean nothing in the one "
    "that is here: stop the workers, delete all topics of emberline, and make them with `emberline topics`"
)


class Incarnation(NamedTuple):
    """Which checkpoints topic and which telemetry topic."""

    checkpoints: UUID
    telemetry: UUID

    @classmethod
    def of(cls, topic_ids: Mapping[str, UUID]) -> Self:
        """Those that are there now."""
        return cls(topic_ids[CHECKPOINTS.name], topic_ids[TELEMETRY.name])

    def __bytes__(self) -> bytes:
        return self.checkpoints.bytes + self.telemetry.bytes


class CheckpointWriter:
    """Writes the checkpoints of one partition, whole or not at all where the broker has transactions."""

    def __init__(self, producer: AIOKafkaProducer, partition: int, incarnation: Incarnation, fencing: bool) -> None:
        self._producer = producer
        self._partition = partition
        self._headers = [(TOPIC_IDS, bytes(incarnation))]
        self._fencing = fencing

    @classmethod
    async def start(cls, settings: Settings, partition: int, incarnation: Incarnation) -> Self:
        """Claim the partition's checkpoints."""
        transactional_id = f"{settings.group}-checkpoint-{partition}" if settings.fencing else None
        producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka,
            acks="all",
            max_batch_size=MAX_BATCH_BYTES,
            transactional_id=transactional_id,
        )
        await producer.start()
        return cls(producer, partition, incarnation, settings.fencing)

    async def write(self, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Write rows (key, value); they are there when this returns. Raises OperatorError if another took over."""
        if not rows:
            return
        if not self._fencing:
            await self._send(rows)
            return
        try:
            async with self._producer.transaction():
                await self._send(rows)
        except ProducerFenced as error:
            raise OperatorError(f"partition {self._partition} is another worker's now; this one was away") from error

    async def _send(self, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        records = (Outgoing(key, value, self._headers) for key, value in rows)
        await asyncio.gather(*await send_all(self._producer, CHECKPOINTS.name, self._partition, records))

    async def stop(self) -> None:
        """Let go of the partition."""
        await self._producer.stop()


async def read_checkpoint(
    kafka: str, partition: int, incarnation: Incarnation, state: PartitionState
) -> PartitionState:
    """`state`, which is empty, with what the newest rows of this partition hold.

    Raises OperatorError where they cannot be read, or reflect a telemetry topic that is gone: what lies below their
    offsets in the one that came after it would be taken for seen.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        enable_auto_commit=False,
        # Once it has partitions, the client asks by itself where to begin, beside our seek; by its default that is the
        # end, and where its answer came last, nothing was restored.
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        newest = await _newest_rows(consumer, TopicPartition(CHECKPOINTS.name, partition), incarnation)
    finally:
        await closed(consumer.stop())
    try:
        # In a thread: it takes seconds at a hundred thousand devices, and other partitions go on.
        await asyncio.to_thread(restore_all, state, newest)
    except CheckpointError as error:
        raise OperatorError(str(error)) from error
    return state


async def _newest_rows(consumer: AIOKafkaConsumer, tp: TopicPartition, incarnation: Incarnation) -> dict[bytes, bytes]:
    consumer.assign([tp])
    end = (await consumer.end_offsets([tp]))[tp]
    await consumer.seek_to_beginning(tp)
    newest: dict[bytes, bytes] = {}
    while await consumer.position(tp) < end:
        for records in (await consumer.getmany(tp, timeout_ms=1_000)).values():
            for record in records:
                if record.key and _is_of(record, incarnation):
                    newest.pop(record.key, None)
                    if record.value:
                        newest[record.key] = record.value
    return newest


def _is_of(row: ConsumerRecord, incarnation: Incarnation) -> bool:
    """False for a row by a worker that went on when all topics were made anew, and whose offsets are of the old ones.

    Raises OperatorError where only telemetry was made anew.
    """
    told = dict(row.headers).get(TOPIC_IDS) or b""
    if told[:16] == incarnation.checkpoints.bytes and told != bytes(incarnation):
        raise OperatorError(_OTHER_TELEMETRY)
    return bool(told == bytes(incarnation))
