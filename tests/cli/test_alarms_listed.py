"""`emberline alarms list` and `show`, and acting by the same filters: what is asked for, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from common.settings import Settings
from embedded.processes import Running
from schemas import topics
from schemas.actions import AlarmAction, AlarmVerdict, SeenEvent
from services.registry.database import engine_of, migrate, reading, url_of, writing
from services.registry.models import RegisteredDevice, Unit
from services.registry.outbox import next_rows
from sinks.clickhouse.rows import BLOCKS
from streams.storage import make_sink, run_migrations
from tests.sinks.samples import (
    NOON,
    TOPIC_ID,
    action,
    actions,
    alarm,
    alarms,
    entries,
    entry,
    report,
    status,
    statuses,
    telemetry,
)
from tests.support.platform import quick_settings
from tests.support.processes import run

HOUR_MS: Final = 3_600_000
A, B, C, D, E = (name * 32 for name in "abcde")
WAITING, WITHDRAWN = "1" * 32, "2" * 32


@pytest.fixture(scope="module")
def stored(clickhouse: Running) -> Settings:
    """Five alarms: two open ones of one unit, one open elsewhere that was provisional for an hour, one that was reset,
    one test. And two provisionals, one that waits and one that was withdrawn."""

    def event(name: str, hour: int, what: str, offset: int, **more: Any) -> Any:
        at = NOON + hour * HOUR_MS
        values = {"alarm_id": name, "event": what, "episode": at, "ingest_ts": at + offset, "event_ts": at + offset}
        return alarm(**(values | {"source_offset": offset, "source_topic_id": "t", "severity_highest": 1} | more))

    settings = quick_settings("127.0.0.1:1", clickhouse.address)
    run_migrations(settings)
    sink = make_sink(settings)
    over = {"severity": 0, "active": False}
    of_c = {"device_id": "JJ-7", "kind": "arc_fault", "quantity": "arc_half_cycles"}
    events = alarms(
        event(A, 0, "opened", 1),
        event(A, 0, "worsened", 2, peak=92.5),
        event(B, 1, "opened", 3, component=0, severity_highest=2, severity=2),
        event(B, 1, "recovered", 4, component=0, severity_highest=2, **over),
        event(C, 1, "provisional", 4, **of_c),
        event(C, 2, "confirmed", 5, **(of_c | {"episode": NOON + HOUR_MS})),
        event(D, 3, "opened", 6, component=1),
        event(D, 3, "reset", 7, component=1, by="王五", why="已检修", **over),
        event(E, 4, "opened", 8, component=5, test=True),
        event(WAITING, 5, "provisional", 9, component=7),
        event(WITHDRAWN, 6, "provisional", 10, component=8),
        event(WITHDRAWN, 6, "withdrawn", 11, component=8, by="王五", why="换新", value=3.5, **over),
    )
    sink.write(BLOCKS[topics.ALARMS.name](events, TOPIC_ID))
    places = entries((entry(), 1), (entry(device_id="JJ-7", area="350582001", unit_id="U-2", unit_name="医院"), 2))
    sink.write(BLOCKS[topics.REGISTRY.name](places, TOPIC_ID))
    done = [
        (action("acknowledge", alarm_id=B, seen=SeenEvent("t", 3, 0, 3, 0)), 1),
        (action("verdict", alarm_id=B, verdict=AlarmVerdict.FALSE, why="误碰", version=2), 2),
    ]
    sink.write(BLOCKS[topics.ALARM_ACTIONS.name](actions(*done, *done), TOPIC_ID))
    sink.close()
    return settings


@pytest.fixture
def settings(stored: Settings, tmp_path: Path) -> Settings:
    """With a registry's database of its own."""
    settings = replace(stored, data_dir=str(tmp_path / "data"))
    engine = engine_of(url_of(settings))
    migrate(engine)
    engine.dispose()
    return settings


def listed(settings: Settings, *arguments: str) -> list[dict[str, Any]]:
    ended = run("alarms", "list", *arguments, "--json", settings=settings)
    assert (ended.status, ended.err) == (0, ""), ended
    return [orjson.loads(line) for line in ended.out.splitlines()]


FILTERS: Final[list[tuple[list[str], str]]] = [
    ([], "cba"),
    (["--all"], "dcba"),
    (["--test"], "e"),
    (["--area", "350481"], "ba"),
    (["--area", "350481001002"], "ba"),
    (["--unit", "U-2"], "c"),
    (["--device", "LY-1", "--all"], "dba"),
    (["--kind", "arc_fault"], "c"),
    (["--severity", "alarm"], "b"),
    (["--severity", "warning"], "cba"),
    (["--unacknowledged"], "ca"),
    (["--active"], "ca"),
    (["--since", str(NOON + HOUR_MS)], "cb"),
    (["--since", str(NOON + HOUR_MS), "--until", str(NOON + 2 * HOUR_MS), "--all"], "b"),
    (["--before", str(NOON + HOUR_MS), "--all"], "a"),
    (["--area", "99"], ""),
]


PROVISIONAL_FILTERS: Final[list[tuple[list[str], str]]] = [
    (["--provisional"], "1"),
    (["--provisional", "--all"], "21c"),
    (["--provisional", "--all", "--area", "350481"], "21"),
    (["--provisional", "--all", "--unit", "U-2"], "c"),
    (["--provisional", "--all", "--kind", "arc_fault"], "c"),
    (["--provisional", "--device", "JJ-7"], ""),
    (["--provisional", "--all", "--since", str(NOON + HOUR_MS), "--until", str(NOON + 6 * HOUR_MS)], "1c"),
    (["--provisional", "--test"], ""),
]


@pytest.mark.parametrize(("arguments", "wanted"), FILTERS + PROVISIONAL_FILTERS, ids=lambda one: " ".join(one))
def test_each_filter_leaves_what_it_says(stored: Settings, arguments: Sequence[str], wanted: str) -> None:
    assert "".join(one["alarm_id"][0] for one in listed(stored, *arguments)) == wanted


def test_a_list_is_bounded_and_says_what_it_left_out(stored: Settings) -> None:
    ended = run("alarms", "list", "--limit", "1", settings=stored)
    heading, line, more, tests = ended.out.splitlines()
    assert heading.split() == ["发生时间", "级别", "状态", "设备", "单位", "告警", "编号"]
    assert line.split()[:5] == ["2026-09-21", "14:00:00", "警告", "未恢复", "未确认"]
    assert line.endswith(f"医院{' ' * 20}  第3路 故障电弧 61.25 个  {C}")
    assert (more, tests) == ("还有2条较早的告警未列出；--limit可列出更多", "另有1条测试告警未列出")
    as_json = run("alarms", "list", "--limit", "1", "--json", settings=stored)
    assert (len(as_json.out.splitlines()), as_json.err) == (1, f"{more}\n")
    assert run("alarms", "list", "--unit", "U-9", settings=stored).out == "没有符合条件的告警\n"


def test_one_is_shown_with_its_life_what_was_done_and_where_it_is(stored: Settings) -> None:
    said = run("alarms", "show", B, settings=stored).out
    for text in (
        *("警告", "已恢复 已确认", "LY-1 1号配电箱（电气火灾监控探测器），第1路", "永安市第一中学（U-1），学校"),
        *("区域350481001002", "中山路1号", "安电维保（M-1）", "限值：60 ℃（GB 14287.3-2014）", "发生  61.25 ℃"),
        *("恢复正常", "张三确认", "张三研判为误报：误碰"),
    ):
        assert text in said or text == "警告", (text, said)
    assert said.count("张三确认") == 1
    whole = orjson.loads(run("alarms", "show", D, "--json", settings=stored).out)
    assert [one["event"] for one in whole["events"]] == ["opened", "reset"]
    assert (whole["actions"], whole["ended_as"], whole["ended_by"]) == ([], "reset", "王五")
    assert whole["seen"] == {
        "source_topic_id": "t", "partition": 3, "generation": 0, "source_offset": 7, "source_ordinal": 0,
    }  # fmt: skip
    assert "ClickHouse holds no alarm" in run("alarms", "show", "f" * 32, settings=stored).refusal


def test_what_is_provisional_is_listed_and_shown_apart(stored: Settings) -> None:
    _, withdrawn, waiting, confirmed = run("alarms", "list", "--provisional", "--all", settings=stored).out.splitlines()
    assert waiting.split()[:4] == ["2026-09-21", "17:00:00", "警告", "待核实"]
    assert waiting.endswith(f"永安市第一中学            第8路 温度超限 61.25 ℃  {WAITING}")
    assert "已撤回" in withdrawn
    assert "已证实为告警" in confirmed
    said = run("alarms", "show", WITHDRAWN, settings=stored).out
    for text in (
        "状态：已撤回",
        "限值：60 ℃",
        "最高61.25 ℃",
        "待核实  61.25 ℃",
        "撤回  3.5 ℃，王五：换新",
        "U-1",
        "处置：没有",
    ):
        assert text in said, (text, said)
    whole = orjson.loads(run("alarms", "show", WAITING, "--json", settings=stored).out)
    assert (whole["state"], whole["value"], whole["ended_ts"]) == ("waiting", 61.25, None)
    assert ([one["event"] for one in whole["events"]], whole["seen"]["source_offset"]) == (["provisional"], 9)
    alarm = orjson.loads(run("alarms", "show", C, "--json", settings=stored).out)
    begun = NOON + HOUR_MS
    assert (alarm["provisional_ts"], alarm["latched_ts"]) == (begun, begun + HOUR_MS + 5)
    assert run("alarms", "list", "--provisional", "--unit", "U-9", settings=stored).out == "没有符合条件的单次超限\n"


def done(settings: Settings) -> list[AlarmAction]:
    engine = engine_of(url_of(settings))
    with reading(engine) as session:
        found = [one.value for one in next_rows(session) if one.topic == topics.ALARM_ACTIONS.name]
    engine.dispose()
    return [AlarmAction.from_json(one) for one in found]


def test_what_a_filter_means_is_shown_and_asked_about_and_done_as_it_was_shown(settings: Settings) -> None:
    command = ("alarms", "ack", "--unit", "U-1", "--unacknowledged")
    refused = run(*command, settings=settings)
    assert refused.status == 1
    preview, line, *_ = refused.err.splitlines()
    assert preview == "将确认以下告警，共1项："
    assert line == f"  {A}  LY-1 第3路 温度超限 永安市第一中学 警告 未确认"
    assert "give --yes" in refused.err
    assert done(settings) == []
    assert run(*command, "--yes", settings=settings).status == 0
    (taken,) = done(settings)
    assert (taken.alarm_id, taken.seen) == (A, SeenEvent("t", 3, 0, 2, 0))


def test_a_provisional_is_seen_assigned_and_commented_and_not_muted_or_judged(settings: Settings) -> None:
    for refused in (["mute", WAITING, "--for", "1h", "--why", "检修"], ["verdict", WITHDRAWN, "--is", "true"]):
        assert "还不是告警" in run("alarms", *refused, settings=settings).refusal
    assert done(settings) == []
    for kind, *more in (["ack"], ["assign", "--to", "王五"], ["comment", "--why", "已电话核实"]):
        assert run("alarms", kind, WAITING, *more, settings=settings).status == 0, kind
    acknowledged, *_ = found = done(settings)
    assert [one.kind for one in found] == ["acknowledge", "assign", "comment"]
    assert acknowledged.seen == SeenEvent("t", 3, 0, 9, 0)


@pytest.mark.parametrize("arguments", [["ack"], ["ack", A, "--active"], ["ack", "--active", "--version", "1"]])
def test_ids_or_filters_and_not_both(arguments: list[str], stored: Settings) -> None:
    assert run("alarms", *arguments, settings=stored).status == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "--area", "LY"], "no beginning of an area's code"),
        (["list", "--since", "soon"], "is no time"),
        (["list", "--provisional", "--active"], "do not go with --provisional"),
        (["list", "--since", "2026-03-02", "--until", "2026-03-01"], "must lie before"),
        (["ack", "--unit", "U-9"], "没有符合条件的告警"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(arguments: list[str], said: str, stored: Settings) -> None:
    assert said in run("alarms", *arguments, settings=stored).refusal


def test_a_device_is_shown_as_it_is_registered_and_as_it_reports(settings: Settings, tmp_path: Path) -> None:
    engine = engine_of(url_of(settings))
    with writing(engine) as session:
        session.add(Unit(id="U-1", name="永安市第一中学", address="中山路1号", place_kind="school"))
        session.flush()
        session.add(
            RegisteredDevice(
                id="LY-1", name="1号配电箱", kind="electrical_monitor", unit_id="U-1", state="in_use", interval_s=60
            )
        )
    engine.dispose()
    sink = make_sink(settings)
    told = statuses(status(test=False, faults=["clock_behind"], maintained_until_ts=4_000_000_000_000))
    sink.write(BLOCKS[topics.DEVICE_STATUS.name](told, TOPIC_ID))
    sink.write(BLOCKS[topics.TELEMETRY.name](telemetry(report(temperature_c=[30.5])), TOPIC_ID))
    sink.close()
    shown = run("device", "show", "LY-1", settings=settings)
    assert (shown.status, shown.err) == (0, ""), shown
    for words in ("永安市第一中学（U-1）", "每60秒上报", "状态：在线", "故障：clock_behind", "维护中，到", "30.5"):
        assert words in shown.out, words
    assert "未复位的告警：3" in shown.out
    found = orjson.loads(run("device", "show", "LY-1", "--json", settings=settings).out)
    assert (found["registered"]["unit_name"], found["values"][0]["value"]) == ("永安市第一中学", 30.5)
    assert {one["alarm_id"] for one in found["open_alarms"]} == {A, B, E}
    stranger = run("device", "show", "JJ-7", settings=settings)
    assert "没有登记，按默认限值监测" in stranger.out or "has never reported" in stranger.refusal
    assert "has never reported" in run("device", "show", "NO-1", settings=settings).refusal
