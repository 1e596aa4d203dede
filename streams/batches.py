"""Sending many records to one partition as the few batches they fit in.

The client takes some 20 us for a record that is sent by itself, and 2 us for one that is appended to a batch
[measured]. That counts: every device has an aggregate a minute, and a row of state a checkpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer

MAX_BATCH_BYTES: Final = 900_000
"""Under the 1 MiB that brokers take in one batch by default; a record that is larger is a batch by itself."""

_AGAIN_S: Final = 0.05


class Outgoing(NamedTuple):
    """A record to be sent."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


async def send_all(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Iterable[Outgoing]
) -> list[asyncio.Future[Any]]:
    """Send the records in their order. Each future is of one batch, and done when it is acknowledged.

    The producer's `max_batch_size` is to be `MAX_BATCH_BYTES`.
    """
    await until_known(producer, topic, partition)
    sent: list[asyncio.Future[Any]] = []
    batch = producer.create_batch()
    for record in records:
        if not _append(batch, record):
            sent.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            _append(batch, record)
    if batch.record_count():
        sent.append(await producer.send_batch(batch, topic, partition=partition))
    return sent


async def until_known(producer: AIOKafkaProducer, topic: str, partition: int) -> None:
    """Return once the client knows the partition, which may be newer than what it was told last."""
    while partition not in await producer.partitions_for(topic):
        await producer.client.force_metadata_update()
        await asyncio.sleep(_AGAIN_S)


def _append(batch: Any, record: Outgoing) -> bool:
    """False if the batch is full; an empty one takes any record."""
    headers = list(record.headers)
    return batch.append(timestamp=None, key=record.key, value=record.value, headers=headers) is not None
