"""The tables as migrations make them are the tables that the program knows."""

from __future__ import annotations

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from common.settings import Settings
from services.registry.database import DatabaseError, config_on, engine_of, migrate, reading, url_of
from services.registry.models import Base


def test_the_tables_are_those_of_the_models(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_to_migrate_again_does_nothing(engine: Engine) -> None:
    assert migrate(engine) == []


def test_each_step_can_be_gone_back_and_taken_again(engine: Engine) -> None:
    with engine.begin() as connection:
        command.downgrade(config_on(connection), "-1")
        assert "cut_off_allowed" not in {one["name"] for one in inspect(connection).get_columns("devices")}
        command.downgrade(config_on(connection), "-1")
        assert "ports" not in {one["name"] for one in inspect(connection).get_columns("devices")}
        command.downgrade(config_on(connection), "-1")
        assert "limits" not in inspect(connection).get_table_names()
        command.downgrade(config_on(connection), "-1")
        assert not {"alarms", "alarm_actions", "commands"} & set(inspect(connection).get_table_names())
        command.downgrade(config_on(connection), "base")
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}
    assert len(migrate(engine)) == 5


def test_a_registry_without_its_tables_is_told_with_the_command_that_makes_them(empty: Settings) -> None:
    engine = engine_of(url_of(empty))
    with pytest.raises(DatabaseError, match="run `emberline registry migrate`"), reading(engine):
        pass
    engine.dispose()


def test_a_registry_of_a_later_release_is_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for use in (lambda: reading(engine).__enter__(), lambda: migrate(engine)):
        with pytest.raises(DatabaseError, match="of a later release"):
            use()
