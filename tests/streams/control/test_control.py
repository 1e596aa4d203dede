"""Orders on their way through Apache Kafka and a detect worker: copied into the log, told once, whoever dies."""

from __future__ import annotations

import asyncio
import itertools
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from common.settings import Settings
from common.times import now_ms
from detectors.control.applied import Applied
from schemas.control import COMMAND, CONTROL, Order, Orders, signed
from schemas.control_keys import ControlKeys
from schemas.events import ControlOutcome
from schemas.rejects import RejectEvent
from schemas.topics import ALARMS, COMMANDS, CONTROL_OUTCOMES, DEVICE_STATUS, REJECTS, TELEMETRY
from streams.control import SOURCES, begin_of
from streams.partitioner import partition_of
from streams.topics import make_topics, topic_ids
from tests.faults.arena import delete
from tests.support.control import command, sent, twin_of
from tests.support.control_keys import KEYS, keys_file
from tests.support.fleet_sends import without_repeats
from tests.support.kafka_outside import Kafka, ProducerRecord
from tests.support.platform import PARTITIONS
from tests.support.processes import last_words, until, working

DEVICES = [f"LY-{number}" for number in range(6)]
LATENCY_MS = 500
"""From an order's arrival to that of its outcome, half of all: it is well below on a machine that is not busy."""


def home(device_id: str) -> int:
    return partition_of(device_id.encode(), PARTITIONS)


def reports() -> list[ProducerRecord]:
    """One of each device."""
    held = {"v": 1, "device_kind": "electrical_monitor", "event_ts": now_ms(), "residual_current_ma": [12.0]}
    return [ProducerRecord(home(one), one.encode(), orjson.dumps({**held, "device_id": one})) for one in DEVICES]


def told(kafka: Kafka) -> list[list[ControlOutcome]]:
    """The outcomes of orders by partition, repeats left out."""
    return [
        [one for one in without_repeats(ControlOutcome.from_json(record.value) for record in records) if one.source]
        for records in kafka.read(CONTROL_OUTCOMES.name)
    ]


def numbers_told(kafka: Kafka) -> set[int]:
    return {one.number for partition in told(kafka) for one in partition}


def test_orders_are_told_once_in_their_order_though_the_worker_is_killed_in_between(
    kafka: Kafka, settings: Settings, tmp_path: Path
) -> None:
    numbers = itertools.count(1)

    def orders(count: int) -> list[ProducerRecord]:
        turns = zip(itertools.cycle([*DEVICES, "NOBODY"]), range(count), numbers, strict=False)
        return [sent(command(device), number, PARTITIONS) for device, _, number in turns]

    kafka.send(reports())
    for _ in range(3):
        with working("detect", settings, tmp_path / "detect") as worker:
            before = numbers_told(kafka)
            kafka.send(orders(300), COMMANDS.name)
            worker.until(lambda before=before: numbers_told(kafka) > before, "some outcomes")  # type: ignore[misc]
            worker.kill()
    with working("detect", settings, tmp_path / "detect") as worker:
        last = orders(50)
        kafka.send(last, COMMANDS.name)
        wanted = set(range(1, 951))
        worker.until(lambda: numbers_told(kafka) == wanted, "an outcome of every order")
        # What is copied again is recognised, so all is told once it is at rest.
        worker.until(lambda: kafka.committed("emberline-detect") == kafka.ends(TELEMETRY.name), "all committed")
        assert worker.stop() == 0, worker.said

    telemetry = kafka.read(TELEMETRY.name)
    for number, outcomes in enumerate(told(kafka)):
        first = [one for one in outcomes if one.outcome != "repeated"]
        assert [one.number for one in first] == sorted({one.number for one in outcomes})
        assert {one.outcome for one in first} == {"refused"}
        assert all(home(one.device_id) == number for one in first)
        unknown = {one.reason for one in first if one.device_id == "NOBODY"}
        assert unknown <= {"本分区没有该设备的记录"}
        said = twin_of(settings, telemetry[number], number)
        assert outcomes == [one for one in said.outcomes if one.source]


def test_an_order_that_arrives_while_a_worker_asks_where_to_begin_is_copied(kafka: Kafka, settings: Settings) -> None:
    class Between(AIOKafkaConsumer):  # type: ignore[misc]
        """An order arrives after each of its answers."""

        async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
            answer: dict[TopicPartition, int] = await super().end_offsets(partitions)
            await asyncio.to_thread(kafka.send, [sent(command("LY-1"), 1, PARTITIONS)], COMMANDS.name)
            return answer

        async def offsets_for_times(self, moments: dict[TopicPartition, int]) -> dict[TopicPartition, Any]:
            answer: dict[TopicPartition, Any] = await super().offsets_for_times(moments)
            await asyncio.to_thread(kafka.send, [sent(command("LY-1"), 2, PARTITIONS)], COMMANDS.name)
            return answer

    async def begin() -> int:
        async with Between(bootstrap_servers=settings.kafka) as consumer:
            tp = TopicPartition(COMMANDS.name, home("LY-1"))
            (of_commands,) = (source for source in SOURCES if source.name == COMMANDS.name)
            return await begin_of(tp, UUID(int=1), Applied(), of_commands, consumer)

    assert asyncio.run(begin()) == 0


def test_an_order_is_told_well_within_a_second(kafka: Kafka, settings: Settings, tmp_path: Path) -> None:
    kafka.send(reports())
    with working("detect", settings, tmp_path / "detect") as worker:
        for number in range(1, 41):
            kafka.send([sent(command(DEVICES[number % 6]), number, PARTITIONS)], COMMANDS.name)
            worker.until(lambda number=number: number in numbers_told(kafka), "its outcome")  # type: ignore[misc]
        assert worker.stop() == 0, worker.said
    arrived = {
        int(dict(record.headers)["emberline.number"]): record.timestamp
        for records in kafka.read(COMMANDS.name)
        for record in records
    }
    took = [
        record.timestamp - arrived[outcome.number]
        for records in kafka.read(CONTROL_OUTCOMES.name)
        for record in records
        if (outcome := ControlOutcome.from_json(record.value)).source
    ]
    # The first comes while the worker begins its partitions.
    assert statistics.median(took) < LATENCY_MS, took


def test_a_forged_control_record_is_a_reject_and_nothing_else(kafka: Kafka, settings: Settings, tmp_path: Path) -> None:
    device = DEVICES[0]
    number = home(device)
    telemetry_id = asyncio.run(topic_ids(settings, [TELEMETRY.name]))[TELEMETRY.name]
    held = Orders(
        COMMANDS.name, UUID(int=7), PARTITIONS, [Order(0, "registry", 1, 1, command(device).to_json().decode())]
    )
    theirs = signed(held, COMMAND, telemetry_id, number, ControlKeys.of(f"k2 {'00' * 32}"))
    elsewhere = signed(held, COMMAND, telemetry_id, number + 1, ControlKeys.of(KEYS))
    unknown = signed(held, COMMAND, telemetry_id, number, ControlKeys.of(f"made-up {'00' * 32}"))
    kafka.send(reports())
    with working("detect", settings, tmp_path / "detect") as worker:
        worker.until(lambda: sum(kafka.ends(DEVICE_STATUS.name)) == len(DEVICES), "all devices")
        kafka.send([ProducerRecord(number, *one) for one in (theirs, elsewhere, unknown)])
        kafka.send([ProducerRecord(number, device.encode(), b"{}", [(CONTROL, b"time")])])
        worker.until(lambda: sum(kafka.ends(REJECTS.name)) == 4, "four rejects")
        # A worker that was led to look for the key would have ended.
        kafka.send([sent(command(device), 1, PARTITIONS)], COMMANDS.name)
        worker.until(lambda: numbers_told(kafka) == {1}, "a true order")
        assert worker.stop() == 0, worker.said
    reasons = [RejectEvent.from_headers(one.headers).reason for one in kafka.read(REJECTS.name)[number]]
    assert reasons == ["bad_control"] * 4
    assert Counter(one.outcome for one in told(kafka)[number]) == {"refused": 1}
    assert sum(kafka.ends(DEVICE_STATUS.name)) == len(DEVICES)
    assert sum(kafka.ends(ALARMS.name)) == 0


def test_a_source_that_is_missing_or_made_anew_stops_no_detection_and_no_order_comes_twice(
    kafka: Kafka, settings: Settings, tmp_path: Path
) -> None:
    asyncio.run(delete(settings, [COMMANDS.name]))
    with working("detect", settings, tmp_path / "detect") as worker:
        kafka.send(reports())
        worker.until(lambda: sum(kafka.ends(DEVICE_STATUS.name)) == len(DEVICES), "all devices")
        worker.until(lambda: "the topic emberline.commands does not exist" in worker.ask("/readyz")[1], "a remark")
        asyncio.run(make_topics(settings))
        first = [sent(command(device), number, PARTITIONS) for number, device in enumerate(DEVICES, 1)]
        kafka.send(first, COMMANDS.name)
        worker.until(lambda: numbers_told(kafka) == {1, 2, 3, 4, 5, 6}, "orders on a topic that was made late")
        asyncio.run(delete(settings, [COMMANDS.name]))
        asyncio.run(make_topics(settings))
        more = [sent(command(device), number, PARTITIONS) for number, device in enumerate(DEVICES, 7)]
        kafka.send([*first, *more], COMMANDS.name)
        worker.until(lambda: numbers_told(kafka) == set(range(1, 13)), "orders on a topic that was made anew")
        worker.until(lambda: worker.ask("/readyz") == (200, "ready\n"), "no remark any more")
        assert worker.stop() == 0, worker.said
    dealt_with = Counter(one.number for of in told(kafka) for one in of if one.outcome != "repeated")
    assert dealt_with == dict.fromkeys(range(1, 13), 1)


def test_a_worker_without_keys_goes_on_and_one_that_lacks_a_key_refuses(
    kafka: Kafka, settings: Settings, tmp_path: Path
) -> None:
    without = replace(settings, control_keys_file="")
    with working("detect", without, tmp_path / "detect") as worker:
        kafka.send([*reports(), *reports()])
        kafka.send([sent(command(DEVICES[0]), 1, PARTITIONS)], COMMANDS.name)
        worker.until(lambda: kafka.committed("emberline-detect") == kafka.ends(TELEMETRY.name), "all committed")
        assert worker.ask("/readyz") == (
            200,
            "ready; no orders are taken, for EMBERLINE_CONTROL_KEYS_FILE is not set\n",
        )
        assert worker.stop() == 0, worker.said
    assert worker.said.count("no orders are taken") == 1
    assert sum(map(len, told(kafka))) == 0

    # Nothing was applied yet, and the order came within the last ten minutes.
    with working("detect", settings, tmp_path / "detect") as worker:
        worker.until(lambda: numbers_told(kafka) == {1}, "the order that waited")
        assert worker.stop() == 0, worker.said

    for lacking in (without, replace(settings, control_keys_file=str(keys_file(tmp_path, f"k3 {'11' * 32}", "other")))):
        with working("detect", lacking, tmp_path / "detect", ready=False) as worker:
            until(lambda worker=worker: worker.process.poll() is not None, "a worker that ends", 60)  # type: ignore[misc]
        assert "names the key k2, which signed orders" in last_words(worker.said)
        assert "EMBERLINE_CONTROL_KEYS_FILE" in last_words(worker.said)
        assert "5a5a" not in worker.said
