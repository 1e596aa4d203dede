"""The ceilings: a bare aiokafka consumer that commits every second, and counts records or parses them and no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from benchmarks.peers.given import COMMIT_INTERVAL_S, LARGEST_BYTES, Beginning, PeerConfig, given

Handle = Callable[[list[ConsumerRecord]], object]


def _parse(records: list[ConsumerRecord]) -> None:
    loads = orjson.loads
    for record in records:
        with suppress(orjson.JSONDecodeError):
            loads(record.value)


async def _consume(given: PeerConfig, work: Handle) -> None:
    consumer = AIOKafkaConsumer(
        given.telemetry,
        bootstrap_servers=given.kafka,
        group_id=given.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=LARGEST_BYTES,
        fetch_max_wait_ms=50,
    )
    beginning, committed_at = Beginning(), time.monotonic()
    async with consumer:
        while True:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                beginning.note()
                work(records)
            if time.monotonic() - committed_at >= COMMIT_INTERVAL_S and consumer.assignment():
                await consumer.commit()
                committed_at = time.monotonic()


if __name__ == "__main__":
    here = given()
    asyncio.run(_consume(here, _parse if here.form == "parse" else len))
