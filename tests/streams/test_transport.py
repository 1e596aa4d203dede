"""The chunk transport under Faust's own groups and commits, against the embedded broker."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.transport import by_url
from faust.types import TP

from common.settings import Settings
from embedded.processes import Running
from streams.transport import Chunk, Fetch, Transport
from streams.worker import WorkerApp
from tests.support.kafka_outside import Kafka, Outside, ProducerRecord
from tests.support.platform import PARTITIONS, quick_settings

_numbers = itertools.count()


class _Keeping:
    """A job that keeps its chunks, and finishes them only when the test does."""

    fetch = Fetch(wait_ms=50, bytes_least=1)
    niceness = 0
    finishes_every_s = 0.0
    relies_on: Sequence[str] = ()
    remark: str | None = None

    def __init__(self, topic: str) -> None:
        self.topics: Sequence[str] = (topic,)
        self.chunks: list[Chunk] = []
        self.unwanted: set[TP] = set()
        self._came = asyncio.Event()

    async def start(self, app: WorkerApp) -> None: ...

    def begin(self, offsets: Mapping[TP, int]) -> None: ...

    def wants(self, tp: TP) -> bool:
        return tp not in self.unwanted

    def handle(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)
        self._came.set()

    async def release(self, revoked: set[TP]) -> None: ...

    async def stop(self) -> None: ...

    async def until(self, seen: Callable[[list[Chunk]], bool]) -> None:
        async with asyncio.timeout(30):
            while not seen(self.chunks):
                self._came.clear()
                await self._came.wait()


@asynccontextmanager
async def _working(settings: Settings, topic: str) -> AsyncIterator[tuple[WorkerApp, _Keeping]]:
    job = _Keeping(topic)
    app = WorkerApp(settings, "test", job)
    await app.start()
    try:
        yield app, job
    finally:
        await app.stop()


def _offsets(chunks: Sequence[Chunk], partition: int) -> list[int]:
    return [offset for chunk in chunks if chunk.tp.partition == partition for offset in chunk.records.offsets.tolist()]


def _records(chunks: Sequence[Chunk]) -> int:
    return sum(len(chunk.records.offsets) for chunk in chunks)


@pytest.fixture
def topic(broker: Running) -> str:
    name = f"test.transport-{next(_numbers)}"

    async def make() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs={"max.message.bytes": "16777216"})])
        finally:
            await admin.close()

    asyncio.run(make())
    return name


@pytest.fixture
def settings(broker: Running) -> Settings:
    return replace(quick_settings(broker.address), group=f"group-{next(_numbers)}")


@pytest.fixture
def outside(broker: Running) -> Iterator[Kafka]:
    with Kafka(broker.address, PARTITIONS) as kafka:
        yield kafka


def _numbered(partition: int, count: int) -> list[ProducerRecord]:
    return [ProducerRecord(partition, b"key %d" % n, b"%d" % n) for n in range(count)]


def test_nothing_is_kept_of_chunks_that_are_done_with(settings: Settings, topic: str, outside: Kafka) -> None:
    async def scenario() -> int:
        async with _working(settings, topic) as (app, job):
            sent: list[ProducerRecord] = []
            for one in _numbered(0, 20):
                sent.append(one)
                await asyncio.to_thread(outside.send, [one], topic)
                await job.until(lambda chunks: _records(chunks) == len(sent))
                job.chunks[-1].finish()
            return sum(map(len, (*app.consumer._acked.values(), *app.consumer._acked_index.values())))

    # The last chunk's own notes may be there.
    assert asyncio.run(scenario()) <= 2


def test_faust_finds_the_transport_by_its_entry_point() -> None:
    assert by_url("chunked://127.0.0.1:9092") is Transport


def test_a_fresh_group_gets_every_record_from_the_beginning_an_event_a_chunk(
    settings: Settings, topic: str, outside: Kafka
) -> None:
    outside.send(_numbered(0, 700) + _numbered(1, 300), topic)

    async def work() -> list[Chunk]:
        async with _working(settings, topic) as (_, job):
            await job.until(lambda chunks: _records(chunks) == 1_000)
            return job.chunks

    chunks = asyncio.run(work())
    assert len(chunks) < 100
    assert _offsets(chunks, 0) == list(range(700))
    assert _offsets(chunks, 1) == list(range(300))
    for chunk in chunks:
        assert (chunk.range.first, chunk.range.last) == (chunk.records.offsets[0], chunk.records.offsets[-1])
        assert (chunk.tp.topic, chunk.records.topic, chunk.records.partition) == (topic, topic, chunk.tp.partition)
        assert chunk.records.values == [b"%d" % offset for offset in chunk.records.offsets.tolist()]
        assert chunk.records.keys == [b"key %d" % offset for offset in chunk.records.offsets.tolist()]


def test_what_is_acknowledged_but_not_finished_is_not_committed_and_a_successor_begins_there(
    settings: Settings, topic: str, broker: Running
) -> None:
    group = f"{settings.group}-test"

    async def work(outside: Outside) -> int:
        await outside.send(_numbered(0, 50), topic)
        async with _working(settings, topic) as (app, job):
            await job.until(lambda chunks: _records(chunks) == 50)
            await outside.send(_numbered(0, 50), topic)
            await job.until(lambda chunks: _records(chunks) == 100)
            # The agent asks for the next event only once it has acknowledged the one before: here all are but the last.
            await app.consumer.commit()
            assert await outside.committed(group, topic) == [0, 0]
            first, *others = job.chunks
            for chunk in others:
                chunk.finish()
            await app.consumer.commit()
            assert await outside.committed(group, topic) == [0, 0]
            first.finish()
            await outside.send(_numbered(0, 50), topic)
            await job.until(lambda chunks: _records(chunks) == 150)
            await app.consumer.commit()
            assert await outside.committed(group, topic) == [100, 0]
        # Its going commits no more than that.
        assert await outside.committed(group, topic) == [100, 0]
        async with _working(settings, topic) as (_, job):
            await job.until(lambda chunks: _records(chunks) == 50)
            return int(job.chunks[0].range.first)

    async def open_and_work() -> int:
        async with Outside(broker.address, PARTITIONS) as outside:
            return await work(outside)

    assert asyncio.run(open_and_work()) == 100


def test_a_fetch_that_comes_while_the_worker_is_leaving_does_not_undo_what_it_has_finished(
    settings: Settings, topic: str, broker: Running
) -> None:
    async def work(outside: Outside) -> list[int]:
        await outside.send(_numbered(0, 50), topic)
        async with _working(settings, topic) as (app, job):
            await job.until(lambda chunks: _records(chunks) == 50)
            came, fetch = asyncio.Event(), app.consumer._getmany

            async def fetch_and_be_stopped(*how: Any, **more: Any) -> Any:
                if fetched := await fetch(*how, **more):
                    app.consumer.stop_flow()
                    came.set()
                return fetched

            app.consumer._getmany = fetch_and_be_stopped
            await outside.send(_numbered(0, 50), topic)
            await came.wait()
            for chunk in job.chunks:
                chunk.finish()
        return await outside.committed(f"{settings.group}-test", topic)

    async def open_and_work() -> list[int]:
        async with Outside(broker.address, PARTITIONS) as outside:
            return await work(outside)

    assert asyncio.run(open_and_work()) == [50, 0]


def test_a_fetch_that_comes_between_a_rebalances_seek_and_the_flow_is_fetched_again(
    settings: Settings, topic: str, outside: Kafka
) -> None:
    async def work() -> list[int]:
        async with _working(settings, topic) as (app, job):
            consumer, wait = app.consumer, app.consumer._wait_next_records
            stopped = resumed = False

            async def wait_while_partitions_move(timeout: float) -> Any:  # noqa: ASYNC109 - Faust's signature
                nonlocal stopped, resumed
                if stopped and not resumed:
                    resumed = True
                    consumer.resume_flow()
                fetched, active = await wait(timeout)
                if fetched and not stopped:
                    stopped = True
                    await consumer.perform_seek()
                    fetched = await consumer._getmany(active, timeout)
                    # Only now, for after this nothing is fetched: one that outlives a rebalance began before.
                    consumer.stop_flow()
                return fetched, active

            consumer._wait_next_records = wait_while_partitions_move
            await asyncio.to_thread(outside.send, _numbered(0, 50), topic)
            await job.until(lambda chunks: _records(chunks) >= 50)
            assert resumed
            return _offsets(job.chunks, 0)

    assert asyncio.run(work()) == list(range(50))


class _Noting(OrderedDict[Any, Any]):
    """Notes which threads look into it."""

    def __init__(self, before: OrderedDict[Any, Any]) -> None:
        super().__init__(before)
        self.threads: set[str] = set()

    def __contains__(self, key: object) -> bool:
        self.threads.add(threading.current_thread().name)
        return super().__contains__(key)


def test_what_was_fetched_is_touched_by_the_clients_own_thread_alone(
    settings: Settings, topic: str, outside: Kafka
) -> None:
    # Where a worker's loop sought while the client was handing records over, both let go of them: a worker that started
    # on a topic with 64 partitions ended with a KeyError, one time in some hundred.
    async def work() -> set[str]:
        async with _working(settings, topic) as (app, job):
            await asyncio.to_thread(outside.send, _numbered(0, 1), topic)
            await job.until(lambda chunks: _records(chunks) == 1)
            thread = app.consumer._thread

            def note() -> str:
                fetcher = thread._consumer._fetcher
                fetcher._records = _Noting(fetcher._records)
                return threading.current_thread().name

            name = await thread.call_thread(note)
            await app.consumer.perform_seek()
            return set(thread._consumer._fetcher._records.threads) - {name}

    assert asyncio.run(work()) == set()


def test_records_beyond_a_mebibyte_come_whole_between_their_neighbours(
    settings: Settings, topic: str, outside: Kafka
) -> None:
    large = [b"small", b"a" * 3_000_000, b"b" * 10_000_000, b"small again"]
    outside.send([ProducerRecord(0, b"key", value) for value in large], topic)

    async def work() -> list[Chunk]:
        async with _working(settings, topic) as (_, job):
            await job.until(lambda chunks: _records(chunks) == len(large))
            return job.chunks

    chunks = asyncio.run(work())
    assert [value for chunk in chunks for value in chunk.records.values] == large


def test_of_a_partition_that_is_not_wanted_nothing_comes_while_others_go_on(
    settings: Settings, topic: str, outside: Kafka
) -> None:
    async def work() -> list[Chunk]:
        async with _working(settings, topic) as (_, job):
            job.unwanted = {TP(topic, 0)}
            await asyncio.to_thread(outside.send, _numbered(0, 50) + _numbered(1, 50), topic)
            await job.until(lambda chunks: len(_offsets(chunks, 1)) == 50)
            await asyncio.to_thread(outside.send, [ProducerRecord(1, b"key", b"later")], topic)
            await job.until(lambda chunks: len(_offsets(chunks, 1)) == 51)
            assert _offsets(job.chunks, 0) == []
            job.unwanted = set()
            await job.until(lambda chunks: len(_offsets(chunks, 0)) == 50)
            return job.chunks

    chunks = asyncio.run(work())
    assert _offsets(chunks, 0) == list(range(50))
    assert _offsets(chunks, 1) == list(range(51))
