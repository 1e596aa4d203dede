"""Migrations: applied once, in order, safe to repeat, and plain about what they refuse."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from sinks.clickhouse.config import Config
from sinks.clickhouse.migrate import Migration, migrate, migrations, pending, refuse_old
from sinks.clickhouse.rows import TABLES
from sinks.contract import SinkRefused

Query = Callable[..., list[tuple[Any, ...]]]


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    assert [migration.number for migration in migrations()] == list(range(1, len(migrations()) + 1))


def test_every_statement_may_be_run_twice() -> None:
    harmless = re.compile(
        r"CREATE TABLE IF NOT EXISTS |CREATE OR REPLACE VIEW |ALTER TABLE \w+ \w+ \w+ IF (NOT )?EXISTS "
    )
    for migration in migrations():
        for statement in migration.statements(400):
            assert harmless.match(statement), statement[:80]


def test_migrating_twice_applies_once(empty: Config, query: Query) -> None:
    assert [migration.number for migration in migrate(empty)] == [one.number for one in migrations()]
    assert migrate(empty) == []
    found = query("SELECT number, name, checksum FROM schema_migrations ORDER BY number")
    assert found == [(one.number, one.name, one.checksum) for one in migrations()]


def test_two_may_migrate_at_once(empty: Config, query: Query) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: migrate(empty), range(2)))
    assert migrate(empty) == []
    tables = {name for (name,) in query("SHOW TABLES")}
    assert set(TABLES.values()) | {"schema_migrations", "alarms"} <= tables


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


def test_another_retention_reaches_tables_that_are_there(config: Config, query: Query) -> None:
    migrate(replace(config, retention_days=730))
    made = query("SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()")
    assert all("toIntervalDay(730)" in text for name, text in made if name in TABLES.values())


def test_a_database_name_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="use letters, digits"):
        Config(database="a; DROP TABLE b")


@pytest.mark.usefixtures("config")
def test_every_table_and_view_says_what_it_is(query: Query) -> None:
    silent = query("SELECT name FROM system.tables WHERE database = currentDatabase() AND comment = ''")
    assert silent == []
