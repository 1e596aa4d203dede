"""The tables: numbered files of `schemas/clickhouse`, applied in order and recorded in `schema_migrations`.

Every statement may be run twice (`IF NOT EXISTS`, `CREATE OR REPLACE VIEW`), so a migration that broke off is run again
from its beginning, and two that run at once do no harm. What was applied is never edited, only followed by a new file.
Views are no migrations: they are made anew each time (`sinks.clickhouse.views`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Final

from sinks.clickhouse.config import Config
from sinks.clickhouse.rows import KEPT_FOR_EVER, TABLES
from sinks.clickhouse.service import Service
from sinks.clickhouse.views import statements, views
from sinks.clickhouse.wire import BlockClient
from sinks.contract import SinkRefused

MIN_VERSION: Final = (24, 3)
"""The oldest long-term release these tables were written for; Debian's package is 18.16 and knows no DateTime64."""
EXPIRES: Final = {
    "aggregates_1h": "hour_ts",
    "aggregates_1d": "day",
    "aggregates_made": "until_ts",
    "risk_component_ratings": "rated_ts",
    "risk_group_ratings": "rated_ts",
}
"""From when on the retention counts of rows that come from no topic."""
_FILE: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_LEDGER: Final = """
    CREATE TABLE IF NOT EXISTS schema_migrations
    (number UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))
    ENGINE = MergeTree ORDER BY number
    COMMENT 'which migrations were applied, and when'
"""

_APPLIED: Final = "SELECT DISTINCT number, checksum FROM schema_migrations"
# One row even where two migrate at once, or one of them saw the other half done.
_RECORD: Final = """
    INSERT INTO schema_migrations (number, name, checksum) SELECT %(number)s, %(name)s, %(checksum)s
    WHERE %(number)s NOT IN (SELECT number FROM schema_migrations)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. The checksum is of its text as written, before settings are put in."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return sha256(self.text.encode()).hexdigest()

    def statements(self, retention_days: int) -> list[str]:
        """Its statements; each ends with a semicolon at the end of a line."""
        return statements(self.text.replace("{retention_days}", str(retention_days)))


def migrations() -> list[Migration]:
    """Those that ship with this version, in order."""
    found = [
        Migration(int(match[1]), match[2], file.read_text(encoding="utf-8"))
        for file in files("schemas").joinpath("clickhouse").iterdir()
        if (match := _FILE.fullmatch(file.name))
    ]
    return sorted(found, key=lambda migration: migration.number)


def migrate(config: Config, wanted: Sequence[Migration] | None = None) -> list[Migration]:
    """Bring the database up to this version, or up to the migrations `wanted`, which leaves views as those made them.

    Returns the migrations that were applied now. Raises SinkRefused, SinkUnavailable."""
    service = Service(config)
    try:
        refuse_old(service.call(lambda client: client.execute("SELECT version()"), database="")[0][0])
        _create_database(service)
        applied = _apply(service, migrations() if wanted is None else wanted)
        if wanted is None:
            for statement in views():
                service.query(statement)
        _set_retention(service)
    finally:
        service.close()
    return applied


def refuse_old(version: str) -> None:
    """Raise SinkRefused if a server of this version cannot hold our tables."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < MIN_VERSION:
        needed = ".".join(map(str, MIN_VERSION))
        raise SinkRefused(f"ClickHouse {version} is too old: emberline needs {needed} or newer")


def pending(wanted: Sequence[Migration], applied: dict[int, str]) -> list[Migration]:
    """What is still to apply, given the checksums of what was. Raises SinkRefused if what was applied is not this."""
    for migration in wanted:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise SinkRefused(
                f"migration {migration.number:04} {migration.name} was changed after it was applied; "
                "restore its file and put the change into a new migration"
            )
    return [migration for migration in wanted if migration.number not in applied]


def _create_database(service: Service) -> None:
    """Only if it is not there: the right to create databases is not needed to run again."""
    name = service.config.database

    def create(client: BlockClient) -> None:
        if not client.execute("SELECT 1 FROM system.databases WHERE name = %(name)s", {"name": name}):
            client.execute(f"CREATE DATABASE IF NOT EXISTS {name}")

    service.call(create, database="")


def _apply(service: Service, wanted: Sequence[Migration]) -> list[Migration]:
    service.query(_LEDGER)
    ledger = {int(number): str(checksum) for number, checksum in service.query(_APPLIED)}
    todo = pending(wanted, ledger)
    for migration in todo:
        for statement in migration.statements(service.config.retention_days):
            service.query(statement)
        service.query(_RECORD, {"number": migration.number, "name": migration.name, "checksum": migration.checksum})
    return todo


def _set_retention(service: Service) -> None:
    """Bring tables made under another setting to this one; parts are told their new end, not rewritten."""
    days = service.config.retention_days
    made = dict(service.query("SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"))
    since = dict.fromkeys(set(TABLES.values()) - KEPT_FOR_EVER, "toDateTime(ingest_ts)") | EXPIRES
    for table in made.keys() & since.keys():
        if f"toIntervalDay({days})" not in made[table]:
            service.query(f"ALTER TABLE {table} MODIFY TTL {since[table]} + toIntervalDay({days})")
