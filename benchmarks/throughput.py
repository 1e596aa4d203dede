"""Reports a second through whole workers on Apache Kafka, with everything durable: detect, sink, and both at once.

A topic is full before the workers start. Measured is from the moment all of them are ready, and of what is not worked
off by then, to the moment their group has committed all of it: for detect that is after alarms are acknowledged and
state is checkpointed, for sink after the rows are in ClickHouse. CPU is that of the workers alone, with their threads.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import aiohttp
import orjson
from clickhouse_driver import Client
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import workload
from benchmarks.machine import Measured, machine, versions
from benchmarks.processes import cpu_s, peak_mb
from benchmarks.workload import PARTITIONS, SentRecord, Wanted
from benchmarks.written import differences, written
from cli.offsets import Offsets
from cli.output import Say
from cli.stack import StackWorker, running_worker, wait_until_ready
from common.errors import OperatorError
from common.settings import Settings, host_port
from embedded.processes import running_clickhouse, running_kafka
from schemas.report_rules import fault_of
from schemas.topics import AGGREGATES, ALARMS, REJECTS, TELEMETRY
from streams.storage import run_migrations

FORMS: Final = {"one report a record": 1, "50 reports a record": 50}
MANY_PARTITIONS: Final = (16, 64)
CREWS: Final = (
    {"detect": 1},
    {"detect": 2},
    {"detect": 4},
    {"sink": 1},
    {"sink": 2},
    {"detect": 1, "sink": 1},
)
MOST_BYTES: Final = 10_000
"""Of a report that is put into an array: some good ones are nearly as large as a record may be."""
LOOK_S: Final = 0.01
SLOWEST: Final = 200.0
"""Reports a second, below which a run is given up."""
_DONE_METRIC: Final = {"detect": "emberline_reports", "sink": "emberline_inserted_rows"}


def run(reports: int, devices: int, crews: Sequence[dict[str, int]], say: Say) -> Measured:
    """All crews on both forms; one JSON object."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new broker's first "not yet" is no news
    with tempfile.TemporaryDirectory(prefix="emberline-throughput-") as name:
        folder = Path(name)
        with (
            running_kafka(folder / "kafka", folder / "kafka-logs", brokers=1) as kafka,
            running_clickhouse(folder / "clickhouse", folder / "clickhouse.log") as clickhouse,
        ):
            settings = Settings(
                kafka=kafka.bootstrap,
                clickhouse=clickhouse.address,
                limits_file=str(workload.limits_file(folder)),
                # The end of a run is seen when it is checkpointed: the default would add up to 5 s.
                checkpoint_interval_s=1.0,
            )
            cases = asyncio.run(_cases(settings, folder, reports, devices, crews, say))
            found = {"kafka": kafka.version}
    return {
        "benchmark": "throughput",
        "version": 3,
        "seed": workload.SEED,
        "devices": devices,
        "machine": machine(),
        "versions": versions() | found,
        "cases": cases,
    }


async def _cases(
    settings: Settings, folder: Path, reports: int, devices: int, crews: Sequence[dict[str, int]], say: Say
) -> list[Measured]:
    fleet = workload.fleet_of(reports, devices)
    done = []
    for form, size, partitions, of_these in _layouts(crews):
        singles = workload.partitioned(fleet, partitions)
        records = singles if size == 1 else [joined(of_one, size) for of_one in singles]
        wanted, good = workload.wanted_of(records, Path(settings.limits_file)), workload.good_reports(records)
        await workload.forget(settings.kafka, TELEMETRY.name)
        await workload.fill(settings.kafka, records)
        there = {"form": form, "partitions": partitions, "records": sum(map(len, records)), "reports": good}
        say(f"{form}, {partitions} partitions: {there['records']} records, {good} reports, hash {wanted.hash}")
        for number, crew in enumerate(of_these):
            name = f"{size}_{partitions}_{number}"
            (folder / name).mkdir()
            own = replace(settings, partitions=partitions, group=name, clickhouse_database=f"throughput_{name}")
            done.append(there | await _one(own, folder / name, crew, good, wanted))
            say(f"  {_told(done[-1])}")
    return done


def _layouts(crews: Sequence[dict[str, int]]) -> Iterator[tuple[str, int, int, Sequence[dict[str, int]]]]:
    """Form, reports a record, partitions, and who works on it."""
    for form, size in FORMS.items():
        yield form, size, PARTITIONS, crews
    form, size = next(iter(FORMS.items()))
    for partitions in MANY_PARTITIONS:
        yield form, size, partitions, crews[:1]


def joined(records: Sequence[SentRecord], size: int) -> list[SentRecord]:
    """Good single reports put together into arrays of `size`; all else stays as it is."""

    def arrays() -> Iterator[SentRecord]:
        waiting: list[SentRecord] = []
        for one in records:
            if _may_be_joined(one):
                waiting.append(one)
            else:
                yield one
            if len(waiting) == size:
                yield _array(waiting)
                waiting.clear()
        if waiting:
            yield _array(waiting)

    # The last record stays the last: it shows when its partition is done with.
    return [*sorted(arrays(), key=lambda one: one.arrival_ts)]


def _may_be_joined(record: SentRecord) -> bool:
    if len(record.value) > MOST_BYTES:
        return False
    try:
        report = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return False
    return record.key is not None and fault_of(report) is None


def _array(records: Sequence[SentRecord]) -> SentRecord:
    return SentRecord(records[-1].arrival_ts, b"gateway", b"[" + b",".join(one.value for one in records) + b"]")


async def _one(settings: Settings, folder: Path, crew: dict[str, int], reports: int, wanted: Wanted) -> Measured:
    """One crew on topics and tables made anew."""
    await workload.make_emberline_anew(settings)
    await asyncio.to_thread(run_migrations, settings)
    async with AsyncExitStack() as stack:
        groups = {
            role: await stack.enter_async_context(
                Offsets(settings, f"{settings.group}-{role}", TELEMETRY.name, settings.partitions)
            )
            for role in crew
        }
        session = await stack.enter_async_context(aiohttp.ClientSession())
        workers = [
            stack.enter_context(running_worker(role, settings, folder / f"{role}-{number}.log"))
            for role, count in crew.items()
            for number in range(count)
        ]
        result = await _measured(session, workers, groups, crew, reports)
    # Only now: what a worker stores and commits when it leaves belongs to it too.
    if "detect" in crew:
        there = await written(settings.kafka, (ALARMS.name, AGGREGATES.name, REJECTS.name))
        result["hash"] = there.found.hash
        result["differences"] = differences(there.found, wanted)
    if "sink" in crew:
        result["rows"], result["rows_twice"] = await asyncio.to_thread(_rows, settings)
    whole = result.get("rows", reports) == reports and not result.get("rows_twice")
    result["ok"] = whole and not result.get("differences")
    return result


async def _measured(
    session: aiohttp.ClientSession,
    workers: Sequence[StackWorker],
    groups: dict[str, Offsets],
    crew: dict[str, int],
    reports: int,
) -> Measured:
    # Twice, for one that was ready is not while another joins.
    for worker in (*workers, *workers):
        await wait_until_ready(worker)
    # The clock first: what is done while they are asked counts as time and not as work.
    began, used = time.monotonic(), {worker.process.pid: cpu_s(worker.process.pid) for worker in workers}
    before = {role: sum([await _done(session, worker) for worker in workers if worker.role == role]) for role in crew}
    deadline, left, ended = began + 30 + reports / SLOWEST, set(crew), {}
    # Those of now: records of time come after them for as long as a worker runs.
    ends = {role: await group.ends() for role, group in groups.items()}
    cpu: dict[str, float] = {}
    while left:
        for role in tuple(left):
            if await groups[role].behind(ends[role]) == 0:
                left.discard(role)
                ended[role] = time.monotonic() - began
                cpu[role] = sum(cpu_s(one.process.pid) - used[one.process.pid] for one in workers if one.role == role)
        for worker in workers:
            worker.check()
        if time.monotonic() > deadline:
            raise OperatorError(f"the workers were not done in time; {left} had lag")
        await asyncio.sleep(LOOK_S)
    return {
        "crew": crew,
        "roles": {
            role: {
                "reports": reports - before[role],
                "seconds": round(ended[role], 3),
                "cpu_seconds": round(cpu[role], 3),
                "reports_per_second": round((reports - before[role]) / ended[role]),
                "reports_per_cpu_second": round((reports - before[role]) / max(cpu[role], 0.01)),
                "peak_mb": round(max(peak_mb(one.process.pid) for one in workers if one.role == role), 1),
            }
            for role in crew
        },
    }


async def _done(session: aiohttp.ClientSession, worker: StackWorker) -> int:
    """Reports it has processed, or rows of them it has stored."""
    async with session.get(f"http://{worker.http}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    samples = [
        sample
        for family in families
        for sample in family.samples
        if sample.name == f"{_DONE_METRIC[worker.role]}_total"
        and sample.labels.get("table", "telemetry") == "telemetry"
    ]
    return int(sum(sample.value for sample in samples))


def _rows(settings: Settings) -> tuple[int, int]:
    host, port = host_port(settings.clickhouse)
    with Client(host, port, settings.clickhouse_database) as client:
        sql = "SELECT count(), count() - uniqExact(topic, topic_id, `partition`, `offset`, `index`) FROM telemetry"
        ((rows, twice),) = client.execute(sql)
        return rows, twice


def _told(result: Measured) -> str:
    told = [
        f"{result['crew'][role]} {role}: {one['reports_per_second']} reports/s, "
        f"{one['reports_per_cpu_second']} a CPU second, {one['peak_mb']:.0f} MB"
        for role, one in result["roles"].items()
    ]
    return "; ".join(told) + ("" if result["ok"] else f"  WRONG: {result}")
