"""Real servers: ClickHouse once for all tests, a database for each; a fresh broker where topics must be empty."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from clickhouse_driver import Client

from common.settings import Settings, host_port
from embedded.processes import Running, running_broker, running_clickhouse
from streams.storage import run_migrations
from streams.topics import make_topics
from tests.support.control_keys import keys_file
from tests.support.kafka_outside import Kafka
from tests.support.processes import Worker, working

PARTITIONS = 2
_numbers = itertools.count()


def quick_settings(kafka: str, clickhouse: str = "127.0.0.1:1") -> Settings:
    """Settings by which a worker is ready soon and notices a killed predecessor soon."""
    return Settings(
        kafka=kafka,
        clickhouse=clickhouse,
        clickhouse_database=f"streams_{next(_numbers)}",
        partitions=PARTITIONS,
        fencing=False,  # the embedded broker has no transactions
        session_timeout_s=3,
        rebalance_timeout_s=2,
        checkpoint_interval_s=0.3,
        insert_interval_s=0.2,
        insert_rows=1_000,
        clickhouse_deadline_s=60,
    )


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("clickhouse")
    with running_clickhouse(folder / "data", log=folder / "log") as running:
        yield running


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A broker for tests whose topics are their own."""
    with running_broker(log=tmp_path_factory.mktemp("broker") / "log") as running:
        yield running


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[Kafka]:
    """A broker of the test's own, with emberline's topics, all empty."""
    with running_broker(log=tmp_path / "broker.log") as running:
        asyncio.run(make_topics(quick_settings(running.address)))
        with Kafka(running.address, PARTITIONS) as outside:
            yield outside


@pytest.fixture
def settings(kafka: Kafka, clickhouse: Running) -> Settings:
    """Settings for workers on the test's own broker, and a database with emberline's tables."""
    settings = quick_settings(kafka.address, clickhouse.address)
    run_migrations(settings)
    return settings


Ask = Callable[..., list[tuple[Any, ...]]]


def asking(settings: Settings) -> Ask:
    """Asks the settings' database, each time by a connection of its own."""
    host, port = host_port(settings.clickhouse)

    def ask(sql: str, **params: Any) -> list[tuple[Any, ...]]:
        with Client(host, port, database=settings.clickhouse_database) as client:
            rows: list[tuple[Any, ...]] = client.execute(sql, params or None)
            return rows

    return ask


@dataclass(slots=True)
class Platform:
    """A detect and a sink worker on a broker and a database of their own."""

    settings: Settings
    kafka: Kafka
    query: Ask
    detect: Worker
    sink: Worker


@pytest.fixture(scope="session")
def platform(clickhouse: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """All of emberline, once for the tests that only send to it and look; each sends as devices of its own."""
    folder = tmp_path_factory.mktemp("platform")
    with ExitStack() as stack:
        running = stack.enter_context(running_broker(log=folder / "broker.log"))
        settings = quick_settings(running.address, clickhouse.address)
        settings = replace(settings, control_keys_file=str(keys_file(folder)))
        asyncio.run(make_topics(settings))
        run_migrations(settings)
        kafka = stack.enter_context(Kafka(running.address, PARTITIONS))
        workers = [stack.enter_context(working(role, settings, folder, ready=False)) for role in ("detect", "sink")]
        for worker in workers:
            worker.wait_ready()
        yield Platform(settings, kafka, asking(settings), *workers)
