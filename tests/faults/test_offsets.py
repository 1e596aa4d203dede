"""What lies on the topics is not what a worker expects: no commits, transactions, deleted records, topics made anew."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from clickhouse_driver import Client

from common.settings import Settings, host_port
from schemas.topics import MAX_REJECT_BYTES, TELEMETRY
from tests.faults.arena import PARTITIONS, Arena, configure, make_anew
from tests.faults.conftest import Open
from tests.faults.crew import CommandLine, product
from tests.faults.watch import TABLES, Look
from tests.support.fleet_sends import fleet_sends
from tests.support.kafka_outside import Kafka, ProducerRecord
from tests.support.processes import until

COMPACTED: Final = {
    "cleanup.policy": "compact",
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.001",
    "max.message.bytes": TELEMETRY.settings["max.message.bytes"],
    "message.timestamp.type": TELEMETRY.settings["message.timestamp.type"],
}


def test_a_fresh_group_on_old_topics_and_tables_repeats_nothing(arena: Open) -> None:
    with arena(detect=1, sink=1) as old, old.load(91) as load:
        old.live()
        load.stop()
        old.settle()
    with arena(detect=1, sink=1, after=old, group="fresh") as ring, ring.load(92) as load:
        ring.live()
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert verdict.counts["records"] > sum(load.acknowledged)


def test_transactions_on_telemetry_hold_nothing_back_and_their_markers_are_no_work(arena: Open) -> None:
    with arena(detect=1, sink=1) as ring, ring.load(93) as load:
        for number in range(4):
            sends = fleet_sends(seed=93 + number, seconds=2, bad=2)
            asyncio.run(_transact(ring.settings, sends, commit=number % 2 == 0))
        ring.live()
        load.stop()
        asyncio.run(_transact(ring.settings, fleet_sends(seed=98, seconds=2, bad=2), commit=False))
        # To the very end of partitions whose last offset is a marker's.
        verdict = ring.judge(load)
    assert verdict.complaints == []


def test_readings_of_a_transaction_that_is_still_open_are_worked_on(arena: Open) -> None:
    with arena(detect=1, sink=1) as ring:
        assert asyncio.run(_worked_on_while_open(ring)).detect_lag == 0


async def _worked_on_while_open(ring: Arena) -> Look:
    async with _transactional(ring.settings) as producer:
        await producer.begin_transaction()
        for one in fleet_sends(seed=99, seconds=2, bad=0):
            await producer.send(TELEMETRY.name, one.value, one.key, partition=one.partition)
        await producer.flush()
        look = await asyncio.to_thread(ring.live)
        await producer.abort_transaction()
    return look


def _transactional(settings: Settings) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=settings.kafka, transactional_id="gateway", acks="all", max_request_size=MAX_REJECT_BYTES
    )


async def _transact(settings: Settings, sends: Sequence[ProducerRecord], commit: bool) -> None:
    async with _transactional(settings) as producer:
        await producer.begin_transaction()
        for one in sends:
            await producer.send(TELEMETRY.name, one.value, one.key, partition=one.partition)
        await producer.flush()
        await (producer.commit_transaction() if commit else producer.abort_transaction())


def test_where_retention_removed_unread_records_workers_go_on_with_those_that_are_left_and_say_so(
    arena: Open,
) -> None:
    with arena(detect=1, sink=1) as old, old.load(94) as load:
        old.live()
        load.stop()
        old.settle()
    with Kafka(old.settings.kafka, PARTITIONS) as kafka:
        unread = fleet_sends(seed=94, seconds=10)
        kafka.send(unread)
        begin = kafka.ends(TELEMETRY.name)
        kafka.send(fleet_sends(seed=95, seconds=10))
    asyncio.run(_remove(old.settings, begin))
    with arena(detect=1, sink=1, after=old) as ring:
        ring.settle()
        said = [post.said for post in ring.crew.posts]
        exits = ring.crew.gave_up
    assert exits == []
    for words in said:
        assert words.count("removed before they were read") == len({one.partition for one in unread})


async def _remove(settings: Settings, begin: Sequence[int]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        await admin.delete_records(
            {TopicPartition(TELEMETRY.name, number): RecordsToDelete(offset) for number, offset in enumerate(begin)}
        )
    finally:
        await admin.close()


def test_gaps_left_by_compaction_are_no_work(arena: Open) -> None:
    with arena(detect=0, sink=0) as ring, Kafka(ring.settings.kafka, PARTITIONS) as kafka:
        configure(ring.settings, TELEMETRY.name, COMPACTED)
        for _ in range(3):
            # Compacted topics take no record without a key.
            kafka.send(fleet_sends(seed=90, seconds=10, bad=0))
        # A segment that is written to is not compacted; the next write begins another.
        until(lambda: _has_gaps(kafka), "gaps", 90)
        configure(ring.settings, TELEMETRY.name, TELEMETRY.settings)
        ring.crew.scale(detect=1, sink=1)
        with ring.load(90, bad=0) as load:
            ring.live()
            verdict = ring.judge(load)
    assert verdict.complaints == []
    assert ring.crew.gave_up == []


def _has_gaps(kafka: Kafka) -> bool:
    kafka.send([ProducerRecord(number, b"gateway", b"[]") for number in range(PARTITIONS)])
    return all(len(records) < records[-1].offset + 1 for records in kafka.read(TELEMETRY.name))


def _unwatchful(role: str) -> Sequence[str]:
    return [sys.executable, "-m", "tests.faults.altered.unwatchful", "worker", role]


@pytest.mark.parametrize("command", [product, _unwatchful])
def test_topics_deleted_and_made_anew_are_worked_on_from_their_beginning(arena: Open, command: CommandLine) -> None:
    with arena(detect=1, sink=1, stall_s=12, command=command) as old, old.load(96) as load:
        old.live()
        load.stop()
        old.settle()
        make_anew(old.settings)
        _forget(old)
        with arena(detect=0, sink=0, after=old) as ring, ring.load(97) as anew:
            ring.live()
            verdict = ring.judge(anew)
    assert verdict.complaints == []


def test_where_telemetry_alone_was_made_anew_detect_refuses_to_take_its_offsets_for_the_old_ones(
    arena: Open,
) -> None:
    with arena(detect=1, sink=0) as old, old.load(95) as load:
        old.live()
        load.stop()
        make_anew(old.settings, [TELEMETRY.name])
        with Kafka(old.settings.kafka, PARTITIONS) as kafka:
            kafka.send(fleet_sends(seed=95, seconds=2))
        (post,) = old.crew.detect
        until(lambda: "reflects another emberline.telemetry" in post.said, f"a refusal: {post.said}")
    assert {one.status for one in old.crew.gave_up} == {1}


def _forget(ring: Arena) -> None:
    """Drop the rows of the topics that are gone, whose records nobody can store again: the verdict counts those of the
    topics that come."""
    settings, (host, port) = ring.settings, host_port(ring.clickhouse.address)
    with Client(host, port, settings.clickhouse_database, password=settings.clickhouse_password) as client:
        for table in TABLES.values():
            client.execute(f"TRUNCATE TABLE {table}")
