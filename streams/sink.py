"""The sink job: chunks of every topic in, rows in ClickHouse out, each exactly once.

Chunks wait as they came, in a queue for each table, until the next insert: rows are cheapest made many at a time, and
nobody here waits for milliseconds. When a partition is taken over, ClickHouse is first asked how far it is stored. What
is stored already is left out, and what ClickHouse has lost is fetched again, whatever the group has committed. A chunk
is finished when its rows are durable. Each table has a thread of its own, so that a slow one keeps no other waiting.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np
from faust.types import TP

from common.errors import OperatorError
from common.seldom import Seldom
from common.settings import Settings
from schemas.absences import Absences
from schemas.positions import Position
from schemas.records import Records
from schemas.topics import ALARM_ACTIONS, NOTICES, OUTPUTS, REGISTRY, TELEMETRY
from sinks.blocks import drop_repeats, merge
from sinks.clickhouse.rows import BLOCKS, telemetry_block
from sinks.contract import Block, Malformed, Sink, SinkError
from streams.ledger import Ledger
from streams.transport import Chunk, Fetch, tell_removed
from streams.watching.strangers import Strangers
from streams.worker import WorkerApp

log = logging.getLogger("emberline.sink")

STORED: Final = (TELEMETRY, *OUTPUTS, REGISTRY, ALARM_ACTIONS, NOTICES)
"""Topics whose records become rows."""
_WITH_POSITIONS: Final = {topic.name for topic in OUTPUTS}
"""Topics whose events come at rising positions, so that a repeat is known."""
WAITING_BYTES: Final = 32 * 1_048_576
"""Once so much waits for a table, no more is fetched for it [ours]: an insert in hand and the next one."""
INSERT_BYTES: Final = 16 * 1_048_576
"""So much, or one chunk, is inserted at once [ours]: 50,000 common reports, some 100 MB while rows are made of them."""


@dataclass(slots=True)
class _StoredSoFar:
    """How far one partition is stored, for as long as this worker holds it."""

    ledger: Ledger | None  # that of the first chunk, once it has come
    offset: int
    position: Position | None


@dataclass(slots=True)
class _InsertQueue:
    """What waits to be inserted into one table. `wanted` wakes its writer."""

    topic: str
    topic_id: UUID
    threads: ThreadPoolExecutor
    waiting: deque[Chunk] = field(default_factory=deque)
    records: int = 0
    size: int = 0
    progress: dict[int, _StoredSoFar] = field(default_factory=dict)
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def put(self, chunk: Chunk) -> None:
        """Let a chunk wait."""
        self.waiting.append(chunk)
        self.records += len(chunk.records.offsets)
        self.size += chunk.size
        self.wanted.set()

    def take(self) -> list[Chunk]:
        """The chunks for one insert."""
        taken: list[Chunk] = []
        size = 0
        while self.waiting and (not taken or size + self.waiting[0].size <= INSERT_BYTES):
            chunk = self.waiting.popleft()
            taken.append(chunk)
            size += chunk.size
            self.records -= len(chunk.records.offsets)
        self.size -= size
        return taken

    def clear(self) -> None:
        """Forget what waits."""
        self.waiting.clear()
        self.records = self.size = 0


class _Inserted(NamedTuple):
    """What an insert came to."""

    table: str
    rows: int
    repeats: int
    malformed: Sequence[Malformed]


class SinkJob:
    """See the module. `make_sink` is called once the worker starts."""

    topics: Sequence[str] = tuple(topic.name for topic in STORED)
    relies_on: Sequence[str] = ()
    # An insert waits for longer than that; fewer and fuller fetches spare the broker.
    fetch = Fetch(wait_ms=250, bytes_least=65_536)
    # Where a machine has more work than time, alarms come first and rows later (domain.md, rule 4).
    niceness = 10

    def __init__(self, settings: Settings, make_sink: Callable[[], Sink], absences: Absences | None = None) -> None:
        self._settings = settings
        self._blocks: dict[str, Callable[[Records, UUID], Block]] = {
            **BLOCKS,
            TELEMETRY.name: partial(telemetry_block, absences=absences),
        }
        self._make_sink = make_sink
        self.finishes_every_s = settings.insert_interval_s
        self._queues: dict[str, _InsertQueue] = {}
        self._asked: Mapping[TP, int] = {}
        """Partitions of which it is not known yet how far they are stored."""
        self._malformed = Seldom(log)

    async def start(self, app: WorkerApp) -> None:
        """Connect."""
        self._app = app
        self._sink = await asyncio.to_thread(self._make_sink)
        self._strangers = Strangers(app, self._settings)
        for topic in self.topics:
            threads = ThreadPoolExecutor(1, thread_name_prefix=topic)
            queue = self._queues[topic] = _InsertQueue(topic, app.topic_ids[topic], threads)
            app.spawn(self._empty_queue(queue))

    remark: str | None = None

    def begin(self, offsets: Mapping[TP, int]) -> None:
        """Ask ClickHouse how far it is before anything is fetched."""
        self._asked = offsets
        self._app.spawn(self._ask(offsets))

    def wants(self, tp: TP) -> bool:
        """Whether little enough waits for the partition's table, and it is known how far that is."""
        if tp in self._asked:
            return False
        queue = self._queues[tp.topic]
        return queue.size < WAITING_BYTES and queue.records <= 2 * self._settings.insert_rows

    def handle(self, chunk: Chunk) -> None:
        """Let a chunk wait for the next insert."""
        self._queues[chunk.tp.topic].put(chunk)

    async def release(self, revoked: set[TP]) -> None:
        """Forget what waits: whoever has the partitions next asks ClickHouse. A running insert is waited for."""
        self._asked = {}
        for queue in self._queues.values():
            queue.clear()
            async with queue.writing:
                queue.progress.clear()

    async def stop(self) -> None:
        """Insert what waits, then let go. If that takes too long this is cancelled, and what still waits gives up."""
        try:
            for queue in self._queues.values():
                while queue.waiting:
                    await self._insert(queue)
        finally:
            for queue in self._queues.values():
                queue.threads.shutdown(wait=False)
            # The interpreter does not end before the threads have.
            self._sink.close()
            await self._strangers.stop()

    async def _ask(self, offsets: Mapping[TP, int]) -> None:
        """Go back where ClickHouse holds less than was committed: it was restored from a backup, or is a new one.

        The highest offset stored is asked, not whether rows are missing, so it is gone back as well over records that
        gave no row (bad ones, repeats): they give none again. Retention (`retention_days`) takes the oldest rows, and
        offsets rise with arrival; so it leaves the highest as it is, until it takes the partition's last row. Then
        nothing tells a partition whose rows have expired from one whose rows were lost, and what Kafka still has of it
        is stored again: rows that have expired expire again, none is there twice.
        """
        for queue in self._queues.values():
            wanted = {tp: offset for tp, offset in offsets.items() if tp.topic == queue.topic}
            ledgers: dict[int, Ledger | None] = dict.fromkeys(tp.partition for tp in wanted)
            try:
                loop = asyncio.get_running_loop()
                found = await loop.run_in_executor(queue.threads, self._found, queue, ledgers)
            except SinkError as error:
                if self._app.should_stop:
                    return  # it was hung up on to leave
                raise OperatorError(str(error)) from error
            for tp, offset in wanted.items():
                if self._asked is not offsets:
                    return  # the group has changed meanwhile, and asks anew
                if (stored := found[tp.partition].offset + 1) < offset:
                    self._tell(tp, stored, offset, await self._app.consumer.go_back(tp, stored))
            if self._asked is not offsets:
                return
            queue.progress.update(found)
            self._asked = offsets = {tp: offset for tp, offset in offsets.items() if tp not in wanted}

    def _tell(self, tp: TP, stored: int, committed: int, begin: int) -> None:
        log.info("%s %d: committed up to %d, ClickHouse holds rows up to %d: going back", *tp, committed, stored)
        if begin > stored:
            log.error(
                "%s %d: of offsets %d to %d ClickHouse has no rows and Kafka has no records: their rows have expired "
                "or are lost, or there were none (as of orders)",
                *tp,
                stored,
                min(begin, committed) - 1,
            )
        if begin > committed:
            tell_removed(tp, committed, begin)

    async def _empty_queue(self, queue: _InsertQueue) -> None:
        """Insert as soon as enough waits, or at the latest after the interval."""
        while True:
            await queue.wanted.wait()
            await self._wait_for_more(queue)
            queue.wanted.clear()
            await self._insert(queue)
            if queue.waiting:
                queue.wanted.set()

    async def _wait_for_more(self, queue: _InsertQueue) -> None:
        deadline = time.monotonic() + self._settings.insert_interval_s
        while not self._is_enough(queue) and (left := deadline - time.monotonic()) > 0:
            queue.wanted.clear()
            try:
                await asyncio.wait_for(queue.wanted.wait(), left)
            except TimeoutError:
                return

    def _is_enough(self, queue: _InsertQueue) -> bool:
        return queue.records >= self._settings.insert_rows or queue.size >= INSERT_BYTES

    async def _insert(self, queue: _InsertQueue) -> None:
        async with queue.writing:
            waiting = [chunk for chunk in queue.take() if self._app.holds(chunk)]
            if not waiting or self._app.crashed:
                # After an insert that failed a later one would make its gap look stored.
                return
            began = time.perf_counter()
            try:
                loop = asyncio.get_running_loop()
                written = await loop.run_in_executor(queue.threads, self._write, queue, waiting)
            except SinkError as error:
                raise OperatorError(str(error)) from error
            for chunk in waiting:
                chunk.finish()
                self._app.metrics.add("emberline_records_total", len(chunk.records.offsets), topic=queue.topic)
            self._app.progressed(*{chunk.tp for chunk in waiting})
            self._note(queue, written, time.perf_counter() - began)

    def _write(self, queue: _InsertQueue, waiting: Sequence[Chunk]) -> _Inserted:
        """In the table's thread: make rows of the chunks, leave out what is stored already, store the rest."""
        blocks = []
        repeats = 0
        parts = _by_partition(waiting)
        self._look_up(queue, (chunks[-1] for chunks in parts))
        for chunks in parts:
            progress = queue.progress[chunks[-1].tp.partition]
            block = self._blocks[queue.topic](
                _after(Records.joined([chunk.records for chunk in chunks]), progress.offset), queue.topic_id
            )
            progress.offset = chunks[-1].range.last
            kept = block
            if queue.topic in _WITH_POSITIONS:
                block = self._strangers.without(block, chunks[-1].tp.partition)
                kept, progress.position = drop_repeats(block, progress.position)
            repeats += block.rows - kept.rows
            blocks.append(kept)
        merged = merge(blocks)
        if merged.rows:
            self._app.check_not_paused()
            self._sink.write(merged)
        return _Inserted(merged.table, merged.rows, repeats, merged.malformed)

    def _look_up(self, queue: _InsertQueue, newest: Iterable[Chunk]) -> None:
        """Ask how far the partitions that were newly taken over are stored."""
        ledgers = {chunk.tp.partition: chunk.ledger for chunk in newest if not _known(queue, chunk)}
        queue.progress.update(self._found(queue, ledgers))

    def _found(self, queue: _InsertQueue, ledgers: Mapping[int, Ledger | None]) -> dict[int, _StoredSoFar]:
        """In the table's thread: take partitions over, and find how far they are stored."""
        if not ledgers:
            return {}
        self._app.check_not_paused()  # who slept through a takeover would take everything back, only to end
        offsets = self._sink.stored_offsets(queue.topic, queue.topic_id, ledgers)
        positions = (
            self._sink.stored_positions(queue.topic, queue.topic_id, ledgers) if queue.topic in _WITH_POSITIONS else {}
        )
        return {
            number: _StoredSoFar(ledger, offsets.get(number, -1), positions.get(number))
            for number, ledger in ledgers.items()
        }

    def _note(self, queue: _InsertQueue, written: _Inserted, seconds: float) -> None:
        metrics = self._app.metrics
        metrics.observe("emberline_insert_seconds", seconds, table=written.table)
        metrics.add("emberline_inserted_rows_total", written.rows, table=written.table)
        metrics.add("emberline_repeated_rows_total", written.repeats, table=written.table)
        if count := len(written.malformed):
            metrics.add("emberline_malformed_events_total", count, topic=queue.topic)
            offset, reason = written.malformed[-1]
            self._malformed.warn(f"{queue.topic} offset {offset} is no event of ours: {reason}", count)


def _known(queue: _InsertQueue, chunk: Chunk) -> bool:
    progress = queue.progress.get(chunk.tp.partition)
    if progress is not None and progress.ledger is None:
        progress.ledger = chunk.ledger
    return progress is not None and progress.ledger is chunk.ledger


def _by_partition(chunks: Sequence[Chunk]) -> Collection[Sequence[Chunk]]:
    """The chunks of each partition, in order. Those of an earlier assignment have been released and finish nothing."""
    found: dict[TP, list[Chunk]] = {}
    for chunk in chunks:
        found.setdefault(chunk.tp, []).append(chunk)
    return found.values()


def _after(records: Records, offset: int) -> Records:
    """The records after an offset."""
    first = int(np.searchsorted(records.offsets, offset, side="right"))
    return records.between(first, len(records.offsets)) if first else records
