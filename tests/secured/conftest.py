"""A secured broker and ClickHouse behind TLS, once for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from embedded.processes import Running, running_clickhouse
from tests.secured.brokers import Secured, running_secured
from tests.secured.certificates import Authority
from tests.secured.tls_front import tls_front
from tests.support.apache_kafka import kafka_for_tests

PASSWORD = "s3cret of clickhouse, never told"


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with kafka_for_tests(), running_secured(tmp_path_factory.mktemp("secured")) as running:
        yield running


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that no server's certificate is of."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@dataclass(frozen=True)
class Fronted:
    """ClickHouse with a password: its own port, and the one with TLS."""

    plain: str
    tls: str
    ca: str


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronted]:
    folder: Path = tmp_path_factory.mktemp("clickhouse")
    authority = Authority(folder, "clickhouse-authority")
    running: Running
    with (
        running_clickhouse(folder / "data", folder / "log", password=PASSWORD) as running,
        tls_front(running.address, authority.sign("clickhouse")) as front,
    ):
        yield Fronted(running.address, front, str(authority.ca))
