"""The stages of the detect path alone, without Kafka: decode and detect, by the size of a chunk.

The fleet's seed and size are fixed, and the result carries a hash of the alarms found, so that a change which makes it
faster by finding something else is seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, Final

import numpy as np

from benchmarks.machine import machine, versions
from detectors.limits import load_limits
from detectors.process import process
from detectors.state import PartitionState
from fleet import Fleet, FleetConfig
from schemas.reports import Records, decode
from streams.garbage import collect_seldom

CHUNK_RECORDS: Final = (10, 40, 160, 640, 2560)
SEED: Final = 3
DEVICES: Final = 400
"""A partition's share of 3000 devices over 8 partitions, about."""
START_TS: Final = 1_790_000_000_000
WARM_SHARE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Stage:
    """CPU time of this process, per report and per chunk; the first fifth of the chunks is not counted."""

    chunk_records: int
    reports: int
    decode_us_per_report: float
    detect_us_per_report: float
    decode_ms_per_chunk: float
    detect_ms_per_chunk: float
    alarms: int
    alarms_hash: str


def run(seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure every chunk size on `seconds` of the fleet; one JSON object."""
    collect_seldom()  # as a worker does
    config = FleetConfig(seed=SEED, devices=DEVICES, rate=DEVICES / 0.6, seconds=seconds, start_ts=START_TS)
    sends = Fleet(config).due(config.start_ts, config.end_ts)
    stages = []
    for size in CHUNK_RECORDS:
        stages.append(_measure(list(_chunks(sends, size)), size))
        one = stages[-1]
        say(f"chunks of {size} records: {one.decode_us_per_report} + {one.detect_us_per_report} us a report")
    return {
        "benchmark": "stages",
        "version": 1,
        "seed": SEED,
        "devices": DEVICES,
        "seconds": seconds,
        "machine": machine(),
        "versions": versions(),
        "stages": [asdict(stage) for stage in stages],
    }


def _chunks(sends: list[Any], size: int) -> Iterator[Records]:
    for first in range(0, len(sends), size):
        some = sends[first : first + size]
        yield Records(
            topic="benchmark",
            partition=0,
            offsets=np.arange(first, first + len(some)),
            timestamps=np.array([one.scheduled_ts + 5 for one in some], dtype=np.int64),
            keys=[one.key for one in some],
            values=[one.value for one in some],
            headers=[()] * len(some),
        )


def _measure(chunks: list[Records], size: int) -> Stage:
    limits, state = load_limits(), PartitionState()
    decode_s = detect_s = 0.0
    reports = counted = 0
    found: list[str] = []
    for number, chunk in enumerate(chunks):
        began = time.process_time()
        columns, _ = decode(chunk)
        decoded = time.process_time()
        result = process(columns, state, limits, START_TS)
        detected = time.process_time()
        found += [f"{alarm.alarm_id} {alarm.event}" for alarm in result.alarms]
        if number >= WARM_SHARE * len(chunks):
            decode_s, detect_s = decode_s + decoded - began, detect_s + detected - decoded
            reports, counted = reports + len(columns), counted + 1
    return Stage(
        chunk_records=size,
        reports=reports,
        decode_us_per_report=round(decode_s / reports * 1e6, 2),
        detect_us_per_report=round(detect_s / reports * 1e6, 2),
        decode_ms_per_chunk=round(decode_s / counted * 1e3, 3),
        detect_ms_per_chunk=round(detect_s / counted * 1e3, 3),
        alarms=len(found),
        alarms_hash=blake2b("\n".join(sorted(found)).encode(), digest_size=8).hexdigest(),
    )
