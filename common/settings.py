"""Everything that can be set, in one place: each field is one environment variable, described beside it.

`Settings.from_environment()` is the only reader of the environment. The README's table of settings is made from here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Self

PREFIX: Final = "EMBERLINE_"
FILE: Final = "_FILE"
"""What follows the name of a secret's variable where a file holds the secret."""
SASL: Final = ("", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")


class SettingsError(ValueError):
    """A setting that cannot be used; the text names the variable and what it may be."""


def _setting(
    default: Any,
    what: str,
    least: float | None = None,
    most: float | None = None,
    choices: Sequence[str] = (),
    secret: bool = False,
) -> Any:
    told = {"what": what, "least": least, "most": most, "choices": choices, "secret": secret}
    return field(default=default, metadata=told, repr=not secret)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one emberline process. Defaults suit one machine; a deployment sets addresses and replication."""

    kafka: str = _setting("127.0.0.1:9092", "Kafka brokers, host:port, separated by commas")
    kafka_tls: bool = _setting(False, "yes: connections to Kafka are encrypted, and its brokers show certificates")
    kafka_ca: str = _setting(
        "", "PEM file of the authorities that sign brokers' certificates; empty for those of the system"
    )
    kafka_certificate: str = _setting("", "PEM file of the certificate to show to brokers, where they ask for one")
    kafka_key: str = _setting("", "PEM file of that certificate's key, without a passphrase")
    kafka_sasl: str = _setting(
        "", "how to log in to Kafka: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER; empty for not", choices=SASL
    )
    kafka_user: str = _setting("", "Kafka user, of PLAIN and SCRAM")
    kafka_password: str = _setting("", "Kafka password, of PLAIN and SCRAM; never logged", secret=True)
    kafka_token_file: str = _setting(
        "", "file of the token of OAUTHBEARER, read at every connection: whoever renews the token writes it there"
    )
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
    clickhouse_password: str = _setting(
        "", "ClickHouse password, never logged; on this machine `run` keeps its own in DATA_DIR", secret=True
    )
    clickhouse_tls: bool = _setting(False, "yes: connections to ClickHouse are encrypted, mostly at its port 9440")
    clickhouse_ca: str = _setting(
        "", "PEM file of the authorities that sign ClickHouse's certificate; empty for those of the system"
    )
    clickhouse_deadline_s: float = _setting(45.0, "a sink worker tries for this long, then exits", 1, 86_400)
    retention_days: int = _setting(400, "days that rows are kept; a year is the least allowed (A8)", 365, 36_500)
    insert_interval_s: float = _setting(0.5, "a sink worker inserts at least this often", 0.05, 60)
    insert_rows: int = _setting(50_000, "rows that make a sink worker insert at once", 1_000, 1_000_000)
    registry: str = _setting(
        "", "PostgreSQL of the registry, host:port/database; empty for SQLite in EMBERLINE_DATA_DIR"
    )
    registry_user: str = _setting("emberline", "PostgreSQL user")
    registry_password: str = _setting("", "PostgreSQL password, never logged", secret=True)
    registry_tls: bool = _setting(False, "yes: connections to PostgreSQL are encrypted, and it shows a certificate")
    registry_ca: str = _setting(
        "", "PEM file of the authorities that sign PostgreSQL's certificate; empty for those of the system"
    )
    limits_file: str = _setting("", "TOML file of limits that differ from schemas/limits.toml")
    early_warning_file: str = _setting("", "TOML file of parameters that differ from early_warning/parameters.toml")
    risk_file: str = _setting("", "TOML file of weights and colours that differ from early_warning/risk.toml")
    control_keys_file: str = _setting(
        "",
        "file of the keys that sign orders in the log, a line `ID HEX` each, the same for all detect workers; empty: "
        "they take no orders",
    )
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
    log_level: str = _setting("INFO", "DEBUG, INFO, WARNING or ERROR", choices=("DEBUG", "INFO", "WARNING", "ERROR"))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read and check every variable. Raises SettingsError for a bad value or an unknown name."""
        names = {variable(one.name): one for one in fields(cls)}
        given = _with_secrets({name: value for name, value in environment.items() if name.startswith(PREFIX)})
        if unknown := given.keys() - names.keys():
            raise SettingsError(f"{min(unknown)} is no setting of emberline; `emberline settings` lists them")
        return cls(**{names[name].name: _read(names[name], name, value) for name, value in given.items()})

    def to_environment(self) -> dict[str, str]:
        """These settings as environment variables, for a child process.

        Files of secrets have been read; their variables are emptied, for a child has those of its parent beneath.
        """
        return {variable(one.name): _written(getattr(self, one.name)) for one in fields(self)} | {
            variable(name) + FILE: "" for name in SECRETS
        }

    def without_security(self) -> Self:
        """The same for servers that know neither TLS nor SASL: those that `run` and `demo` start on this machine."""
        return replace(self, **{name: getattr(Settings(), name) for name in SECURITY})

    @property
    def clickhouse_password_path(self) -> Path:
        """Where `emberline run` and `demo` keep the password of their ClickHouse."""
        return Path(self.data_dir) / "clickhouse-password"

    @property
    def registry_path(self) -> Path:
        """The registry where no PostgreSQL is set."""
        return Path(self.data_dir) / "registry.sqlite"

    @property
    def limits_path(self) -> Path | None:
        """The limits file, if one is set."""
        return Path(self.limits_file) if self.limits_file else None

    @property
    def early_warning_path(self) -> Path | None:
        """The file of early warning's parameters, if one is set."""
        return Path(self.early_warning_file) if self.early_warning_file else None

    @property
    def risk_path(self) -> Path | None:
        """The file of how risk is rated, if one is set."""
        return Path(self.risk_file) if self.risk_file else None


SECRETS: Final = tuple(one.name for one in fields(Settings) if one.metadata["secret"])
SECURITY: Final = (
    *("kafka_tls", "kafka_ca", "kafka_certificate", "kafka_key"),
    *("kafka_sasl", "kafka_user", "kafka_password", "kafka_token_file"),
    *("clickhouse_tls", "clickhouse_ca"),
)
"""How Kafka and ClickHouse are reached. PostgreSQL is not among them: `run` starts none."""


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def described() -> list[tuple[str, str, str]]:
    """Every variable as (variable, default, what it is), in the order of the fields."""
    rows = []
    for one in fields(Settings):
        rows.append((variable(one.name), _written(one.default), one.metadata["what"]))
        if one.metadata["secret"]:
            rows.append((variable(one.name) + FILE, "", f"file that holds {variable(one.name)}, given in its place"))
    return rows


def _with_secrets(given: Mapping[str, str]) -> dict[str, str]:
    """What is given, with every secret itself in place of the file that holds it."""
    found = dict(given)
    for name in map(variable, SECRETS):
        file = found.pop(name + FILE, "")
        if file and found.get(name):
            raise SettingsError(f"{name} and {name}{FILE} are both given; give one of them")
        if file:
            found[name] = read_secret(file, name + FILE)
    return found


def read_secret(file: str, name: str) -> str:
    """What a file holds, without the end of its line. Raises SettingsError, naming the variable that names the file."""
    try:
        secret = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise SettingsError(f"{name}: cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{name}: {file} is no text in UTF-8") from None
    if not secret:
        raise SettingsError(f"{name}: {file} is empty")
    return secret


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
    if one.name == "registry" and text and not _is_database(text):
        raise SettingsError(f"{name} must be host:port/database, got {text!r}")
    choices = one.metadata["choices"]
    if choices and text not in choices:
        *others, last = filter(None, choices)
        raise SettingsError(f"{name} must be {', '.join(others)} or {last}, got {text!r}")
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


def _is_database(text: str) -> bool:
    address, _, name = text.partition("/")
    return _is_address("registry", address) and bool(re.fullmatch(r"\w+", name))


def host_port(address: str) -> tuple[str, int]:
    """A checked `host:port` taken apart."""
    host, _, port = address.rpartition(":")
    return host, int(port)
