"""A database with emberline's tables for each file of tests, empty for each test, as the job asks it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.hourly.storage import patient
from common.settings import Settings
from embedded.processes import Running
from sinks.clickhouse.service import Service
from streams.storage import run_migrations
from tests.support.platform import quick_settings

_TABLES = """
    SELECT name FROM system.tables
    WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND name != 'schema_migrations' AND total_rows > 0
"""


@pytest.fixture(scope="module")
def database(clickhouse: Running) -> Settings:
    """Settings of a database with emberline's tables, and of no broker."""
    settings = quick_settings("127.0.0.1:1", clickhouse.address)
    run_migrations(settings)
    return settings


@pytest.fixture
def service(database: Settings) -> Iterator[Service]:
    with patient(database) as service:
        yield service
        for (name,) in service.query(_TABLES):
            service.query(f"TRUNCATE TABLE {name}")
