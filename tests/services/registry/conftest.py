"""A registry for each test, on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Engine

from common.settings import Settings
from services.registry.database import engine_of, migrate, url_of
from tests.support.postgresql import PASSWORD, USER, make_database, running_postgresql

_NUMBERS: Final = itertools.count()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    with running_postgresql() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a registry whose database is there and has no tables."""
    if request.param == "sqlite":
        return Settings(data_dir=str(tmp_path))
    address, name = request.getfixturevalue("postgresql"), f"registry_{next(_NUMBERS)}"
    make_database(address, name)
    return Settings(
        data_dir=str(tmp_path), registry=f"{address}/{name}", registry_user=USER, registry_password=PASSWORD
    )


@pytest.fixture
def settings(empty: Settings) -> Settings:
    """Settings of a registry that is ready."""
    engine = engine_of(url_of(empty))
    migrate(engine)
    engine.dispose()
    return empty


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = engine_of(url_of(settings))
    yield engine
    engine.dispose()
