"""Bad records under load, and events that nobody of ours has sent."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import orjson
from clickhouse_driver import Client
from msgspec import structs

from common.settings import host_port
from common.times import now_ms
from schemas.events import Alarm, DeviceStatus
from schemas.topics import ALARMS, DEVICE_STATUS
from tests.faults.altered.raising import FATAL_VALUE
from tests.faults.arena import PARTITIONS, Arena
from tests.faults.conftest import Open
from tests.support.kafka_outside import Kafka, ProducerRecord
from tests.support.processes import until

ELSEWHERE: Final[dict[str, dict[str, Any]]] = {
    "a record that telemetry has not": {"source_offset": 2**62},
    "a record that telemetry has not yet": {"source_offset": 1_000_000},
    "a generation that nobody has begun": {"generation": 2**31 - 1},
    "another telemetry": {"source_topic_id": str(UUID(int=7)), "source_offset": 2**62},
}
_COUNTS: Final = """
    SELECT
        (SELECT count() FROM alarm_events WHERE device_id = %(device)s),
        (SELECT count() FROM device_status_events WHERE device_id = %(device)s)
"""

TOO_LARGE: Final = b'{"v":1,"note":"' + b"x" * 5_000_000 + b'"}'
STRETCH: Final = 3_000
"""More than the 2000 by which a worker judges the share of bad input."""


def test_undecodable_and_too_large_records_under_load_harm_only_themselves(arena: Open) -> None:
    with arena(detect=2, sink=1) as ring, ring.load(81) as load, Kafka(ring.settings.kafka, PARTITIONS) as kafka:
        for value in (b"\xff\xfe", TOO_LARGE, b"", None, b"[" * 100_000, TOO_LARGE[:-2]):
            kafka.send([ProducerRecord(number, b"poison", value) for number in range(PARTITIONS)])
        ring.live()
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert verdict.counts["rejects"] >= 6 * PARTITIONS
    assert ring.crew.gave_up == []


def _raising(role: str) -> Sequence[str]:
    return [sys.executable, "-m", "tests.faults.altered.raising", "worker", role]


def _report(device: str, seq: int, residual_current_ma: float) -> dict[str, Any]:
    return {
        "v": 1,
        "device_id": device,
        "device_kind": "electrical_monitor",
        "event_ts": now_ms(),
        "seq": seq,
        "residual_current_ma": [residual_current_ma],
    }


def _with_fatal_ones(number: int) -> Iterator[ProducerRecord]:
    """Good reports with some between them that detectors raise on: alone, at the end of an array, next to bad ones."""
    device = f"P-{number}"
    good = [_report(device, seq, 650.0) for seq in range(5)]
    fatal = _report(device, 9, FATAL_VALUE)
    for value in (good[0], fatal, good[1], [good[2], _report(f"Q-{number}", 0, 20.0), fatal], good[3], fatal, good[4]):
        yield ProducerRecord(number, device.encode(), orjson.dumps(value))
    yield ProducerRecord(number, device.encode(), orjson.dumps([{"v": 1}, fatal]))


def _is_fatal(report: Any) -> bool:
    return type(report) is dict and report.get("residual_current_ma") == [FATAL_VALUE]


def test_records_that_make_a_detector_raise_become_rejects_and_every_other_is_worked_on(arena: Open) -> None:
    with (
        arena(detect=1, sink=1, command=_raising) as ring,
        ring.load(82) as load,
        Kafka(ring.settings.kafka, PARTITIONS) as kafka,
    ):
        for _ in range(3):
            ring.live()
            kafka.send([one for number in range(PARTITIONS) for one in _with_fatal_ones(number)])
        ring.crew.detect[0].kill()
        ring.live()
        verdict = ring.judge(load, fails=_is_fatal)
        said = ring.crew.detect[0].said
    assert verdict.complaints == []
    assert verdict.counts["rejects"] >= 3 * 5 * PARTITIONS
    assert "a detector failed" in said
    assert ring.crew.gave_up == []


def test_a_bad_stretch_stops_nobody_and_is_said(arena: Open) -> None:
    with (
        arena(detect=1, sink=1) as ring,
        ring.load(83) as load,
        Kafka(ring.settings.kafka, PARTITIONS) as kafka,
    ):
        (post,) = ring.crew.detect
        kafka.send([ProducerRecord(0, b"poison", b"{") for _ in range(STRETCH)])
        ring.live()
        verdict = ring.judge(load)
        ended = list(ring.crew.exits)
    assert verdict.complaints == []
    assert verdict.counts["rejects"] >= STRETCH
    assert re.search(r"of the last \d+ reports are bad, most from gateway unknown: not_json", post.said)
    assert ended == []


def test_events_of_strangers_are_told_and_left_out_and_those_that_follow_are_stored(arena: Open) -> None:
    with arena(detect=1, sink=1) as ring, Kafka(ring.settings.kafka, PARTITIONS) as kafka:
        _until_stored(ring, kafka, "FIRE-0")
        for topic, event in ((ALARMS.name, Alarm), (DEVICE_STATUS.name, DeviceStatus)):
            (record, *_) = kafka.read(topic)[0]
            true = event.from_json(record.value)
            forged = [structs.replace(true, device_id="FORGED", **changes) for changes in ELSEWHERE.values()]
            kafka.send((ProducerRecord(0, b"FORGED", one.to_json()) for one in forged), topic)
        _until_stored(ring, kafka, "FIRE-1")
        # Whoever takes the partition over, and whoever has other rules, begins behind what is ours.
        for post in ring.crew.posts:
            post.kill()
        _until_stored(ring, kafka, "FIRE-2")
        assert _stored(ring, "FORGED") == (0, 0)
        said = ring.crew.sink[0].said
        assert "is no event of ours: a stranger's" in said
    assert ring.crew.gave_up == []


def _until_stored(ring: Arena, kafka: Kafka, device: str) -> None:
    """An arc fault of a device, and then that it and its device are told in ClickHouse."""
    report = {"v": 1, "device_id": device, "arc_half_cycles": [20]}
    kafka.send([ProducerRecord(0, device.encode(), orjson.dumps(report))])
    until(lambda: _stored(ring, device) == (1, 1), f"{device} in ClickHouse; {ring.told()}", 60)


def _stored(ring: Arena, device: str) -> tuple[int, int]:
    """How many alarms and statuses of a device are in ClickHouse."""
    host, port = host_port(ring.clickhouse.address)
    with Client(host, port, ring.settings.clickhouse_database, password=ring.settings.clickhouse_password) as client:
        ((alarms, statuses),) = client.execute(_COUNTS, {"device": device})
    return alarms, statuses
