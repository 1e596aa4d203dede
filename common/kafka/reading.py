"""Reading a partition to its end, by a consumer without a group: what there is, and no more of it than that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from common.closing import closed
from common.kafka import clients
from common.settings import Settings


@asynccontextmanager
async def reader(settings: Settings, isolation_level: str = "read_uncommitted") -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer to read by. Telemetry and outputs are read as the workers read them: uncommitted."""
    consumer = clients.consumer(
        settings,
        enable_auto_commit=False,
        # Once it has partitions, the client asks by itself where to begin, beside our seek; by its default that is the
        # end, and where its answer came last, nothing was read.
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
        isolation_level=isolation_level,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await closed(consumer.stop())


async def batches(
    consumer: AIOKafkaConsumer, tp: TopicPartition, begin: int | None = None
) -> AsyncIterator[Sequence[ConsumerRecord]]:
    """The records of a partition as they are fetched, from an offset or its beginning to where it ends just now."""
    consumer.assign([tp])
    end = (await consumer.end_offsets([tp]))[tp]
    if begin is None:
        await consumer.seek_to_beginning(tp)
    else:
        consumer.seek(tp, begin)
    while await consumer.position(tp) < end:
        for records in (await consumer.getmany(tp, timeout_ms=1_000)).values():
            yield records


async def end_of(settings: Settings, tp: TopicPartition) -> int:
    """The offset after the last record of a partition. The embedded broker may name an earlier one, within its last
    batch."""
    # Uncommitted: to a reader of committed records it ends where a transaction is open.
    async with reader(settings) as consumer:
        return int((await consumer.end_offsets([tp]))[tp])
