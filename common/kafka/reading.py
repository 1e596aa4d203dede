"""Reading a partition to its end, by a consumer without a group: what there is, and no more of it than that."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from common.closing import closed
from common.kafka import clients
from common.settings import Settings


class Readers:
    """Consumers to read by, each for one reading after another: to start one costs more than most readings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._idle = defaultdict[str, list[AIOKafkaConsumer]](list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    @asynccontextmanager
    async def reader(self, isolation_level: str = "read_uncommitted") -> AsyncIterator[AIOKafkaConsumer]:
        """A consumer for the block. Telemetry and outputs are read as the workers read them: uncommitted."""
        idle = self._idle[isolation_level]
        consumer = idle.pop() if idle else await self._start(isolation_level)
        try:
            yield consumer
        except BaseException:
            await closed(consumer.stop())
            raise
        # Else it would fetch on from where it was read to.
        consumer.unsubscribe()
        idle.append(consumer)

    async def _start(self, isolation_level: str) -> AIOKafkaConsumer:
        consumer = clients.consumer(
            self.settings,
            enable_auto_commit=False,
            # Once it has partitions, the client asks by itself where to begin, beside our seek; by its default that is
            # the end, and where its answer came last, nothing was read.
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
            isolation_level=isolation_level,
        )
        await consumer.start()
        return consumer

    async def close(self) -> None:
        """Stop those by which nobody reads just now."""
        idle = [consumer for of_level in self._idle.values() for consumer in of_level]
        self._idle.clear()
        await asyncio.gather(*(closed(consumer.stop()) for consumer in idle))


@asynccontextmanager
async def reader(settings: Settings, isolation_level: str = "read_uncommitted") -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer for one reading."""
    async with Readers(settings) as readers, readers.reader(isolation_level) as consumer:
        yield consumer


async def batches(
    consumer: AIOKafkaConsumer, tp: TopicPartition, begin: int | None = None
) -> AsyncIterator[Sequence[ConsumerRecord]]:
    """The records of a partition as they are fetched, from an offset or its beginning to where it ends just now."""
    consumer.assign([tp])
    end = await end_of(consumer, tp)
    if begin is None:
        await consumer.seek_to_beginning(tp)
    else:
        consumer.seek(tp, begin)
    while await consumer.position(tp) < end:
        for records in (await consumer.getmany(tp, timeout_ms=1_000)).values():
            yield records


async def end_of(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int:
    """The offset after the last record of a partition that this consumer may read; to one of committed records it ends
    where a transaction is open. The embedded broker may name an earlier one, within its last batch."""
    return int((await consumer.end_offsets([tp]))[tp])
