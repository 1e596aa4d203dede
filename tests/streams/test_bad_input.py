"""Bad input from end to end: it is told with its reason, and its neighbours are stored."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from common.times import now_ms
from schemas.rejects import RejectEvent, original_headers
from schemas.topics import REJECTS, TELEMETRY
from tests.support.kafka_outside import Kafka, ProducerRecord
from tests.support.platform import Platform, quick_settings
from tests.support.processes import until, working

HEADERS: Final = [("gateway", b"g-7"), ("trace", b"\xff\x00")]


def _report(device: str, **changed: Any) -> dict[str, Any]:
    return {
        "v": 1,
        "device_id": device,
        "device_kind": "electrical_monitor",
        "event_ts": now_ms(),
        "components": 4,
        "residual_current_ma": [61.5],
        "temperature_c": [31.0, 30.5, 32.1],
    } | changed


def _bytes(device: str, **changed: Any) -> bytes:
    return orjson.dumps(_report(device, **changed))


class BadCase(NamedTuple):
    """A record that must be rejected, its reason, and its number in it."""

    value: Callable[[str], bytes | None]
    reason: str
    keyed: bool = True
    number: int = -1


BAD: Final = {
    "truncated JSON": BadCase(lambda device: _bytes(device)[:-20], "not_json"),
    "random bytes": BadCase(lambda device: b"\xff" + random.Random(1).randbytes(200), "not_json"),
    "a record of 10 MB": BadCase(lambda device: _bytes(device, note="x" * 10_000_000), "record_too_large"),
    "text in GB 18030": BadCase(
        lambda device: _bytes(device, faults=["探头故障"]).decode().encode("gb18030"), "not_json"
    ),
    "a number for a device": BadCase(lambda device: _bytes(device, device_id=17), "wrong_type", number=0),
    "an unknown version": BadCase(lambda device: _bytes(device, v=2), "unknown_version", number=0),
    "no device": BadCase(lambda device: _bytes(device, device_id=None), "missing_field", number=0),
    "an empty record": BadCase(lambda device: b"", "empty_record"),
    "a null value": BadCase(lambda device: None, "empty_record"),
    "a null key": BadCase(lambda device: _bytes(device), "null_key", keyed=False),
    "an array with one bad report": BadCase(
        lambda device: orjson.dumps(
            [_report(device), _report(device, v="1", smoke=["much"]), _report(device, event_ts=now_ms() - 1)]
        ),
        "wrong_type",
        number=1,
    ),
}


def test_each_bad_record_is_told_with_its_reason_and_its_neighbours_are_stored(platform: Platform) -> None:
    kafka, begin = platform.kafka, platform.kafka.ends(TELEMETRY.name)[0]
    values = {name: bad.value(f"BAD-{number}") for number, (name, bad) in enumerate(BAD.items())}
    sends = []
    for number, (name, bad) in enumerate(BAD.items()):
        key = f"BAD-{number}".encode()
        sends += [
            ProducerRecord(0, b"before", _bytes(f"BEFORE-{number}")),
            ProducerRecord(0, key if bad.keyed else None, values[name], HEADERS),
            ProducerRecord(0, b"after", _bytes(f"AFTER-{number}")),
        ]
    kafka.send(sends)

    query = platform.query
    mine = "WHERE source_topic = 'emberline.telemetry' AND source_partition = 0 AND source_offset >= %(begin)s"
    told = f"SELECT source_offset, source_index, reason, detail, length(value) FROM rejects {mine}"  # noqa: S608
    until(lambda: len(query(told, begin=begin)) >= len(BAD), f"all rejects; detect said {platform.detect.said}")
    expected = [(begin + 3 * n + 1, bad.number, bad.reason) for n, bad in enumerate(BAD.values())]
    rows = sorted(query(told, begin=begin))
    assert [row[:3] for row in rows] == expected
    assert all(detail for *_, detail, _ in rows)

    neighbours = "SELECT device_id FROM telemetry WHERE match(device_id, '^(BEFORE|AFTER)-') ORDER BY device_id"
    both = sorted(f"{where}-{number}" for where in ("BEFORE", "AFTER") for number in range(len(BAD)))
    until(lambda: len(query(neighbours)) >= len(both), "all neighbours stored")
    assert [device for (device,) in query(neighbours)] == both
    good_of_array = query(
        "SELECT index FROM telemetry WHERE device_id = %(id)s ORDER BY index", id=f"BAD-{len(BAD) - 1}"
    )
    assert good_of_array == [(0,), (2,)]

    # On the topic each is there with its own key, bytes and headers, ready to be sent again.
    found = {}
    for record in kafka.read(REJECTS.name)[0]:
        event = RejectEvent.from_headers(record.headers)
        if event.source_offset >= begin:
            found[event.source_offset] = record, event
    for number, (name, bad) in enumerate(BAD.items()):
        record, event = found[begin + 3 * number + 1]
        assert (event.reason, event.source_index) == (bad.reason, bad.number), name
        assert record.key == (f"BAD-{number}".encode() if bad.keyed else None), name
        assert original_headers(record.headers) == HEADERS, name
        if bad.number < 1:
            assert record.value == values[name], name
        else:
            assert orjson.loads(record.value)["smoke"] == ["much"]


def test_mostly_bad_input_is_said_loudly_with_its_gateway_and_stops_nobody(kafka: Kafka, tmp_path: Path) -> None:
    gateway, other = ("gateway", "网关-7".encode()), ("gateway", b"\xff")
    bad = [ProducerRecord(0, b"BAD-1", b'{"v":1}', [gateway]) for _ in range(1_800)]
    good = [ProducerRecord(0, b"good", _bytes("GOOD"), [other]) for _ in range(600)]
    with working("detect", quick_settings(kafka.address), tmp_path / "detect") as worker:
        kafka.send(good[:300] + bad + good[300:])
        worker.until(lambda: kafka.committed("emberline-detect") == kafka.ends(TELEMETRY.name), "all committed")
        worker.until(lambda: 'gateway_rejects_total{gateway="网关-7"} 1800.0' in worker.ask("/metrics")[1], "a count")
        _, metrics = worker.ask("/metrics")
        worker.until(lambda: worker.ask("/readyz")[1].startswith("ready; "), "a remark")
        _, ready = worker.ask("/readyz")
        assert worker.stop() == 0, worker.said
    assert len(kafka.read(REJECTS.name)[0]) == len(bad)
    assert 'emberline_gateway_reports_total{gateway="unknown"} 600.0' in metrics
    assert re.search(r"^emberline_reject_share 0\.[678]\d*$", metrics, re.MULTILINE)
    told = "most from gateway 网关-7: missing_field: device_id is required; the last one's key is 'BAD-1'"
    assert re.match(rf"ready; \d\d% of the last 2000 reports are bad, {re.escape(told)}", ready)
    assert told in worker.said
    assert worker.said.count("of the last") <= 2
