"""Migrations: applied once, in order, safe to repeat, and plain about what they refuse."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from schemas.events import Alarm
from schemas.topics import ALARMS
from sinks.clickhouse.config import Config
from sinks.clickhouse.migrate import EXPIRES, Migration, migrate, migrations, pending, refuse_old
from sinks.clickhouse.rows import KEPT_FOR_EVER, TABLES, events_block, rejects_block, telemetry_block
from sinks.clickhouse.views import views
from sinks.clickhouse.writer import ClickHouseSink
from sinks.contract import SinkRefused
from tests.sinks.samples import NOON, TOPIC_ID, alarm, alarms, reject, rejects, report, telemetry
from tests.sinks.test_clickhouse_tables import at as moment
from tests.support.platform import Ask


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    assert [migration.number for migration in migrations()] == list(range(1, len(migrations()) + 1))


def test_every_statement_may_be_run_twice() -> None:
    harmless = re.compile(
        r"CREATE TABLE IF NOT EXISTS |CREATE OR REPLACE VIEW "
        r"|ALTER TABLE \w+\s+(\w+ \w+ IF (NOT )?EXISTS|MATERIALIZE (PROJECTION|INDEX)) "
    )
    assert all(statement.startswith("CREATE OR REPLACE VIEW ") for statement in views())
    for migration in migrations():
        for statement in migration.statements(400):
            assert harmless.match(statement), statement[:80]
            assert not re.search(r"^\s+\w+ COLUMN (?!IF )", statement, re.MULTILINE), statement[:80]


def test_migrating_twice_applies_once(empty: Config, query: Ask) -> None:
    assert [migration.number for migration in migrate(empty)] == [one.number for one in migrations()]
    assert migrate(empty) == []
    found = query("SELECT number, name, checksum FROM schema_migrations ORDER BY number")
    assert found == [(one.number, one.name, one.checksum) for one in migrations()]


def test_two_may_migrate_at_once(empty: Config, query: Ask) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: migrate(empty), range(2)))
    assert migrate(empty) == []
    tables = {name for (name,) in query("SHOW TABLES")}
    assert set(TABLES.values()) | {"schema_migrations", "alarms"} <= tables


OLD_ROWS = """
    INSERT INTO telemetry (device_id, device_kind, event_ts, ingest_ts, seq, temperature_c, topic_id, `offset`) VALUES
    ('LY-1', 'smoke_detector', {at}, {at}, 7, [20, NULL], %(topic_id)s, 1),
    ('LY-1', 'smoke_detector', {at} + toIntervalHour(9), {at}, NULL, [], %(topic_id)s, 2),
    ('LY-1', 'smoke_detector', {at} - toIntervalDay(200), {at}, NULL, [], %(topic_id)s, 3)
"""
OLD_ALARM = """
    INSERT INTO alarm_events (alarm_id, event, device_id, event_ts, onset_ts, ingest_ts, topic_id, `offset`) VALUES
    ('a', 'opened', 'LY-1', {at}, {at} - toIntervalSecond(3), {at}, %(topic_id)s, 1)
"""
OLD_REJECT = """
    INSERT INTO rejects (reason, source_offset, ingest_ts, value, headers, topic_id, `offset`) VALUES
    ('not_json', 5, {at}, '{{', [('trace', 'x'), ('trace', '')], %(topic_id)s, 1)
"""


def test_a_database_of_the_version_before_keeps_its_rows_and_says_of_them_what_is_known(
    empty: Config, query: Ask
) -> None:
    migrate(empty, migrations()[:7])
    at = f"fromUnixTimestamp64Milli(toInt64({NOON}))"
    for sql in (OLD_ROWS, OLD_ALARM, OLD_REJECT):
        query(sql.format(at=at), {"topic_id": str(TOPIC_ID)})
    assert [one.number for one in migrate(empty)] == [one.number for one in migrations()[7:]]
    sink = ClickHouseSink(empty)
    sink.write(telemetry_block(telemetry(report(seq=2**64 - 1, event_ts=0), first=100), TOPIC_ID))
    sink.write(events_block(ALARMS.name, Alarm, alarms(alarm(alarm_id="b")), TOPIC_ID))
    sink.write(rejects_block(rejects(reject(), original=[("trace", None)]), TOPIC_ID))
    sink.close()
    was = moment(NOON)
    assert query("SELECT seq, ts, by_arrival, notes, absent.reason, temperature_c FROM telemetry ORDER BY offset") == [
        (7, was, False, [], [], [20.0, None]),
        (None, was, True, [], [], []),
        (None, was, True, [], [], []),
        (2**64 - 1, was, True, ["clock_behind"], [], []),
    ]
    assert query("SELECT alarm_id, episode, late FROM alarms ORDER BY 1") == [
        ("a", moment(NOON - 3_000), False), ("b", moment(NOON - 4_000), False),
    ]  # fmt: skip
    assert query("SELECT reports, cut, gateway, headers FROM rejects ORDER BY offset") == [
        (1, -1, "unknown", [("trace", "x"), ("trace", "")]),
        (1, -1, "unknown", [("trace", None)]),
    ]
    # What the server does behind comes to an end, and changes nothing.
    for table in ("telemetry", "rejects"):
        query(f"OPTIMIZE TABLE {table} FINAL")
    unfinished = "SELECT table, latest_fail_reason FROM system.mutations WHERE database = currentDatabase()"
    assert query(unfinished + " AND (NOT is_done OR latest_fail_reason != '')") == []
    assert query("SELECT max(seq) > 7, countIf(by_arrival), count() FROM telemetry") == [(1, 3, 4)]


def test_a_changed_migration_is_refused_by_name(config: Config) -> None:
    first, *rest = migrations()
    changed = replace(first, text=first.text + "-- changed\n")
    with pytest.raises(SinkRefused, match="migration 0001 telemetry was changed after it was applied"):
        migrate(config, [changed, *rest])


def test_only_what_is_missing_is_applied() -> None:
    one, two = Migration(1, "one", "a"), Migration(2, "two", "b")
    assert pending([one, two], {1: one.checksum}) == [two]


def test_statements_are_split_at_line_ends_and_hold_the_retention() -> None:
    text = "-- why;\nCREATE TABLE a (x String COMMENT 'one; two') TTL {retention_days};\n\n-- more\nSELECT 2;\n"
    assert Migration(1, "m", text).statements(500) == [
        "CREATE TABLE a (x String COMMENT 'one; two') TTL 500",
        "SELECT 2",
    ]


@pytest.mark.parametrize("version", ["18.16.1", "23.8.16.40", "24.2.3.70", "24.1"])
def test_an_old_server_is_refused_in_one_line(version: str) -> None:
    with pytest.raises(SinkRefused) as refused:
        refuse_old(version)
    assert str(refused.value) == f"ClickHouse {version} is too old: emberline needs 24.3 or newer"


@pytest.mark.parametrize("version", ["24.3.1.2672", "24.10.1", "25.1", "26.9.2.1"])
def test_a_newer_server_is_taken(version: str) -> None:
    refused = None
    try:
        refuse_old(version)
    except SinkRefused as error:
        refused = error
    assert refused is None


def test_a_retention_under_a_year_is_refused() -> None:
    with pytest.raises(ValueError, match="retention_days is 364; records must be kept one year at least"):
        Config(retention_days=364)


def test_another_retention_reaches_tables_that_are_there(config: Config, query: Ask) -> None:
    migrate(replace(config, retention_days=730))
    made = query("SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()")
    kept = {name: text for name, text in made if name in {*TABLES.values(), *EXPIRES}}
    assert {name for name, text in kept.items() if "toIntervalDay(730)" not in text} == KEPT_FOR_EVER
    assert all("TTL" not in kept[name] for name in KEPT_FOR_EVER)


def test_a_database_name_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="use letters, digits"):
        Config(database="a; DROP TABLE b")


@pytest.mark.usefixtures("config")
def test_every_table_and_view_says_what_it_is(query: Ask) -> None:
    silent = query("SELECT name FROM system.tables WHERE database = currentDatabase() AND comment = ''")
    assert silent == []
