"""How the detect path grows: with the number of devices, and with the size of a report. Without Kafka.

The work is the same for every number of devices: each reports every 20 s, whole minutes are measured, so that every
third report closes one, and chunks are as large as the smallest fleet. Each case runs in a process of its own.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from typing import Any, Final

import orjson

from benchmarks.machine import machine, versions
from benchmarks.processes import resident_bytes
from benchmarks.workload import ARRIVES_MS, START_TS, Sent, arrived, records_of
from detectors.checkpoint import encode, restore_all
from detectors.limits import LimitTable, load_limits
from detectors.process import process
from detectors.state import PartitionState
from fleet import Fleet, FleetConfig
from schemas.reports import decode
from streams.garbage import collect_seldom

DEVICES: Final = (3_000, 30_000, 130_000, 1_000_000)
COMPONENTS: Final = (1, 4, 13, 32, 64)
SEED: Final = 7
PERIOD_S: Final = 20
CHUNK: Final = 3_000
LEAST: Final = 200_000
"""Reports that are measured at least; a million devices send three times as many in a minute as they are."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: tests take less."""

    chunk: int = CHUNK
    least: int = LEAST


def run(
    devices: Sequence[int], components: Sequence[int], say: Callable[[str], None], size: Size = Size()
) -> dict[str, Any]:
    """Every number of devices, then every number of components; one JSON object."""
    cases = list(_alone(of_devices, devices, size, say))
    reports = list(_alone(of_components, components, size, say))
    return {
        "benchmark": "scale",
        "version": 2,
        "seed": SEED,
        "period_s": PERIOD_S,
        "chunk": size.chunk,
        "machine": machine(),
        "versions": versions(),
        "cases": cases,
        "reports": reports,
    }


def _alone(
    measure: Callable[[int, Size], dict[str, Any]], numbers: Sequence[int], size: Size, say: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    for number in numbers:
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:
            case = alone.submit(measure, number, size).result()
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
    for chunk in islice(source, warm - 1):
        path.feed(chunk)
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


def of_components(components: int, size: Size) -> dict[str, Any]:
    """One number of components a report, in this process."""
    collect_seldom()
    warm, measured = _chunks_of(size.chunk, size)
    source = _temperature_chunks(components, size.chunk, warm + measured)
    path = _Path()
    for chunk in islice(source, warm):
        path.feed(chunk)
    return {"components": components, "bytes_per_report": len(chunk[0].value), **path.cost_of(source)}


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

    def feed(self, sent: Sequence[Sent]) -> tuple[float, float, int]:
        """CPU seconds of decoding and of detecting, and how many reports there were."""
        records = records_of(sent, self._offset)
        self._offset += len(sent)
        began = time.process_time()
        reports, _ = decode(records)
        decoded = time.process_time()
        process(reports, self.state, self._limits, START_TS)
        return decoded - began, time.process_time() - decoded, len(reports)

    def cost_of(self, chunks: Iterator[Sequence[Sent]]) -> dict[str, float]:
        """Microseconds of CPU a report."""
        decode_s, detect_s, reports = map(sum, zip(*map(self.feed, chunks), strict=True))
        return {
            "reports": reports,
            "decode_us_per_report": round(decode_s / reports * 1e6, 2),
            "detect_us_per_report": round(detect_s / reports * 1e6, 2),
        }


def _fleet_chunks(devices: int, size: int, count: int) -> Iterator[list[Sent]]:
    rate = devices / PERIOD_S
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
    fleet, waiting = Fleet(config), list[Sent]()
    step = max(1, int(size / rate * 1_000))
    for from_ts in range(config.start_ts, config.end_ts, step):
        waiting += map(arrived, fleet.due(from_ts, min(from_ts + step, config.end_ts)))
        while len(waiting) >= size and count:
            yield waiting[:size]
            del waiting[:size]
            count -= 1


def _temperature_chunks(components: int, devices: int, count: int) -> Iterator[list[Sent]]:
    """Every chunk is a report of every device."""
    for number in range(count):
        event_ts = START_TS + number * PERIOD_S * 1_000
        yield [
            Sent(
                event_ts + ARRIVES_MS,
                b"key",
                orjson.dumps(
                    {
                        "v": 1,
                        "device_id": f"BJ-{device:06}",
                        "device_kind": "electrical_monitor",
                        "event_ts": event_ts,
                        "seq": number,
                        "temperature_c": [30 + (device * 7 + number * 3 + one) % 100 / 10 for one in range(components)],
                    }
                ),
            )
            for device in range(devices)
        ]
