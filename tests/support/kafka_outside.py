"""The broker seen from outside: what is on a topic, what a group has committed.

`Kafka` answers in plain calls, `Outside` to coroutines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from common.closing import closed
from detectors.checkpoints.encode import is_row
from schemas.records import Headers
from schemas.topics import CHECKPOINTS, TELEMETRY
from streams.batches import until_known
from streams.checkpoints import TOPIC_IDS
from streams.seals import opened

T = TypeVar("T")


def rows_of(records: Iterable[ConsumerRecord]) -> dict[bytes, bytes]:
    """The newest row of each device among records of the checkpoints topic, as it was encoded."""
    newest: dict[bytes, bytes] = {}
    for record in records:
        newest.pop(record.key, None)
        if is_row(record.key) and record.value:
            newest[record.key] = opened(record.key, record.value, dict(record.headers)[TOPIC_IDS]).value
    return newest


class ProducerRecord(NamedTuple):
    """A record to be written."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Outside:
    """Clients of one broker, for as long as the block lasts."""

    def __init__(self, address: str, partitions: int) -> None:
        self._address = address
        self._partitions = partitions
        self._members: dict[str, AIOKafkaConsumer] = {}

    async def __aenter__(self) -> Self:
        largest = 17 * 1_048_576
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._address,
            # What only the leader has is not yet read: a topic's end would lie before what was acknowledged.
            acks="all",
            max_request_size=largest,
            max_batch_size=262_144,
            linger_ms=2,
        )
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._address,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=20,
        )
        await self._producer.start()
        await self._consumer.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._producer.stop()
        for consumer in (self._consumer, *self._members.values()):
            await closed(consumer.stop())

    async def send(self, records: Iterable[ProducerRecord], topic: str = TELEMETRY.name) -> None:
        records = list(records)
        for partition in {one.partition for one in records}:
            await until_known(self._producer, topic, partition)
        sending = [
            await self._producer.send(topic, one.value, one.key, partition=one.partition, headers=list(one.headers))
            for one in records
        ]
        await self._producer.flush()
        for sent in sending:
            sent.result()

    async def send_batch(self, partition: int, made: bytes, count: int, topic: str = TELEMETRY.name) -> None:
        builder = self._producer.create_batch()
        builder.close()
        # The client sends what was built before.
        builder._buffer, builder._relative_offset = bytearray(made), count
        await (await self._producer.send_batch(builder, topic, partition=partition))

    async def ends(self, topic: str) -> list[int]:
        tps = self._tps(topic)
        listed = await self._consumer.end_offsets(tps)
        # The embedded broker lists the offset after the first record of the last batch, so that is read to its end.
        await self._fetch({tp: max(0, listed[tp] - 1) for tp in tps}, listed)
        return [await self._consumer.position(tp) for tp in tps]

    async def read(self, topic: str) -> list[list[ConsumerRecord]]:
        tps = self._tps(topic)
        found = await self._fetch(dict.fromkeys(tps, 0), await self._consumer.end_offsets(tps))
        return [found[tp] for tp in tps]

    async def _fetch(
        self, begins: dict[TopicPartition, int], ends: dict[TopicPartition, int]
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """The records from the one offset to the batch that holds the last one before the other."""
        self._consumer.assign(list(begins))
        for tp, begin in begins.items():
            self._consumer.seek(tp, begin)
        found: dict[TopicPartition, list[ConsumerRecord]] = {tp: [] for tp in begins}
        while missing := [tp for tp in begins if await self._consumer.position(tp) < ends[tp]]:
            for tp, records in (await self._consumer.getmany(*missing, timeout_ms=1_000)).items():
                found[tp] += records
        return found

    async def committed(self, group: str, topic: str = TELEMETRY.name) -> list[int]:
        if group not in self._members:
            # Partitions assigned by hand: it asks for the group's offsets and never joins.
            member = AIOKafkaConsumer(bootstrap_servers=self._address, group_id=group, enable_auto_commit=False)
            await member.start()
            self._members[group] = member
        member, tps = self._members[group], self._tps(topic)
        member.assign(tps)
        return [await member.committed(tp) or 0 for tp in tps]

    def _tps(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range(self._partitions)]


class Kafka:
    """An `Outside` with an event loop of its own, which runs while a call is being answered."""

    def __init__(self, address: str, partitions: int) -> None:
        self.address = address
        self._outside = Outside(address, partitions)
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        self._run(self._outside.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._outside.__aexit__())
        self._loop.close()

    def send(self, records: Iterable[ProducerRecord], topic: str = TELEMETRY.name) -> None:
        """Write the records and wait until the broker has acknowledged all of them."""
        self._run(self._outside.send(records, topic))

    def send_batch(self, partition: int, made: bytes, count: int) -> None:
        """Write one batch of telemetry, made by hand, of so many records."""
        self._run(self._outside.send_batch(partition, made, count))

    def ends(self, topic: str) -> list[int]:
        """The offset after the last record of each partition."""
        return self._run(self._outside.ends(topic))

    def read(self, topic: str) -> list[list[ConsumerRecord]]:
        """Everything that is on the topic now, by partition."""
        return self._run(self._outside.read(topic))

    def newest_checkpoints(self) -> list[dict[bytes, bytes]]:
        """What compaction would leave of the devices' checkpoints, by partition."""
        return [rows_of(records) for records in self.read(CHECKPOINTS.name)]

    def committed(self, group: str, topic: str = TELEMETRY.name) -> list[int]:
        """The group's committed offset of each partition, 0 where there is none."""
        return self._run(self._outside.committed(group, topic))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)
