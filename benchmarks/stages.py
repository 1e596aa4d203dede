"""Every stage of the two paths alone: CPU time, rows a second by the clock, and memory, each of one row.

The fleet's seed and size are fixed, and `detect` carries a hash of the alarms found, so that a change which makes it
faster by finding something else is seen. Each case runs in a process of its own, and only that process's CPU counts.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from faust.types import TP

from benchmarks.machine import machine, versions
from benchmarks.processes import in_one_of_its_own
from benchmarks.profiles import shares
from benchmarks.workload import START_TS, SentRecord, arrived, fill, hash_of, records_of
from common.settings import Settings
from detectors.checkpoints.encode import encode
from detectors.limits import load_limits
from detectors.process import process
from detectors.rounds import Result
from detectors.state import PartitionState
from embedded.processes import running_clickhouse, running_kafka
from fleet import Fleet, FleetConfig
from schemas.records import Records
from schemas.reports import Reports, decode
from schemas.topics import AGGREGATES, ALARMS, CHECKPOINTS, DEVICE_STATUS, TELEMETRY
from sinks.clickhouse.rows import telemetry_block
from sinks.contract import Block
from streams.batches import MAX_BATCH_BYTES, Outgoing, send_all
from streams.checkpoints import CheckpointWriter, Incarnation
from streams.garbage import collect_seldom
from streams.storage import asking, make_sink, run_migrations
from streams.topics import make_topics, topic_ids
from streams.transport import to_records

SEED: Final = 3
DEVICES: Final = 400
"""A partition's share of 3000 devices over 8 partitions, about."""
PERIOD_S: Final = 0.6
"""Each device's. So a chunk of 640 holds a device once or twice, as it does where a worker is behind."""
NOT_COUNTED: Final = 2
"""The first chunks: one to get warm, one to count its bytes, which takes time."""
WRITES: Final = 60
"""So many times the state of all devices is written."""
_NOTHING: Final = "nothing"

Work = Callable[[], int]
"""Works a chunk off; how many rows it had."""


@dataclass(frozen=True, slots=True)
class StageInput:
    """What a stage gets: the fleet's records in chunks of `size`, and the servers. It may say what it `found`."""

    sent: Sequence[SentRecord]
    size: int
    settings: Settings
    found: list[str] = field(default_factory=list)

    def chunks(self) -> Iterator[Records]:
        """Chunk after chunk."""
        for first in range(0, len(self.sent), self.size):
            yield records_of(self.sent[first : first + self.size], first)

    def results(self) -> tuple[PartitionState, list[Result]]:
        """What all of it means, and the state after it."""
        limits, state = load_limits(), PartitionState()
        return state, [process(decode(chunk)[0], state, limits, START_TS) for chunk in self.chunks()]

    def topic_ids(self) -> Mapping[str, UUID]:
        """The ids of the topics that stages use."""
        return asyncio.run(topic_ids(self.settings, [TELEMETRY.name, CHECKPOINTS.name]))


@dataclass(frozen=True, slots=True)
class Stage:
    """CPU time of a row with all threads, rows a second by the clock, a row's share of what a chunk took at most."""

    stage: str
    of: str
    chunk: int
    rows: int
    us_per_row: float
    rows_per_second: int
    bytes_per_row: int
    found: int = 0
    found_hash: str = ""


def _fetch(given: StageInput) -> Iterator[Work]:
    """The client, and what it fetched as columns."""
    return _fetched(given, lambda tp, records: len(to_records(tp, records).offsets))


def _count(given: StageInput) -> Iterator[Work]:
    """The ceiling of fetch: the client alone, whose records are counted and let go of."""
    return _fetched(given, lambda _, records: len(records))


def _fetched(given: StageInput, taken: Callable[[TP, Sequence[ConsumerRecord]], int]) -> Iterator[Work]:
    tp = TopicPartition(TELEMETRY.name, 0)

    async def opened() -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(bootstrap_servers=given.settings.kafka)
        await consumer.start()
        consumer.assign([tp])
        consumer.seek(tp, 0)
        return consumer

    with asyncio.Runner() as runner:
        consumer = runner.run(opened())

        def work() -> int:
            fetched = runner.run(consumer.getmany(tp, timeout_ms=1_000)).get(tp)
            return taken(TP(*tp), fetched) if fetched else 0

        while runner.run(consumer.position(tp)) < len(given.sent):
            yield work
        runner.run(consumer.stop())


def _loads(given: StageInput) -> Iterator[Work]:
    """The ceiling of decode: parsed, and let go of."""
    loads = orjson.loads

    def work(values: Sequence[bytes | None]) -> int:
        for value in values:
            try:
                loads(value or b"")
            except orjson.JSONDecodeError:
                continue
        return len(values)

    for chunk in given.chunks():
        yield partial(work, chunk.values)


def _decode(given: StageInput) -> Iterator[Work]:
    """Bytes to columns and rejects."""
    for chunk in given.chunks():
        yield partial(_decoded, chunk)


def _decoded(chunk: Records) -> int:
    return len(decode(chunk)[0])


def _slots(given: StageInput) -> Iterator[Work]:
    """The devices' rows in the state."""
    state = PartitionState()

    def work(reports: Reports) -> int:
        return len(state.admit(reports))

    for chunk in given.chunks():
        reports, _ = decode(chunk)
        yield partial(work, reports)


def _detect(given: StageInput) -> Iterator[Work]:
    """Columns to events, slots included."""
    limits, state = load_limits(), PartitionState()

    def work(reports: Reports) -> int:
        result = process(reports, state, limits, START_TS)
        given.found.extend(f"{alarm.alarm_id} {alarm.event}" for alarm in result.alarms)
        return len(reports)

    for chunk in given.chunks():
        reports, _ = decode(chunk)
        yield partial(work, reports)


def _publish(given: StageInput) -> Iterator[Work]:
    """Events to bytes, sent and acknowledged."""
    _, results = given.results()
    events = [
        (topic.name, event)
        for result in results
        for topic, of in ((ALARMS, result.alarms), (DEVICE_STATUS, result.statuses), (AGGREGATES, result.aggregates))
        for event in of
    ]

    async def opened() -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=given.settings.kafka, acks="all", enable_idempotence=True, max_batch_size=MAX_BATCH_BYTES
        )
        await producer.start()
        return producer

    async def send(producer: AIOKafkaProducer, some: Sequence[tuple[str, Any]]) -> int:
        sending = []
        for name in {name for name, _ in some}:
            records = (Outgoing(event.device_id.encode(), event.to_json()) for of, event in some if of == name)
            sending += await send_all(producer, name, 0, records)
        await asyncio.gather(*sending)
        return len(some)

    with asyncio.Runner() as runner:
        producer = runner.run(opened())

        def sent(some: Sequence[tuple[str, Any]]) -> int:
            return runner.run(send(producer, some))

        for first in range(0, len(events), given.size):
            yield partial(sent, events[first : first + given.size])
        runner.run(producer.stop())


def _encode(given: StageInput) -> Iterator[Work]:
    """The state of all devices as rows of a checkpoint."""
    state, _ = given.results()
    for _ in range(WRITES):
        yield lambda: len(list(encode(state, range(len(state)))))


def _checkpoint(given: StageInput) -> Iterator[Work]:
    """Rows of a checkpoint, written in one transaction."""
    state, _ = given.results()
    rows = list(encode(state, range(len(state))))
    incarnation = Incarnation.of(given.topic_ids())

    async def write(writer: CheckpointWriter) -> int:
        await writer.write(rows)
        return len(rows)

    with asyncio.Runner() as runner:
        writer = runner.run(CheckpointWriter.start(given.settings, 0, incarnation))
        for _ in range(WRITES):
            yield lambda: runner.run(write(writer))
        runner.run(writer.stop())


def _blocks(given: StageInput) -> list[Block]:
    topic_id = given.topic_ids()[TELEMETRY.name]
    return [telemetry_block(chunk, topic_id) for chunk in given.chunks()]


def _columns(given: StageInput) -> Iterator[Work]:
    """Bytes to the columns of the table, decode included."""
    topic_id = given.topic_ids()[TELEMETRY.name]
    for chunk in given.chunks():
        yield partial(_rows_of, chunk, topic_id)


def _rows_of(chunk: Records, topic_id: UUID) -> int:
    return telemetry_block(chunk, topic_id).rows


def _insert(given: StageInput) -> Iterator[Work]:
    """Columns to rows in ClickHouse, each once."""
    blocks = _blocks(given)
    sink = make_sink(given.settings)

    def work(block: Block) -> int:
        sink.write(block)
        return block.rows

    sink.stored_offsets(TELEMETRY.name, given.topic_ids()[TELEMETRY.name], [0])
    for block in blocks:
        yield partial(work, block)
    sink.close()


def _insert_nothing(given: StageInput) -> Iterator[Work]:
    """The ceiling of insert: the same columns, which the server throws away unseen."""
    blocks = _blocks(given)
    names = ", ".join(f"`{name}`" for name in blocks[0].columns)
    with asking(given.settings) as service:
        service.call(lambda client: client.execute(f"CREATE TABLE {_NOTHING} AS telemetry ENGINE = Null"))

        def work(block: Block) -> int:
            service.call(lambda client: client.execute(f"INSERT INTO {_NOTHING} ({names}) VALUES", block))
            return block.rows

        for block in blocks:
            yield partial(work, block)


CHUNKS: Final = (10, 40, 160, 640, 2560)
StageCase = tuple[str, str, Callable[[StageInput], Iterator[Work]], Sequence[int]]
CASES: Final[Sequence[StageCase]] = (
    ("fetch", "record", _fetch, (0,)),
    ("ceiling: bare client", "record", _count, (0,)),
    ("ceiling: orjson.loads", "record", _loads, (640,)),
    ("decode", "report", _decode, CHUNKS),
    ("slots", "report", _slots, CHUNKS),
    ("detect", "report", _detect, CHUNKS),
    ("publish", "event", _publish, (160,)),
    ("encode", "device", _encode, (DEVICES,)),
    ("checkpoint", "device", _checkpoint, (DEVICES,)),
    ("columns", "report", _columns, (10_000,)),
    ("insert", "report", _insert, (10_000,)),
    ("ceiling: insert into Null", "report", _insert_nothing, (10_000,)),
)
"""What a stage is called, what its rows are, and the sizes of its chunks; 0 where the broker decides."""

PROFILED: Final = {"decode": 2_560, "detect": 2_560, "columns": 10_000}
"""Of these the functions are told too, at this size of chunks."""


def run(seconds: float, say: Callable[[str], None], cases: Sequence[StageCase] = CASES) -> dict[str, Any]:
    """The stages on `seconds` of the fleet; one JSON object."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new broker's first "not yet" is no news
    config = FleetConfig(seed=SEED, devices=DEVICES, rate=DEVICES / PERIOD_S, seconds=seconds, start_ts=START_TS)
    sent = [arrived(one) for one in Fleet(config).due(config.start_ts, config.end_ts)]
    stages = []
    with tempfile.TemporaryDirectory(prefix="emberline-stages-") as name:
        folder = Path(name)
        with (
            running_kafka(folder / "kafka", folder / "kafka-logs", brokers=1) as kafka,
            running_clickhouse(folder / "clickhouse", folder / "clickhouse.log") as clickhouse,
        ):
            settings = Settings(kafka=kafka.bootstrap, clickhouse=clickhouse.address, partitions=4)
            asyncio.run(_prepare(settings, sent))
            run_migrations(settings)
            for stage, _, _, sizes in cases:
                for size in sizes:
                    stages.append(in_one_of_its_own(measure, stage, StageInput(sent, size, settings)))
                    say(_told(stages[-1]))
            profiles = {}
            for stage, size in PROFILED.items():
                profiles[stage] = in_one_of_its_own(profiled, stage, StageInput(sent, size, settings))
                say(f"{stage}: most of its own time takes {profiles[stage][0]['function']}")
    return {
        "benchmark": "stages",
        "version": 4,
        "seed": SEED,
        "devices": DEVICES,
        "seconds": seconds,
        "machine": machine(),
        "versions": versions() | {"kafka": kafka.version},
        "stages": [asdict(stage) for stage in stages],
        "profiles": profiles,
    }


async def _prepare(settings: Settings, sent: Sequence[SentRecord]) -> None:
    await fill(settings.kafka, [sent, [], [], []])
    await make_topics(settings)


def measure(stage: str, given: StageInput) -> Stage:
    """One stage, in this process."""
    collect_seldom()  # as a worker does
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    of, works = _of(stage)
    cpu_s = clock_s = 0.0
    rows = largest = held = 0
    for number, work in enumerate(works(given)):
        if number < NOT_COUNTED:
            largest, held = _traced(work)
            continue
        cpu, clock = time.process_time(), time.perf_counter()
        rows += work()
        cpu_s, clock_s = cpu_s + time.process_time() - cpu, clock_s + time.perf_counter() - clock
    return Stage(
        stage=stage,
        of=of,
        chunk=given.size,
        rows=rows,
        us_per_row=round(cpu_s / rows * 1e6, 2),
        rows_per_second=round(rows / clock_s),
        bytes_per_row=round(largest / max(held, 1)),
        found=len(given.found),
        found_hash=hash_of(map(str.encode, sorted(given.found))) if given.found else "",
    )


def profiled(stage: str, given: StageInput) -> list[dict[str, Any]]:
    """What a stage's functions take, in this process."""
    collect_seldom()
    _, works = _of(stage)
    warm = works(given)
    for work in islice(warm, NOT_COUNTED):
        work()
    return shares(warm)


def _of(stage: str) -> tuple[str, Callable[[StageInput], Iterator[Work]]]:
    ((of, works),) = [(of, works) for name, of, works, _ in CASES if name == stage]
    return of, works


def _traced(work: Work) -> tuple[int, int]:
    """The most bytes that were held at once more than before, and the chunk's rows."""
    tracemalloc.start()
    rows = work()
    _, largest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return largest, rows


def _told(stage: Stage) -> str:
    return f"{stage.stage}, {stage.chunk} a chunk: {stage.us_per_row} us of CPU a {stage.of}, {stage.bytes_per_row} B"
