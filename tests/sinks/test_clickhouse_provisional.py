"""A provisional is no alarm in any view until it is confirmed, and never lost: what waits is listed."""

from __future__ import annotations

from typing import Any, Final

import pytest

from common.times import now_ms
from schemas import topics
from schemas.actions import AlarmVerdict, SeenEvent
from schemas.events import Alarm
from sinks.clickhouse.config import Config
from sinks.clickhouse.rows import BLOCKS
from sinks.clickhouse.writer import ClickHouseSink
from tests.sinks.samples import NOON, TOPIC_ID, action, entries, entry
from tests.sinks.test_clickhouse_handling import DAY, HOUR, OVER, done, event, saw, told
from tests.sinks.test_clickhouse_tables import at
from tests.support.platform import Ask

LIVES: Final = {
    "a": ("provisional",),
    "b": ("provisional", "withdrawn"),
    "c": ("provisional", "confirmed"),
    "d": ("provisional", "confirmed", "escalated", "recovered", "reset"),
    "e": ("opened", "recovered"),
    "f": ("opened", "closed"),
    "0": ("provisional", "confirmed", "recovered", "superseded"),
    "1": ("provisional", "confirmed", "recovered"),
}
ENDS: Final = ("reset", "closed", "superseded")
WAITING: Final = "provisional_alarms WHERE state = 'waiting'"


def provisional(offset: int, **more: Any) -> Alarm:
    return event("provisional", offset, **more)


def letters(query: Ask, *views: str) -> list[str]:
    """Which alarms each view has."""
    asked = ", ".join(f"(SELECT arraySort(groupArray(substring(alarm_id, 1, 1))) FROM {view})" for view in views)  # noqa: S608
    return ["".join(one) for one in query(f"SELECT {asked}")[0]]


def in_turn() -> list[tuple[str, str]]:
    """The events of all lives, the first of each, then the second of each, and so on."""
    longest = max(map(len, LIVES.values()))
    return [(name, life[n]) for n in range(longest) for name, life in LIVES.items() if n < len(life)]


@pytest.mark.parametrize("size", [1, 3, 50])
def test_after_every_block_what_is_open_and_what_waits_is_what_the_events_say(
    size: int, sink: ClickHouseSink, query: Ask
) -> None:
    lives: dict[str, list[str]] = {}
    events = in_turn()
    for first in range(0, len(events), size):
        block = []
        for offset, (name, kind) in enumerate(events[first : first + size], first):
            lives.setdefault(name, []).append(kind)
            over = OVER if kind in ("withdrawn", "recovered", *ENDS) else {}
            component = list(LIVES).index(name)
            block.append(event(kind, offset, alarm_id=name * 32, component=component, **over))
        told(sink, *block, first=100 + first)
        begun = {name for name, life in lives.items() if life[0] == "provisional"}
        ever = {name for name, life in lives.items() if {"opened", "confirmed"} & set(life)}
        wanted = {
            "open_alarms": {name for name in ever if lives[name][-1] not in ENDS},
            "alarms": ever,
            "alarm_handling": ever,
            "provisional_alarms": begun,
            WAITING: {name for name in begun if lives[name] == ["provisional"]},
        }
        assert letters(query, *wanted) == ["".join(sorted(names)) for names in wanted.values()]
    query("OPTIMIZE TABLE alarm_marks FINAL")
    assert letters(query, "alarm_marks") == ["1ce"]


def test_who_takes_over_marks_what_is_confirmed_and_no_provisional(sink: ClickHouseSink, query: Ask) -> None:
    for name, life in LIVES.items():
        number = list(LIVES).index(name)
        events = [event(kind, n, alarm_id=name * 32, component=number) for n, kind in enumerate(life, 10 * number)]
        told(sink, *events, first=100 * (number + 1))
    query("TRUNCATE TABLE alarm_marks")
    sink.stored_offsets(topics.ALARMS.name, TOPIC_ID, [3])
    assert letters(query, "alarm_marks", "open_alarms") == ["1ce", "1ce"]
    # Another partition's confirmation, where the device has moved between its two values.
    told(sink, event("confirmed", 1, alarm_id="a" * 32, component=0, ingest_ts=NOON + HOUR), partition=7)
    assert letters(query, "open_alarms", WAITING) == ["1ace", ""]


def test_a_provisional_says_what_it_is_of_since_when_and_how_it_ended(sink: ClickHouseSink, query: Ask) -> None:
    sink.write(BLOCKS[topics.REGISTRY.name](entries((entry(), 1)), TOPIC_ID))
    who = {"by": "王五", "why": "换新"}
    told(
        sink, provisional(1, onset_ts=NOON - 9), provisional(2, alarm_id="b" * 32, component=1),
        event("withdrawn", 3, alarm_id="b" * 32, component=1, value=20.0, **OVER),
        provisional(4, alarm_id="c" * 32, component=0, device_id="LY-2", test=True),
        event("withdrawn", 5, alarm_id="c" * 32, component=0, device_id="LY-2", test=True, **who, **OVER),
        provisional(6, alarm_id="d" * 32, component=3),
        event("confirmed", 7, alarm_id="d" * 32, component=3, peak=88.0, severity=2),
    )  # fmt: skip
    columns = (
        "substring(alarm_id, 1, 1), device_id, unit_name, area, component, kind, test, state, episode, onset_ts, "
        "ended_ts, ended_by, ended_why, value, `limit`"
    )
    of_unit, of_none = ("永安市第一中学", "350481001002"), ("", "")
    since = (at(NOON), at(NOON - 5_000))
    assert query(f"SELECT {columns} FROM provisional_alarms ORDER BY 1") == [  # noqa: S608
        ("a", "LY-1", *of_unit, 2, "temperature", False, "waiting", at(NOON), at(NOON - 9), None, "", "", 61.25, 60.0),
        ("b", "LY-1", *of_unit, 1, "temperature", False, "withdrawn", *since, at(NOON + 3), "", "", 61.25, 60.0),
        ("c", "LY-2", *of_none, 0, "temperature", True, "withdrawn", *since, at(NOON + 5), "王五", "换新", 61.25, 60.0),
        ("d", "LY-1", *of_unit, 3, "temperature", False, "confirmed", *since, at(NOON + 7), "", "", 88.0, 60.0),
    ]  # fmt: skip


def test_an_alarm_that_was_confirmed_begins_there_and_is_due_from_there(sink: ClickHouseSink, query: Ask) -> None:
    began = now_ms() // 1000 * 1000 - 9 * DAY
    confirmed = began + 5 * DAY
    life = {"episode": began, "onset_ts": began}
    told(
        sink,
        provisional(1, ingest_ts=began, event_ts=began, **life),
        event("confirmed", 2, ingest_ts=confirmed, event_ts=confirmed - 500, severity=2, severity_highest=2, **life),
        event("opened", 3, ingest_ts=began, event_ts=began, alarm_id="b" * 32, component=1, **life),
    )
    columns = "substring(alarm_id, 1, 1), provisional_ts, opened_ts, latched_ts, severity, active, overdue"
    assert query(f"SELECT {columns} FROM open_alarms ORDER BY 1") == [  # noqa: S608
        ("a", at(began), at(confirmed - 500), at(confirmed), 2, True, False),
        ("b", None, at(began), at(began), 1, True, True),
    ]
    assert letters(query, "overdue_alarms") == ["b"]
    assert query("SELECT dateDiff('day', latched_ts, due_ts) FROM alarm_handling") == [(7,), (7,)]


def test_a_provisional_counts_in_no_statistic(sink: ClickHouseSink, query: Ask) -> None:
    old = {"episode": NOON - 30 * DAY, "ingest_ts": NOON - 30 * DAY}
    told(sink, provisional(1, **old), provisional(2, alarm_id="b" * 32, component=0, **old))
    told(sink, event("withdrawn", 3, alarm_id="b" * 32, component=0, **OVER), first=200)
    done(sink, (action("verdict", verdict=AlarmVerdict.FALSE, why="误碰"), 1))
    for view in ("alarms", "open_alarms", "alarms_daily", "alarm_precision", "alarm_handling", "overdue_alarms"):
        assert query(f"SELECT count() FROM {view}") == [(0,)], view  # noqa: S608


@pytest.mark.parametrize(
    ("seen", "acknowledged"),
    [([], ""), ([saw(1)], ""), ([saw(2)], "李四"), ([saw(1), saw(2)], "李四"), ([saw(1), saw(2, partition=7)], "")],
)
def test_an_acknowledgement_of_a_provisional_does_not_reach_its_confirmation(
    seen: list[SeenEvent], acknowledged: str, sink: ClickHouseSink, query: Ask
) -> None:
    told(sink, provisional(1), event("confirmed", 2, ingest_ts=NOON + 60_000))
    people = {1: ("张三", NOON + 30_000), 2: ("李四", NOON + 90_000)}
    for number, one in enumerate(seen):
        by, ts = people[one.source_offset]
        done(sink, (action("acknowledge", seen=one, by=by, ts=ts), number), first=100 + number)
    assert query("SELECT acknowledged, acknowledged_by FROM alarms") == [(bool(acknowledged), acknowledged)]
    if all(one.partition == 3 for one in seen):
        first = (at(NOON + 90_000), 30) if acknowledged else (None, None)
        assert query("SELECT first_acknowledged_ts, acknowledge_s FROM alarm_handling") == [first]


def test_what_waits_at_a_device_is_read_by_key(config: Config, query: Ask) -> None:
    query(
        "INSERT INTO alarm_events (alarm_id, event, device_id, kind, episode, ingest_ts, topic, topic_id) "
        "SELECT lower(hex(MD5(toString(number)))), 'provisional', concat('LY-', leftPad(toString(number), 6, '0')), "
        "'temperature', %(at)s, %(at)s, 'emberline.alarms', %(id)s FROM numbers(200000)",
        {"at": at(NOON), "id": str(TOPIC_ID)},
    )
    asked = "SELECT device_id FROM provisional_alarms WHERE device_id = 'LY-050000'"
    assert query(asked) == [("LY-050000",)]
    plan = [line for (line,) in query(f"EXPLAIN indexes = 1 {asked}") if "Granules:" in line]
    keyed = [tuple(map(int, line.split("Granules:")[1].split("/"))) for line in plan if "/" in line]
    assert any(left <= 2 < 20 < there for left, there in keyed)
