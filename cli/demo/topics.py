"""Topics read from outside, as any consumer would, without a group."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from aiokafka import TopicPartition

from common.closing import closed
from common.kafka import clients
from common.settings import Settings


async def read_all(settings: Settings, topic: str) -> AsyncGenerator[bytes | None]:
    """The values of a topic's records from its beginning on, for as long as they are asked for."""
    consumer = clients.consumer(
        settings,
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # as we seek: the client also asks by itself, and its answer may come last
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        tps = [TopicPartition(topic, number) for number in range(settings.partitions)]
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        async for record in consumer:
            yield record.value
    finally:
        await closed(consumer.stop())
