"""What is registered, on its way through Apache Kafka: a running worker judges by it, and its successor too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common.settings import Settings
from common.times import now_ms
from detectors.twin.oracle import timeless
from schemas.events import Alarm, AlarmEvent, ControlOutcome
from schemas.registry import VERSION, DeviceEntry, LimitsEntry
from schemas.topics import ALARMS, CONTROL_OUTCOMES, REGISTRY, TELEMETRY
from streams.partitioner import partition_of
from streams.topics import make_topics
from tests.faults.arena import delete
from tests.support.control import registered, twin_of
from tests.support.fleet_sends import steady, without_repeats
from tests.support.kafka_outside import Kafka
from tests.support.platform import PARTITIONS
from tests.support.processes import Worker, working

DEVICES = [f"LY-{number}" for number in range(4)]
MA = 150.0
"""Below all limits that are shipped."""
SINCE_TS = 1_790_000_000_000
APART_MS = 60_000


def level(value: float, by: str = "李工") -> dict[str, Any]:
    return {"value": value, "from": "项目要求", "by": by, "since_ts": SINCE_TS}


def warned_at(value: float) -> dict[str, Any]:
    return {"residual_current": {"warning": level(value)}}


def of_device(device_id: str, **fields: Any) -> DeviceEntry:
    return DeviceEntry(VERSION, device_id, kind="electrical_monitor", unit_name="国贸大厦", name="3层配电箱", **fields)


def publish(kafka: Kafka, *entries: tuple[int, DeviceEntry | LimitsEntry], epoch: int = 1) -> None:
    kafka.send(
        [record for number, entry in entries for record in registered(entry, number, PARTITIONS, epoch)], REGISTRY.name
    )


def leak(kafka: Kafka, devices: Iterable[str], ago: int) -> None:
    """Have devices report a residual current for long enough to confirm, so many minutes ago."""
    began = now_ms() - ago * APART_MS
    kafka.send(record for one in devices for record in steady(one, MA, began, partition_of(one.encode(), PARTITIONS)))


def told(kafka: Kafka) -> list[tuple[int, int, str]]:
    """Partition, number and outcome of what was registered, repeats of events left out."""
    return [
        (partition, one.number, one.outcome)
        for partition, records in enumerate(kafka.read(CONTROL_OUTCOMES.name))
        for one in without_repeats(ControlOutcome.from_json(record.value) for record in records)
        if one.source
    ]


def opened(kafka: Kafka) -> dict[str, Alarm]:
    """The alarms that were opened, or confirmed, by device."""
    alarms = (Alarm.from_json(record.value) for records in kafka.read(ALARMS.name) for record in records)
    return {one.device_id: one for one in alarms if one.event in (AlarmEvent.OPENED, AlarmEvent.CONFIRMED)}


def all_committed(kafka: Kafka, worker: Worker) -> None:
    worker.until(lambda: kafka.committed("emberline-detect") == kafka.ends(TELEMETRY.name), "all committed")


def as_the_twin_says(kafka: Kafka, settings: Settings) -> None:
    """Alarms and outcomes are those of the slow twin over the log."""
    telemetry, alarms, outcomes = (kafka.read(name) for name in (TELEMETRY.name, ALARMS.name, CONTROL_OUTCOMES.name))
    for number in range(PARTITIONS):
        said = twin_of(settings, telemetry[number], number)
        found = without_repeats(Alarm.from_json(one.value) for one in alarms[number])
        assert timeless(found) == timeless(said.alarms)
        events = without_repeats(ControlOutcome.from_json(one.value) for one in outcomes[number])
        assert [one for one in events if one.source] == [one for one in said.outcomes if one.source]


def test_a_running_worker_judges_by_what_is_registered_and_so_does_its_successor(
    kafka: Kafka, settings: Settings, tmp_path: Path
) -> None:
    with working("detect", settings, tmp_path / "detect") as worker:
        leak(kafka, DEVICES, ago=5)
        all_committed(kafka, worker)
        assert opened(kafka) == {}
        publish(
            kafka,
            (1, LimitsEntry(VERSION, default=warned_at(140))),
            (2, of_device(DEVICES[1], limits=warned_at(120))),
            (3, of_device(DEVICES[2], limits=warned_at(190))),
            (4, of_device(DEVICES[3])),
        )
        worker.until(lambda: len(told(kafka)) == PARTITIONS + 3, "outcomes")
        leak(kafka, DEVICES[:3], ago=3)
        worker.until(lambda: opened(kafka).keys() == {*DEVICES[:2]}, "alarms by the limits that are registered")
        all_committed(kafka, worker)
        worker.kill()

    by_all, by_own = opened(kafka)[DEVICES[0]], opened(kafka)[DEVICES[1]]
    assert (by_all.limit, by_all.limit_from, by_all.limit_by) == (140.0, "项目要求", "李工")
    assert (by_own.limit, by_own.limit_by, by_own.limit_since_ts) == (120.0, "李工", SINCE_TS)
    assert f"】{DEVICES[0]} 第1路" in by_all.message
    assert f"】国贸大厦 3层配电箱 {DEVICES[1]} 第1路" in by_own.message
    assert (by_own.unit_name, by_own.place) == ("国贸大厦", "3层配电箱")

    before = told(kafka)
    with working("detect", settings, tmp_path / "detect") as worker:
        leak(kafka, DEVICES, ago=1)
        worker.until(lambda: DEVICES[3] in opened(kafka), "an alarm by limits that were applied before")
        all_committed(kafka, worker)
        assert worker.stop() == 0, worker.said
    # It read nothing of the topic again: the checkpoint had it all.
    assert told(kafka) == before
    assert opened(kafka)[DEVICES[3]].limit == 140.0
    assert "国贸大厦 3层配电箱" in opened(kafka)[DEVICES[3]].message
    assert DEVICES[2] not in opened(kafka)
    as_the_twin_says(kafka, settings)


def test_records_that_come_again_apply_once_also_from_a_topic_that_was_compacted(
    kafka: Kafka, settings: Settings, tmp_path: Path
) -> None:
    device = DEVICES[0]
    with working("detect", settings, tmp_path / "detect") as worker:
        publish(kafka, (1, of_device(device, limits=warned_at(120))), (5, of_device(device, limits=warned_at(190))))
        publish(kafka, (1, of_device(device, limits=warned_at(120))), (5, of_device(device, limits=warned_at(190))))
        publish(kafka, (9, of_device(device, limits=warned_at(110))), epoch=0)
        worker.until(lambda: len(told(kafka)) == 5, "outcomes")
        # Made anew with what compaction leaves: the newest of each key, and numbers between which others are missing.
        asyncio.run(delete(settings, [REGISTRY.name]))
        asyncio.run(make_topics(settings))
        publish(kafka, (5, of_device(device, limits=warned_at(190))), (7, of_device(DEVICES[1])))
        worker.until(lambda: len(told(kafka)) == 7, "outcomes of the topic that was made anew")
        leak(kafka, [device], ago=1)
        all_committed(kafka, worker)
        assert worker.stop() == 0, worker.said
    assert sorted((number, outcome) for _, number, outcome in told(kafka)) == [
        (1, "applied"),
        (1, "repeated"),
        (5, "applied"),
        (5, "repeated"),
        (5, "repeated"),
        (7, "applied"),
        (9, "repeated"),
    ]
    assert opened(kafka) == {}
    as_the_twin_says(kafka, settings)


def test_limits_that_make_no_sense_are_refused_and_those_before_stay(
    kafka: Kafka, settings: Settings, tmp_path: Path
) -> None:
    senseless = {"residual_current": {"warning": level(400), "alarm": level(300)}}
    with working("detect", settings, tmp_path / "detect") as worker:
        publish(
            kafka,
            (1, LimitsEntry(VERSION, default=warned_at(140))),
            (2, of_device(DEVICES[1], limits=warned_at(120))),
            (3, LimitsEntry(VERSION, default=senseless)),
            (4, of_device(DEVICES[1], limits=senseless)),
            (5, LimitsEntry(VERSION, default={}, units={"u1": {"no_such_kind": {}}})),
        )
        worker.until(lambda: len(told(kafka)) == 3 * PARTITIONS + 2, "outcomes")
        leak(kafka, DEVICES[:2], ago=1)
        worker.until(lambda: len(opened(kafka)) == 2, "alarms by the limits before")
        assert worker.stop() == 0, worker.said
    assert {(number, outcome) for _, number, outcome in told(kafka)} == {
        (1, "applied"),
        (2, "applied"),
        (3, "refused"),
        (4, "refused"),
        (5, "refused"),
    }
    assert {device: one.limit for device, one in opened(kafka).items()} == {DEVICES[0]: 140.0, DEVICES[1]: 120.0}
    as_the_twin_says(kafka, settings)
