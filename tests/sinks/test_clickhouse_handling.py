"""Alarms with what is registered of their devices and what people did about them: every column, on small known data."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import pytest

from common.times import now_ms
from schemas import topics
from schemas.actions import AlarmAction, AlarmVerdict, SeenEvent
from schemas.events import Alarm
from schemas.quantities import QUANTITIES
from schemas.registry import DeviceEntry
from sinks.clickhouse.config import Config
from sinks.clickhouse.rows import BLOCKS
from sinks.clickhouse.views import views
from sinks.clickhouse.writer import ClickHouseSink
from tests.sinks.samples import NOON, TOPIC_ID, action, actions, alarm, alarms, entries, entry, status, statuses
from tests.sinks.test_clickhouse_tables import at
from tests.support.platform import Ask

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
OVER: Final = {"severity": 0, "active": False}
A: Final = "a" * 32


def told(sink: ClickHouseSink, *events: Alarm, **more: Any) -> None:
    sink.write(BLOCKS[topics.ALARMS.name](alarms(*events, **more), TOPIC_ID))


def done(sink: ClickHouseSink, *taken: tuple[AlarmAction, int], **more: Any) -> None:
    sink.write(BLOCKS[topics.ALARM_ACTIONS.name](actions(*taken, **more), TOPIC_ID))


def registered(sink: ClickHouseSink, *changes: tuple[DeviceEntry, int], **more: Any) -> None:
    sink.write(BLOCKS[topics.REGISTRY.name](entries(*changes, **more), TOPIC_ID))


def event(event: str, offset: int, **more: Any) -> Alarm:
    values: dict[str, Any] = {
        "alarm_id": A, "event": event, "source_offset": offset, "source_topic_id": "t", "ingest_ts": NOON + offset,
        "severity_highest": 1, "episode": NOON,
    }  # fmt: skip
    return alarm(**(values | more))


def saw(offset: int, *, partition: int = 3, topic_id: str = "t", ordinal: int = 0, generation: int = 0) -> SeenEvent:
    return SeenEvent(topic_id, partition, generation, offset, ordinal)


def test_devices_are_what_is_registered_now_whatever_comes_again(sink: ClickHouseSink, query: Ask) -> None:
    first, later = entry(area="350481"), entry(area="350582001002", unit_id="U-2")
    gone = [(entry(device_id="LY-2"), 3), (DeviceEntry(v=1, device_id="LY-2", removed=True), 9)]
    registered(sink, (first, 5), *gone, (later, 10), (first, 5), (later, 10))
    found = "SELECT device_id, area, unit_id, kind, components.name FROM devices"
    assert query(found) == [("LY-1", "350582001002", "U-2", "electrical_monitor", ["A相电缆", ""])]
    # After a restore numbers begin anew, in another epoch.
    registered(sink, (entry(unit_id="U-3"), 1), epoch=2, first=200)
    assert query("SELECT unit_id FROM devices") == [("U-3",)]
    assert query("SELECT count() FROM registry_history WHERE device_id = 'LY-2'") == [(2,)]


def test_alarms_and_states_have_the_unit_and_place_of_their_device_and_else_none(
    sink: ClickHouseSink, query: Ask
) -> None:
    registered(
        sink, (entry(kind="charging_pile"), 1), (entry(device_id="LY-2", unit_id="U-9"), 2),
        (DeviceEntry(v=1, device_id="LY-2", removed=True), 3),
    )  # fmt: skip
    told(sink, *(event("opened", n, alarm_id=f"{n}" * 32, device_id=f"LY-{n}") for n in (1, 2, 3)))
    columns = "device_id, area, unit_id, unit_name, place_kind, organisation_name, address, device_name, device_kind"
    known = ("永安市第一中学", "school", "安电维保", "中山路1号", "1号配电箱")
    wanted = [
        ("LY-1", "350481001002", "U-1", *known, "charging_pile"),
        ("LY-2", "350481001002", "U-9", *known, "electrical_monitor"),
        ("LY-3", "", "", "", "", "", "", "", "electrical_monitor"),
    ]
    for view in ("alarms", "open_alarms"):
        assert query(f"SELECT {columns} FROM {view} ORDER BY 1") == wanted  # noqa: S608
    states = statuses(*(status(device_id=f"LY-{n}", device_kind="electrical_monitor") for n in (1, 2, 3)))
    sink.write(BLOCKS[topics.DEVICE_STATUS.name](states, TOPIC_ID))
    assert query(f"SELECT {columns} FROM device_status_now ORDER BY 1") == wanted  # noqa: S608
    assert query("SELECT device_id, removed FROM unregistered_devices ORDER BY 1") == [("LY-2", True), ("LY-3", False)]


@pytest.mark.parametrize(
    ("events", "seen", "acknowledged"),
    [
        (["opened"], [saw(1)], True),
        (["opened"], [], False),
        (["opened", "recovered"], [saw(1)], True),
        (["opened", "recovered", "amended"], [saw(2)], True),
        *((["opened", kind], [saw(1)], False) for kind in ("escalated", "worsened", "reactivated")),
        (["opened", "escalated"], [saw(1), saw(2)], True),
        # One that saw less and was sent later takes nothing back.
        (["opened", "escalated"], [saw(2), saw(1)], True),
        (["opened"], [saw(9, partition=4)], False),
        (["opened"], [saw(9, topic_id="u")], False),
        (["opened"], [saw(1, ordinal=1)], True),
        (["opened"], [saw(0, generation=1)], True),
    ],
)
def test_an_alarm_is_acknowledged_where_its_last_alert_was_seen(
    events: list[str], seen: list[SeenEvent], acknowledged: bool, sink: ClickHouseSink, query: Ask
) -> None:
    told(sink, *(event(kind, n + 1) for n, kind in enumerate(events)))
    taken = [(action("acknowledge", seen=one, by=f"第{n}人", ts=NOON + n), n) for n, one in enumerate(seen)]
    done(sink, *taken, *taken)
    for view in ("alarms", "open_alarms"):
        assert query(f"SELECT acknowledged FROM {view}") == [(acknowledged,)]  # noqa: S608


def test_a_device_that_moved_to_another_partition_can_be_acknowledged_there(sink: ClickHouseSink, query: Ask) -> None:
    told(sink, event("opened", 1))
    told(sink, event("recovered", 0, ingest_ts=NOON + 9), partition=7)
    done(sink, (action("acknowledge", seen=saw(0, partition=7)), 1))
    assert query("SELECT acknowledged, acknowledged_by FROM alarms") == [(True, "张三")]
    last = "SELECT last_topic_id, last_partition, last_generation, last_offset, last_ordinal FROM alarms"
    assert query(last) == [("t", 7, 0, 0, 0)]
    told(sink, event("reactivated", 2, ingest_ts=NOON + 10), partition=7, first=200)
    assert query("SELECT acknowledged, acknowledged_by, acknowledged_ts FROM alarms") == [(False, "", None)]


def test_an_alarm_has_what_people_did_and_what_comes_again_counts_once(sink: ClickHouseSink, query: Ask) -> None:
    told(sink, event("opened", 1, source_offset=2**62, generation=7, source_ordinal=5))
    now = now_ms()
    taken = [
        (action("acknowledge", seen=saw(2**62, generation=7, ordinal=5), by="李四", ts=NOON + 1, version=1), 1),
        (action("mute", until_ts=now + HOUR, version=2), 2),
        (action("assign", to="王五", ts=NOON + 2, version=3), 3),
        (action("assign", to="赵六", version=4), 4),
        (action("comment", why="一", version=5), 5),
        (action("comment", why="二", version=6), 6),
        (action("verdict", verdict=AlarmVerdict.TRUE, version=7), 7),
        (action("verdict", verdict=AlarmVerdict.FALSE, why="误碰", by="李四", ts=NOON + 3, version=8), 8),
    ]
    done(sink, *taken, *taken[2:], *taken[:3])
    columns = (
        "acknowledged_by, acknowledged_ts, first_acknowledged_ts, assignee, first_assigned_ts, comments, verdict, "
    )
    columns += "verdict_by, verdict_ts, version, last_generation, last_offset, last_ordinal"
    assert query(f"SELECT {columns} FROM alarms") == [  # noqa: S608
        ("李四", at(NOON + 1), at(NOON + 1), "赵六", at(NOON + 2), 2, "false", "李四", at(NOON + 3), 8, 7, 2**62, 5),
    ]  # fmt: skip
    assert query("SELECT muted_until FROM open_alarms") == [(at(now + HOUR),)]
    done(sink, (action("unmute", version=9), 9), first=200)
    assert query("SELECT muted_until, version FROM alarms") == [(None, 9)]
    done(sink, (action("mute", until_ts=now - 1, version=10), 10), first=300)
    assert query("SELECT muted_until, version FROM alarms") == [(None, 10)]


def test_precision_is_made_of_verdicts_and_tests_and_maintenance_are_apart(sink: ClickHouseSink, query: Ask) -> None:
    registered(sink, (entry(), 1))
    verdicts = ["true", "true", "true", "false", "unknown", "test", None]
    for n, verdict in enumerate(verdicts):
        name = f"{n}" * 32
        told(sink, event("opened", n, alarm_id=name, component=n), first=100 + n)
        if verdict:
            done(sink, (action("verdict", alarm_id=name, verdict=AlarmVerdict(verdict)), n), first=100 + n)
    told(sink, event("opened", 20, alarm_id="d" * 32, test=True), first=300)
    told(sink, event("opened", 21, alarm_id="e" * 32, maintenance=True, component=9), first=301)
    where = (date(2026, 9, 1), "temperature", "350481001002", "school")
    assert query("SELECT * FROM alarm_precision ORDER BY test, maintenance") == [
        (*where, False, False, 7, 6, 3, 1, 1, 1, 0.75, 6 / 7),
        (*where, False, True, 1, 0, 0, 0, 0, 0, None, 0.0),
        (*where, True, False, 1, 0, 0, 0, 0, 0, None, 0.0),
    ]


def test_handling_is_due_in_a_week_and_at_piles_somebody_is_to_be_there_in_three_days(
    sink: ClickHouseSink, query: Ask
) -> None:
    pile = {"device_kind": "charging_pile", "device_id": "CP-1"}

    def life(name: str, component: int, days: float, *ends: Alarm, **more: Any) -> None:
        began = now_ms() // 1000 * 1000 - int(days * DAY)
        more = {"alarm_id": name * 32, "component": component, "episode": began} | more
        told(sink, event("opened", 1, ingest_ts=began, **more), partition=component)
        for end in ends:
            ingest_ts = began + (end.ingest_ts - NOON)
            told(sink, event(end.event, 2, ingest_ts=ingest_ts, **more, **OVER), partition=component, first=200)

    def end(kind: str, days: float) -> Alarm:
        return event(kind, int(days * DAY))

    life("0", 0, 6)
    life("1", 1, 8)
    life("2", 2, 30, end("reset", 2))
    life("3", 3, 30, end("reset", 8))
    life("4", 4, 30, end("superseded", 2))
    life("5", 5, 30, end("superseded", 9))
    life("6", 6, 2, **pile)
    life("7", 7, 4, **pile)
    life("8", 8, 4, **pile)
    began = now_ms() - 4 * DAY
    done(sink, (action("assign", alarm_id="8" * 32, device_id="CP-1", to="王五", ts=began + DAY), 1))
    found = query("SELECT substring(alarm_id, 1, 1), overdue, reset_s FROM alarm_handling ORDER BY 1")
    assert found == [
        ("0", 0, None), ("1", 1, None), ("2", 0, 2 * 86_400), ("3", 1, 8 * 86_400), ("4", 0, None), ("5", 1, None),
        ("6", 0, None), ("7", 1, None), ("8", 0, None),
    ]  # fmt: skip
    assert query("SELECT substring(alarm_id, 1, 1) FROM overdue_alarms ORDER BY 1") == [("1",), ("7",)]
    assert query("SELECT dateDiff('day', episode, due_ts) AS d, count() FROM alarms GROUP BY d ORDER BY d") == [
        (3, 3), (7, 6),
    ]  # fmt: skip


def open_ids(query: Ask) -> list[str]:
    return [one[:1] for (one,) in query("SELECT alarm_id FROM open_alarms ORDER BY 1")]


def test_what_is_open_is_exact_whenever_a_sink_died(sink: ClickHouseSink, query: Ask) -> None:
    def one(name: str, kind: str, offset: int) -> Alarm:
        return event(kind, offset, alarm_id=name * 32, component=ord(name) - ord("a"))

    told(sink, one("a", "opened", 1), one("b", "opened", 2), one("c", "opened", 3), one("c", "reset", 4))
    assert open_ids(query) == ["a", "b"]
    # It died before the end was marked, or after an opening was and before its event was stored.
    query("INSERT INTO alarm_marks VALUES ('LY-1', %(c)s, 1), ('LY-1', %(x)s, 1)", {"c": "c" * 32, "x": "f" * 32})
    assert open_ids(query) == ["a", "b"]
    # It stored the same again.
    told(sink, one("a", "opened", 1), one("b", "opened", 2), one("c", "opened", 3), one("c", "reset", 4))
    query("OPTIMIZE TABLE alarm_marks FINAL")
    assert open_ids(query) == ["a", "b"]
    # Marks are of an older backup, or a sink of the release before stored what is there.
    query("TRUNCATE TABLE alarm_marks")
    assert open_ids(query) == []
    sink.stored_offsets(topics.ALARMS.name, TOPIC_ID, [3])
    assert open_ids(query) == ["a", "b"]
    assert query("SELECT count() FROM alarm_marks") == [(2,)]
    told(sink, one("a", "superseded", 5), one("b", "closed", 6), first=200)
    assert open_ids(query) == []
    query("OPTIMIZE TABLE alarm_marks FINAL")
    assert query("SELECT count() FROM alarm_marks") == [(0,)]


def test_what_is_open_is_read_by_key_and_not_by_its_history(sink: ClickHouseSink, config: Config, query: Ask) -> None:
    query(
        "INSERT INTO alarm_events (alarm_id, event, device_id, component, kind, episode, ingest_ts, topic, topic_id, "
        "`partition`, `offset`) "
        "SELECT lower(hex(MD5(toString(intDiv(number, 2))))), ['opened', 'reset'][modulo(number, 2) + 1], "
        "concat('LY-', leftPad(toString(intDiv(number, 2)), 6, '0')), 0, 'temperature', %(at)s, %(at)s, "
        "'emberline.alarms', %(id)s, 3, number FROM numbers(200000)",
        {"at": at(NOON), "id": str(TOPIC_ID)},
    )
    told(sink, event("opened", 1, device_id="LY-050000"), first=300_000)
    assert open_ids(query) == ["a"]
    plan = [line for (line,) in query("EXPLAIN indexes = 1 SELECT * FROM open_alarms")]
    (reads,) = [n for n, line in enumerate(plan) if "ReadFromMergeTree" in line and "alarm_events" in line]
    granules = [line.split("Granules:")[1] for line in plan[reads:] if "Granules:" in line and "/" in line]
    keyed = [tuple(map(int, one.split("/"))) for one in granules[:4]]
    assert min(left for left, _ in keyed) <= 2 < 20 < max(there for _, there in keyed)


@pytest.mark.usefixtures("config")
def test_a_new_quantity_is_in_the_views_without_their_being_written_anew(query: Ask) -> None:
    query("ALTER TABLE telemetry ADD COLUMN noise_db Array(Nullable(Float32))")
    for statement in views([*(quantity.name for quantity in QUANTITIES), "noise_db"]):
        query(statement)
    query(
        "INSERT INTO telemetry (device_id, ts, ingest_ts, temperature_c, noise_db) VALUES "
        "('LY-1', now64(3), now64(3), [20], [NULL, 63.5])"
    )
    for view in ("telemetry_values", "latest_values"):
        found = query(f"SELECT quantity, component, value FROM {view} ORDER BY 1")  # noqa: S608
        assert found == [("noise_db", 1, 63.5), ("temperature_c", 0, 20.0)]


@pytest.mark.usefixtures("config")
def test_every_view_is_as_its_file_says_it(query: Ask) -> None:
    made = {one.split()[4] for one in views()}
    assert {
        name
        for (name,) in query("SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View'")
    } == made
