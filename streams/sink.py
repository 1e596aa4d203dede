"""The sink job: chunks of every topic in, rows in ClickHouse out, each exactly once.

Chunks become blocks as they come and wait, per table, for the next insert. A partition newly taken over is first asked
of ClickHouse: what is stored already is left out, whatever the group's committed offset says. A chunk is finished when
its rows are durable. Each table has a thread of its own, so that a slow one keeps no other waiting.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

import numpy as np
from faust.types import TP

from schemas.reports import Records
from schemas.topics import DEVICE_STATUS, OUTPUTS, TELEMETRY
from sinks.blocks import drop_repeats, merge
from sinks.clickhouse.rows import BLOCKS
from sinks.contract import Block, Place, Sink, SinkError
from streams.errors import OperatorError
from streams.ledger import Ledger
from streams.settings import Settings
from streams.topics import topic_ids
from streams.transport import Chunk
from streams.worker import WorkerApp

log = logging.getLogger("emberline.sink")

_PLACED: Final = {topic.name for topic in OUTPUTS} - {DEVICE_STATUS.name}
"""Topics whose events come in rising places, so that a repeat is known. A device that falls silent has no record to
take its place from: a repeated status is recognised by its content instead (see the view `device_status_now`)."""


class _Waiting(NamedTuple):
    chunk: Chunk
    block: Block


@dataclass(slots=True)
class _Progress:
    """How far one partition is stored, for as long as this worker holds it."""

    ledger: Ledger
    position: int
    place: Place | None


@dataclass(slots=True)
class _Table:
    """What waits to be inserted into one table. `wanted` wakes its writer, `room` those who bring more."""

    threads: ThreadPoolExecutor
    waiting: list[_Waiting] = field(default_factory=list)
    rows: int = 0
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)


class SinkJob:
    """See the module. `make_sink` is called once the worker starts."""

    topics: Sequence[str] = (TELEMETRY.name, *(topic.name for topic in OUTPUTS))

    def __init__(self, settings: Settings, make_sink: Callable[[], Sink]) -> None:
        self._settings = settings
        self._make_sink = make_sink
        self._progress: dict[TP, _Progress] = {}
        self._tables: dict[str, _Table] = {}

    async def start(self, app: WorkerApp) -> None:
        """Connect, and learn which incarnation of the topics this is."""
        self._app = app
        self._topic_ids = await topic_ids(self._settings.kafka, self.topics)
        self._sink = await asyncio.to_thread(self._make_sink)
        for topic in self.topics:
            table = self._tables[topic] = _Table(ThreadPoolExecutor(1, thread_name_prefix=topic))
            app.spawn(self._write_table(topic, table))

    async def handle(self, chunk: Chunk) -> None:
        """Turn a chunk into rows that wait for the next insert. Waits itself while too many do."""
        table = self._tables[chunk.tp.topic]
        progress = await self._progress_of(chunk, table)
        records = _after(chunk.records, progress.position)
        if not len(records.offsets):
            chunk.finish()
            return
        block = self._block(records, self._topic_ids[chunk.tp.topic], progress)
        progress.position = chunk.range.last
        table.waiting.append(_Waiting(chunk, block))
        table.rows += block.rows
        table.wanted.set()
        while table.rows > 2 * self._settings.insert_rows:
            table.room.clear()
            await table.room.wait()

    async def release(self, revoked: set[TP]) -> None:
        """Forget what waits: whoever has the partitions next asks ClickHouse. A running insert is waited for."""
        for table in self._tables.values():
            table.waiting.clear()
            table.rows = 0
            table.room.set()
            async with table.writing:
                pass
        self._progress.clear()

    async def stop(self) -> None:
        """Insert what waits, then let go."""
        for topic, table in self._tables.items():
            await self._insert(topic, table)
            table.threads.shutdown(wait=False)
        self._sink.close()

    async def _progress_of(self, chunk: Chunk, table: _Table) -> _Progress:
        progress = self._progress.get(chunk.tp)
        if progress is not None and progress.ledger is chunk.ledger:
            return progress
        topic, number = chunk.tp
        incarnation = self._topic_ids[topic]
        position = await self._ask(table, self._sink.position, topic, incarnation, number)
        place = None
        if topic in _PLACED:
            place = await self._ask(table, self._sink.source_position, topic, incarnation, number)
        progress = self._progress[chunk.tp] = _Progress(chunk.ledger, -1 if position is None else position, place)
        return progress

    def _block(self, records: Records, topic_id: UUID, progress: _Progress) -> Block:
        block = BLOCKS[records.topic](records, topic_id)
        for offset, reason in block.malformed:
            self._app.metrics.add("emberline_malformed_events_total", topic=records.topic)
            log.warning("%s-%d offset %d is no event of ours: %s", records.topic, records.partition, offset, reason)
        if records.topic not in _PLACED:
            return block
        kept, progress.place = drop_repeats(block, progress.place)
        if repeats := block.rows - kept.rows:
            self._app.metrics.add("emberline_repeated_rows_total", repeats, table=block.table)
        return kept

    async def _write_table(self, topic: str, table: _Table) -> None:
        """Insert as soon as enough waits, or at the latest after the interval."""
        interval = self._settings.insert_interval_s
        while True:
            await table.wanted.wait()
            await self._wait_for_rows(table, interval)
            table.wanted.clear()
            await self._insert(topic, table)

    async def _wait_for_rows(self, table: _Table, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while table.rows < self._settings.insert_rows and (left := deadline - time.monotonic()) > 0:
            table.wanted.clear()
            try:
                await asyncio.wait_for(table.wanted.wait(), left)
            except TimeoutError:
                return

    async def _insert(self, topic: str, table: _Table) -> None:
        async with table.writing:
            waiting, table.waiting, table.rows = table.waiting, [], 0
            table.room.set()
            blocks = [block for _, block in waiting if block.rows]
            if blocks:
                block = merge(blocks)
                began = time.perf_counter()
                await self._ask(table, self._sink.write, block)
                self._app.metrics.observe("emberline_insert_seconds", time.perf_counter() - began, table=block.table)
                self._app.metrics.add("emberline_inserted_rows_total", block.rows, table=block.table)
            for chunk, _ in waiting:
                chunk.finish()
            if waiting:
                self._app.progressed()

    async def _ask(self, table: _Table, call: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(table.threads, call, *arguments)
        except SinkError as error:
            raise OperatorError(str(error)) from error


def _after(records: Records, position: int) -> Records:
    """The records after an offset."""
    first = int(np.searchsorted(records.offsets, position, side="right"))
    if first == 0:
        return records
    return records._replace(
        offsets=records.offsets[first:],
        timestamps=records.timestamps[first:],
        keys=records.keys[first:],
        values=records.values[first:],
        headers=records.headers[first:],
    )
