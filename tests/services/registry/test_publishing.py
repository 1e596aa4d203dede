"""What is committed to the registry is published: all of it and in order, after a crash or a restored backup too."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import ConsumerRecord
from sqlalchemy import Engine, select, update

from common.settings import Settings
from embedded.processes import running_kafka
from schemas.alarm_kinds import AlarmKind
from schemas.registry import LIMITS_KEY, ChangeNumber, DeviceEntry, LimitsEntry
from schemas.topics import REGISTRY
from services.registry.database import engine_of, migrate, reading, url_of, writing
from services.registry.limits.changing import set_limits
from services.registry.limits.rows import LimitsScope, ScopeKind
from services.registry.models import OutboxRow, Publication
from services.registry.outbox import backlog, note_published, take_lease, tell_of
from services.registry.publishing import Publisher
from streams.partitioner import partition_of
from streams.topics import make_topics, repair_topics
from tests.services.registry.given_files import DEVICE, UNIT, written
from tests.services.registry.test_import import take_in
from tests.support.apache_kafka import kafka_for_tests
from tests.support.kafka_outside import Kafka
from tests.support.platform import PARTITIONS

WIDE = PARTITIONS + 3
DEVICES = 1_200
"""More than are published at once."""


def many(tmp_path: Path, unit: str = "某单位") -> list[Path]:
    devices = [DEVICE | {"设备编号": f"LY-{number}"} for number in range(DEVICES)]
    return written(tmp_path, {"社会单位": [UNIT | {"单位名称": unit, "运维机构编号": ""}], "设备": devices})


def publish(
    settings: Settings, engine: Engine, kafka: Kafka, enough: Callable[[], bool] | None = None, fencing: bool = False
) -> None:
    """Run a publisher until everything is published."""

    def nothing_waits() -> bool:
        with reading(engine) as session:
            return backlog(session) == 0

    async def run() -> None:
        given = Settings(kafka=kafka.address, fencing=fencing, data_dir=settings.data_dir)
        running = asyncio.ensure_future(Publisher(given, engine).run())
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(enough or nothing_waits):
                if running.done():
                    break
                await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            running.result()

    asyncio.run(run())


def told(kafka: Kafka) -> list[ConsumerRecord]:
    """The records of devices, in the order of their changes."""
    records = (one for held in kafka.read(REGISTRY.name) for one in held)
    return sorted((one for one in records if one.key != LIMITS_KEY), key=change_of)


def limits_told(kafka: Kafka) -> list[list[tuple[ChangeNumber, LimitsEntry]]]:
    """By partition the records of limits."""
    return [
        [(change_of(one), LimitsEntry.from_json(one.value)) for one in held if one.key == LIMITS_KEY]
        for held in kafka.read(REGISTRY.name)
    ]


def set_default(engine: Engine, alarm: int) -> None:
    key = (LimitsScope(ScopeKind.DEFAULT), AlarmKind.TEMPERATURE)
    with writing(engine) as session:
        assert set_limits(session, {key: {"alarm": alarm}}, "张三", "现场核定")


def change_of(record: ConsumerRecord) -> ChangeNumber:
    return ChangeNumber.from_headers(record.headers)


@pytest.fixture(scope="module")
def apache() -> Iterator[None]:
    with kafka_for_tests():
        yield


@pytest.fixture
def kept(engine: Engine, tmp_path: Path) -> Engine:
    take_in(engine, many(tmp_path))
    return engine


def test_all_is_published_in_its_order_where_the_key_of_each_device_belongs(
    settings: Settings, kept: Engine, kafka: Kafka, tmp_path: Path
) -> None:
    take_in(kept, many(tmp_path, "另一单位"))
    publish(settings, kept, kafka)
    records = told(kafka)
    assert [DeviceEntry.from_json(one.value).unit_name for one in records] == ["某单位"] * DEVICES + [
        "另一单位"
    ] * DEVICES
    assert {DeviceEntry.from_json(one.value).device_id.encode() == one.key for one in records} == {True}
    assert {one.partition == partition_of(one.key, PARTITIONS) for one in records} == {True}
    for held in kafka.read(REGISTRY.name):
        assert list(map(change_of, held)) == sorted(map(change_of, held))
    publish(settings, kept, kafka)
    assert len(told(kafka)) == 2 * DEVICES


def test_what_was_sent_and_not_noted_comes_again_under_its_number(
    settings: Settings, kept: Engine, kafka: Kafka
) -> None:
    publish(settings, kept, kafka)
    with writing(kept) as session:
        session.execute(update(Publication).values(published=DEVICES - 10))
    publish(settings, kept, kafka)
    records = told(kafka)
    assert len(records) == DEVICES + 10
    by_change = {change_of(one): one.value for one in records}
    assert len(by_change) == DEVICES
    assert all(by_change[change_of(one)] == one.value for one in records)


def test_whoever_commits_first_has_the_lower_numbers_however_long_it_took(engine: Engine, tmp_path: Path) -> None:
    take_in(engine, written(tmp_path))
    done = threading.Event()

    def change_too() -> None:
        with writing(engine) as session:
            tell_of(session, {"devices": ["LY-1"]}, "second")
        done.set()

    other = threading.Thread(target=change_too)
    with writing(engine) as session:
        tell_of(session, {"devices": ["LY-1"]}, "first")
        other.start()
        assert not done.wait(0.5), "the other wrote out of its turn"
        tell_of(session, {"devices": ["LY-1"]}, "first")
    other.join()
    with reading(engine) as session:
        rows = session.scalars(select(OutboxRow.made_by).order_by(OutboxRow.number)).all()
    assert rows == ["test", "first", "first", "second"]


def test_one_publishes_at_a_time_and_another_goes_on_once_it_is_gone(kept: Engine) -> None:
    def taken(holder: str) -> bool:
        with writing(kept) as session:
            return take_lease(session, holder)

    assert (taken("one"), taken("other"), taken("one")) == (True, False, True)
    with writing(kept) as session:
        session.execute(update(Publication).values(held_until_ts=1))
    assert (taken("other"), taken("one")) == (True, False)
    with writing(kept) as session:
        assert not note_published(session, "one", 7)


def test_a_registry_restored_from_a_backup_tells_of_everything_in_an_epoch_of_its_own(
    tmp_path: Path, kafka: Kafka
) -> None:
    settings, backup = Settings(data_dir=str(tmp_path / "now")), tmp_path / "backup.sqlite"
    engine = engine_of(url_of(settings))
    migrate(engine)
    take_in(engine, written(tmp_path))
    set_default(engine, 68)
    publish(settings, engine, kafka)
    with closing(sqlite3.connect(settings.registry_path)) as held, closing(sqlite3.connect(backup)) as copy:
        held.backup(copy)
    later = DEVICE | {"设备编号": "LATER"}
    set_default(engine, 66)
    take_in(engine, written(tmp_path, {"社会单位": [UNIT | {"单位名称": "后来的名称"}], "设备": [later]}))
    publish(settings, engine, kafka)
    engine.dispose()
    for file in settings.registry_path.parent.iterdir():
        file.unlink()
    backup.rename(settings.registry_path)
    # What is changed before anybody has noticed is told as well.
    take_in(engine, written(tmp_path, {"设备": [DEVICE | {"型号": "新型号"}]}))
    publish(settings, engine, kafka, lambda: len(told(kafka)) >= 5)
    engine.dispose()
    before, after = told(kafka)[:3], told(kafka)[3:]
    assert {change_of(one).epoch for one in before} < {change_of(one).epoch for one in (*before, *after)}
    entries = [DeviceEntry.from_json(one.value) for one in after]
    assert [(one.device_id, one.removed) for one in entries] == [("LY-1", False), ("LATER", True)]
    assert (entries[0].unit_name, entries[0].model) == (UNIT["单位名称"], "新型号")
    for of_partition in limits_told(kafka):
        assert [one.default["temperature"]["alarm"]["value"] for _, one in of_partition] == [68, 66, 68]
        assert of_partition[-1][0].epoch > of_partition[0][0].epoch


def test_limits_are_in_every_partition_and_all_is_told_again_once_the_topic_is_widened(
    settings: Settings, engine: Engine, apache: None, tmp_path: Path
) -> None:
    devices = [f"LY-{number}" for number in range(20)]
    sheets = {"社会单位": [UNIT | {"运维机构编号": ""}], "设备": [DEVICE | {"设备编号": one} for one in devices]}
    take_in(engine, written(tmp_path, sheets))
    set_default(engine, 68)
    with running_kafka(tmp_path / "kafka", tmp_path / "logs", brokers=1) as cluster:
        given = replace(settings, kafka=cluster.bootstrap, partitions=PARTITIONS)
        asyncio.run(make_topics(given))
        with Kafka(cluster.bootstrap, PARTITIONS) as kafka:
            publish(given, engine, kafka, fencing=True)
            before = limits_told(kafka)
            assert len({change for held in before for change, _ in held}) == 1
            assert [len(held) for held in before] == [1] * PARTITIONS
            publish(given, engine, kafka, fencing=True)
            assert len(told(kafka)) == len(devices)

            with Kafka(cluster.bootstrap, WIDE) as wide:
                widened = False

                def all_again() -> bool:
                    """Widens it while the publisher is at work."""
                    nonlocal widened
                    if not widened:
                        asyncio.run(repair_topics(given, WIDE))
                        widened = True
                    return len(told(wide)) == 2 * len(devices)

                publish(given, engine, kafka, all_again, fencing=True)
                after, again = limits_told(wide), told(wide)[len(devices) :]
    assert [len(held) for held in after] == [2] * PARTITIONS + [1] * (WIDE - PARTITIONS)
    (change,) = {held[-1][0] for held in after}
    ((first, limits),) = before[0]
    assert (change.epoch, change.number > first.number) == (first.epoch, True)
    assert {held[-1][1] == limits for held in after} == {True}
    assert sorted(one.key.decode() for one in again) == sorted(devices)
    assert {one.partition == partition_of(one.key, WIDE) for one in again} == {True}
    assert {one.partition for one in again} > set(range(PARTITIONS))
