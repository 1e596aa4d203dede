"""The publisher: sends what is in the outbox, for as long as it runs, one publisher at a time.

A lease in the database says who publishes. Where the broker has transactions, whoever takes the lease takes the
producer's transactional id too, so that one who has lost it unawares can send nothing more.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedVersionError,
)
from sqlalchemy import Engine

from common.closing import closed
from common.errors import OperatorError
from common.kafka import clients
from common.kafka.reading import batches, end_of, reader
from common.kafka.transactions import whole
from common.settings import Settings
from schemas.registry import ChangeNumber, DeviceEntry
from schemas.topics import PUBLISHED, REGISTRY
from services.registry.database import DatabaseError, NotPreparedError, reading, writing
from services.registry.outbox import (
    SOURCE_NAME,
    ToPublish,
    backlog,
    begin_anew,
    is_told_of,
    let_lease_go,
    next_rows,
    note_partitions,
    note_published,
    note_sent,
    publication,
    take_lease,
    unpublished_acts,
)

log = logging.getLogger("emberline.registry")

LOOK_S: Final = 0.2
"""How often a publisher that has nothing to send looks for more: a change acts within 5 s [ours]."""
RENEW_S: Final = 10.0
"""How often a publisher says that it is there: three times within a lease."""
AGAIN_S: Final = 1.0
TAKEN_OVER: Final = "another publisher has taken over"
METADATA_MS: Final = 5_000
"""How soon the client hears of new partitions: as soon as a change acts [ours]."""
EVERYWHERE: Final = b"*/"
"""How the key of a record begins that belongs into every partition."""
LAST: Final = 500
"""Records at the end of a partition among which the newest change of ours is looked for: markers of transactions and
records of other systems lie between them [ours]."""
FOR_GOOD: Final = (
    ClusterAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedVersionError,
)
"""What will not pass by waiting; all else that the client raises may, whatever it says of itself."""


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
        self._producer: AIOKafkaProducer | None = None
        self._held_at = -RENEW_S
        self._holding = threading.Lock()
        self._is_leaving = False
        self._file = 0
        self._partitions: int | None = None
        """Of how many the registry's topic is, as this publisher noted it."""
        self._sent: int | None = None
        """Up to which number rows may be sent, as this publisher left it; None before it has looked at the topic."""
        self.why_not_ready: str | None = "it has not begun"
        self.remark: str | None = None

    async def run(self) -> None:
        """Publish until cancelled. While Kafka or the database is away everything waits in the outbox. Raises what will
        not pass: KafkaError, as for a missing right, and NotPreparedError."""
        try:
            while True:
                try:
                    sent = await self._turn()
                    self.why_not_ready = None
                except (*FOR_GOOD, NotPreparedError):
                    raise
                except (KafkaError, DatabaseError) as error:
                    await self._stand_back(f"nothing is published: {error!r}" if not str(error) else f"{error}")
                    sent = 0
                    await asyncio.sleep(AGAIN_S)
                if not sent:
                    await asyncio.sleep(LOOK_S)
        finally:
            await self._drop_producer()
            with suppress(DatabaseError):
                await asyncio.to_thread(self._let_go)

    async def _stand_back(self, why: str) -> None:
        """Begin from the lease on: what this publisher knows may no longer be so."""
        log.warning("%s", why)
        self.why_not_ready = why
        self._forget()
        await self._drop_producer()

    def _forget(self) -> None:
        """Take the lease, and look at the topic, before anything else is sent."""
        self._held_at, self._sent, self._partitions = -RENEW_S, None, None

    async def _turn(self) -> int:
        """Publish what is next. How many records were sent."""
        is_mine = await asyncio.to_thread(self._hold)
        self.remark = None if is_mine else "another publisher is at work"
        if not is_mine:
            self._sent = None
            await self._drop_producer()
            return 0
        if self._producer is None:
            self._producer = await self._started()
        if self._sent is None:
            await self._look_at_topics()
            return 0
        count = len(await self._producer.partitions_for(REGISTRY.name))
        if count != self._partitions and not await asyncio.to_thread(self._note_partitions, count):
            await self._stand_back(TAKEN_OVER)
            return 0
        rows = await asyncio.to_thread(self._next)
        if not rows:
            return 0
        try:
            async with whole(self._producer, self._settings.fencing, TAKEN_OVER):
                sends = [
                    await self._producer.send(one.topic, one.value, one.key, partition, headers=one.change.to_headers())
                    for one in rows
                    for partition in await _where(one, self._producer)
                ]
                await asyncio.gather(*sends)
        except OperatorError as error:
            await self._stand_back(str(error))
            return 0
        if not await asyncio.to_thread(self._note, rows[-1].change.number):
            await self._stand_back(TAKEN_OVER)
        return len(rows)

    async def _started(self) -> AIOKafkaProducer:
        fencing = self._settings.fencing
        producer = clients.producer(
            self._settings,
            acks="all",
            enable_idempotence=fencing,
            transactional_id=f"{self._settings.group}-registry" if fencing else None,
            linger_ms=5,
            metadata_max_age_ms=METADATA_MS,
        )
        try:
            await producer.start()
        except BaseException:
            await closed(producer.stop())
            raise
        return producer

    async def _drop_producer(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await closed(producer.stop())

    def _hold(self) -> bool:
        with self._holding:
            if self._is_leaving:
                return False
            self._look_at_file()
            if time.monotonic() - self._held_at < RENEW_S:
                return True
            with writing(self._engine) as session:
                if not take_lease(session, self._holder):
                    return False
            self._held_at = time.monotonic()
            return True

    def _look_at_file(self) -> None:
        """A file that was put in the place of the database's is another database."""
        if self._engine.dialect.name == "sqlite" and self._engine.url.database:
            with suppress(OSError):
                file = Path(self._engine.url.database).stat().st_ino
                if file != self._file:
                    self._engine.dispose()
                    self._file = file
                    self._forget()

    def _next(self) -> Sequence[ToPublish]:
        """What is to be sent next, noted as sent; nothing where the database says otherwise than this publisher."""
        with reading(self._engine) as session:
            self._set_gauge(backlog(session))
            rows = next_rows(session)
            is_as_it_was = publication(session).number == self._sent
        if not is_as_it_was:
            self._forget()
            return []
        last = rows[-1].change.number if rows else 0
        if last > (self._sent or 0):
            with writing(self._engine) as session:
                if not note_sent(session, self._holder, last):
                    self._forget()
                    return []
            self._sent = last
        return rows

    def _note_partitions(self, count: int) -> bool:
        with writing(self._engine) as session:
            if not note_partitions(session, self._holder, count):
                return False
        self._partitions = count
        return True

    def _note(self, number: int) -> bool:
        with writing(self._engine) as session:
            return note_published(session, self._holder, number)

    def _let_go(self) -> None:
        with self._holding:
            self._is_leaving = True
            with writing(self._engine) as session:
                let_lease_go(session, self._holder)

    async def _look_at_topics(self) -> None:
        """Begin another epoch where the topics have changes that this database cannot have sent: it was restored, or is
        a new one after another. Likewise where the registry's topic was made anew and knows nothing of the devices."""
        partitions = await _partitions(self._settings)
        async with reader(self._settings, "read_committed") as consumer:
            newest = {topic: await _newest(consumer, of_topic, LAST) for topic, of_topic in partitions.items()}
            with reading(self._engine) as session:
                mine, waiting = publication(session), unpublished_acts(session)
                is_known = is_told_of(session)
            if is_known and not newest[REGISTRY.name].number:
                # Another system may have written more than that after ours.
                newest[REGISTRY.name] = await _newest(consumer, partitions[REGISTRY.name])
            is_forgotten = is_known and not newest[REGISTRY.name].number
            highest = max(newest.values())
            is_another = highest > mine or (highest.number > 0 and not mine.number)
            begins_anew = is_another or is_forgotten
            told = await _devices_told(consumer, partitions[REGISTRY.name]) if begins_anew else set()
            sent = await _sent(consumer, partitions, waiting) if begins_anew else set()
        if begins_anew:
            log.warning(
                "%s: all of it is published again",
                "the registry is not the one of which was told last" if is_another else f"{REGISTRY.name} is empty",
            )
            with writing(self._engine) as session:
                begin_anew(session, max(highest.epoch, mine.epoch) + 1, told, sent, len(partitions[REGISTRY.name]))
        self._sent = mine.number


async def _where(one: ToPublish, producer: AIOKafkaProducer) -> Sequence[int | None]:
    """Into which partitions a record belongs; None is where the client puts its key."""
    # Of other topics the key is what somebody called a device.
    is_everywhere = one.topic == REGISTRY.name and one.key.startswith(EVERYWHERE)
    return sorted(await producer.partitions_for(one.topic)) if is_everywhere else [None]


async def _newest(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], last: int | None = None
) -> ChangeNumber:
    """The newest change of ours on a topic, or among so many of the last records of its partitions."""
    found = ChangeNumber(SOURCE_NAME, 0, 0)
    for tp in partitions:
        begin, end = (await consumer.beginning_offsets([tp]))[tp], await end_of(consumer, tp)
        async for records in batches(consumer, tp, begin if last is None else max(begin, end - last)):
            found = max([found, *(change for _, change in _ours(records))])
    return found


async def _sent(
    consumer: AIOKafkaConsumer, partitions: Mapping[str, Sequence[TopicPartition]], waiting: Sequence[ToPublish]
) -> set[int]:
    """Which of what people ordered and did is on its topic already, by number: its bytes hold who did it and when."""
    by_record = {(one.topic, one.key, one.value): one.change.number for one in waiting}
    sent = set[int]()
    for tp in (tp for topic in {one.topic for one in waiting} for tp in partitions[topic]):
        async for records in batches(consumer, tp):
            found = (by_record.get((tp.topic, one.key, one.value)) for one, _ in _ours(records))
            sent.update(number for number in found if number is not None)
    return sent


async def _devices_told(consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> set[str]:
    """The devices of which the topic says that they are there."""
    told = set[str]()
    for tp in partitions:
        async for records in batches(consumer, tp):
            for record, _ in _ours(records):
                with suppress(ValueError):
                    entry = DeviceEntry.from_json(record.value)
                    (told.discard if entry.removed else told.add)(entry.device_id)
    return told


def _ours(records: Sequence[ConsumerRecord]) -> Iterator[tuple[ConsumerRecord, ChangeNumber]]:
    """What of records is of this source."""
    for record in records:
        with suppress(ValueError):
            change = ChangeNumber.from_headers(record.headers)
            if change.source == SOURCE_NAME:
                yield record, change


async def _partitions(settings: Settings) -> dict[str, list[TopicPartition]]:
    """The partitions of the topics. Raises OperatorError where one is not there."""
    admin = clients.admin(settings)
    try:
        await admin.start()
        described = await admin.describe_topics([topic.name for topic in PUBLISHED])
    finally:
        await admin.close()
    found = {
        one["topic"]: [
            TopicPartition(one["topic"], number) for number in sorted(p["partition"] for p in one["partitions"])
        ]
        for one in described
    }
    for topic in PUBLISHED:
        if not found.get(topic.name):
            raise OperatorError(f"{topic.name} is not there; run `emberline topics`")
    return found
