"""The rights that are written down are enough for each role, and what is not among them is refused in one sentence."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from aiokafka import TopicPartition

from cli.hourly.publishing import publish
from cli.send import Sender
from common.kafka import clients
from common.settings import Settings
from common.times import now_ms
from schemas.control import TIME_KEY
from schemas.rights import rights
from schemas.topics import ALARMS, COMMANDS, DEVICE_REQUESTS, REGISTRY, TELEMETRY, TOPICS, Topic
from streams.storage import asking, run_migrations
from streams.topics import make_topics
from tests.cli.stacks import started
from tests.secured.brokers import GROUP, Secured, user_of
from tests.secured.conftest import PASSWORD, Fronted
from tests.services.registry.given_files import written
from tests.sinks.samples import notice
from tests.support.kafka_outside import Kafka
from tests.support.processes import command_line, environment_of, last_words, run, until, working

REPORTS: Final = 600


@pytest.fixture(scope="module")
def topics(secured: Secured) -> None:
    """All topics, made by the operator."""
    assert set(asyncio.run(make_topics(secured.settings("operator")))) <= {topic.name for topic in TOPICS}


@pytest.fixture(scope="module")
def stored(clickhouse: Fronted) -> dict[str, Any]:
    """Settings of ClickHouse behind TLS, with tables."""
    settings: dict[str, Any] = {
        "clickhouse": clickhouse.tls,
        "clickhouse_tls": True,
        "clickhouse_ca": clickhouse.ca,
        "clickhouse_password": PASSWORD,
        "clickhouse_database": "secured",
    }
    run_migrations(Settings(**settings))
    return settings


async def _send(settings: Settings, records: list[tuple[bytes, bytes]]) -> None:
    async with Sender(settings) as sender:
        await sender.send(records)
        await sender.flush()


def _heating_up(device: str) -> list[tuple[bytes, bytes]]:
    begin = now_ms() - 60_000
    reports = ({"v": 1, "device_id": device, "event_ts": begin + 1_000 * n, "temperature_c": [99]} for n in range(30))
    return [(device.encode(), orjson.dumps(report)) for report in reports]


def _count(settings: Settings, table: str) -> int:
    with asking(settings) as service:
        rows = service.query(
            "SELECT total_rows FROM system.tables WHERE database = %(database)s AND name = %(table)s",
            {"database": settings.clickhouse_database, "table": table},
        )
        return int(rows[0][0])


def _time_passed(outside: Kafka) -> bool:
    return any(record.key == TIME_KEY for records in outside.read(TELEMETRY.name) for record in records)


@pytest.fixture
def following(secured: Secured) -> Iterator[subprocess.Popen[bytes]]:
    """A service that follows alarms."""
    with subprocess.Popen(
        command_line("alarms", "--from-beginning", "--json"),
        env=environment_of(secured.settings("service")),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        yield process
        process.kill()


async def _read_in_a_group(settings: Settings, group: str, topic: Topic, key: bytes) -> None:
    """Read as a group until a record of the key has come, and commit it."""
    consumer = clients.consumer(
        settings, group_id=f"{GROUP}-{group}", auto_offset_reset="earliest", session_timeout_ms=6_000
    )
    consumer.subscribe([topic.name])
    await consumer.start()
    try:
        while (record := await consumer.getone()).key != key:
            pass
        await consumer.commit({TopicPartition(record.topic, record.partition): record.offset + 1})
    finally:
        await consumer.stop()


def test_every_role_does_its_work_with_its_rights_and_no_others(
    secured: Secured,
    topics: None,
    stored: dict[str, Any],
    following: subprocess.Popen[bytes],
    tmp_path: Path,
) -> None:
    operator = secured.settings("operator", **stored)
    with (
        working("detect", secured.settings("detect"), tmp_path) as detect,
        working("sink", secured.settings("sink", **stored), tmp_path),
    ):
        arguments = ["--seconds", "3", "--devices", "200", "--rate", str(REPORTS // 3), "--bad", "2", "--faults", "0"]
        sent = run("simulate", *arguments, settings=secured.settings("gateway"))
        assert sent.status == 0, sent.err
        told = re.match(r"sent (\d+) reports in \d+ records; (\d+) to be rejected", sent.out)
        assert told, sent.out
        asyncio.run(_send(secured.settings("gateway"), _heating_up("HOT-1")))
        # Others may have alarms before it: devices of the other tests' fleets have the same names.
        assert following.stdout is not None
        assert any(orjson.loads(line)["device_id"] == "HOT-1" for line in following.stdout)
        asyncio.run(_read_in_a_group(secured.settings("service"), "service-board", ALARMS, b"HOT-1"))
        asyncio.run(_read_in_a_group(secured.settings("gateway"), "gateway-north", DEVICE_REQUESTS, b"HOT-1"))
        # A record that is rejected is among those sent, and counts as a report that is not stored.
        good = int(told[1]) - int(told[2]) + 30
        until(lambda: _count(operator, "telemetry") >= good, "all reports stored", 60)
        until(lambda: _count(operator, "alarm_events") >= 1, "the alarm stored", 60)
        until(lambda: _count(operator, "device_requests") >= 1, "the request stored", 60)
        until(lambda: _count(operator, "rejects") >= int(told[2]), "the rejects stored", 60)
        publish(secured.settings("hourly"), [notice()])
        until(lambda: _count(operator, "notice_records") >= 1, "the notice stored", 60)
        again = run("rejects", "replay", "--from", "2020-01-01", settings=operator)
        assert again.status == 0, again.err
        listed = run("rejects", "list", "--json", settings=operator)
        assert listed.status == 0, listed.err
        assert "unknown" not in listed.err
        assert orjson.loads(listed.out), listed.out
        with Kafka(secured.plain, operator.partitions) as outside:
            detect.until(lambda: _time_passed(outside), "that time passes, written to telemetry", 120)
        assert detect.stop(60) == 0
    # Its state is read back by whoever comes next, with no other rights.
    with working("detect", secured.settings("detect"), tmp_path) as detect:
        asyncio.run(_send(secured.settings("gateway"), _heating_up("HOT-2")))
        detect.until(lambda: "devices restored" in detect.said, "state restored", 60)


def test_the_registry_is_published_with_the_rights_of_its_role_and_of_no_other(
    secured: Secured, topics: None, tmp_path: Path
) -> None:
    settings = secured.settings("registry", data_dir=str(tmp_path / "data"))
    assert run("registry", "migrate", settings=settings).status == 0
    assert run("registry", "import", *map(str, written(tmp_path)), settings=settings).status == 0
    assert run("device", "replace", "LY-1", "--why", "x", settings=settings).status == 0
    ended = run("registry", "publish", settings=secured.settings("service", data_dir=settings.data_dir), seconds=120)
    refused = f"emberline: Kafka does not let user '{user_of('service')}' use the transactional id"
    assert refused in last_words(ended.err)
    with (
        started(["registry", "publish"], environment_of(settings)),
        Kafka(secured.plain, settings.partitions) as outside,
    ):
        until(lambda: any(outside.read(REGISTRY.name)), "what was imported", 60)
        until(lambda: any(outside.read(COMMANDS.name)), "what was ordered", 60)
        for topic in (REGISTRY, COMMANDS):
            ((record,),) = filter(None, outside.read(topic.name))
            assert record.key == b"LY-1"


NOT_THEIRS: Final = {
    "the gateway reads alarms": ("gateway", ["alarms"], f"use the topic {ALARMS.name}"),
    "the gateway makes topics": ("gateway", ["topics"], "use the topic emberline."),
    "a service sends reports": ("service", ["simulate", "--seconds", "1"], f"use the topic {TELEMETRY.name}"),
    "a sink worker detects": ("sink", ["worker", "detect"], "write to any topic"),
    "a detect worker stores": ("detect", ["worker", "sink"], "use the topic emberline."),
    "nobody follows alarms": ("nobody", ["alarms"], f"use the topic {ALARMS.name}"),
}


@pytest.mark.parametrize("case", NOT_THEIRS)
def test_what_is_not_theirs_is_refused_in_one_sentence(secured: Secured, topics: None, case: str) -> None:
    role, arguments, refused = NOT_THEIRS[case]
    ended = run(*arguments, settings=secured.settings(role), seconds=120)
    assert ended.status == 1, ended
    assert f"emberline: Kafka does not let user '{user_of(role)}' {refused}" in last_words(ended.err)
    assert "`emberline acls`" in last_words(ended.err)


def test_a_worker_without_the_right_to_fence_says_so(secured: Secured, topics: None) -> None:
    some = [one for one in rights(GROUP) if one.role == "detect" and one.resource != "transactional-id"]
    secured.grant(some, user_of("halfway"))
    asyncio.run(_send(secured.settings("gateway"), _heating_up("HOT-3")))
    ended = run("worker", "detect", settings=secured.settings("halfway"), seconds=120)
    assert ended.status == 1, ended
    assert f"user '{user_of('halfway')}' use the transactional id {GROUP}-checkpoint-" in last_words(ended.err)


def test_the_rights_are_printed_as_commands_of_kafkas_own_tool(secured: Secured) -> None:
    ended = run("acls", settings={"EMBERLINE_GROUP": "fire", "EMBERLINE_KAFKA": "kafka1:9093"})
    assert ended.status == 0, ended.err
    lines = [line for line in ended.out.splitlines() if not line.startswith("#")]
    assert len(lines) == len(rights("fire"))
    begin = "kafka-acls.sh --bootstrap-server kafka1:9093 --command-config admin.properties --add --allow-principal"
    assert f"{begin} User:fire-gateway --operation Write --topic emberline.telemetry" in lines
    fencing = "--operation Write --transactional-id fire-checkpoint- --resource-pattern-type prefixed"
    assert f"{begin} User:fire-detect {fencing}" in lines
