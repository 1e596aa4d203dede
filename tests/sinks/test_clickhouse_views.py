"""Every view returns what its comment says, on small known data."""

from __future__ import annotations

from datetime import date
from typing import Any

from schemas import topics
from sinks.clickhouse.rows import BLOCKS
from sinks.clickhouse.writer import ClickHouseSink
from tests.sinks.samples import (
    NOON,
    TOPIC_ID,
    alarm,
    alarms,
    entries,
    entry,
    reject,
    rejects,
    report,
    session,
    sessions,
    status,
    statuses,
    telemetry,
)
from tests.sinks.test_clickhouse_tables import at
from tests.support.platform import Ask

HOUR = 3_600_000
MIDNIGHT = NOON + 12 * HOUR
"""The next day's beginning in Shanghai."""


def some_alarms(sink: ClickHouseSink) -> None:
    """One that escalates and recovers, one that comes back, one of yesterday evening and this night, one test."""

    def event(name: str, event: str, ts: int, offset: int, **more: Any) -> Any:
        return alarm(alarm_id=name * 32, event=event, event_ts=ts, ingest_ts=ts, source_offset=offset, **more)

    sink.write(
        BLOCKS[topics.ALARMS.name](
            alarms(
                event("a", "opened", NOON, 1, onset_ts=NOON, peak=61.0),
                event("a", "escalated", NOON + 1000, 2, onset_ts=NOON, severity=2, severity_label="紧急", peak=75.0),
                event("a", "recovered", NOON + 9000, 3, onset_ts=NOON, severity=2, severity_label="紧急", peak=80.0),
                event("b", "opened", NOON, 4, component=1, onset_ts=MIDNIGHT - 1),
                event("b", "recovered", NOON + 1, 5, component=1, onset_ts=MIDNIGHT - 1),
                event("b", "reactivated", NOON + 2, 6, component=1, onset_ts=MIDNIGHT - 1),
                event("c", "opened", NOON, 7, device_id="JJ-7", onset_ts=MIDNIGHT),
                event("d", "opened", NOON, 8, onset_ts=NOON, test=True),
            ),
            TOPIC_ID,
        )
    )


def test_alarms_folds_the_history_of_each(sink: ClickHouseSink, query: Ask) -> None:
    some_alarms(sink)
    found = query(
        "SELECT substring(alarm_id, 1, 1), area, severity_highest, severity_label, active, opened_ts, escalated_ts, "
        "recovered_ts, reactivations, peak, test FROM alarms ORDER BY alarm_id"
    )
    assert found == [
        ("a", "", 2, "紧急", 0, at(NOON), at(NOON + 1000), at(NOON + 9000), 0, 80.0, False),
        ("b", "", 1, "警告", 1, at(NOON), None, None, 1, 61.25, False),
        ("c", "", 1, "警告", 1, at(NOON), None, None, 0, 61.25, False),
        ("d", "", 1, "警告", 1, at(NOON), None, None, 0, 61.25, True),
    ]


def test_open_alarms_has_the_recovered_too_and_one_a_device_component_and_kind(
    sink: ClickHouseSink, query: Ask
) -> None:
    some_alarms(sink)
    # It was found to have begun before one that opened before it.
    later = alarm(alarm_id="e" * 32, episode=NOON + HOUR, onset_ts=NOON - HOUR, source_offset=9)
    sink.write(BLOCKS[topics.ALARMS.name](alarms(later, first=200), TOPIC_ID))
    found = query("SELECT substring(alarm_id, 1, 1), active FROM open_alarms ORDER BY alarm_id")
    assert found == [("b", 1), ("c", 1), ("d", 1), ("e", 1)]


def test_what_came_in_late_moves_an_alarms_beginning_and_not_what_is_now(sink: ClickHouseSink, query: Ask) -> None:
    def event(name: str, event: str, ts: int, offset: int, **more: Any) -> Any:
        more = {"episode": NOON, "onset_ts": NOON, "ingest_ts": NOON + offset} | more
        return alarm(alarm_id=name * 32, event=event, event_ts=ts, source_offset=offset, **more)

    sink.write(
        BLOCKS[topics.ALARMS.name](
            alarms(
                event("a", "opened", NOON, 1),
                event("a", "recovered", NOON + 9, 2, value=20.0, device_kind="charging_pile"),
                event("a", "amended", NOON - 5_000, 3, onset_ts=NOON - 5_000, late=True),
                event("a", "escalated", NOON - 4_000, 4, onset_ts=NOON - 5_000, late=True, severity=2, peak=90.0),
                event("b", "opened", NOON - HOUR, 5, onset_ts=NOON - HOUR, late=True, by_arrival=True),
            ),
            TOPIC_ID,
        )
    )
    found = query(
        "SELECT substring(alarm_id, 1, 1), device_kind, active, onset_ts, recovered_ts, last_value, peak, "
        "severity_highest, "
        "late, episode FROM alarms ORDER BY alarm_id"
    )
    assert found == [
        ("a", "electrical_monitor", 0, at(NOON - 5_000), at(NOON + 9), 20.0, 90.0, 2, True, at(NOON)),
        ("b", "electrical_monitor", 1, at(NOON - HOUR), None, 61.25, 61.25, 1, True, at(NOON)),
    ]


def test_alarms_end_by_a_reset_or_by_what_supersedes_them_and_are_open_until_then(
    sink: ClickHouseSink, query: Ask
) -> None:
    def event(name: str, event: str, offset: int, **more: Any) -> Any:
        more = {"severity_highest": 2, "ingest_ts": NOON + offset, "episode": NOON} | more
        return alarm(alarm_id=name * 32, event=event, source_offset=offset, **more)

    over = {"severity": 0, "active": False}
    sink.write(
        BLOCKS[topics.ALARMS.name](
            alarms(
                event("a", "opened", 1, severity=2, component=0),
                event("a", "worsened", 2, severity=1, component=0),
                event("b", "opened", 3, severity=2, component=1),
                event("b", "recovered", 4, component=1, **over),
                event("b", "reset", 5, component=1, by="王五", why="已检修", **over),
                event("c", "opened", 6, severity=2, component=2),
                event("c", "recovered", 7, component=2, repeats_untold=3, **over),
                event("c", "superseded", 8, component=2, **over),
                event("d", "opened", 8, severity=1, component=2, episode=NOON + HOUR, maintenance=True),
                event("e", "opened", 9, severity=2, component=3),
                event("e", "recovered", 10, component=3, **over),
            ),
            TOPIC_ID,
        )
    )
    assert query(
        "SELECT substring(alarm_id, 1, 1), active, severity, severity_highest, ended_as, ended_by, ended_why, "
        "worsenings, repeats_untold, maintenance FROM alarms ORDER BY alarm_id"
    ) == [
        ("a", 1, 1, 2, "", "", "", 1, 0, False),
        ("b", 0, 0, 2, "reset", "王五", "已检修", 0, 0, False),
        ("c", 0, 0, 2, "superseded", "", "", 0, 3, False),
        ("d", 1, 1, 2, "", "", "", 0, 0, True),
        ("e", 0, 0, 2, "", "", "", 0, 0, False),
    ]
    assert query("SELECT substring(alarm_id, 1, 1), active FROM open_alarms ORDER BY 1") == [
        ("a", 1), ("d", 1), ("e", 0),
    ]  # fmt: skip
    assert query("SELECT sum(alarms), sum(reset), sum(never_reset) FROM alarms_daily") == [(5, 1, 1)]


def test_alarms_daily_counts_by_the_day_in_shanghai(sink: ClickHouseSink, query: Ask) -> None:
    some_alarms(sink)
    places = [entry(device_id="LY-1", area="350582001"), entry(device_id="JJ-7", area="350481")]
    sink.write(BLOCKS[topics.REGISTRY.name](entries(*((one, n) for n, one in enumerate(places))), TOPIC_ID))
    found = query(
        "SELECT day, substring(area, 1, 6), device_id, severity_highest, alarms, recovered, escalated "
        "FROM alarms_daily WHERE NOT test "
        "ORDER BY day, device_id, severity_highest"
    )
    assert found == [
        (date(2026, 9, 21), "350582", "LY-1", 1, 1, 0, 0),
        (date(2026, 9, 21), "350582", "LY-1", 2, 1, 1, 1),
        (date(2026, 9, 22), "350481", "JJ-7", 1, 1, 0, 0),
    ]
    assert query("SELECT sum(alarms) FROM alarms_daily WHERE test") == [(1,)]


def some_reports(sink: ClickHouseSink) -> None:
    batch = telemetry(
        report(temperature_c=[20, -200], current_a=[1]),
        report(temperature_c=[22, 23], event_ts=NOON + 50_000),
        report(temperature_c=[99], event_ts=NOON + HOUR, test=True),
        report(temperature_c=[25], event_ts=NOON + 12 * HOUR, device_id="JJ-2"),
        report(temperature_c=[26], event_ts=NOON + 70_000, device_id="JJ-2"),
        timestamps=[NOON + 1000, NOON + 51_000, NOON + 51_000, NOON + 61_000, NOON + 71_000],
    )
    sink.write(BLOCKS[topics.TELEMETRY.name](batch, TOPIC_ID))


def test_telemetry_values_has_a_row_a_component_that_has_a_value(sink: ClickHouseSink, query: Ask) -> None:
    some_reports(sink)
    found = query(
        "SELECT quantity, component, value FROM telemetry_values WHERE offset <= 101 ORDER BY offset, quantity, 2"
    )
    assert found == [
        ("current_a", 0, 1.0), ("temperature_c", 0, 20.0), ("temperature_c", 0, 22.0), ("temperature_c", 1, 23.0),
    ]  # fmt: skip


def test_latest_values_trusts_no_clock_that_runs_ahead(sink: ClickHouseSink, query: Ask) -> None:
    some_reports(sink)
    found = query("SELECT device_id, test, quantity, component, value FROM latest_values ORDER BY 1, 2, 3, 4")
    assert found == [
        ("JJ-2", False, "temperature_c", 0, 26.0),
        ("LY-1", False, "current_a", 0, 1.0),
        ("LY-1", False, "temperature_c", 0, 22.0),
        ("LY-1", False, "temperature_c", 1, 23.0),
        ("LY-1", True, "temperature_c", 0, 99.0),
    ]


def test_latest_values_are_those_of_every_component_by_itself(sink: ClickHouseSink, query: Ask) -> None:
    some_reports(sink)
    later = [
        report(temperature_c=[-200, 24], event_ts=NOON + 80_000),
        report(temperature_c=[28, 29, 30], event_ts=NOON + 40_000),
        report(current_a=[2], event_ts=NOON + 80_000),
    ]
    batch = telemetry(*later, timestamps=[NOON + 81_000] * 3, first=200)
    sink.write(BLOCKS[topics.TELEMETRY.name](batch, TOPIC_ID))
    found = "SELECT device_id, test, quantity, component, value, event_ts, ingest_ts FROM {} ORDER BY 1, 2, 3, 4"
    folded = """(
        SELECT *, ROW_NUMBER() OVER (
            PARTITION BY device_id, test, quantity, component ORDER BY ts DESC, offset DESC
        ) AS nth FROM telemetry_values
    ) WHERE nth = 1"""
    assert query(found.format("latest_values")) == query(found.format(folded))
    temperatures = query(
        "SELECT value FROM latest_values WHERE device_id = 'LY-1' AND NOT test AND quantity = 'temperature_c' "
        "ORDER BY component"
    )
    assert temperatures == [(22.0,), (24.0,), (30.0,)]


def test_absent_values_has_a_row_a_component_that_could_not_be_used(sink: ClickHouseSink, query: Ask) -> None:
    batch = telemetry(
        report(temperature_c=[-127, 20, -200, None], residual_current_ma=[-3.5]), report(temperature_c=[85.0]), report()
    )
    sink.write(BLOCKS[topics.TELEMETRY.name](batch, TOPIC_ID))
    found = query("SELECT offset, ts, quantity, component, reason, value FROM absent_values ORDER BY 1, 3, 4")
    assert found == [
        (100, at(NOON), "residual_current_ma", 0, "impossible", -3.5),
        (100, at(NOON), "temperature_c", 0, "sentinel", -127.0),
        (101, at(NOON), "temperature_c", 0, "power_on", 85.0),
    ]
    assert query("SELECT value FROM telemetry_values WHERE quantity = 'temperature_c' ORDER BY offset") == [
        (20.0,), (85.0,),
    ]  # fmt: skip


def test_views_go_by_arrival_where_a_clock_is_wrong(sink: ClickHouseSink, query: Ask) -> None:
    batch = telemetry(
        report(temperature_c=[20]), report(temperature_c=[21], event_ts=0), timestamps=[NOON + 100, NOON + 2_000]
    )
    sink.write(BLOCKS[topics.TELEMETRY.name](batch, TOPIC_ID))
    assert query("SELECT value, ts, event_ts FROM latest_values") == [(21.0, at(NOON + 2_000), at(0))]
    assert query("SELECT ts, by_arrival FROM telemetry_values WHERE value = 21") == [(at(NOON + 2_000), True)]
    assert query("SELECT reports, delay_ms_max, by_arrival FROM reports_per_minute") == [(2, 100, 1)]


def test_reports_per_minute_goes_by_arrival(sink: ClickHouseSink, query: Ask) -> None:
    some_reports(sink)
    found = query("SELECT minute_ts, test, reports, devices FROM reports_per_minute ORDER BY 1, 2")
    assert [(minute.timestamp() * 1000, *rest) for minute, *rest in found] == [
        (NOON, False, 2, 1), (NOON, True, 1, 1), (NOON + 60_000, False, 2, 1),
    ]  # fmt: skip


def test_device_status_now_is_the_latest_state(sink: ClickHouseSink, query: Ask) -> None:
    batch = statuses(
        status(device_kind="electrical_monitor"),
        status(status="offline", since_ts=NOON + 5, faults=[], source_ordinal=3),
        status(device_id="JJ-2"),
    )
    sink.write(BLOCKS[topics.DEVICE_STATUS.name](batch, TOPIC_ID))
    assert query("SELECT device_id, status, faults, since_ts FROM device_status_now ORDER BY 1") == [
        ("JJ-2", "online", ["探头故障", "low_battery"], at(NOON)),
        ("LY-1", "offline", [], at(NOON + 5)),
    ]


def test_rejects_by_reason_counts_by_the_day_in_shanghai_and_gateway(sink: ClickHouseSink, query: Ask) -> None:
    batch = rejects(
        reject(), reject(source_offset=42, detail="the latest", reports=600, cut=9_000),
        reject(source_offset=43, reason="null_key"), reject(source_offset=44, ingest_ts=MIDNIGHT),
    )  # fmt: skip
    sink.write(BLOCKS[topics.REJECTS.name](batch, TOPIC_ID))
    batch = rejects(reject(source_offset=45, detail="of g-7"), original=[("gateway", b"g-7")], first=200)
    sink.write(BLOCKS[topics.REJECTS.name](batch, TOPIC_ID))
    assert query("SELECT day, reason, gateway, rejects, last_detail FROM rejects_by_reason ORDER BY 1, 2, 3") == [
        (date(2026, 9, 21), "not_json", "g-7", 1, "of g-7"),
        (date(2026, 9, 21), "not_json", "unknown", 601, "the latest"),
        (date(2026, 9, 21), "null_key", "unknown", 1, "不是 JSON"),
        (date(2026, 9, 22), "not_json", "unknown", 1, "不是 JSON"),
    ]


def test_charges_are_what_was_told_last_of_each(sink: ClickHouseSink, query: Ask) -> None:
    told = [
        session(session_id="1" * 32, settled=False, stop_reason=0, ended_as="unknown"),
        session(session_id="2" * 32, port=0, energy_wh=100.0, stop_reason=1, ended_as="ordinary", source_offset=41),
        session(session_id="1" * 32, amended=True, ingest_ts=NOON + HOUR, source_offset=42),
    ]
    sink.write(BLOCKS[topics.CHARGING_SESSIONS.name](sessions(*told), TOPIC_ID))
    found = query("SELECT session_id, port, ended_as, settled, lasted_s FROM charges ORDER BY session_id")
    assert found == [("1" * 32, 2, "safety", True, 3_599), ("2" * 32, 0, "ordinary", True, 3_599)]


def test_charging_daily_counts_by_the_day_in_shanghai_station_and_port(sink: ClickHouseSink, query: Ask) -> None:
    late = MIDNIGHT + HOUR
    told = [
        session(session_id="1" * 32),
        session(session_id="2" * 32, energy_wh=100.0, stop_reason=1, ended_as="ordinary", source_offset=41),
        session(session_id="3" * 32, began_ts=late, ended_ts=late + HOUR, settled=False, source_offset=42),
        session(session_id="4" * 32, port=5, ended_as="abnormal", energy_wh=None, source_offset=43),
    ]
    sink.write(BLOCKS[topics.CHARGING_SESSIONS.name](sessions(*told), TOPIC_ID))
    told_of = entry(device_id="CD-1", unit_id="U-7", kind="charging_pile")
    sink.write(BLOCKS[topics.REGISTRY.name](entries((told_of, 1)), TOPIC_ID))
    columns = "unit_id, port, sessions, energy_kwh, abnormal_cut_offs, safety_cut_offs, not_settled"
    found = query(f"SELECT day, {columns} FROM charging_daily ORDER BY day, port")  # noqa: S608
    day = found[0][0]
    assert [(one - day).days for one, *_ in found] == [0, 0, 1]
    assert [row[1:] for row in found] == [
        ("U-7", 2, 2, 0.5125, 1, 1, 0), ("U-7", 5, 1, None, 1, 0, 0), ("U-7", 2, 1, 0.4125, 1, 1, 1),
    ]  # fmt: skip
