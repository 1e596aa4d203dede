"""Everything that can be set, in one place: each field is one environment variable, described beside it.

`Settings.from_environment()` is the only reader of the environment. The README's table of settings is made from here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

PREFIX: Final = "EMBERLINE_"


class SettingsError(ValueError):
    """A setting that cannot be used; the text names the variable and what it may be."""


def _setting(default: Any, what: str, least: float | None = None, most: float | None = None) -> Any:
    return field(default=default, metadata={"what": what, "least": least, "most": most}, repr="password" not in what)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one emberline process. Defaults suit one machine; a deployment sets addresses and replication."""

    kafka: str = _setting("127.0.0.1:9092", "Kafka brokers, host:port, separated by commas")
    partitions: int = _setting(8, "partitions of every topic when `emberline topics` makes them", 1, 1024)
    replication: int = _setting(1, "replicas of every topic when `emberline topics` makes them", 1, 9)
    fencing: bool = _setting(
        True,
        "yes: a paused worker cannot write over its successor (idempotence, transactions); no: a broker without them",
    )
    group: str = _setting("emberline", "prefix of the consumer groups, `GROUP-detect` and `GROUP-sink`")
    group_instance: str = _setting("", "static group membership: a name of this worker that stays over restarts")
    session_timeout_s: float = _setting(10.0, "a worker silent for this long loses its partitions", 3, 300)
    rebalance_timeout_s: float = _setting(10.0, "how long a rebalance waits for a worker to let go", 1, 300)
    clickhouse: str = _setting("127.0.0.1:9000", "ClickHouse server, host:port of its native protocol")
    clickhouse_database: str = _setting("emberline", "ClickHouse database, made by `emberline migrate`")
    clickhouse_user: str = _setting("default", "ClickHouse user")
    clickhouse_password: str = _setting("", "ClickHouse password; never logged")
    clickhouse_deadline_s: float = _setting(45.0, "a sink worker tries for this long, then exits", 1, 86_400)
    retention_days: int = _setting(400, "days that rows are kept; a year is the least allowed (A8)", 365, 36_500)
    insert_interval_s: float = _setting(0.5, "a sink worker inserts at least this often", 0.05, 60)
    insert_rows: int = _setting(50_000, "rows that make a sink worker insert at once", 1_000, 1_000_000)
    limits_file: str = _setting("", "TOML file of limits that differ from detectors/limits.toml")
    checkpoint_interval_s: float = _setting(5.0, "how often a detect worker checkpoints a partition", 0.1, 300)
    devices_most: int = _setting(
        250_000, "devices that a partition may have; others are refused one by one", 1, 10_000_000
    )
    reject_share: float = _setting(
        0.05, "it is said loudly when more than this share of recent reports is bad", 0.01, 1
    )
    stall_s: float = _setting(60.0, "a worker with lag and no progress for this long exits", 5, 3_600)
    http: str = _setting("", "host:port of /metrics, /healthz and /readyz; empty for none")
    data_dir: str = _setting(".emberline", "where the embedded ClickHouse and logs of `demo` and `run` live")
    log_level: str = _setting("INFO", "DEBUG, INFO, WARNING or ERROR")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read and check every variable. Raises SettingsError for a bad value or an unknown name."""
        names = {PREFIX + one.name.upper(): one for one in fields(cls)}
        given = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
        if unknown := given.keys() - names.keys():
            raise SettingsError(f"{min(unknown)} is no setting of emberline; `emberline settings` lists them")
        return cls(**{names[name].name: _read(names[name], name, value) for name, value in given.items()})

    def to_environment(self) -> dict[str, str]:
        """These settings as environment variables, for a child process."""
        return {PREFIX + one.name.upper(): _written(getattr(self, one.name)) for one in fields(self)}

    @property
    def limits_path(self) -> Path | None:
        """The limits file, if one is set."""
        return Path(self.limits_file) if self.limits_file else None


def described() -> list[tuple[str, str, str]]:
    """Every setting as (variable, default, what it is), in the order of the fields."""
    return [(PREFIX + one.name.upper(), _written(one.default), one.metadata["what"]) for one in fields(Settings)]


def _read(one: Any, name: str, text: str) -> Any:
    wanted = type(one.default)
    if wanted is bool:
        return _read_bool(name, text)
    try:
        value = wanted(text)
    except ValueError:
        raise SettingsError(f"{name} must be a number, got {text!r}") from None
    least, most = one.metadata["least"], one.metadata["most"]
    if least is not None and not least <= value <= most:
        raise SettingsError(f"{name} must lie from {least:g} to {most:g}, got {text}")
    if one.name in ("kafka", "clickhouse", "http") and not _is_address(one.name, text):
        raise SettingsError(f"{name} must be host:port, got {text!r}")
    if one.name == "log_level" and text not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise SettingsError(f"{name} must be DEBUG, INFO, WARNING or ERROR, got {text!r}")
    return value


def _read_bool(name: str, text: str) -> bool:
    if text not in ("yes", "no"):
        raise SettingsError(f"{name} must be yes or no, got {text!r}")
    return text == "yes"


def _written(value: Any) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def _is_address(name: str, text: str) -> bool:
    if not text:
        return name == "http"
    parts = text.split(",") if name == "kafka" else [text]
    return all(
        host and port.isdigit() and int(port) < 65_536 for host, _, port in (part.rpartition(":") for part in parts)
    )


def host_port(address: str) -> tuple[str, int]:
    """A checked `host:port` taken apart."""
    host, _, port = address.rpartition(":")
    return host, int(port)
