"""What people order and do is published in its order under its numbers, once, whatever becomes of the publisher and of
the database."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from aiokafka import ConsumerRecord
from sqlalchemy import Engine, update

from common.settings import Settings
from embedded.processes import running_kafka
from schemas.actions import ActionKind, AlarmAction
from schemas.commands import Command, CommandKind
from schemas.registry import LIMITS_KEY, DeviceEntry
from schemas.topics import ALARM_ACTIONS, COMMANDS, PUBLISHED, REGISTRY
from services.registry.actions import AlarmSubject, WantedAction, act
from services.registry.commands import command, order, ordered_of
from services.registry.database import engine_of, migrate, reading, url_of, writing
from services.registry.models import Publication
from services.registry.outbox import backlog, publication, tell_of
from streams.partitioner import partition_of
from streams.topics import make_topics
from tests.services.registry.given_files import DEVICE, UNIT, written
from tests.services.registry.test_import import take_in
from tests.services.registry.test_publishing import change_of, publish
from tests.support.apache_kafka import kafka_for_tests
from tests.support.kafka_outside import Kafka
from tests.support.platform import PARTITIONS
from tests.support.processes import command_line, environment_of, until

DEVICES: Final = 40
ROUNDS: Final = 60
"""More rows than are published at once, several times."""


def comment(engine: Engine, words: str) -> None:
    subject = AlarmSubject("a" * 32, "LY-1", 0, "temperature", False)
    with writing(engine) as session:
        act(session, subject, WantedAction(ActionKind.COMMENT, "张三", words))


def replace_device(engine: Engine, why: str) -> None:
    with writing(engine) as session:
        order(session, [command(CommandKind.REPLACE, "LY-1", "张三", why)])


def on(kafka: Kafka, topic: str) -> list[ConsumerRecord]:
    """The records of a topic in the order of their changes, but for limits."""
    return sorted((one for held in kafka.read(topic) for one in held if one.key != LIMITS_KEY), key=change_of)


def words_on(kafka: Kafka) -> tuple[list[str], list[str]]:
    """What is said on the topics of commands and of actions."""
    return (
        [Command.from_json(one.value).why for one in on(kafka, COMMANDS.name)],
        [AlarmAction.from_json(one.value).why for one in on(kafka, ALARM_ACTIONS.name)],
    )


@pytest.fixture(scope="module")
def apache() -> Iterator[None]:
    with kafka_for_tests():
        yield


def test_a_publisher_that_is_killed_loses_nothing_and_confuses_no_numbers(
    settings: Settings, engine: Engine, apache: None, tmp_path: Path
) -> None:
    devices = [f"LY-{number}" for number in range(DEVICES)]
    sheets = {"社会单位": [UNIT | {"运维机构编号": ""}], "设备": [DEVICE | {"设备编号": one} for one in devices]}
    take_in(engine, written(tmp_path, sheets))
    with writing(engine) as session:
        for number in range(ROUNDS):
            for one in devices:
                subject = AlarmSubject(f"{devices.index(one):032x}", one, 0, "temperature", False)
                act(session, subject, WantedAction(ActionKind.COMMENT, "张三", f"{number}"))
            order(session, [command(CommandKind.REPLACE, one, "张三", f"{number}") for one in devices])
            tell_of(session, {"devices": devices}, "test")
    total = DEVICES * (1 + 3 * ROUNDS)
    with running_kafka(tmp_path / "kafka", tmp_path / "logs", brokers=1) as cluster:
        given = replace(settings, kafka=cluster.bootstrap, partitions=PARTITIONS)
        asyncio.run(make_topics(given))
        with Kafka(cluster.bootstrap, PARTITIONS) as kafka:

            def sent() -> int:
                return sum(sum(kafka.ends(topic.name)) for topic in PUBLISHED)

            # Killed as soon as more has come out, at whatever point of its work that is.
            for _ in range(2):
                before = sent()
                process = subprocess.Popen(command_line("registry", "publish"), env=environment_of(given))
                until(lambda: sent() > before, "records of the publisher", 60)  # noqa: B023
                process.kill()
                process.wait()
                with writing(engine) as session:
                    session.execute(update(Publication).values(held_until_ts=0))
            with reading(engine) as session:
                assert backlog(session), "it was killed too late to show anything"
            publish(given, engine, kafka, fencing=True)
            records = {topic.name: kafka.read(topic.name) for topic in PUBLISHED}
    values = dict[int, tuple[str, bytes | None, bytes | None]]()
    for topic, held in records.items():
        for partition, of_partition in enumerate(held):
            numbers = [change_of(one).number for one in of_partition]
            firsts = list(dict.fromkeys(numbers))
            assert firsts == sorted(firsts), "a change came before one that was committed earlier"
            for number, one in zip(numbers, of_partition, strict=True):
                assert values.setdefault(number, (topic, one.key, one.value)) == (topic, one.key, one.value)
                assert partition == partition_of(one.key, PARTITIONS)
    assert sorted(values) == list(range(1, total + 1))
    last = [values[total - 3 * DEVICES + number + 1] for number in range(3 * DEVICES)]
    assert [topic for topic, *_ in last] == [
        name for name in (ALARM_ACTIONS.name, COMMANDS.name, REGISTRY.name) for _ in devices
    ]
    assert [AlarmAction.from_json(value).device_id for _, _, value in last[:DEVICES]] == devices
    assert {Command.from_json(value).why for _, _, value in last[DEVICES : 2 * DEVICES]} == {f"{ROUNDS - 1}"}


def test_after_a_restore_entries_are_told_again_and_what_people_did_is_not(tmp_path: Path, kafka: Kafka) -> None:
    settings, backup = Settings(data_dir=str(tmp_path / "now")), tmp_path / "backup.sqlite"
    engine = engine_of(url_of(settings))
    migrate(engine)
    take_in(engine, written(tmp_path))
    replace_device(engine, "published")
    publish(settings, engine, kafka)
    # In the backup these wait to be published; the publisher sent them after it was made.
    replace_device(engine, "waited")
    comment(engine, "waited")
    with closing(sqlite3.connect(settings.registry_path)) as held, closing(sqlite3.connect(backup)) as copy:
        held.backup(copy)
    replace_device(engine, "lost")
    comment(engine, "lost")
    publish(settings, engine, kafka)
    engine.dispose()
    for file in settings.registry_path.parent.iterdir():
        file.unlink()
    backup.rename(settings.registry_path)
    # What people do before anybody has noticed is told.
    replace_device(engine, "since")
    comment(engine, "since")
    before = len(on(kafka, REGISTRY.name))
    publish(settings, engine, kafka, lambda: len(on(kafka, REGISTRY.name)) > before)
    assert words_on(kafka) == (["published", "waited", "lost", "since"], ["waited", "lost", "since"])
    commands, entries = on(kafka, COMMANDS.name), on(kafka, REGISTRY.name)
    assert change_of(commands[-1]).epoch == change_of(entries[-1]).epoch > change_of(commands[-2]).epoch
    with reading(engine) as session:
        known = {one.change: one.command.why for one in ordered_of(session, "LY-1", 10)}
    assert known[change_of(commands[-1])] == "since"
    engine.dispose()


def test_a_restore_shows_itself_on_any_of_the_topics(tmp_path: Path, kafka: Kafka) -> None:
    settings, backup = Settings(data_dir=str(tmp_path / "now")), tmp_path / "backup.sqlite"
    engine = engine_of(url_of(settings))
    migrate(engine)
    take_in(engine, written(tmp_path))
    publish(settings, engine, kafka)
    with closing(sqlite3.connect(settings.registry_path)) as held, closing(sqlite3.connect(backup)) as copy:
        held.backup(copy)
    comment(engine, "lost")
    publish(settings, engine, kafka)
    engine.dispose()
    for file in settings.registry_path.parent.iterdir():
        file.unlink()
    backup.rename(settings.registry_path)
    publish(settings, engine, kafka, lambda: len(on(kafka, REGISTRY.name)) == 2)
    first, second = on(kafka, REGISTRY.name)
    assert first.value == second.value
    assert change_of(first).epoch < change_of(second).epoch
    engine.dispose()


def test_a_topic_that_was_made_anew_is_told_of_all_devices(engine: Engine, settings: Settings, kafka: Kafka) -> None:
    """As the embedded broker's is at every start."""
    folder = Path(settings.data_dir)
    take_in(engine, written(folder))
    with writing(engine) as session:
        session.execute(update(Publication).values(sent=1, published=1))
        before = publication(session)
    comment(engine, "waits")
    publish(settings, engine, kafka, lambda: bool(on(kafka, REGISTRY.name)))
    (entry,) = on(kafka, REGISTRY.name)
    assert DeviceEntry.from_json(entry.value).device_id == "LY-1"
    assert change_of(entry).epoch > before.epoch
    assert words_on(kafka) == ([], ["waits"])
    # It knows of them by now.
    publish(settings, engine, kafka)
    assert len(on(kafka, REGISTRY.name)) == 1
