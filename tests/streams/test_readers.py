"""Consumers that serve one reading after another."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from common.kafka.reading import Readers, batches
from schemas.topics import TELEMETRY
from tests.support.kafka_outside import Kafka, ProducerRecord
from tests.support.platform import quick_settings


async def read_by(consumer: AIOKafkaConsumer, partition: int, begin: int | None = None) -> list[bytes]:
    tp = TopicPartition(TELEMETRY.name, partition)
    return [record.value async for records in batches(consumer, tp, begin) for record in records]


def send(kafka: Kafka, partition: int, *values: bytes) -> None:
    kafka.send([ProducerRecord(partition, b"key", value) for value in values])


def test_one_that_has_read_reads_anything_anew_with_what_came_since(kafka: Kafka) -> None:
    async def readings() -> None:
        async with Readers(quick_settings(kafka.address)) as readers:
            async with readers.reader() as first:
                assert await read_by(first, 0) == [b"a", b"b"]
            await asyncio.to_thread(send, kafka, 0, b"c")
            async with readers.reader() as again:
                assert again is first
                assert await read_by(again, 1) == [b"x"]
                assert await read_by(again, 0) == [b"a", b"b", b"c"]
                assert await read_by(again, 0, begin=1) == [b"b", b"c"]

    send(kafka, 0, b"a", b"b")
    send(kafka, 1, b"x")
    asyncio.run(readings())


def test_who_reads_meanwhile_or_only_what_is_committed_has_another(kafka: Kafka) -> None:
    async def readings() -> None:
        async with Readers(quick_settings(kafka.address)) as readers:
            async with readers.reader() as one, readers.reader() as two, readers.reader("read_committed") as committed:
                assert len({one, two, committed}) == 3
                assert [*await asyncio.gather(read_by(one, 0), read_by(two, 1))] == [[b"a"], [b"x"]]
            async with readers.reader("read_committed") as again:
                assert again is committed

    send(kafka, 0, b"a")
    send(kafka, 1, b"x")
    asyncio.run(readings())


def test_one_by_which_something_failed_serves_nobody_else(kafka: Kafka) -> None:
    async def readings() -> None:
        async with Readers(quick_settings(kafka.address)) as readers:
            with pytest.raises(LookupError):
                async with readers.reader() as first:
                    raise LookupError
            async with readers.reader() as other:
                assert other is not first
                assert await read_by(other, 0) == [b"a"]

    send(kafka, 0, b"a")
    asyncio.run(readings())
