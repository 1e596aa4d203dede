"""Every topic's records arrive in their table, every column, and the tables are what the code writes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import pytest

from schemas import topics
from schemas.absences import absences
from schemas.actions import AlarmVerdict, SeenEvent
from schemas.charging_sessions import ChargingSession
from schemas.device_requests import DeviceRequest
from schemas.events import Aggregate, Alarm, DeviceStatus
from schemas.notices import Notice
from schemas.quantities import QUANTITIES
from schemas.records import Records
from schemas.registry import LIMITS_KEY, ChangeNumber, LimitsEntry, UnitProtectors
from schemas.report_rules import AHEAD_MS, EARLIEST_TS, LATEST_TS
from sinks.blocks import merge
from sinks.clickhouse.rows import BLOCKS, TABLES, telemetry_block
from sinks.clickhouse.writer import ClickHouseSink
from tests.sinks.samples import (
    JULY,
    NOON,
    TOPIC_ID,
    action,
    actions,
    aggregate,
    aggregates,
    alarm,
    alarms,
    entries,
    entry,
    notice,
    notices,
    outcome,
    outcomes,
    records,
    reject,
    rejects,
    report,
    request,
    requests,
    session,
    sessions,
    status,
    statuses,
    telemetry,
)
from tests.support.platform import Ask

SAMPLES: dict[str, Records] = {
    topics.TELEMETRY.name: telemetry(report(temperature_c=[30.5, -200.0])),
    topics.ALARMS.name: alarms(alarm()),
    topics.AGGREGATES.name: aggregates(aggregate()),
    topics.DEVICE_STATUS.name: statuses(status()),
    topics.REJECTS.name: rejects(reject()),
    topics.CONTROL_OUTCOMES.name: outcomes(outcome()),
    topics.DEVICE_REQUESTS.name: requests(request()),
    topics.CHARGING_SESSIONS.name: sessions(session()),
    topics.REGISTRY.name: entries((entry(), 7)),
    topics.ALARM_ACTIONS.name: actions((action("comment", why="已到现场"), 8)),
    topics.NOTICES.name: notices(notice()),
}


def at(ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def rows(query: Ask, table: str, *, raw: bool = False) -> list[dict[str, Any]]:
    columns = (
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = %(table)s ORDER BY position"
    )
    names = [name for (name,) in query(columns, {"table": table})]
    found = query(f"SELECT * FROM {table} ORDER BY offset, index", raw=raw)  # noqa: S608
    return [dict(zip(names, row, strict=True)) for row in found]


@pytest.mark.parametrize("topic", BLOCKS)
def test_columns_of_the_table_are_the_columns_of_the_code_in_their_order(
    topic: str, sink: ClickHouseSink, query: Ask
) -> None:
    block = BLOCKS[topic](SAMPLES[topic], TOPIC_ID)
    sink.write(block)
    assert block.table == TABLES[topic]
    assert list(rows(query, block.table)[0]) == list(block.columns)


@pytest.mark.usefixtures("config")
def test_every_quantity_is_in_the_long_form(query: Ask) -> None:
    text = query("SELECT as_select FROM system.tables WHERE name = 'telemetry_values' AND database = currentDatabase()")
    assert all(quantity.name in text[0][0] for quantity in QUANTITIES)


def test_a_report_arrives_with_every_column(sink: ClickHouseSink, query: Ask) -> None:
    full = report(
        device_id="晋江-0001", device_kind="charging_pile", event_ts=NOON + 123, seq=2**64 - 1, test=True,
        faults=["传感器断线", "low_battery"],
        temperature_c=[30.5, -200.0, -127.0, 85.0, "hot"], residual_current_ma=[61.25, -3.5], current_a=[], power_w=[0],
        unbalance_pct=[200.0], static_v=[-5000.5], humidity_pct=[40], test_note=1,
    )  # fmt: skip
    sink.write(telemetry_block(telemetry(full, report(), timestamps=[NOON + 456, NOON + 789]), TOPIC_ID))
    first, second = rows(query, "telemetry")
    assert first == {
        "device_id": "晋江-0001", "device_kind": "charging_pile",
        "event_ts": at(NOON + 123), "ingest_ts": at(NOON + 456), "ts": at(NOON + 123), "by_arrival": False,
        "seq": 2**64 - 1, "test": True,
        "faults": ["传感器断线", "low_battery"], "notes": ["unknown_quantity:humidity_pct"],
        "residual_current_ma": [61.25, None], "temperature_c": [30.5, None, None, 85.0, None], "current_a": [],
        "voltage_v": [], "power_w": [0.0], "arc_half_cycles": [], "smoke": [], "insulation_mohm": [],
        "static_v": [-5000.5], "unbalance_pct": [None],
        "port_state": [], "stop_reason": [], "port_voltage_v": [], "port_temperature_c": [],
        "charge_s": [], "charge_wh": [],
        "absent.quantity": ["residual_current_ma", "temperature_c", "temperature_c", "temperature_c"],
        "absent.component": [1, 2, 3, 4],
        "absent.reason": ["impossible", "sentinel", "power_on", "not_a_number"],
        "absent.value": [-3.5, -127.0, 85.0, None],
        "topic": "emberline.telemetry", "topic_id": TOPIC_ID, "partition": 3, "offset": 100, "index": 0,
    }  # fmt: skip
    assert (second["seq"], second["test"], second["faults"], second["offset"]) == (None, False, [], 101)
    assert (second["notes"], second["absent.reason"]) == ([], [])


@pytest.mark.parametrize(
    ("told", "stored"),
    [
        (0, 0),
        (-(2**62), EARLIEST_TS),
        (2**62, LATEST_TS),
        (NOON + AHEAD_MS + 6, NOON + AHEAD_MS + 6),
        (None, NOON + 5),
    ],
)
def test_a_time_of_no_credible_clock_is_stored_as_near_as_a_column_can_hold_it(
    told: int | None, stored: int, sink: ClickHouseSink, query: Ask
) -> None:
    sink.write(telemetry_block(telemetry(report(event_ts=told, temperature_c=[20]), timestamps=[NOON + 5]), TOPIC_ID))
    columns = "toUnixTimestamp64Milli(event_ts), toUnixTimestamp64Milli(ts), by_arrival, length(notes)"
    assert query(f"SELECT {columns} FROM telemetry") == [(stored, NOON + 5, True, 1)]  # noqa: S608
    # As text too: the column's range holds it.
    ((text,),) = query("SELECT toString(event_ts) FROM telemetry")
    assert text == at(stored).strftime("%Y-%m-%d %H:%M:%S.") + f"{stored % 1000:03}"


def test_what_nobody_knows_the_kind_of_is_stored_as_unknown(sink: ClickHouseSink, query: Ask) -> None:
    sink.write(telemetry_block(telemetry(report(device_kind="toaster"), report()), TOPIC_ID))
    assert query("SELECT device_kind, notes FROM telemetry ORDER BY offset") == [
        ("unknown", ["unknown_device_kind"]), ("electrical_monitor", []),
    ]  # fmt: skip


def test_which_values_are_none_can_be_told(sink: ClickHouseSink, query: Ask) -> None:
    own = absences({}, {}, {"LY-1": {"temperature_c": {"sentinels": [999.0], "power_on": []}}})
    sink.write(telemetry_block(telemetry(report(temperature_c=[999, 85, -127])), TOPIC_ID, own))
    assert query("SELECT temperature_c, absent.value FROM telemetry") == [([None, 85.0, None], [999.0, -127.0])]


def test_rejected_reports_leave_their_neighbours(sink: ClickHouseSink, query: Ask) -> None:
    batch = telemetry([report(seq=1), report(v=9), report(seq=3)], report(seq=4))
    sink.write(telemetry_block(batch, TOPIC_ID))
    assert [(row["offset"], row["index"], row["seq"]) for row in rows(query, "telemetry")] == [
        (100, 0, 1), (100, 2, 3), (101, 0, 4),
    ]  # fmt: skip


def test_an_alarm_arrives_with_every_column(sink: ClickHouseSink, query: Ask) -> None:
    opened, escalated = (
        alarm(),
        alarm(event="escalated", severity=2, severity_label="紧急", baseline=31.5, source_ordinal=1),
    )
    sink.write(BLOCKS[topics.ALARMS.name](alarms(opened, escalated), TOPIC_ID))
    first, second = rows(query, "alarm_events")
    expected = orjson.loads(opened.to_json())
    del expected["v"]
    expected |= {name: at(expected[name]) for name in expected if name.endswith("_ts") or name == "episode"}
    expected |= {"topic": "emberline.alarms", "topic_id": TOPIC_ID, "partition": 3, "offset": 100, "index": 0}
    assert first == expected
    assert (second["event"], second["baseline"], second["offset"]) == ("escalated", 31.5, 101)


def test_an_aggregate_becomes_a_row_a_component(sink: ClickHouseSink, query: Ask) -> None:
    sink.write(
        BLOCKS[topics.AGGREGATES.name](aggregates(aggregate(), aggregate(test=True, source_ordinal=2)), TOPIC_ID)
    )
    found = rows(query, "aggregates_1m")
    assert [(row["offset"], row["index"], row["quantity"], row["component"]) for row in found] == [
        (100, 0, "temperature_c", 0), (100, 1, "temperature_c", 1), (100, 2, "current_a", 0),
        (101, 0, "temperature_c", 0), (101, 1, "temperature_c", 1), (101, 2, "current_a", 0),
    ]  # fmt: skip
    assert found[0] == {
        "device_id": "LY-1", "device_kind": "electrical_monitor", "test": False,
        "quantity": "temperature_c", "component": 0, "minute_ts": at(NOON - 60_000), "ingest_ts": at(NOON),
        "count": 2, "min": 30.5, "max": 31.5, "mean": 31.0, "last": 30.5, "source_offset": 40, "source_ordinal": 1,
        "generation": 0, "source_topic_id": "",
        "topic": "emberline.aggregates", "topic_id": TOPIC_ID, "partition": 3, "offset": 100, "index": 0,
    }  # fmt: skip
    assert [found[1][name] for name in ("count", "min", "max", "mean", "last")] == [0, None, None, None, None]
    assert [row["test"] for row in found] == [False] * 3 + [True] * 3


def test_a_device_status_arrives_with_every_column(sink: ClickHouseSink, query: Ask) -> None:
    sink.write(BLOCKS[topics.DEVICE_STATUS.name](statuses(status(), status(faults=[], source_ordinal=3)), TOPIC_ID))
    first, second = rows(query, "device_status_events")
    assert first == {
        "device_id": "LY-1", "device_kind": "smoke_detector", "test": True, "status": "online",
        "faults": ["探头故障", "low_battery"], "since_ts": at(NOON), "ingest_ts": at(NOON),
        "source_offset": 40, "source_ordinal": 2,
        "generation": 0, "source_topic_id": "", "maintained_until_ts": at(0),
        "topic": "emberline.device-status", "topic_id": TOPIC_ID, "partition": 3, "offset": 100, "index": 0,
    }  # fmt: skip
    assert second["faults"] == []


def test_a_status_that_silence_tells_arrives_too(sink: ClickHouseSink, query: Ask) -> None:
    silent = [status(status="offline", source_ordinal=ordinal) for ordinal in (-3, -2, -1)]
    block = BLOCKS[topics.DEVICE_STATUS.name](statuses(*silent), TOPIC_ID)
    assert block.malformed == []
    sink.write(block)
    found = rows(query, "device_status_events")
    assert [(one["status"], one["source_ordinal"]) for one in found] == [
        ("offline", ordinal) for ordinal in (-3, -2, -1)
    ]


def test_a_reject_keeps_its_bytes_whatever_they_are(sink: ClickHouseSink, query: Ask) -> None:
    garbage = bytes(range(256)) * 3
    batch = rejects(
        reject(), reject(source_index=4), reject(source_offset=42),
        values=[garbage, None, b""], keys=[b"\xff\xfe", None, b""],
        original=[("trace", b"\x80\x81"), ("trace", b""), ("trace", None), ("站点", "晋江".encode())],
    )  # fmt: skip
    sink.write(BLOCKS[topics.REJECTS.name](batch, TOPIC_ID))
    found = rows(query, "rejects", raw=True)
    assert [row["value"] for row in found] == [garbage, None, b""]
    assert [row["key"] for row in found] == [b"\xff\xfe", None, b""]
    assert found[0]["headers"] == [
        (b"trace", b"\x80\x81"), (b"trace", b""), (b"trace", None), ("站点".encode(), "晋江".encode()),
    ]  # fmt: skip
    assert (found[0]["reports"], found[0]["cut"], found[0]["gateway"]) == (1, -1, b"unknown")
    assert found[0]["detail"] == "不是 JSON".encode()
    assert found[0]["source_index"] == -1
    assert (found[1]["source_index"], found[1]["ingest_ts"]) == (4, at(NOON))


def test_a_reject_says_its_gateway_how_many_it_stands_for_and_whether_it_is_cut(
    sink: ClickHouseSink, query: Ask
) -> None:
    batch = rejects(
        reject(reports=600, cut=70_000), reject(source_offset=42), original=[("gateway", "网关-7".encode())]
    )
    sink.write(BLOCKS[topics.REJECTS.name](batch, TOPIC_ID))
    assert query("SELECT reports, cut, gateway FROM rejects ORDER BY offset") == [
        (600, 70_000, "网关-7"), (1, -1, "网关-7"),
    ]  # fmt: skip


STATISTICS = ("count", "min", "max", "mean", "last")


def smoke(*values: Any) -> bytes:
    """An aggregate whose statistics of smoke are these, or all the one that is given."""
    each = values if len(values) > 1 else values * len(STATISTICS)
    return aggregate(quantities={"smoke": dict(zip(STATISTICS, each, strict=True))}).to_json()


MALFORMED: dict[str, list[bytes | None]] = {
    topics.ALARMS.name: [
        None, b"", b"{", b"[]", b"7", b'{"v":1}', b'{"v":2}', b"[" * 100_000, b'{"v":1,"x":' * 100_000,
        alarm(alarm_id=5).to_json(), alarm(severity=3).to_json(), alarm(component=-1).to_json(),
        alarm(generation=2**31).to_json(), alarm(source_offset=-1).to_json(),
        alarm(device_id="\x7f").to_json().replace(b"\x7f", b"\xff"),
        alarm(component=256).to_json(), alarm(value="hot").to_json(), alarm(value=None).to_json(),
        alarm(ingest_ts=-5).to_json(), alarm(ingest_ts=2**62).to_json(), alarm(episode=2**62).to_json(),
        alarm(test=1).to_json(), alarm(late=None).to_json(), alarm(by_arrival=0).to_json(),
        alarm(message=None).to_json(), alarm(source_ordinal=-1).to_json(), alarm(severity=True).to_json(),
    ],
    topics.AGGREGATES.name: [
        b"{}", aggregate(quantities=[]).to_json(), aggregate(quantities={"weight_kg": {}}).to_json(),
        aggregate(quantities={"smoke": {"count": [1]}}).to_json(),
        smoke(7), smoke([None]), smoke([1] * 65), smoke([1], [1], [], [1], [1]),
    ],
    topics.DEVICE_STATUS.name: [b"null", status(faults="x").to_json(), status(faults=[1]).to_json()],
    topics.DEVICE_REQUESTS.name: [
        b"{}", request(component=256).to_json(), request(component=True).to_json(), request(expires_ts=2**62).to_json(),
        request(quantity=None).to_json(), request(source_ordinal=-1).to_json(), request(test=0).to_json(),
    ],
    topics.CHARGING_SESSIONS.name: [
        b"{}", session(port=256).to_json(), session(began_ts=-1).to_json(), session(energy_wh="x").to_json(),
        session(stop_reason=None).to_json(), session(settled=1).to_json(),
    ],
    topics.NOTICES.name: [
        b"{}", notice(notice_id="x").to_json(), notice(excess=None).to_json(), notice(rule="").to_json(),
        notice(evidence={"value_ma": "high"}).to_json(), notice(evidence={str(n): 1.0 for n in range(17)}).to_json(),
    ],
}  # fmt: skip
GOOD: dict[str, Alarm | Aggregate | DeviceStatus | DeviceRequest | ChargingSession | Notice] = {
    topics.ALARMS.name: alarm(),
    topics.AGGREGATES.name: aggregate(),
    topics.DEVICE_STATUS.name: status(),
    topics.DEVICE_REQUESTS.name: request(),
    topics.CHARGING_SESSIONS.name: session(),
    topics.NOTICES.name: notice(),
}


@pytest.mark.parametrize("topic", MALFORMED)
def test_a_malformed_event_is_told_and_leaves_its_neighbours(topic: str, sink: ClickHouseSink, query: Ask) -> None:
    bad, good = MALFORMED[topic], GOOD[topic].to_json()
    block = BLOCKS[topic](records(topic, [good, *bad, good]), TOPIC_ID)
    sink.write(block)
    assert [one.offset for one in block.malformed] == list(range(101, 101 + len(bad)))
    assert all(one.reason for one in block.malformed)
    assert {row["offset"] for row in rows(query, block.table)} == {100, 101 + len(bad)}


def test_a_reject_without_our_headers_is_malformed() -> None:
    batch = records(topics.REJECTS.name, [b"x", b"y"], headers=[[("a", b"b")], [("emberline.reason", b"\xff")]])
    block = BLOCKS[topics.REJECTS.name](batch, TOPIC_ID)
    assert (block.rows, [one.offset for one in block.malformed]) == (0, [100, 101])


def test_the_limits_of_many_devices_are_kept_and_are_no_device(sink: ClickHouseSink, query: Ask) -> None:
    told = LimitsEntry(1, {"temperature": {"alarm": {"value": 75}}})
    header = ChangeNumber("registry", 1, 8).to_headers()
    sent = records(topics.REGISTRY.name, [told.to_json(), b"{}"], keys=[LIMITS_KEY] * 2, headers=[header] * 2)
    block = BLOCKS[topics.REGISTRY.name](sent, TOPIC_ID)
    sink.write(block)
    (row,) = rows(query, "registry_history")
    assert (row["device_id"], row["body"], row["number"]) == ("", told.to_json().decode(), 8)
    assert [one.offset for one in block.malformed] == [101]
    assert query("SELECT count() FROM devices") == [(0,)]


def test_an_entry_of_the_registry_arrives_with_every_column(sink: ClickHouseSink, query: Ask) -> None:
    protectors = UnitProtectors(household_due=120, household_installed=118, main_operating=0)
    told = entry(
        removed=True,
        state="removed",
        phases=3,
        interval_s=60,
        model="M-7",
        supply_area="2号台区",
        protectors=protectors,
    )
    sink.write(BLOCKS[topics.REGISTRY.name](entries((told, 7)), TOPIC_ID))
    (row,) = rows(query, "registry_history")
    assert row == {
        "device_id": "LY-1", "kind": "electrical_monitor", "removed": True, "state": "removed", "name": "1号配电箱",
        "model": "M-7", "unit_id": "U-1", "unit_name": "永安市第一中学", "organisation_id": "M-1",
        "organisation_name": "安电维保", "area": "350481001002", "place_kind": "school", "address": "中山路1号",
        "nominal_voltage_v": 0.0, "rated_current_a": 63.0, "phases": 3, "interval_s": 60,
        "supply_area": "2号台区", "household_protectors_due": 120, "household_protectors_installed": 118,
        "household_protectors_operating": None, "main_protectors_due": None, "main_protectors_installed": None,
        "main_protectors_operating": 0,
        "components.quantity": ["temperature_c", "residual_current_ma"], "components.number": [0, 0],
        "components.id": ["C-1", ""], "components.name": ["A相电缆", ""], "components.role": ["cable", ""],
        "components.circuit": [1, 0], "components.phase": ["A", ""], "body": told.to_json().decode(),
        "source": "registry", "epoch": 1, "number": 7, "ingest_ts": at(NOON),
        "topic": "emberline.registry", "topic_id": TOPIC_ID, "partition": 3, "offset": 100, "index": 0,
    }  # fmt: skip


def test_an_action_arrives_with_every_column(sink: ClickHouseSink, query: Ask) -> None:
    seen = SeenEvent("t-1", 3, 1, 2**40, 4)
    told = actions(
        (action("acknowledge", seen=seen), 7), (action("verdict", verdict=AlarmVerdict.FALSE, why="误碰"), 8)
    )
    sink.write(BLOCKS[topics.ALARM_ACTIONS.name](told, TOPIC_ID))
    first, second = rows(query, "alarm_actions")
    assert first == {
        "alarm_id": "a" * 32, "device_id": "LY-1", "kind": "acknowledge", "by": "张三", "ts": at(NOON + 60_000),
        "version": 1, "test": False, "why": "", "until_ts": at(0), "to": "", "verdict": "", "seen_topic_id": "t-1",
        "seen_partition": 3, "seen_generation": 1, "seen_offset": 2**40, "seen_ordinal": 4,
        "source": "registry", "epoch": 1, "number": 7, "ingest_ts": at(NOON),
        "topic": "emberline.alarm-actions", "topic_id": TOPIC_ID, "partition": 3, "offset": 100, "index": 0,
    }  # fmt: skip
    assert (second["kind"], second["verdict"], second["why"], second["seen_topic_id"]) == (
        "verdict",
        "false",
        "误碰",
        "",
    )


@pytest.mark.parametrize("topic", [topics.REGISTRY.name, topics.ALARM_ACTIONS.name])
def test_what_is_no_change_of_ours_is_told_and_harms_no_other(topic: str, sink: ClickHouseSink, query: Ask) -> None:
    good = SAMPLES[topic]
    value, change = good.values[0], list(good.headers[0])
    deep = b'{"v":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    numberless = [("emberline.source", b"x"), ("emberline.epoch", b"1")]
    headers = [
        *([change] * 5), (), numberless, [*change[:2], ("emberline.number", b"9" * 30)],
        [("emberline.source", b"x" * 65), *change[1:]], [*change[:2], ("emberline.number", b"-1")],
    ]  # fmt: skip
    values = [None, b"{", b'{"v":9}', deep, value, *([value] * 5)]
    block = BLOCKS[topic](records(topic, values, headers=headers), TOPIC_ID)
    sink.write(block)
    assert [one.offset for one in block.malformed] == [100, 101, 102, 103, 105, 106, 107, 108, 109]
    assert query(f"SELECT offset FROM {TABLES[topic]}") == [(104,)]  # noqa: S608


@pytest.mark.parametrize("topic", BLOCKS)
def test_position_is_the_highest_offset_of_that_topic_incarnation_and_partition(
    topic: str, sink: ClickHouseSink
) -> None:
    assert sink.stored_offsets(topic, TOPIC_ID, [3]) == {}
    sink.write(BLOCKS[topic](SAMPLES[topic], TOPIC_ID))
    sink.write(BLOCKS[topic](SAMPLES[topic]._replace(offsets=np.array([2**40])), TOPIC_ID))
    assert sink.stored_offsets(topic, TOPIC_ID, [3]) == {3: 2**40}
    assert sink.stored_offsets(topic, TOPIC_ID, [4, 3]) == {3: 2**40}
    assert sink.stored_offsets(topic, TOPIC_ID, [4]) == {}
    assert sink.stored_offsets(topic, UUID(int=1), [3]) == {}


def test_what_became_of_an_order_is_a_row_of_its_own_words(sink: ClickHouseSink, query: Ask) -> None:
    told = outcome(generation=3, source_topic_id=str(TOPIC_ID))
    sink.write(BLOCKS[topics.CONTROL_OUTCOMES.name](outcomes(told), TOPIC_ID))
    (row,) = rows(query, "control_records")
    fields = {name: getattr(told, name) for name in told.__struct_fields__ if name != "v"}
    assert {name: row[name] for name in fields} == fields | {"ingest_ts": at(NOON)}


def test_what_a_device_is_asked_for_is_a_row_of_its_own_words(sink: ClickHouseSink, query: Ask) -> None:
    told = request(generation=3, source_topic_id=str(TOPIC_ID))
    sink.write(BLOCKS[topics.DEVICE_REQUESTS.name](requests(told), TOPIC_ID))
    (row,) = rows(query, "device_requests")
    fields = {name: getattr(told, name) for name in told.__struct_fields__ if name != "v"}
    times = {"ingest_ts": at(NOON), "expires_ts": at(NOON + 120_000)}
    assert {name: row[name] for name in fields} == fields | times


def test_a_charge_is_a_row_of_its_own_words(sink: ClickHouseSink, query: Ask) -> None:
    told = session(generation=3, source_topic_id=str(TOPIC_ID))
    sink.write(BLOCKS[topics.CHARGING_SESSIONS.name](sessions(told), TOPIC_ID))
    (row,) = rows(query, "charging_sessions")
    fields = {name: getattr(told, name) for name in told.__struct_fields__ if name != "v"}
    times = {"ingest_ts": at(NOON), "began_ts": at(NOON - 3_600_000), "ended_ts": at(NOON - 1_000)}
    assert {name: row[name] for name in fields} == fields | times


def test_a_notice_arrives_with_every_column_and_is_shown_once(sink: ClickHouseSink, query: Ask) -> None:
    told = notice()
    sink.write(BLOCKS[topics.NOTICES.name](notices(told, notice(component=1), told), TOPIC_ID))
    row, _, again = rows(query, "notice_records")
    fields = {name: getattr(told, name) for name in told.__struct_fields__ if name != "v"}
    assert {name: row[name] for name in fields} == fields | {"hour_ts": at(told.hour_ts)}
    assert (row["ingest_ts"], again["notice_id"]) == (at(NOON), told.notice_id)
    shown = query("SELECT component, excess, evidence, unit_name, told_ts FROM notices ORDER BY component")
    held = (61.25, told.evidence, "永安市第一中学", at(NOON))
    assert shown == [(0, *held), (1, *held)]


def test_source_position_is_the_highest_place_not_the_highest_of_each_number(sink: ClickHouseSink) -> None:
    assert sink.stored_positions(topics.ALARMS.name, TOPIC_ID, [3]) == {}
    events = alarms(alarm(source_offset=7, source_ordinal=9), alarm(source_offset=8, source_ordinal=2))
    sink.write(BLOCKS[topics.ALARMS.name](events, TOPIC_ID))
    assert sink.stored_positions(topics.ALARMS.name, TOPIC_ID, [3]) == {3: (0, 8, 2)}
    sink.write(BLOCKS[topics.REJECTS.name](rejects(reject()), TOPIC_ID))
    assert sink.stored_positions(topics.REJECTS.name, TOPIC_ID, [3]) == {3: (0, 41, -1)}
    sink.write(BLOCKS[topics.ALARMS.name](alarms(alarm(source_offset=2, generation=1), first=300), TOPIC_ID))
    assert sink.stored_positions(topics.ALARMS.name, TOPIC_ID, [3]) == {3: (1, 2, 0)}


@pytest.mark.parametrize("topic", BLOCKS)
def test_position_reads_the_projection_and_not_the_table(topic: str, sink: ClickHouseSink, query: Ask) -> None:
    sink.write(BLOCKS[topic](SAMPLES[topic], TOPIC_ID))
    second = "source_index" if topic == topics.REJECTS.name else "source_ordinal"
    told = [f"max((generation, source_offset, {second}))"] if topic in {one.name for one in topics.OUTPUTS} else []
    what = ["max(offset)", *told]
    for one in what:
        plan = query(
            f"EXPLAIN SELECT partition, {one} FROM {TABLES[topic]} WHERE topic = 'x' AND topic_id = %(id)s "  # noqa: S608
            "AND partition IN (3, 4) GROUP BY topic, topic_id, partition",
            {"id": str(TOPIC_ID)},
        )
        is_newer = topic in (topics.REGISTRY.name, topics.ALARM_ACTIONS.name, topics.NOTICES.name)
        projection = "places" if is_newer or "generation" in one else "positions"
        assert any(projection in line for (line,) in plan)


def test_a_block_over_a_month_boundary_is_stored_whole_one_part_a_run(sink: ClickHouseSink, query: Ask) -> None:
    times = [JULY - 1, JULY, JULY + 1000, JULY + 1001]
    block = telemetry_block(telemetry(*[report(event_ts=JULY)] * 4, timestamps=times), TOPIC_ID)
    sink.write(block)
    parts = query("SELECT partition, rows FROM system.parts WHERE database = currentDatabase() AND table = 'telemetry'")
    assert sorted(parts) == [("202607", 2), ("202608", 2)]
    assert sink.stored_offsets(topics.TELEMETRY.name, TOPIC_ID, [3]) == {3: 103}


def test_a_large_block_becomes_one_part(sink: ClickHouseSink, query: Ask) -> None:
    one = telemetry_block(telemetry(*[report(temperature_c=[20.0] * 8)] * 5_000), TOPIC_ID)
    sink.write(merge([one] * 30))
    parts = query(
        "SELECT rows FROM system.parts WHERE database = currentDatabase() AND table = 'telemetry' AND level = 0"
    )
    assert parts == [(150_000,)]
