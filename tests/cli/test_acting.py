"""What people do about alarms and order of devices at a terminal: all of it is done, or nothing, and it is told."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from common.settings import Settings
from common.times import now_ms
from embedded.manners import free_port
from embedded.processes import Running
from schemas.actions import AlarmAction
from schemas.commands import Command
from schemas.topics import ALARM_ACTIONS, COMMANDS
from services.registry.database import engine_of, migrate, reading, url_of
from services.registry.outbox import next_rows
from streams.storage import run_migrations
from tests.services.registry.given_files import DEVICE, UNIT, written
from tests.services.registry.test_import import take_in
from tests.support.platform import asking, quick_settings
from tests.support.processes import Ended, command_line, environment_of, run

FIRST, SECOND, UNKNOWN = ("1" * 32, "2" * 32, "f" * 32)
HOUR_MS: Final = 3_600_000


@pytest.fixture(scope="module")
def stored(clickhouse: Running) -> Settings:
    """A database that holds two alarms, the first with two events."""
    settings = quick_settings("127.0.0.1:1", clickhouse.address)
    run_migrations(settings)
    event = {
        "device_id": "LY-1", "component": 2, "kind": "temperature", "test": 1, "source_topic_id": "t-1", "partition": 3,
        "generation": 1,
    }  # fmt: skip
    for more in (
        {"alarm_id": FIRST, "event": "opened", "source_offset": 7, "source_ordinal": 4, "ingest_ts": 1_790_000_000},
        {"alarm_id": FIRST, "event": "escalated", "source_offset": 9, "source_ordinal": 1, "ingest_ts": 1_790_000_009},
        {"alarm_id": SECOND, "event": "opened", "source_offset": 9, "source_ordinal": 2, "ingest_ts": 1_790_000_009},
    ):
        row = orjson.dumps(event | more | {"event_ts": more["ingest_ts"], "onset_ts": more["ingest_ts"]}).decode()
        asking(settings)(f"INSERT INTO alarm_events FORMAT JSONEachRow {row}")
    return settings


@pytest.fixture
def settings(stored: Settings, tmp_path: Path) -> Settings:
    """With a registry of its own that knows two devices of a unit."""
    settings = replace(stored, data_dir=str(tmp_path / "data"))
    folder = tmp_path / "files"
    folder.mkdir()
    devices = [DEVICE | {"设备编号": one} for one in ("LY-1", "LY-2")]
    devices.append(DEVICE | {"设备编号": "CP-1", "设备类型": "电动自行车充电桩", "允许远程切断": "是"})
    paths = written(folder, {"社会单位": [UNIT | {"运维机构编号": ""}], "设备": devices})
    engine = engine_of(url_of(settings))
    migrate(engine)
    take_in(engine, paths)
    engine.dispose()
    return settings


def outbox(settings: Settings, topic: str) -> list[bytes]:
    """What waits to be published on a topic."""
    engine = engine_of(url_of(settings))
    with reading(engine) as session:
        found = [one.value for one in next_rows(session) if one.topic == topic]
    engine.dispose()
    return found


def actions(settings: Settings) -> list[AlarmAction]:
    return [AlarmAction.from_json(one) for one in outbox(settings, ALARM_ACTIONS.name)]


def commands(settings: Settings) -> list[Command]:
    return [Command.from_json(one) for one in outbox(settings, COMMANDS.name)]


AT_ONCE: Final = ("--wait", "0")
"""No worker is there that could say what becomes of an order."""


def did(settings: Settings, *arguments: str) -> str:
    ended = run(*arguments, "--by", "张三", settings=settings)
    assert (ended.status, ended.err) == (0, ""), ended
    return ended.out


def test_each_action_is_recorded_and_told(settings: Settings) -> None:
    about = f"{FIRST}  LY-1 第3路 温度超限（测试）：张三已于"
    said = did(settings, "alarms", "ack", FIRST)
    assert said.startswith(about)
    assert said.endswith("确认（版本1）\n")
    assert "静音到" in did(settings, "alarms", "mute", FIRST, "--for", "2h", "--why", "检修")
    assert "取消静音（版本3）" in did(settings, "alarms", "unmute", FIRST)
    assert "指派给王五（版本4）" in did(settings, "alarms", "assign", FIRST, "--to", "王五", "--version", "3")
    assert "备注（版本5）" in did(settings, "alarms", "comment", FIRST, "--why", "已到现场")
    assert "研判为“误报”" in did(settings, "alarms", "verdict", FIRST, "--is", "false", "--why", "误碰")
    acknowledged, mute, *_ = found = actions(settings)
    assert [(one.alarm_id, one.device_id, one.by, one.test) for one in found] == [(FIRST, "LY-1", "张三", True)] * 6
    seen = acknowledged.seen
    assert seen is not None
    assert (seen.source_topic_id, seen.partition, seen.generation) == ("t-1", 3, 1)
    assert (seen.source_offset, seen.source_ordinal) == (9, 1)
    assert abs(mute.until_ts - now_ms() - 2 * HOUR_MS) < 120_000
    assert did(settings, "alarms", "ack", FIRST).endswith("确认，无需重复\n")
    assert len(actions(settings)) == 6
    lines = run("alarms", "history", FIRST, settings=settings).out.splitlines()
    assert [line.split()[0] for line in lines] == list("123456")
    assert lines[4].endswith("备注：已到现场")
    listed = orjson.loads(run("alarms", "history", FIRST, "--json", settings=settings).out)
    assert [one["kind"] for one in listed] == [one.kind for one in found]
    assert run("alarms", "history", SECOND, settings=settings).out == "没有处置记录\n"


def test_more_than_one_is_shown_and_asked_about_first(settings: Settings) -> None:
    both = ("alarms", "ack", FIRST, SECOND, FIRST)
    refused = run(*both, settings=settings)
    assert refused.status == 1
    assert refused.err.splitlines()[0] == "将确认以下告警，共2项："
    assert "give --yes" in refused.err.splitlines()[-1]
    declined = at_terminal(settings, both, "n")
    assert (declined.status, "nothing was done" in declined.out) == (1, True)
    assert actions(settings) == []
    accepted = at_terminal(settings, both, "y")
    assert accepted.status == 0, accepted
    assert len(actions(settings)) == 2
    done = orjson.loads(run(*both, "--yes", "--json", settings=settings).out)
    assert [(one["alarm_id"], one["is_new"]) for one in done["done"]] == [(FIRST, False), (SECOND, False)]


def at_terminal(settings: Settings, arguments: Sequence[str], answer: str) -> Ended:
    """A command at a terminal whose person answers once."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command_line(*arguments), env=environment_of(settings), stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        os.write(ours, f"{answer}\n".encode())
        said = b""
        while True:
            try:
                said += os.read(ours, 4_096)
            except OSError:  # the terminal was closed at the other end
                break
        os.close(ours)
    return Ended(process.returncode, said.decode(), "")


def test_one_that_is_refused_keeps_all_from_being_done(settings: Settings) -> None:
    did(settings, "alarms", "verdict", FIRST, "--is", "true")
    verdicts = ("alarms", "verdict", FIRST, SECOND, "--is", "unknown", "--yes")
    refused = run(*verdicts, settings=settings)
    assert (refused.status, refused.out) == (1, "")
    assert refused.err.startswith(f"emberline: {FIRST}  LY-1 第3路 温度超限（测试）：张三已于")
    listed = run(*verdicts, "--json", settings=settings)
    (reason,) = orjson.loads(listed.out)["refused"]
    assert (listed.status, "请给出所依据的版本（现在是1）" in reason) == (1, True)
    assert len(actions(settings)) == 1
    did(settings, "alarms", "verdict", FIRST, "--is", "unknown", "--version", "1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ack", UNKNOWN], f"ClickHouse holds no alarm {UNKNOWN}"),
        (["ack", "LY-1"], "is no id of an alarm"),
        (["mute", FIRST, "--for", "25h", "--why", "x"], "24小时以内"),
        (["mute", FIRST, "--for", "soon", "--why", "x"], "is no duration"),
        (["comment", FIRST, "--why", " "], "没有填写内容"),
        (["verdict", FIRST, "--is", "false"], "没有填写原因"),
        (["ack", FIRST, "--by", "x" * 65], "最多64个"),
        (["ack", FIRST, "--version", "9"], "没有版本9"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(settings: Settings, arguments: list[str], said: str) -> None:
    assert said in run("alarms", *arguments, settings=settings).refusal
    assert actions(settings) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["alarms", "ack"],
        ["alarms", "mute", FIRST, "--why", "x"],
        ["alarms", "mute", FIRST, "--for", "1h"],
        ["alarms", "ack", FIRST, SECOND, "--version", "1"],
        ["alarms", "--json", "ack", FIRST],
        ["alarms", "no-such-command"],
        ["device", "replace", "LY-1"],
        ["device", "maintain", "--for", "1h", "--why", "x"],
        ["device", "maintain", "LY-1", "--unit", "U-1", "--for", "1h", "--why", "x"],
        ["device", "maintain", "LY-1", "--end", "--for", "1h", "--why", "x"],
        ["device", "accept-rise", "LY-1", "--component", "0", "--why", "x"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_as_such(arguments: list[str], tmp_path: Path) -> None:
    ended = run(*arguments, settings={"EMBERLINE_DATA_DIR": str(tmp_path)})
    assert (ended.status, "Traceback" in ended.err) == (2, False), ended


def test_what_is_away_or_not_prepared_is_told(settings: Settings, tmp_path: Path) -> None:
    away = replace(settings, clickhouse=f"127.0.0.1:{free_port()}", clickhouse_deadline_s=1)
    assert "ClickHouse" in run("alarms", "ack", FIRST, settings=away).refusal
    fresh = replace(settings, data_dir=str(tmp_path / "fresh"))
    assert "run `emberline registry migrate`" in run("alarms", "ack", FIRST, settings=fresh).refusal


def test_a_reset_is_a_command_that_names_its_alarm(settings: Settings) -> None:
    said = did(settings, "alarms", "reset", FIRST, "--why", "已处理", *AT_ONCE)
    assert said.startswith("LY-1：已下达“复位”命令，编号")
    did(settings, "alarms", "reset", SECOND, "--why", "已处理", "--force", *AT_ONCE)
    first, second = commands(settings)
    wanted: dict[str, Any] = {
        "kind": "reset", "device_id": "LY-1", "component": 2, "alarm_kind": "temperature", "alarm_id": FIRST,
        "test": True, "by": "张三", "why": "已处理", "force": False,
    }  # fmt: skip
    assert {name: getattr(first, name) for name in wanted} == wanted
    assert (second.alarm_id, second.force) == (SECOND, True)


def test_what_is_ordered_of_devices_is_told_and_can_be_asked_for(settings: Settings) -> None:
    did(settings, "device", "replace", "LY-1", "--why", "烧坏", *AT_ONCE)
    did(settings, "device", "accept-rise", "LY-1", "--component", "2", "--why", "新装滤波器", *AT_ONCE)
    did(settings, "device", "maintain", "--unit", "U-1", "--for", "8h", "--why", "检修", "--yes", *AT_ONCE)
    did(settings, "device", "maintain", "LY-2", "--end", "--why", "完工", *AT_ONCE)
    found = commands(settings)
    assert [(one.kind.value, one.device_id, one.component) for one in found] == [
        *(("replace", "LY-1", None), ("accept_rise", "LY-1", 1)),
        *(("maintenance", one, None) for one in ("CP-1", "LY-1", "LY-2", "LY-2")),
    ]
    assert abs(found[2].until_ts - now_ms() - 8 * HOUR_MS) < 120_000
    assert found[5].until_ts == 0
    listed = orjson.loads(run("device", "orders", "LY-1", "--json", settings=settings).out)
    assert [(one["kind"], one["why"], one["source"]) for one in listed] == [
        *(("maintenance", "检修", "registry"), ("accept_rise", "新装滤波器", "registry")),
        ("replace", "烧坏", "registry"),
    ]
    assert {one["outcome"] for one in listed} == {None}
    newest, became, *_ = run("device", "orders", "LY-1", settings=settings).out.splitlines()
    assert "张三于" in newest
    assert newest.endswith("：检修")
    assert became.strip() == "尚无结果"
    assert run("device", "orders", "LY-9", settings=settings).out == "没有下达过命令\n"


def test_a_cut_off_is_asked_about_also_of_one_port_and_told_with_who_and_why(settings: Settings) -> None:
    order = ("device", "cut-off", "CP-1", "--port", "2", "--why", "拔枪后仍有功率", *AT_ONCE)
    unasked = run(*order, settings=settings)
    assert (unasked.status, "CP-1 2号口" in unasked.err, "give --yes" in unasked.err) == (1, True, True)
    assert at_terminal(settings, order, "n").status == 1
    assert commands(settings) == []
    assert did(settings, *order, "--yes").startswith("CP-1：已下达“请求切断”命令，编号")
    (made,) = commands(settings)
    assert (made.kind, made.device_id, made.component, made.by) == ("cut_off", "CP-1", 1, "张三")
    told = run("device", "orders", "CP-1", settings=settings).out.splitlines()[0]
    assert told.endswith("下达“请求切断”，2号口：拔枪后仍有功率")
    refused = run("device", "cut-off", "LY-1", "--why", "x", "--yes", settings=settings)
    assert (refused.status, "不能切断" in refused.err) == (1, True)
    assert run("device", "cut-off", "CP-1", "--yes", settings=settings).status == 2


def test_orders_beyond_their_bounds_are_refused_and_none_is_given(settings: Settings) -> None:
    orders = {
        "设备LY-9没有登记": ["replace", "LY-1", "LY-9", "--yes"],
        "今后72小时以内": ["maintain", "LY-1", "--for", "73h"],
        "单位U-9没有登记": ["maintain", "--unit", "U-9", "--for", "1h"],
        "give --yes": ["replace", "LY-1", "LY-2"],
    }
    for said, arguments in orders.items():
        ended = run("device", *arguments, "--why", "x", settings=settings)
        assert (ended.status, said in ended.err) == (1, True), ended
    assert commands(settings) == []
    did(settings, "device", "replace", "LY-9", "--why", "x", "--unregistered", *AT_ONCE)
    assert [one.device_id for one in commands(settings)] == ["LY-9"]
