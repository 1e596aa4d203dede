"""How the detect path grows: with the number of devices and the size of a report, and what order does. Without Kafka,
but for a restore through it.

First the work is the same for every number of devices: each reports every 20 s, whole minutes are measured, so that
every third report closes one, and chunks are as large as the smallest fleet. Then the rate is the same, so that of few
devices one report in a hundred closes a minute, and of a million every one. Each case runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import gc
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import orjson

from benchmarks.machine import machine, versions
from benchmarks.processes import in_one_of_its_own, resident_bytes
from benchmarks.workload import ARRIVES_MS, START_TS, SentRecord, arrived, make_emberline_anew, records_of
from common.kafka.reading import Readers
from common.settings import Settings
from detectors.checkpoints.encode import encode
from detectors.checkpoints.restore import restore_all
from detectors.limits import LimitTable, load_limits
from detectors.process import process
from detectors.state import PartitionState
from embedded.processes import running_kafka
from fleet import Fleet, FleetConfig
from schemas.reports import decode
from schemas.topics import CHECKPOINTS, TELEMETRY
from streams.checkpoints import CheckpointWriter, Incarnation, read_checkpoint
from streams.garbage import collect_seldom
from streams.topics import topic_ids

T = TypeVar("T")

DEVICES: Final = (3_000, 30_000, 130_000, 1_000_000)
COMPONENTS: Final = (1, 4, 13, 32, 64)
SEED: Final = 7
PERIOD_S: Final = 20
CHUNK: Final = 3_000
RATE: Final = 5_000
"""Reports a second of a fleet of any size, where the rate is the same."""
LEAST: Final = 200_000
"""Reports that are measured at least; a million devices send three times as many in a minute as they are."""


ORDERS: Final = ("in turn", "by chance", "half of them from one device in a hundred")
"""Who sends the next report: the device whose turn it is, anyone, or more often one of a few."""
RESTORED: Final = 130_000
"""So many devices are written to Kafka and read back, as by the worker that takes their partition over."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: tests take less."""

    chunk: int = CHUNK
    least: int = LEAST
    restored: int = RESTORED
    rate: int = RATE


def run(
    devices: Sequence[int], components: Sequence[int], say: Callable[[str], None], size: Size = Size()
) -> dict[str, Any]:
    """Every number of devices, of components, every order of reports, and a restore from Kafka; one JSON object."""
    cases = list(_alone(of_devices, devices, size, say))
    reports = list(_alone(of_components, components, size, say))
    rates = list(_alone(of_rate, devices, size, say))
    orders = list(_alone(of_order, ORDERS, size, say))
    (restored,) = _alone(of_restore, (size.restored,), size, say)
    return {
        "benchmark": "scale",
        "version": 4,
        "seed": SEED,
        "period_s": PERIOD_S,
        "chunk": size.chunk,
        "machine": machine(),
        "versions": versions(),
        "cases": cases,
        "reports": reports,
        "rate": size.rate,
        "rates": rates,
        "orders": orders,
        "restored": restored,
    }


def _alone(
    measure: Callable[[T, Size], dict[str, Any]], these: Sequence[T], size: Size, say: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    for one in these:
        case = in_one_of_its_own(measure, one, size)
        say("  ".join(f"{name} {value}" for name, value in case.items()))
        yield case


def of_devices(devices: int, size: Size) -> dict[str, Any]:
    """One number of devices, in this process."""
    collect_seldom()  # as a worker does
    warm, measured = _chunks_of(devices, size)
    source = _fleet_chunks(devices, size.chunk, warm + measured)
    # What the simulated fleet takes, and a chunk by itself, is there before the state is. The state of the first chunk
    # is kept aside, so that its memory is not used again.
    first, aside = next(source), _Path()
    aside.feed(first)
    gc.collect()
    before, path = resident_bytes(), _Path()
    path.feed(first)
    path.feed_all(islice(source, warm - 1))
    gc.collect()
    resident = resident_bytes() - before
    del aside
    cost = path.cost_of(source)
    began = time.process_time()
    rows = dict(encode(path.state, range(len(path.state))))
    encoded = time.process_time()
    restore_all(PartitionState(), rows)
    restored = time.process_time()
    return {
        "devices": len(path.state),
        **cost,
        "memory_bytes_per_device": round(resident / devices),
        "checkpoint_bytes_per_device": round(sum(map(len, rows.values())) / devices),
        "checkpoint_s": round(encoded - began, 3),
        "restore_s": round(restored - encoded, 3),
    }


def of_rate(devices: int, size: Size) -> dict[str, Any]:
    """One number of devices that report at `size.rate` together, in this process."""
    collect_seldom()
    a_minute = math.ceil(size.rate * 60 / size.chunk)
    warm = max(math.ceil(devices / size.chunk), 2 * a_minute)
    path, source = _Path(), _fleet_chunks(devices, size.chunk, warm + a_minute, size.rate)
    path.feed_all(islice(source, warm))
    before = path.aggregates
    cost = path.cost_of(source)
    closed = (path.aggregates - before) / cost["reports"]
    return {"devices": devices, "rate": size.rate, **cost, "minutes_closed_per_report": round(closed, 3)}


def of_components(components: int, size: Size) -> dict[str, Any]:
    """One number of components a report, in this process."""
    collect_seldom()
    warm, measured = _chunks_of(size.chunk, size)
    source = _temperature_chunks(components, size.chunk, warm + measured)
    path = _Path()
    for chunk in islice(source, warm):
        path.feed(chunk)
    return {"components": components, "bytes_per_report": len(chunk[0].value), **path.cost_of(source)}


def of_order(order: str, size: Size) -> dict[str, Any]:
    """One order of reports of 13 temperatures, in this process."""
    collect_seldom()
    warm, measured = _chunks_of(size.chunk, size)
    path, source = _Path(), _ordered_chunks(order, size.chunk, 1 + warm + measured)
    path.feed_all(islice(source, 1 + warm))
    return {"order": order, "devices": size.chunk, **path.cost_of(source)}


def of_restore(devices: int, size: Size) -> dict[str, Any]:
    """The state of so many devices through the checkpoint topic of one partition, by the clock."""
    collect_seldom()
    warm, _ = _chunks_of(devices, size)
    path = _Path()
    path.feed_all(_fleet_chunks(devices, size.chunk, warm))
    with (
        tempfile.TemporaryDirectory(prefix="emberline-scale-") as folder,
        running_kafka(Path(folder) / "kafka", Path(folder) / "logs", brokers=1) as kafka,
    ):
        written = asyncio.run(_through_kafka(path.state, Settings(kafka=kafka.bootstrap)))
    return {"devices": len(path.state), **written}


async def _through_kafka(state: PartitionState, settings: Settings) -> dict[str, Any]:
    await make_emberline_anew(settings)
    incarnation = Incarnation.of(await topic_ids(settings, [TELEMETRY.name, CHECKPOINTS.name]))
    writer = await CheckpointWriter.start(settings, 0, incarnation)
    # Their records are on no topic: rows that reflect what lies beyond the end of telemetry would be set aside.
    state.rows["offset"][:] = -1
    began = time.perf_counter()
    rows = list(encode(state, range(len(state))))
    await writer.write(rows)
    written = time.perf_counter()
    await writer.stop()
    asked = time.perf_counter()
    # As whoever takes the partition over: the claim ends what the predecessor began.
    successor = await CheckpointWriter.start(settings, 0, incarnation)
    async with Readers(settings) as readers:
        restored = (await read_checkpoint(readers, 0, incarnation, PartitionState())).state
    ended = time.perf_counter()
    await successor.stop()
    return {
        "bytes": sum(map(len, dict(rows).values())),
        "write_s": round(written - began, 3),
        "restore_s": round(ended - asked, 3),
        "equal": dict(encode(restored, range(len(restored)))) == dict(rows),
    }


def _chunks_of(devices: int, size: Size) -> tuple[int, int]:
    """How many chunks until every device has reported, and how many whole minutes then make."""
    a_minute = devices * 60 // PERIOD_S
    minutes = math.ceil(size.least / a_minute)
    return math.ceil(devices / size.chunk), math.ceil(minutes * a_minute / size.chunk)


class _Path:
    """Decode and detect, with the state of its devices."""

    def __init__(self) -> None:
        self.state = PartitionState()
        self._limits: LimitTable = load_limits()
        self._offset = 0
        self.aggregates = 0

    def feed(self, sent: Sequence[SentRecord]) -> tuple[float, float, int]:
        """CPU seconds of decoding and of detecting, and how many reports there were."""
        records = records_of(sent, self._offset)
        self._offset += len(sent)
        began = time.process_time()
        reports, _ = decode(records)
        decoded = time.process_time()
        result = process(reports, self.state, self._limits, START_TS)
        ended = time.process_time()
        self.aggregates += len(result.aggregates)
        return decoded - began, ended - decoded, len(reports)

    def feed_all(self, chunks: Iterable[Sequence[SentRecord]]) -> None:
        """What comes before that which is measured."""
        for chunk in chunks:
            self.feed(chunk)

    def cost_of(self, chunks: Iterator[Sequence[SentRecord]]) -> dict[str, float]:
        """Microseconds of CPU a report."""
        decode_s, detect_s, reports = map(sum, zip(*map(self.feed, chunks), strict=True))
        return {
            "reports": reports,
            "decode_us_per_report": round(decode_s / reports * 1e6, 2),
            "detect_us_per_report": round(detect_s / reports * 1e6, 2),
        }


def _fleet_chunks(devices: int, size: int, count: int, rate: float = 0) -> Iterator[list[SentRecord]]:
    """At a rate, or where that is 0 every device every `PERIOD_S`."""
    rate = rate or devices / PERIOD_S
    config = FleetConfig(
        seed=SEED,
        devices=devices,
        rate=rate,
        seconds=(count + 1) * size / rate,
        start_ts=START_TS,
        share_late=0,
        share_swapped=0,
        share_repeated=0,
        faults_per_kind=0,
    )
    fleet, waiting = Fleet(config), list[SentRecord]()
    step = max(1, int(size / rate * 1_000))
    for from_ts in range(config.start_ts, config.end_ts, step):
        waiting += map(arrived, fleet.due(from_ts, min(from_ts + step, config.end_ts)))
        while len(waiting) >= size and count:
            yield waiting[:size]
            del waiting[:size]
            count -= 1


def _temperature_chunks(components: int, devices: int, count: int) -> Iterator[list[SentRecord]]:
    """Every chunk is a report of every device."""
    for number in range(count):
        event_ts = START_TS + number * PERIOD_S * 1_000
        yield [_temperatures(device, event_ts, number, components) for device in range(devices)]


def _ordered_chunks(order: str, devices: int, count: int) -> Iterator[list[SentRecord]]:
    """Chunks of as many reports as there are devices; after the first, of which every device has one, in this order."""
    chance, few = np.random.default_rng(SEED), max(1, devices // 100)
    for number in range(count):
        senders = np.arange(devices)
        if number and order != ORDERS[0]:
            senders = chance.integers(0, devices, devices)
            if order == ORDERS[2]:
                senders[chance.random(devices) < 0.5] %= few
        step_ms = PERIOD_S * 1_000 / devices
        yield [
            _temperatures(device, START_TS + round((number * devices + place) * step_ms), place, 13)
            for place, device in enumerate(senders.tolist())
        ]


def _temperatures(device: int, event_ts: int, number: int, components: int) -> SentRecord:
    return SentRecord(
        event_ts + ARRIVES_MS,
        b"key",
        orjson.dumps(
            {
                "v": 1,
                "device_id": f"BJ-{device:06}",
                "device_kind": "electrical_monitor",
                "event_ts": event_ts,
                "seq": number,
                "temperature_c": [30 + ((device * 7 + one) % 100 + number % 3) / 10 for one in range(components)],
            }
        ),
    )
