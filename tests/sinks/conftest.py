"""A real ClickHouse engine behind the native protocol, once for all tests; a fresh database for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_driver import Client

from embedded.processes import Running, running_clickhouse
from sinks.clickhouse.config import Config
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.writer import ClickHouseSink
from tests.support.platform import Ask

PASSWORD = "s3cret-Pässwörd"
_numbers = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("clickhouse")
    with running_clickhouse(folder / "data", log=Path(folder / "log"), password=PASSWORD) as running:
        yield running


@pytest.fixture
def empty(server: Running) -> Config:
    """A database that is not there yet."""
    database = f"sinks_{next(_numbers)}"
    return Config(host=server.host, port=server.port, database=database, password=PASSWORD, deadline_s=10)


@pytest.fixture
def config(empty: Config) -> Config:
    """A database with our tables."""
    migrate(empty)
    return empty


@pytest.fixture
def sink(config: Config) -> Iterator[ClickHouseSink]:
    sink = ClickHouseSink(config)
    yield sink
    sink.close()


@pytest.fixture
def query(empty: Config) -> Iterator[Ask]:
    """Asks the test's database, with the driver alone; texts come back as bytes if `raw`."""
    clients: list[Client] = []

    def ask(sql: str, params: dict[str, Any] | None = None, *, raw: bool = False) -> list[tuple[Any, ...]]:
        settings = {"strings_as_bytes": raw}
        clients.append(Client(empty.host, empty.port, empty.database, password=empty.password, settings=settings))
        rows: list[tuple[Any, ...]] = clients[-1].execute(sql, params)
        return rows

    yield ask
    for client in clients:
        client.disconnect()
