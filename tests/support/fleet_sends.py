"""What a fleet sends, and what the events on a topic say once repeats are dropped."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import orjson
from aiokafka import ConsumerRecord

from detectors.limits import LimitTable
from detectors.twin.oracle import Oracle, Told, bare
from fleet import Fleet, FleetConfig
from schemas.charging_sessions import ChargingSession
from schemas.device_requests import DeviceRequest
from schemas.events import Aggregate, Alarm, ControlOutcome, DeviceStatus
from schemas.positions import Repeats
from schemas.rejects import RejectEvent
from streams.partitioner import is_misplaced, partition_of
from tests.support.kafka_outside import ProducerRecord
from tests.support.platform import PARTITIONS

RISE_WINDOW_S = 30
Positioned = TypeVar("Positioned", Alarm, Aggregate, DeviceStatus, ControlOutcome, DeviceRequest, ChargingSession)


def quick_limits(folder: Path) -> Path:
    """A limits file by which rises of leakage are judged within seconds, so that a short run can show one."""
    path = folder / "limits.toml"
    path.write_text(f"[default.residual_current_rise]\nwindow_s = {RISE_WINDOW_S}\n")
    return path


def fleet_sends(
    seed: int, seconds: float, devices: int = 60, rate: float = 120.0, bad: int = 50
) -> list[ProducerRecord]:
    """Everything a small fleet with planted faults, late batches, repeats and bad records sent until just now."""
    config = FleetConfig(
        seed=seed,
        devices=devices,
        rate=rate,
        seconds=seconds,
        start_ts=time.time_ns() // 1_000_000 - int(seconds * 1_000),
        share_late=0.1,
        share_repeated=0.05,
        faults_per_kind=1,
        bad_records=bad,
        rise_window_s=RISE_WINDOW_S,
    )
    sends = Fleet(config).due(config.start_ts, config.end_ts)
    return [ProducerRecord(partition_of(one.key or b"", PARTITIONS), one.key, one.value) for one in sends]


def steady(device_id: str, milliamperes: float, began: int, partition: int) -> Iterator[ProducerRecord]:
    """Reports of one residual current for 12 s from `began`, epoch ms: long enough to confirm any level."""
    for seq in range(4):
        fields = {"event_ts": began + 4_000 * seq, "seq": seq, "residual_current_ma": [milliamperes]}
        report = {"v": 1, "device_id": device_id, "device_kind": "electrical_monitor", **fields}
        yield ProducerRecord(partition, device_id.encode(), orjson.dumps(report))


def parts(sends: Sequence[ProducerRecord], count: int) -> list[Sequence[ProducerRecord]]:
    """The sends in so many parts of about the same size."""
    edges = [number * len(sends) // count for number in range(count + 1)]
    return [sends[first:beyond] for first, beyond in pairwise(edges)]


def oracle_of(records: Iterable[ConsumerRecord], limits: LimitTable) -> Told:
    """What one partition's records mean by the slow twin, from their bytes and the broker's times."""
    held = list(records)
    number = held[0].partition if held else 0
    return fed(Oracle(limits, misplaced=lambda key: is_misplaced(key, number, PARTITIONS)), held)


def fed(oracle: Oracle, records: Iterable[ConsumerRecord]) -> Told:
    """What the twin says of one partition's records."""
    for record in records:
        # A batch that could not be read: the twin knows nothing of batches.
        if fault := getattr(record, "fault", None):
            oracle.pass_time(record.offset, record.timestamp, oracle.told)
            oracle.told.rejects.append((record.offset, -1, fault.reason))
        else:
            sent_bytes = getattr(record, "sent_bytes", None)
            oracle.feed(record.offset, record.timestamp, record.value, record.key, record.headers, sent_bytes)
    return oracle.told


def without_repeats(events: Iterable[Positioned]) -> list[Positioned]:
    """The events of one partition less repeats, by the rule for consumers; who sent them is left out."""
    repeats = Repeats()
    return [bare(event) for event in events if repeats.is_new(0, event)]


def rejects_of(records: Iterable[ConsumerRecord]) -> list[tuple[int, int, str]]:
    """Offset, index and reason of one partition's rejects, less repeats."""
    repeats = Repeats()
    events = (RejectEvent.from_headers(record.headers) for record in records)
    return [(one.source_offset, one.source_index, one.reason) for one in events if repeats.is_new(0, one)]
