"""What orders and registered devices cost: how soon a reset is told, also during an import, and what a million take.

One detect worker and one broker of Apache Kafka under a steady rate. Some devices leak all the time; each is reset by
force in turn, and alarms again. Times are by the broker's stamps: those of commands, and of events on their topics.
"""

from __future__ import annotations

import asyncio
import logging
import re
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import orjson
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition

from benchmarks.machine import Measured, machine, versions
from benchmarks.processes import cpu_s, status_of
from cli.output import Say
from cli.passwords import kept_control_keys
from cli.send import Sender
from cli.simulate import SentReports, send_fleet
from cli.stack import StackWorker, running_worker, wait_until_ready
from common.kafka import clients
from common.kafka.reading import batches, reader
from common.settings import Settings
from common.times import now_ms
from detectors.registered import PAGE, PAGES, KnownDevice, packed
from embedded.processes import running_kafka
from fleet import Fleet, FleetConfig
from schemas.commands import VERSION, Command, CommandKind
from schemas.events import Alarm, AlarmEvent
from schemas.registry import NUMBER, ChangeNumber, ComponentEntry, DeviceEntry
from schemas.topics import ALARMS, CHECKPOINTS, COMMANDS, CONTROL_OUTCOMES, REGISTRY, TELEMETRY
from streams.checkpoints import CheckpointWriter, Incarnation
from streams.partitioner import partition_of
from streams.topics import make_topics, topic_ids

SEED: Final = 9
IMPORT: Final = "import"
TICK_MS: Final = 50
LEAKS_MA: Final = 400.0
SETTLE_S: Final = 10.0
"""Until a worker and its broker run as they go on to."""
LONGEST_S: Final = 1_800.0
"""What an import may take."""
RESET_MOST_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class OrdersSize:
    """How much is measured: tests take less. `leaking` devices report once a second, and one of them is reset each
    `reset_every` ticks: so each has to have alarmed again once all others were reset."""

    devices: int = 3_000
    rate: float = 5_000.0
    quiet_s: float = 60.0
    leaking: int = 200
    reset_every: int = 1
    imported: int = 130_000
    registered: int = 1_000_000
    rounds: int = 3


def run(size: OrdersSize, say: Say) -> Measured:
    """Resets and alarms in quiet and while entries are imported; and workers that start with registered devices."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new broker's first "not yet" is no news
    with _kafka() as (settings, folder):
        phases = asyncio.run(_under_load(settings, folder, size, say))
    with _kafka() as (settings, folder):
        starts = asyncio.run(_starts(settings, folder, size, say))
    return {
        "benchmark": "orders",
        "version": 1,
        "seed": SEED,
        "rate": size.rate,
        "machine": machine(),
        "versions": versions(),
        "phases": phases,
        "starts": starts,
    }


def good(result: Measured) -> bool:
    """Whether resets were told within their time while nothing was imported."""
    quiet = result["phases"][0]
    return bool(quiet["resets"]) and quiet["reset_ms"]["p99"] <= RESET_MOST_MS


@contextmanager
def _kafka() -> Iterator[tuple[Settings, Path]]:
    """A broker of its own, settings of a worker on it that has keys, and a folder."""
    with tempfile.TemporaryDirectory(prefix="emberline-orders-") as name:
        folder = Path(name)
        with running_kafka(folder / "kafka", folder / "logs", brokers=1) as kafka:
            keys = kept_control_keys(folder / "keys" / "control-keys")
            yield Settings(kafka=kafka.bootstrap, control_keys_file=str(keys)), folder


async def _under_load(settings: Settings, folder: Path, size: OrdersSize, say: Say) -> list[Measured]:
    await make_topics(settings)
    fleet = Fleet(
        FleetConfig(
            seed=SEED,
            devices=size.devices,
            rate=size.rate,
            seconds=LONGEST_S,
            start_ts=now_ms() + 10_000,
            faults_per_kind=1,
        )
    )
    with running_worker("detect", settings, folder / "detect.log") as worker:
        await wait_until_ready(worker)
        async with Sender(settings) as sender, clients.producer(settings, acks="all", linger_ms=5) as producer:
            sending = [
                asyncio.create_task(send_fleet(fleet, sender, SentReports())),
                asyncio.create_task(_leak_and_reset(settings, sender, producer, size)),
            ]
            try:
                phases = [await _first_of(_quiet(worker, size), sending)]
                phases.append(await _first_of(_imported(settings, producer, worker, size), sending))
            finally:
                for task in sending:
                    task.cancel()
                await asyncio.gather(*sending, return_exceptions=True)
        # What is on its way is still told.
        await asyncio.sleep(SETTLE_S / 2)
    topics = {name: await _read(settings, name) for name in (COMMANDS.name, ALARMS.name)}
    for phase in phases:
        phase |= _responses(topics, phase.pop("from_ts"), phase.pop("to_ts"))
        say(f"{phase}")
    return phases


async def _first_of(work: Coroutine[Any, Any, Measured], others: Sequence[asyncio.Task[None]]) -> Measured:
    """What the work comes to; raises what one of the others does meanwhile."""
    working = asyncio.create_task(work)
    done, _ = await asyncio.wait({working, *others}, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        if task is not working:
            working.cancel()
            task.result()
    return await working


async def _leak_and_reset(settings: Settings, sender: Sender, producer: AIOKafkaProducer, size: OrdersSize) -> None:
    """Each tick its share of those that leak report, and one of them may be reset."""
    ticks = 1_000 // TICK_MS
    ids = [f"LEAK-{number:04}" for number in range(size.leaking)]
    began, tick = time.monotonic(), 0
    while True:
        await asyncio.sleep(max(0.0, began + tick * TICK_MS / 1_000 - time.monotonic()))
        due = ids[tick % ticks :: ticks]
        await sender.send([(one.encode(), _leaking(one, tick)) for one in due])
        number, rest = divmod(tick, size.reset_every)
        if not rest:
            await _reset(settings, producer, ids[number % len(ids)], number + 1)
        tick += 1


def _leaking(device_id: str, seq: int) -> bytes:
    fields = {"event_ts": now_ms(), "seq": seq, "residual_current_ma": [LEAKS_MA]}
    return orjson.dumps({"v": 1, "device_id": device_id, "device_kind": "electrical_monitor", **fields})


async def _reset(settings: Settings, producer: AIOKafkaProducer, device_id: str, number: int) -> None:
    """The alarm that it ends says the number as its reason."""
    key = device_id.encode()
    order = Command(VERSION, CommandKind.RESET, device_id, "bench", str(number), now_ms(), force=True)
    headers = ChangeNumber("resets", 1, number).to_headers()
    await producer.send(
        COMMANDS.name, order.to_json(), key, partition=partition_of(key, settings.partitions), headers=headers
    )


async def _quiet(worker: StackWorker, size: OrdersSize) -> Measured:
    await asyncio.sleep(SETTLE_S)
    from_ts, used = now_ms(), cpu_s(worker.process.pid)
    await asyncio.sleep(size.quiet_s)
    return {
        "phase": "nothing imported",
        "seconds": size.quiet_s,
        "worker_cpu_s": round(cpu_s(worker.process.pid) - used, 2),
        "from_ts": from_ts,
        "to_ts": now_ms(),
    }


async def _imported(settings: Settings, producer: AIOKafkaProducer, worker: StackWorker, size: OrdersSize) -> Measured:
    """Entries as a file brings them, all at once, until the last is told."""
    used, before = cpu_s(worker.process.pid), status_of(worker.process.pid)["VmRSS"]
    from_ts = now_ms()
    async with reader(settings) as consumer:
        tps = [TopicPartition(CONTROL_OUTCOMES.name, number) for number in range(settings.partitions)]
        consumer.assign(tps)
        await consumer.seek_to_end(*tps)
        # Where seeking stands is asked for now, not with the first fetch.
        for tp in tps:
            await consumer.position(tp)
        publishing = asyncio.create_task(_publish(settings, producer, size.imported))
        told, to_ts = 0, from_ts
        async with asyncio.timeout(LONGEST_S):
            while told < size.imported:
                for records in (await consumer.getmany(*tps, timeout_ms=1_000)).values():
                    ours = [one.timestamp for one in records if b'"source":"import"' in one.value]
                    told, to_ts = told + len(ours), max([to_ts, *ours])
        published_ts = await publishing
    seconds = (to_ts - from_ts) / 1_000
    return {
        "phase": f"{size.imported} entries imported",
        "seconds": round(seconds, 1),
        "published_s": round((published_ts - from_ts) / 1_000, 1),
        "entries_per_second": round(size.imported / seconds),
        "worker_cpu_s": round(cpu_s(worker.process.pid) - used, 2),
        "worker_grew_mb": round((status_of(worker.process.pid)["VmRSS"] - before) / 1_024, 1),
        "from_ts": from_ts,
        "to_ts": to_ts,
    }


async def _publish(settings: Settings, producer: AIOKafkaProducer, count: int) -> int:
    """When all are on the topic."""
    for number in range(1, count + 1):
        entry = _entry(number)
        key = entry.device_id.encode()
        headers = ChangeNumber(IMPORT, 1, number).to_headers()
        partition = partition_of(key, settings.partitions)
        await producer.send(REGISTRY.name, entry.to_json(), key, partition=partition, headers=headers)
        if number % 100 == 0:
            # Who sends reports and resets has its turn.
            await asyncio.sleep(0)
    await producer.flush()
    return now_ms()


def _entry(number: int) -> DeviceEntry:
    """As of a device in a table of a town: names repeat within a unit, places do not."""
    unit = number // 40
    roles = [("residual_current_ma", 0, "circuit"), *(("temperature_c", one, "cable") for one in range(4))]
    return DeviceEntry(
        VERSION,
        f"IM-{number:07}",
        kind="electrical_monitor",
        name=f"{number % 40}号配电箱",
        model=f"LDT-{number % 7}",
        unit_id=f"u-{unit:06}",
        unit_name=f"第{unit}社区服务中心",
        area="330106001",
        place_kind="shop",
        address=f"文三路{unit}号",
        interval_s=60,
        rated_current_a=63.0,
        components=[ComponentEntry(quantity, one, role=role, circuit=1) for quantity, one, role in roles],
    )


async def _read(settings: Settings, topic: str) -> list[ConsumerRecord]:
    found: list[ConsumerRecord] = []
    async with reader(settings) as consumer:
        for number in range(settings.partitions):
            async for records in batches(consumer, TopicPartition(topic, number)):
                found += records
    return found


def _responses(topics: dict[str, list[ConsumerRecord]], from_ts: int, to_ts: int) -> Measured:
    """Of resets that arrived within these times, and of alarms that were confirmed within them."""
    arrived = {int(dict(one.headers)[NUMBER]): one.timestamp for one in topics[COMMANDS.name]}
    ordered = sum(from_ts <= one < to_ts for one in arrived.values())
    resets, opened = [], []
    for record in topics[ALARMS.name]:
        alarm = Alarm.from_json(record.value)
        if alarm.event == AlarmEvent.RESET:
            if from_ts <= (came := arrived[int(alarm.why)]) < to_ts:
                resets.append(record.timestamp - came)
        elif alarm.event in (AlarmEvent.OPENED, AlarmEvent.CONFIRMED) and from_ts <= alarm.ingest_ts < to_ts:
            opened.append(record.timestamp - alarm.ingest_ts)
    return {
        "ordered": ordered,
        "resets": len(resets),
        "reset_ms": _spread_of(resets),
        "alarms": len(opened),
        "alarm_ms": _spread_of(opened),
    }


def _spread_of(took_ms: Sequence[int]) -> dict[str, float]:
    if not took_ms:
        return {}
    p50, p99 = np.percentile(took_ms, [50, 99]).round(1).tolist()
    return {"p50": p50, "p99": p99, "max": max(took_ms)}


async def _starts(settings: Settings, folder: Path, size: OrdersSize, say: Say) -> list[Measured]:
    """A worker that starts without registered devices, and with them; the middle of some rounds."""
    await make_topics(settings)
    cases = []
    for devices in (0, size.registered):
        pages = await _write_pages(settings, devices) if devices else 0
        rounds = [await _start(settings, folder) for _ in range(size.rounds)]
        case = {name: round(median(one[name] for one in rounds), 3) for name in rounds[0]}
        cases.append({"registered": devices, "checkpoint_bytes": pages, **case})
        say(f"{cases[-1]}")
    grew = cases[1]["resident_bytes"] - cases[0]["resident_bytes"]
    cases[1]["bytes_per_device"] = round(grew / size.registered, 1)
    return cases


async def _start(settings: Settings, folder: Path) -> dict[str, float]:
    log, began = folder / "detect.log", time.monotonic()
    with running_worker("detect", settings, log) as worker:
        # It may say that it is ready before it has its partitions.
        restored: list[str] = []
        async with asyncio.timeout(LONGEST_S):
            while len(restored) < settings.partitions:
                await asyncio.sleep(0.05)
                worker.check()
                restored = re.findall(r"restored in ([0-9.]+) s", log.read_text(errors="replace"))
        await wait_until_ready(worker)
        seconds, status = time.monotonic() - began, status_of(worker.process.pid)
    return {
        "ready_s": seconds,
        "restore_s": sum(map(float, restored)),
        "resident_bytes": status["VmRSS"] * 1_024,
        "peak_bytes": status["VmHWM"] * 1_024,
    }


async def _write_pages(settings: Settings, devices: int) -> int:
    """The checkpoints of all partitions with so many devices, as their worker would have written them; their bytes."""
    held: list[defaultdict[int, dict[str, KnownDevice]]] = [defaultdict(dict) for _ in range(settings.partitions)]
    for number in range(1, devices + 1):
        known = KnownDevice.of(_entry(number))
        key = known.device_id.encode()
        held[partition_of(key, settings.partitions)][zlib.crc32(key) % PAGES][known.device_id] = known
    incarnation = Incarnation.of(await topic_ids(settings, [TELEMETRY.name, CHECKPOINTS.name]))
    size = 0
    for number, pages in enumerate(held):
        records = [(PAGE + b"%d" % page, packed(of_page)) for page, of_page in sorted(pages.items())]
        size += sum(len(key) + len(value) for key, value in records)
        writer = await CheckpointWriter.start(settings, number, incarnation)
        # Above that of the workers before, one each round.
        writer.epoch = 1_000
        await writer.write(records)
        await writer.stop()
    return size
