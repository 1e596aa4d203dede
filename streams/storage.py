"""ClickHouse by the settings: the sink, the migrations, and plain queries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from common.errors import OperatorError
from common.settings import Settings, host_port, variable
from common.tls import tls_context
from sinks.clickhouse.config import Config
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.service import Service
from sinks.clickhouse.writer import ClickHouseSink
from sinks.contract import SinkError

COMMAND_DEADLINE_S: Final = 10.0
"""A person waits for a command; a worker has more patience."""


def config_of(settings: Settings) -> Config:
    """The settings of the ClickHouse sink. Raises OperatorError where they cannot work."""
    host, port = host_port(settings.clickhouse)
    if settings.clickhouse_ca and not settings.clickhouse_tls:
        raise OperatorError("EMBERLINE_CLICKHOUSE_CA is given, but EMBERLINE_CLICKHOUSE_TLS is no; set it to yes")
    if settings.clickhouse_tls:
        tls_context(settings.clickhouse_ca, variable("clickhouse_ca"))  # the driver would only find no server
    try:
        return Config(
            host=host,
            port=port,
            database=settings.clickhouse_database,
            user=settings.clickhouse_user,
            password=password_of(settings),
            secure=settings.clickhouse_tls,
            ca_certs=settings.clickhouse_ca or None,
            retention_days=settings.retention_days,
            deadline_s=settings.clickhouse_deadline_s,
        )
    except ValueError as error:
        raise OperatorError(f"EMBERLINE_CLICKHOUSE_DATABASE: {error}") from error


def password_of(settings: Settings) -> str:
    """The password that is set; without one and on this machine that which `emberline run` keeps, if there is any."""
    host, _ = host_port(settings.clickhouse)
    if settings.clickhouse_password or host not in ("127.0.0.1", "localhost"):
        return settings.clickhouse_password
    try:
        return settings.clickhouse_password_path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise OperatorError(
            f"cannot read the password of ClickHouse, {settings.clickhouse_password_path}: {error.strerror}; "
            "run this as the user that runs `emberline run`, or set EMBERLINE_CLICKHOUSE_PASSWORD"
        ) from None


def make_sink(settings: Settings) -> ClickHouseSink:
    """The sink that the sink worker writes to."""
    return ClickHouseSink(config_of(settings))


@contextmanager
def asking(settings: Settings) -> Iterator[Service]:
    """Questions of a command, which a person waits for. What ClickHouse refuses becomes an OperatorError."""
    config = _impatient(settings)
    service = Service(config)
    try:
        _reach(config)
        yield service
    except SinkError as error:
        raise OperatorError(str(error)) from error
    finally:
        service.close()


def _impatient(settings: Settings) -> Config:
    return replace(config_of(settings), deadline_s=min(settings.clickhouse_deadline_s, COMMAND_DEADLINE_S))


def _reach(config: Config) -> None:
    """Have a server that takes connections and says nothing be told within the deadline, as one that is not there."""
    service = Service(replace(config, request_timeout_s=config.deadline_s))
    try:
        service.call(lambda client: client.execute("SELECT 1"), database="")
    finally:
        service.close()


def run_migrations(settings: Settings) -> list[str]:
    """Bring the tables up to this version; the names of what was applied. Raises OperatorError."""
    config = _impatient(settings)
    try:
        _reach(config)
        return [f"{migration.number:04} {migration.name}" for migration in migrate(config)]
    except SinkError as error:
        raise OperatorError(str(error)) from error
