"""Following the topic of alarms as any downstream service would, without a group."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, UnknownTopicOrPartitionError

import streams.unpacking  # noqa: F401 - the topic may hold anything
from cli import signals
from cli.output import say, say_json
from common.closing import closed
from common.kafka import clients
from common.kafka.errors import no_kafka
from common.settings import Settings
from common.times import local
from schemas.events import Alarm
from schemas.topics import ALARMS
from streams.topics import count_partitions, topic_ids

LOOK_MS: Final = 2_000
"""How long to wait for alarms before it is asked whether the broker and the topic are still there."""
ANSWER_S: Final = 5.0
RETRY_S: Final = 0.5
T = TypeVar("T")


class Follower:
    """Prints every alarm event as it comes, once, also where the broker goes away or the topic is made anew."""

    def __init__(self, settings: Settings, as_json: bool) -> None:
        self._settings = settings
        self._as_json = as_json
        self._next: dict[TopicPartition, int] = {}
        """The offset after the last record shown, of the topic's present incarnation."""
        self._passed_over = 0
        self._away = False

    async def follow(self, from_beginning: bool) -> None:
        """Go on until cancelled. Raises KafkaError where there is no broker or no topic at the beginning."""
        # Not by the loop, which does not run while a line waits for a reader that has stopped reading.
        # Who only reads leaves nothing behind, and a client can wait 40 s for a fetch that was lost.
        signals.end_at_once()
        topic_id = await self._topic_id()
        while True:
            now = await self._one_incarnation(topic_id, from_beginning)
            if now != topic_id:
                say(f"emberline: the topic {ALARMS.name} was made anew; following it from its beginning", err=True)
                self._next.clear()
            # What is new, a topic or a partition of it, has told nothing yet.
            topic_id, from_beginning = now, True

    async def _one_incarnation(self, topic_id: UUID, from_beginning: bool) -> UUID:
        """Show what comes until the topic is another one, or wider; its id then."""
        consumer = await self._answer(lambda: self._opened(from_beginning))
        try:
            while True:
                batch = await self._batch(consumer)
                # Asked after the fetch: what was fetched before is of the same topic.
                now = await self._answer(self._topic_id)
                if now != topic_id:
                    return now
                for tp, records in batch.items():
                    for record in records:
                        self._show(record)
                        self._next[tp] = record.offset + 1
                if len(consumer.partitions_for_topic(ALARMS.name) or self._next) > len(self._next):
                    return now
        finally:
            await closed(consumer.stop())

    async def _opened(self, from_beginning: bool) -> AIOKafkaConsumer:
        """A consumer of all partitions, where they stand."""
        partitions = await count_partitions(self._settings, ALARMS.name)
        consumer = clients.consumer(
            self._settings,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=50,
            metadata_max_age_ms=5 * LOOK_MS,
        )
        try:
            await consumer.start()
            tps = [TopicPartition(ALARMS.name, number) for number in range(partitions)]
            ends = await (consumer.beginning_offsets(tps) if from_beginning else consumer.end_offsets(tps))
            self._next = ends | self._next
            consumer.assign(tps)
            for tp in tps:
                consumer.seek(tp, self._next[tp])
        except BaseException:
            await closed(consumer.stop())
            raise
        return consumer

    async def _batch(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[ConsumerRecord]]:
        try:
            batch: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(timeout_ms=LOOK_MS)
            return batch
        except OffsetOutOfRangeError as error:
            gone = list(error.args[0])
            for tp, offset in (await self._answer(lambda: consumer.beginning_offsets(gone))).items():
                consumer.seek(tp, offset)
            return {}

    async def _topic_id(self) -> UUID:
        return (await topic_ids(self._settings, [ALARMS.name]))[ALARMS.name]

    async def _answer(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until Kafka answers; say once that it does not, and once that it does again."""
        while True:
            try:
                async with asyncio.timeout(ANSWER_S):
                    answer = await ask()
            except (KafkaError, OSError, TimeoutError) as error:
                if not self._away:
                    absent = isinstance(error, UnknownTopicOrPartitionError)
                    why = f"the topic {ALARMS.name} is not there" if absent else no_kafka(self._settings)
                    say(f"emberline: {why}; waiting for it", err=True)
                self._away = True
                await asyncio.sleep(RETRY_S)
                continue
            if self._away:
                say(f"emberline: Kafka answers again at {self._settings.kafka}", err=True)
            self._away = False
            return answer

    def _show(self, record: ConsumerRecord) -> None:
        try:
            alarm = Alarm.from_json(record.value)
            say_json(orjson.loads(record.value)) if self._as_json else say(told(alarm))
        except ValueError as error:
            self._passed_over += 1
            where = f"{ALARMS.name} partition {record.partition} offset {record.offset}"
            say(f"emberline: {where} is no alarm of ours: {error}; passed over ({self._passed_over} so far)", err=True)


def told(alarm: Alarm) -> str:
    """One line for a person: when, in Shanghai, and what."""
    return f"{local(alarm.event_ts)}  {alarm.message}"
