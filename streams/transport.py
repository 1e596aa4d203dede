"""A Faust transport whose consumer hands over fetched records as chunks: one event per partition and fetch.

Faust finds it by its entry point for the scheme `chunked://`. It keeps Faust's groups, rebalances, flow control and
commit timer. It replaces four things: what an event holds (a `Chunk`), which offset may be committed (the `Ledger` says
it, no acknowledgement of an event), how long a fetch may wait, and of which partitions it is (those that are wanted).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final, NamedTuple, Protocol

import numpy as np
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.consumer import RecordMap
from faust.transport.drivers import aiokafka as stock
from faust.types import TP, ConsumerMessage, Message
from mode.utils.futures import notify

from common.closing import closed
from common.errors import OperatorError
from schemas.records import Records
from schemas.report_rules import EARLIEST_ARRIVAL_TS
from streams.ledger import Ledger, Range
from streams.unpacking import Unpacked, size_of_headers

log = logging.getLogger("emberline")

LATEST_TS: Final = 4_102_444_800_000
"""2100-01-01 UTC. What a producer says of a record's time is taken for this where it is later; by our own settings the
broker says it."""
RECORD_BYTES: Final = 200
"""Memory that a record takes beside its bytes [measured]."""
LOOK_AGAIN_S: Final = 0.05
"""While some partitions have enough waiting, a fetch of the others waits no longer than this: then it is asked anew
which are wanted."""


@dataclass(frozen=True)
class Chunk:
    """Records that were fetched of one partition, and the entry in the ledger to finish when they are done with."""

    tp: TP
    records: Records
    range: Range
    ledger: Ledger

    @cached_property
    def size(self) -> int:
        """About the memory that it takes, in bytes."""
        records = self.records
        held = sum(map(len, filter(None, records.values))) + sum(map(len, filter(None, records.keys)))
        return held + sum(map(size_of_headers, filter(None, records.headers))) + RECORD_BYTES * len(records.offsets)

    def finish(self) -> None:
        """Let the partition be committed past this chunk, once all before it are finished too."""
        self.ledger.finish(self.range)


def to_records(tp: TP, fetched: Sequence[ConsumerRecord]) -> Records:
    """The fetched records as columns."""
    size = len(fetched)
    timestamps = np.fromiter((record.timestamp for record in fetched), np.int64, size)
    records = Records(
        topic=tp.topic,
        partition=tp.partition,
        offsets=np.fromiter((record.offset for record in fetched), np.int64, size),
        timestamps=timestamps.clip(EARLIEST_ARRIVAL_TS, LATEST_TS),
        keys=[record.key for record in fetched],
        values=[record.value for record in fetched],
        headers=[record.headers for record in fetched],
    )
    unpacked = {number: record for number, record in enumerate(fetched) if type(record) is Unpacked}
    if not unpacked:
        return records
    sent_bytes = records.bytes_sent()
    sent_bytes[list(unpacked)] = [record.sent_bytes for record in unpacked.values()]
    faults = {number: record.fault for number, record in unpacked.items() if record.fault is not None}
    return records._replace(sent_bytes=sent_bytes, faults=faults)


def tell_removed(tp: TP, begin: int, end: int) -> None:
    """Say that records from `begin` up to before `end` are gone, which nobody here has read."""
    log.error("%s %d: records %d to %d were removed before they were read", *tp, begin, end - 1)


class Fetch(NamedTuple):
    """How chunks are fetched: the broker answers once it has `bytes_least`, or after `wait_ms`."""

    wait_ms: int
    bytes_least: int


class Holder(Protocol):
    """Who works on chunks. `release` is called while a partition is being taken away, before its last commit."""

    fetch: Fetch

    def begin(self, offsets: Mapping[TP, int]) -> None:
        """These partitions are fetched from these offsets next; nothing of them is before `wants` says so."""

    def wants(self, tp: TP) -> bool:
        """Whether more of the partition may come: of each only so many bytes wait."""

    async def release(self, revoked: set[TP]) -> None:
        """Forget the partitions' state; nothing of theirs may be written from here on."""


class _ConsumerThread(stock.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust has no settings for these, and the client reads them when it starts, after this.
        consumer._fetch_max_wait_ms, consumer._fetch_min_bytes = self.consumer.app.holder.fetch
        return consumer

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit as Faust does; with each offset goes the incarnation of the topic that it is one of."""
        ids, held = self.consumer.app.topic_ids, self.assignment()
        told = {
            TopicPartition(*tp): OffsetAndMetadata(offset, ids[tp.topic].hex)
            for tp, offset in offsets.items()
            if tp in held
        }
        # By these Faust tells when it complains that nothing was committed for long.
        self.tp_last_committed_at.update(dict.fromkeys(offsets, time.monotonic()))
        try:
            await self._ensure_consumer().commit(told)
        except CommitFailedError:
            # Others have the partitions by now, and begin at the commit before.
            return False
        except Exception as error:
            await self.crash(error)
            return False
        return True

    async def committed_elsewhere(self, tps: Iterable[TP]) -> set[TP]:
        """Those whose committed offset is one of another incarnation of the topic. Other people's tools name none."""
        ids = self.consumer.app.topic_ids
        coordinator = self._ensure_consumer()._coordinator
        found = await self.call_thread(coordinator.fetch_committed_offsets, [TopicPartition(*tp) for tp in tps])
        return {TP(*tp) for tp, one in found.items() if one.metadata not in ("", ids[tp.topic].hex)}

    def check_group(self) -> None:
        """Raise what keeps the client out of its group, such as a missing right.

        Faust never asks for it, and the client does nothing more until somebody has. Looked at from another thread, for
        this one's queue may wait for brokers.
        """
        coordinator = self._ensure_consumer()._coordinator
        if coordinator is None:  # it is starting
            return
        if (pending := coordinator._pending_exception) is not None:
            raise pending
        if coordinator._coordination_task.done():
            coordinator._coordination_task.result()

    async def on_thread_stop(self) -> None:
        """Leave the group and stop, without waiting long for a fetch that is not answered."""
        await closed(super().on_thread_stop())


class Consumer(stock.Consumer):
    """Yields chunks and commits by ledger."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.ledgers: dict[TP, Ledger] = {}
        self.committed: dict[TP, int] = {}
        self._handed: dict[TP, int] = {}
        self._seeks = 0
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109 - Faust's signature
        """Fetch once and yield one message per partition, whose value is a `Chunk`."""
        begun = self._standing()
        fetched, _ = await self._wait_next_records(timeout)
        if fetched is None or self.should_stop:
            return
        if begun != self._standing():
            # Fetched from where the partitions stood before, or already from where they were put since. Taken on, the
            # first would come ahead of what lies before it; dropped, the second would be missing.
            await self.perform_seek()
            return
        if not self.flow_active:
            # Nothing was sought since, and whoever lets it flow again seeks first: in the next generation, or in the
            # next worker. To seek here would forget what is being finished just now, before its last commit.
            return
        for tp, records in self._chunks(fetched):
            await self._compare_with_committed(tp, records[0].offset)
            if not self.flow_active or begun != self._standing():
                # What is not yielded was not begun in the ledger, and is fetched again after the seek that follows.
                return
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            try:
                message = self._chunk_message(tp, records)
            except ValueError as error:
                await self.app.crash(error)
                return
            yield tp, message
        self._handed = {tp: self._fetched_to(tp) for tp in self.ledgers}

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> RecordMap:  # noqa: ASYNC109
        """Fetch of those partitions only that are wanted; what the others have sent waits at the broker."""
        active = active_partitions or set()
        wanted = {tp for tp in active if self.app.holder.wants(tp) and self.app.kafka.may_be_worked_on(tp)}
        if not wanted:
            await asyncio.sleep(LOOK_AGAIN_S)
            return {}
        return await super()._getmany(wanted, timeout if wanted == active else LOOK_AGAIN_S)

    def _standing(self) -> tuple[int, int]:
        """What must not change from before a fetch until its chunks are begun."""
        return self._seeks, self.app.consumer_generation_id

    async def _compare_with_committed(self, tp: TP, first: int) -> None:
        """Where a partition does not go on at what is committed, say which records are missing."""
        committed = self._read_offset.get(tp)
        if tp in self.ledgers or not committed or first == committed:
            return
        if first < committed:
            await self._check_incarnations()
            return
        # Control records leave a gap too, but not at the beginning of the partition.
        if (await self.earliest_offsets(tp))[tp] == first:
            tell_removed(tp, committed, first)

    def _chunks(self, fetched: RecordMap) -> Iterator[tuple[TP, Sequence[ConsumerRecord]]]:
        for tp, records in fetched.items():
            if records:
                yield TP(tp.topic, tp.partition), records

    def _chunk_message(self, tp: TP, fetched: Sequence[ConsumerRecord]) -> Message:
        # Faust notes every event that an agent lets go of, to commit by. The ledger does that, and nobody else would
        # take the notes away: they were 50 bytes a chunk, for ever.
        self._acked.clear()
        self._acked_index.clear()
        ledger = self.ledgers.setdefault(tp, Ledger())
        first, last = fetched[0].offset, fetched[-1].offset
        chunk = Chunk(tp, to_records(tp, fetched), ledger.begin(first, last), ledger)
        return ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=first,
            timestamp=fetched[0].timestamp / 1000,
            timestamp_type=fetched[0].timestamp_type,
            headers=None,
            key=None,
            value=chunk,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    def check_group(self) -> None:
        """Raise what keeps this worker out of its group."""
        self._thread.check_group()

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit what is finished. After a crash there is no thread any more that could."""
        return not self.crashed and bool(await super().commit(topics, start_new_transaction))

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        if done := bool(await super()._commit(offsets)):
            self.committed.update(offsets)
            self.app.committed(*offsets)
        return done

    def unfinished(self, tp: TP) -> int:
        """Records of a partition that are not finished yet."""
        ledger = self.ledgers.get(tp)
        if ledger is None:
            return 0
        return max(0, (self.highwater(tp) or 0) - (self._new_offset(tp) or ledger.beginning))

    def begins_at(self, tp: TP) -> int:
        """The offset from which this worker went on, as the group has committed it; 0 where it has not."""
        return int(self._committed_offset.get(tp) or 0)

    def uncommitted(self) -> list[TP]:
        """Partitions that are finished further than they are committed."""
        return [tp for tp, one in self.ledgers.items() if (one.committable or 0) > self.committed.get(tp, 0)]

    def all_handed_over(self, tp: TP) -> bool:
        """Whether every record that the partition is known to have has been begun in its ledger."""
        return self._handed.get(tp, 0) >= (self.highwater(tp) or 0)

    def _fetched_to(self, tp: TP) -> int:
        assigned = self._thread._ensure_consumer()._subscription.subscription
        if assigned is None or assigned.assignment is None or tp not in assigned.assignment.tps:
            return 0
        return assigned.assignment.state_value(tp)._position or 0

    async def perform_seek(self) -> None:
        """Go back to what is committed; what was in flight is fetched anew and begun on new ledgers.

        Where nothing is committed yet the client would stay behind what it has fetched, which then nobody works on. An
        offset committed of another incarnation of the topic means nothing in this one.
        """
        self._forget()
        self._seeks += 1
        # A rebalance that takes partitions meanwhile has them begun anew, by another seek.
        with contextlib.suppress(IllegalStateError):
            await super().perform_seek()
            for tp in await self._thread.committed_elsewhere(self.assignment()):
                self._read_offset[tp] = self._committed_offset[tp] = None
            begins = {tp: self._read_offset.get(tp) for tp in self.assignment()}
            if fresh := [tp for tp, offset in begins.items() if offset is None]:
                # By an offset asked for: `seek_to_beginning` waits for a fetch, which may wait for this.
                for tp, offset in (await self.earliest_offsets(*fresh)).items():
                    await self._seek(tp, offset)
                    begins[tp] = offset
            # The group's own offsets are gone with a topic; only now is it known that they were of this one.
            await self._check_incarnations()
            if self.app.crashed:
                return
            self.app.holder.begin({tp: offset or 0 for tp, offset in begins.items()})

    async def _check_incarnations(self) -> None:
        """End the worker where a topic was made anew, before its records are taken for those of the old one."""
        try:
            await self.app.kafka.check_incarnations()
        except KafkaError as error:
            log.warning("whether topics were made anew cannot be asked: %s", error)
        except OperatorError as error:
            await self.app.crash(error)

    async def go_back(self, tp: TP, offset: int) -> int:
        """Fetch and commit from an offset that was passed already, or from the earliest that is kept; return which.

        Nothing of the partition has been fetched since it was sought to: its holder did not want it.
        """
        earliest: int = (await self.earliest_offsets(tp))[tp]
        begin = max(offset, earliest)
        with contextlib.suppress(IllegalStateError):  # others have it by now
            await self._seek(tp, begin)
            self._read_offset[tp] = begin
            await self._thread.commit({tp: begin})
            self._committed_offset[tp] = begin
        return begin

    async def _seek(self, partition: TP, offset: int) -> None:
        """Seek in the client's own thread: beside it, what that was just letting go of was deleted twice."""
        await self._thread.call_thread(self._thread.seek, partition, offset)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Stop the flow, let the holder forget, commit what is finished."""
        await super().on_partitions_revoked(revoked)
        await self.app.holder.release(revoked)
        await self.commit()
        self._forget()

    def _forget(self) -> None:
        self.ledgers.clear()
        self.committed.clear()
        self._handed.clear()

    def ack(self, message: Message) -> bool:
        """The agent has let go of an event. That lets a rebalance go on; it finishes nothing (see `Chunk.finish`)."""
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in self.ledgers if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        """What the ledger allows; with nothing in flight also past markers of transactions, which are no work."""
        ledger = self.ledgers.get(tp)
        if ledger is None or ledger.committable is None or ledger.in_flight:
            return None if ledger is None else ledger.committable
        return max(ledger.committable, self._handed.get(tp, 0))

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing to note: the ledger needs no gaps."""
        await asyncio.sleep(0)


class Transport(stock.Transport):
    """`chunked://host:port`: Kafka by aiokafka, a chunk an event."""

    Consumer: ClassVar[type[Consumer]] = Consumer
