"""What one sender can put on a topic, and what it does to the others: nothing."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Sequence
from typing import Any, Final

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from common.times import now_ms
from schemas.topics import ALARMS, REJECTS, TELEMETRY
from tests.faults.arena import PARTITIONS
from tests.faults.conftest import Open
from tests.support.batches_by_hand import RawRecord, batch, records_of, with_records
from tests.support.kafka_outside import Kafka, ProducerRecord
from tests.support.processes import until

CODECS: Final = ("gzip", "snappy", "lz4", "zstd")
FLOOD: Final = 30_000
"""Reports of one device in one batch: some seconds of work."""
READERS: Final = 60


def _report(device: str, seq: int = 0, **changed: Any) -> bytes:
    report = {
        "v": 1,
        "device_id": device,
        "device_kind": "electrical_monitor",
        "event_ts": now_ms(),
        "seq": seq,
        "residual_current_ma": [20.0],
    }
    return orjson.dumps(report | changed)


def _gzipped(given: Sequence[RawRecord]) -> tuple[bytes, int]:
    made = batch(given, now_ms())
    return with_records(made, gzip.compress(records_of(made), 1), 1), len(given)


async def _send_compressed(kafka: str, codec: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka, acks="all", compression_type=codec, linger_ms=20) as producer:
        for number in range(50):
            device = f"{codec}-{number}"
            await producer.send(TELEMETRY.name, _report(device), device.encode(), partition=number % PARTITIONS)


def test_every_codec_null_headers_odd_header_names_and_bombs_end_as_reports_or_rejects(arena: Open) -> None:
    odd = batch([(b"odd", _report("odd"), [("gateway", b"g-7")])] * 3, now_ms())
    with (
        arena(detect=1, sink=1) as ring,
        ring.load(84) as load,
        Kafka(ring.settings.kafka, PARTITIONS) as kafka,
    ):
        for codec in CODECS:
            asyncio.run(_send_compressed(ring.settings.kafka, codec))
        nulls: list[tuple[str, bytes | None]] = [("gateway", None), ("trace", None)]
        kafka.send([ProducerRecord(1, b"null", value, nulls) for value in (_report("null"), b"{")])
        kafka.send_batch(2, with_records(odd, records_of(odd).replace(b"gateway", b"\xff\xfeteway")), 3)
        kafka.send_batch(0, batch([(b"twice", _report("twice"), [])] * 4, now_ms(), deltas=[0, 1, 1, 3]), 4)
        kafka.send_batch(3, *_gzipped([(b"bomb", bytes(4_000_000), [])] * 10))
        ring.live()
        verdict = ring.judge(load)
        rejected = kafka.read(REJECTS.name)
        ended = list(ring.crew.exits)
    assert verdict.complaints == []
    bombs = [record for record in rejected[3] if dict(record.headers)["emberline.reason"] == b"batch_too_large"]
    assert len(bombs) == 10
    twice = [record for record in rejected[0] if dict(record.headers)["emberline.reason"] == b"unreadable_batch"]
    assert len(twice) == 2
    (of_nulls,) = [record for record in rejected[1] if record.key == b"null"]
    assert list(of_nulls.headers[-2:]) == nulls
    assert ended == []


def test_a_flood_of_one_device_holds_up_neither_its_neighbours_alarms_nor_the_workers_leaving(arena: Open) -> None:
    begin = now_ms() - FLOOD
    with (
        arena(detect=1, sink=1) as ring,
        ring.load(85) as load,
        Kafka(ring.settings.kafka, PARTITIONS) as kafka,
    ):
        (post,) = ring.crew.detect
        ring.live()
        flood = _gzipped([(b"F", _report("F", seq, event_ts=begin + seq), []) for seq in range(FLOOD)])
        kafka.send_batch(0, *flood)
        burns = {"residual_current_ma": [800.0]}
        kafka.send(
            ProducerRecord(1, b"FIRE", _report("FIRE", seq, event_ts=now_ms() + 10_000 * (seq - 3), **burns))
            for seq in range(4)
        )

        def alarmed() -> bool:
            assert post.worker.ask("/healthz") == (200, "alive\n")
            return any(record.key == b"FIRE" for record in kafka.read(ALARMS.name)[1])

        until(alarmed, "an alarm of a neighbour")
        assert post.restart() == 0
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert ring.crew.gave_up == []


@pytest.mark.parametrize("path", ["/metrics", "/healthz"])
def test_many_readers_are_answered_while_it_works(arena: Open, path: str) -> None:
    with arena(detect=1, sink=0) as ring, ring.load(86) as load:
        (post,) = ring.crew.detect

        async def ask_all() -> list[tuple[int, str]]:
            return await asyncio.gather(*(asyncio.to_thread(post.worker.ask, path) for _ in range(READERS)))

        answers = asyncio.run(ask_all())
        ring.live()
        load.stop()
    assert {status for status, _ in answers} == {200}
