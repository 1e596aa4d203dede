"""Batches of anything at all: no worker ends, nothing is lost or multiplied, no neighbour's fire goes unheard."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import orjson
import pytest
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from common.times import now_ms
from schemas.events import Alarm, DeviceStatus
from schemas.rejects import RejectEvent
from schemas.topics import ALARMS, DEVICE_STATUS, REJECTS, TELEMETRY
from tests.faults.anything import Anything
from tests.faults.arena import PARTITIONS
from tests.faults.conftest import Open
from tests.support.kafka_outside import Kafka, ProducerRecord
from tests.support.processes import until

ROUNDS = 5
"""Fires of neighbours among it."""


@pytest.mark.parametrize(
    ("seed", "batches"),
    [
        (1, 100),
        pytest.param(int(time.time()), 200, id="anew"),
        pytest.param(int(time.time()), 3_000, id="anew-long", marks=pytest.mark.nightly),
    ],
)
def test_nothing_a_producer_sends_ends_a_worker_or_hides_a_neighbours_fire(
    arena: Open, seed: int, batches: int
) -> None:
    anything, refused = Anything(seed), 0
    with arena(detect=1, sink=1) as ring, ring.load(87) as load, Kafka(ring.settings.kafka, PARTITIONS) as kafka:
        for number in range(batches):
            try:
                kafka.send_batch(number % PARTITIONS, *anything.batch(now_ms()))
            except KafkaError:
                # The broker looks into some batches, and takes none that is not whole.
                refused += 1
            if number % (batches // ROUNDS) == 0:
                _burn(kafka, number)
        ring.live()
        verdict = ring.judge(load)
        telemetry, rejects, alarms, statuses = (
            kafka.read(topic) for topic in (TELEMETRY.name, REJECTS.name, ALARMS.name, DEVICE_STATUS.name)
        )
        ended = list(ring.crew.exits)
    assert verdict.complaints == [], f"seed {seed}"
    assert ended == []
    assert refused < batches / 2
    assert list(_too_large(telemetry, rejects)) == []
    per_report = Counter(
        (number, one.source_offset, one.source_ordinal >> 1)
        for number, records in enumerate(alarms)
        for one in (Alarm.from_json(record.value) for record in records)
    )
    assert max(per_report.values()) <= 2
    per_device = Counter(
        (number, one.device_id, one.test, one.source_offset, one.source_ordinal)
        for number, records in enumerate(statuses)
        for one in (DeviceStatus.from_json(record.value) for record in records)
        if one.source_ordinal >= 0
    )
    assert max(per_device.values()) == 1


def _burn(kafka: Kafka, number: int) -> None:
    """A neighbour in each partition burns, and must be heard."""
    device, now = f"FIRE-{number}", now_ms()
    reports = [
        {
            "v": 1,
            "device_id": device,
            "device_kind": "electrical_monitor",
            "event_ts": now - 40_000 + 10_000 * seq,
            "seq": seq,
            "residual_current_ma": [800.0],
        }
        for seq in range(4)
    ]
    for partition in range(PARTITIONS):
        kafka.send(ProducerRecord(partition, device.encode(), orjson.dumps(report)) for report in reports)
    heard = {record.key for records in kafka.read(ALARMS.name) for record in records}

    def alarmed() -> bool:
        return all(any(record.key == device.encode() for record in records) for records in kafka.read(ALARMS.name))

    # Behind hundreds of batches in its own partition, on a machine that the whole suite keeps busy.
    until(alarmed, f"alarms of the neighbours; heard so far {len(heard)}", 120)


def _too_large(telemetry: list[list[ConsumerRecord]], rejects: list[list[ConsumerRecord]]) -> Iterator[str]:
    """The records of whose rejects there is more than may be."""
    for number, records in enumerate(telemetry):
        sent = {record.offset: getattr(record, "sent_bytes", 0) or _bytes_of(record) for record in records}
        told = Counter[int]()
        for record in rejects[number]:
            told[RejectEvent.from_headers(record.headers).source_offset] += _bytes_of(record)
        for offset, size in told.items():
            if size > 4 * sent[offset] + 1_000:
                yield f"partition {number} offset {offset}: {size} bytes of rejects for {sent[offset]} sent"


def _bytes_of(record: ConsumerRecord) -> int:
    headers = sum(len(name.encode()) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers
