"""Three real brokers and ClickHouse once for all scenarios; topics, group and database anew for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.faults.arena import Arena, Servers, running_arena, running_servers
from tests.support.apache_kafka import kafka_for_tests

Open = Callable[..., AbstractContextManager[Arena]]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with kafka_for_tests(), running_servers(tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.fixture
def arena(servers: Servers, tmp_path: Path) -> Open:
    """Opens an arena: `arena(detect=2, sink=1)`."""
    return partial(running_arena, servers, tmp_path)
