"""The publisher: sends what is in the outbox, for as long as it runs, one publisher at a time."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from sqlalchemy import Engine

from common.closing import closed
from common.errors import OperatorError
from common.kafka import clients
from common.kafka.reading import reader
from common.settings import Settings
from schemas.registry import ChangeNumber
from schemas.topics import REGISTRY
from services.registry.database import reading, writing
from services.registry.outbox import (
    ToPublish,
    backlog,
    begin_anew,
    let_lease_go,
    next_rows,
    note_published,
    publication,
    take_lease,
)

log = logging.getLogger("emberline.registry")

LOOK_S: Final = 0.2
"""How often a publisher that has nothing to send looks for more: a change acts within 5 s [ours]."""
RENEW_S: Final = 10.0
"""How often a publisher says that it is there: three times within a lease."""
LAST: Final = 200
"""Records at the end of each partition by which it is told how far the topic is [ours]."""
AGAIN_S: Final = 1.0


class Publisher:
    """Publishes while `run` runs. `set_gauge` is told how many rows wait; `why_not_ready` says why nothing can be
    published just now, if that is so, and `remark` that another publisher is at work."""

    def __init__(
        self, settings: Settings, engine: Engine, set_gauge: Callable[[int], object] = lambda rows: None
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._set_gauge = set_gauge
        self._holder = f"{socket.gethostname()[:40]}-{secrets.token_hex(4)}"
        self._held_at = -RENEW_S
        self._is_known = False
        """Whether the topic was looked at since the lease was taken."""
        self.why_not_ready: str | None = "it has not begun"
        self.remark: str | None = None

    async def run(self) -> None:
        """Publish until cancelled. While Kafka is away everything waits in the outbox. Raises KafkaError for what will
        not pass, such as a missing right."""
        producer: AIOKafkaProducer | None = None
        try:
            while True:
                try:
                    producer = producer or await self._producer()
                    sent = await self._turn(producer)
                except KafkaError as error:
                    if not error.retriable:
                        raise
                    self.why_not_ready = f"nothing is published: {error}"
                    log.warning("%s", self.why_not_ready)
                    if producer is not None:
                        await closed(producer.stop())
                    producer, sent = None, 0
                    await asyncio.sleep(AGAIN_S)
                if not sent:
                    await asyncio.sleep(LOOK_S)
        finally:
            if producer is not None:
                await closed(producer.stop())
            await asyncio.to_thread(self._let_go)

    async def _producer(self) -> AIOKafkaProducer:
        producer = clients.producer(self._settings, acks="all", enable_idempotence=self._settings.fencing, linger_ms=5)
        try:
            await producer.start()
        except BaseException:
            await closed(producer.stop())
            raise
        return producer

    async def _turn(self, producer: AIOKafkaProducer) -> int:
        """Publish what is next. How many records were sent."""
        is_mine = await asyncio.to_thread(self._hold)
        self.why_not_ready, self.remark = None, None if is_mine else "another publisher is at work"
        if not is_mine:
            self._is_known = False
            return 0
        if not self._is_known:
            await self._look_at_topic()
            self._is_known = True
        rows = await asyncio.to_thread(self._next)
        if rows:
            await asyncio.gather(
                *[await producer.send(one.topic, one.value, one.key, headers=one.change.to_headers()) for one in rows]
            )
            if not await asyncio.to_thread(self._note, rows[-1].change.number):
                log.warning("another publisher has taken over")
                self._held_at = -RENEW_S
        return len(rows)

    def _hold(self) -> bool:
        if time.monotonic() - self._held_at < RENEW_S:
            return True
        with writing(self._engine) as session:
            if not take_lease(session, self._holder):
                return False
        self._held_at = time.monotonic()
        return True

    def _let_go(self) -> None:
        with writing(self._engine) as session:
            let_lease_go(session, self._holder)

    def _next(self) -> Sequence[ToPublish]:
        with reading(self._engine) as session:
            self._set_gauge(backlog(session))
            return next_rows(session)

    def _note(self, number: int) -> bool:
        with writing(self._engine) as session:
            return note_published(session, self._holder, number)

    async def _look_at_topic(self) -> None:
        """Begin another epoch where the topic has changes that this database does not know: it was restored."""
        told = await _last_changes(self._settings)
        with writing(self._engine) as session:
            mine = publication(session)
            of_mine = [one for one in told if one.source == mine.source]
            newest = max(((one.epoch, one.number) for one in of_mine), default=(0, 0))
            if newest > (mine.epoch, mine.number):
                log.warning("the registry is older than what was published of it: all of it is published again")
                begin_anew(session, newest[0] + 1)


async def _last_changes(settings: Settings) -> list[ChangeNumber]:
    """The last changes on the topic, of every partition."""
    async with reader(settings) as consumer:
        partitions = consumer.partitions_for_topic(REGISTRY.name) or await _asked_for(consumer)
        return [one for number in sorted(partitions) for one in await _last_of(consumer, number)]


async def _asked_for(consumer: AIOKafkaConsumer) -> set[int]:
    await consumer.topics()
    partitions: set[int] | None = consumer.partitions_for_topic(REGISTRY.name)
    if not partitions:
        raise OperatorError(f"{REGISTRY.name} is not there; run `emberline topics`")
    return partitions


async def _last_of(consumer: AIOKafkaConsumer, number: int) -> list[ChangeNumber]:
    tp = TopicPartition(REGISTRY.name, number)
    consumer.assign([tp])
    end, begin = (await consumer.end_offsets([tp]))[tp], (await consumer.beginning_offsets([tp]))[tp]
    consumer.seek(tp, max(begin, end - LAST))
    found = []
    while await consumer.position(tp) < end:
        for records in (await consumer.getmany(tp, timeout_ms=1_000)).values():
            for record in records:
                with suppress(ValueError):
                    found.append(ChangeNumber.from_headers(record.headers))
    return found
