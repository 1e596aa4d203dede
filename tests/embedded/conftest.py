"""Real servers, started once for all tests of this folder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from clickhouse_driver import Client

from embedded.processes import Running, running_broker, running_clickhouse

SLOW: Final = "SELECT sleepEachRow(0.1) FROM numbers(1000000) SETTINGS max_block_size = 1"
"""Goes on for a day: where a test waits for its end, something has ended it."""


@pytest.fixture(scope="session")
def clickhouse_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clickhouse") / "log"


@pytest.fixture(scope="session")
def clickhouse(clickhouse_log: Path) -> Iterator[Running]:
    with running_clickhouse(clickhouse_log.parent / "data", log=clickhouse_log) as running:
        yield running


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_broker(log=tmp_path_factory.mktemp("broker") / "log") as running:
        yield running


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return itertools.count()


@pytest.fixture
def connect(clickhouse: Running, _numbers: Iterator[int]) -> Iterator[Callable[..., Client]]:
    """Connects to a database of the test's own; called again, once more to the same."""
    database = f"test_{next(_numbers)}"
    clients: list[Client] = []

    def connect_once(**settings: object) -> Client:
        client = Client(clickhouse.host, clickhouse.port, database=database, settings=settings)
        clients.append(client)
        return client

    with Client(clickhouse.host, clickhouse.port) as setup:
        setup.execute(f"CREATE DATABASE {database}")
        yield connect_once
        for client in clients:
            client.disconnect()
        setup.execute(f"DROP DATABASE {database}")


@pytest.fixture
def client(connect: Callable[..., Client]) -> Client:
    return connect()
