"""The sink job over a real ClickHouse: whom it asks for the stored offsets of which partitions, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterator
from typing import Any, cast
from uuid import UUID

import numpy as np
import pytest
from faust.types import TP

from common.metrics import Metrics
from common.settings import Settings
from schemas.topics import ALARM_ACTIONS, DEVICE_STATUS, REGISTRY, TELEMETRY
from sinks.clickhouse.config import Config
from sinks.clickhouse.writer import ClickHouseSink
from streams.ledger import Ledger
from streams.sink import INSERT_BYTES, WAITING_BYTES, SinkJob
from streams.transport import Chunk
from streams.worker import WorkerApp
from tests.sinks.samples import TOPIC_ID, action, actions, entries, entry, report, telemetry
from tests.support.platform import Ask

REPORT = report(temperature_c=[20.0])


class Asked(ClickHouseSink):
    """Remembers what it was asked for."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.asked: list[list[int]] = []

    def stored_offsets(self, topic: str, topic_id: UUID, partitions: Collection[int]) -> dict[int, int]:
        self.asked.append(sorted(partitions))
        return super().stored_offsets(topic, topic_id, partitions)


class BareWorker:
    """As much of a worker as the job needs, without Kafka."""

    def __init__(self) -> None:
        self.topic_ids = dict.fromkeys(SinkJob.topics, TOPIC_ID)
        self.metrics = Metrics()
        self.crashed = False
        self.inserted = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    def holds(self, chunk: Chunk) -> bool:
        return True

    def check_not_paused(self) -> None:
        pass

    def progressed(self, *tps: TP) -> None:
        self.inserted.set()


@pytest.fixture
def sink(config: Config) -> Iterator[Asked]:
    sink = Asked(config)
    yield sink
    sink.close()


def chunk(ledger: Ledger, partition: int, first: int, beyond: int) -> Chunk:
    records = telemetry(*[REPORT] * (beyond - first), first=first, partition=partition)
    return Chunk(TP(TELEMETRY.name, partition), records, ledger.begin(first, beyond - 1), ledger)


def test_all_partitions_newly_taken_over_are_asked_for_at_once_and_no_other(sink: Asked, query: Ask) -> None:
    async def insert(job: SinkJob, worker: BareWorker, *chunks: Chunk) -> None:
        worker.inserted.clear()
        for one in chunks:
            job.handle(one)
        await asyncio.wait_for(worker.inserted.wait(), 20)
        assert not any(one.ledger.in_flight for one in chunks)

    async def run() -> None:
        worker = BareWorker()
        job = SinkJob(Settings(insert_interval_s=0.2), lambda: sink)
        await job.start(cast(WorkerApp, worker))
        one, two, three = Ledger(), Ledger(), Ledger()
        await insert(job, worker, chunk(one, 1, 0, 3), chunk(two, 2, 0, 3))
        await insert(job, worker, chunk(one, 1, 3, 5), chunk(three, 3, 0, 1))
        # Assigned anew, and from the beginning: what is stored is left out.
        one = Ledger()
        await insert(job, worker, chunk(one, 1, 0, 6), chunk(two, 2, 3, 4))
        await job.release(set())
        await insert(job, worker, chunk(one, 1, 6, 7), chunk(two, 2, 4, 5), chunk(three, 3, 1, 2))
        for task in worker.tasks:
            task.cancel()
        await job.stop()

    asyncio.run(run())
    assert sink.asked == [[1, 2], [3], [1], [1, 2, 3]]
    stored = query("SELECT partition, count(), max(offset) FROM telemetry GROUP BY partition ORDER BY 1")
    assert stored == [(1, 7, 6), (2, 5, 4), (3, 2, 1)]


def test_what_the_registry_and_people_tell_is_stored_once_by_offset(sink: Asked, query: Ask) -> None:
    """The registry's topic is compacted, so it has gaps; and its publisher may send a change again."""
    told = {
        REGISTRY.name: entries((entry(), 1), (entry(unit_id="U-2"), 2), (entry(), 1), partition=1),
        ALARM_ACTIONS.name: actions(*[(action("comment", why="一"), n) for n in (1, 2, 1)], partition=1),
    }

    async def run() -> None:
        worker = BareWorker()
        job = SinkJob(Settings(insert_interval_s=0.2), lambda: sink)
        await job.start(cast(WorkerApp, worker))
        for _ in range(2):
            for topic, records in told.items():
                ledger = Ledger()
                worker.inserted.clear()
                gaps = records._replace(offsets=np.array([100, 105, 109]))
                job.handle(Chunk(TP(topic, 1), gaps, ledger.begin(100, 109), ledger))
                await asyncio.wait_for(worker.inserted.wait(), 20)
                assert not ledger.in_flight
            await job.release(set())
        for task in worker.tasks:
            task.cancel()
        await job.stop()

    asyncio.run(run())
    for table in ("registry_history", "alarm_actions"):
        assert query(f"SELECT offset, number FROM {table} ORDER BY 1") == [(100, 1), (105, 2), (109, 1)]  # noqa: S608
    assert query("SELECT unit_id FROM devices") == [("U-2",)]


def test_what_waits_and_what_is_inserted_at_once_is_bounded_in_bytes(sink: Asked, query: Ask) -> None:
    large = REPORT | {"note": "x" * 1_000_000}
    inserts: list[int] = []

    async def run() -> None:
        worker = BareWorker()
        job = SinkJob(Settings(insert_interval_s=0.05), lambda: sink)
        await job.start(cast(WorkerApp, worker))
        ledger, tp = Ledger(), TP(TELEMETRY.name, 1)
        given = 0
        while job.wants(tp):
            records = telemetry(*[large] * 4, first=4 * given, partition=1)
            job.handle(Chunk(tp, records, ledger.begin(4 * given, 4 * given + 3), ledger))
            given += 1
        assert WAITING_BYTES <= 4_000_000 * given < WAITING_BYTES + 5_000_000
        assert job.wants(TP(DEVICE_STATUS.name, 1))
        while ledger.in_flight:
            before = ledger.in_flight
            worker.inserted.clear()
            await asyncio.wait_for(worker.inserted.wait(), 20)
            inserts.append(before - ledger.in_flight)
        assert job.wants(tp)
        for task in worker.tasks:
            task.cancel()
        await job.stop()

    asyncio.run(run())
    assert len(inserts) >= 2
    assert max(inserts) * 4_000_000 <= INSERT_BYTES
    assert query("SELECT count(), uniqExact(offset) FROM telemetry")[0] == (4 * sum(inserts), 4 * sum(inserts))
