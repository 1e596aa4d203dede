"""How the detect path grows with the number of devices: time a report, memory a device, checkpoint and restore.

Every device reports every 20 s, in chunks of 5000 reports. Few devices close more minutes in as many reports than many.
Each case runs in a process of its own, without Kafka.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.machine import machine, versions
from benchmarks.workload import Sent, arrived, records_of
from detectors.checkpoint import encode, restore_all
from detectors.limits import load_limits
from detectors.process import process
from detectors.state import PartitionState
from fleet import Fleet, FleetConfig
from schemas.reports import decode
from streams.garbage import collect_seldom

DEVICES: Final = (3_000, 30_000, 130_000, 1_000_000)
SEED: Final = 7
START_TS: Final = 1_790_000_000_000
PERIOD_S: Final = 20.0
CHUNK: Final = 5_000
CHUNKS: Final = 40
"""So many are measured, after every device has reported once."""


def run(devices: Sequence[int], say: Callable[[str], None], chunk: int = CHUNK, chunks: int = CHUNKS) -> dict[str, Any]:
    """Every number of devices; one JSON object."""
    cases = []
    for number in devices:
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:
            cases.append(alone.submit(measure, number, chunk, chunks).result())
        say("  ".join(f"{name} {value}" for name, value in cases[-1].items()))
    return {
        "benchmark": "scale",
        "version": 1,
        "seed": SEED,
        "period_s": PERIOD_S,
        "chunk": chunk,
        "machine": machine(),
        "versions": versions(),
        "cases": cases,
    }


def measure(devices: int, size: int, chunks: int) -> dict[str, Any]:
    """One number of devices, in this process."""
    collect_seldom()  # as a worker does
    limits, source = load_limits(), _chunks(devices, size, chunks)
    # What the simulated fleet takes, and a chunk by itself, is there before the state is.
    chunk = next(source)
    _feed(chunk, 0, PartitionState(), limits)
    gc.collect()
    before, state = _resident(), PartitionState()
    offset = _feed(chunk, 0, state, limits)[0]
    while len(state) < devices:
        offset = _feed(next(source), offset, state, limits)[0]
    gc.collect()
    resident = _resident() - before
    times = []
    for _ in range(chunks):
        offset, decode_s, detect_s, reports = _feed(next(source), offset, state, limits)
        times.append((decode_s / reports, detect_s / reports))
    decode_us, detect_us = np.median(times, axis=0) * 1e6
    began = time.process_time()
    rows = dict(encode(state, range(len(state))))
    encoded = time.process_time()
    restore_all(PartitionState(), rows)
    restored = time.process_time()
    return {
        "devices": devices,
        "decode_us_per_report": round(float(decode_us), 2),
        "detect_us_per_report": round(float(detect_us), 2),
        "memory_bytes_per_device": round(resident / devices),
        "checkpoint_bytes_per_device": round(sum(map(len, rows.values())) / devices),
        "checkpoint_s": round(encoded - began, 3),
        "restore_s": round(restored - encoded, 3),
    }


def _chunks(devices: int, size: int, chunks: int) -> Iterator[list[Sent]]:
    rate = devices / PERIOD_S
    config = FleetConfig(
        seed=SEED,
        devices=devices,
        rate=rate,
        seconds=PERIOD_S + (chunks + 2) * size / rate,
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
        while len(waiting) >= size:
            yield waiting[:size]
            del waiting[:size]


def _feed(sent: Sequence[Sent], offset: int, state: PartitionState, limits: Any) -> tuple[int, float, float, int]:
    """Work a chunk off; the next offset, CPU seconds of decoding and detecting, and the number of reports."""
    records = records_of(sent, offset)
    began = time.process_time()
    reports, _ = decode(records)
    decoded = time.process_time()
    process(reports, state, limits, START_TS)
    return offset + len(sent), decoded - began, time.process_time() - decoded, len(reports)


def _resident() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1_024 for line in status.splitlines() if line.startswith("VmRSS"))
