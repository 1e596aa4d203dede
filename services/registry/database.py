"""The registry's database: SQLite, or PostgreSQL by its URL; its migrations; and the one place that commits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from common.errors import OperatorError
from common.settings import Settings, host_port
from services.registry.models import Turn

MIGRATIONS: Final = Path(__file__).with_name("migrations")
CONNECT_S: Final = 10
"""A person waits for a command."""
PART: Final = 500
"""Rows that one statement asks for, below the bounds of all databases [ours]."""
T = TypeVar("T")
BUSY_S: Final = 30
"""How long one who writes waits for another: an import of a city takes less [ours]."""


class DatabaseError(OperatorError):
    """The registry's database cannot be used just now; the text says why."""


class NotPreparedError(DatabaseError):
    """It is of another release, or has no tables; the text says what to do."""


def url_of(settings: Settings) -> URL:
    """Where the registry is by the settings. Raises OperatorError where they do not fit together."""
    if not settings.registry:
        return URL.create("sqlite", database=str(settings.registry_path))
    address, _, name = settings.registry.partition("/")
    host, port = host_port(address)
    if settings.registry_ca and not settings.registry_tls:
        raise OperatorError("EMBERLINE_REGISTRY_CA is given, but EMBERLINE_REGISTRY_TLS is no; set it to yes")
    query = {"sslmode": "prefer"}
    if settings.registry_tls:
        query = {"sslmode": "verify-full", "sslrootcert": settings.registry_ca or "system"}
    user, password = settings.registry_user, settings.registry_password or None
    return URL.create("postgresql+psycopg", user, password, host, port, name, query)


def engine_of(url: URL) -> Engine:
    """The engine of a database, not connected yet."""
    # What people say is in statements' parameters, and has no business in errors and logs.
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args={"connect_timeout": CONNECT_S})
    if url.database:
        _make_file(Path(url.database))
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_S})

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _: object) -> None:
        # The driver would begin transactions late, and commit before DDL.
        connection.isolation_level = None
        for pragma in ("journal_mode = WAL", "foreign_keys = ON", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _make_file(path: Path) -> None:
    """Names and telephone numbers of people are in it: it is for its owner alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(0o600)
    except OSError as error:
        raise DatabaseError(f"the registry's database {path}: {error.strerror}; set EMBERLINE_DATA_DIR") from error


def in_parts(of: Iterable[T]) -> Iterator[list[T]]:
    """As many at a time as one statement asks for."""
    items = iter(of)
    while some := list(islice(items, PART)):
        yield some


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that changes nothing. Raises DatabaseError."""
    with _told(engine), Session(engine) as session:
        if engine.dialect.name == "postgresql":
            # All of it of one moment, as SQLite has it in any case.
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        _check_version(session)
        yield session


@contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """A session in its turn, committed at the end of the block, or not at all. Raises DatabaseError."""
    with reading(engine):
        pass  # it is of this release
    with _told(engine), Session(engine) as session, session.begin():
        # First of all: SQLite lets nobody write who has read what another has changed since.
        session.execute(update(Turn).values(taken=Turn.taken + 1))
        yield session


@contextmanager
def _told(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise DatabaseError(f"the registry's database {_name(engine)}: {_first_line(error)}") from error


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0]


def _name(engine: Engine) -> str:
    url = engine.url
    return f"{url.host}:{url.port}/{url.database}" if url.host else str(url.database)


def migrate(engine: Engine) -> list[str]:
    """Bring the tables up to this release; the names of what was applied. Raises DatabaseError."""
    script = _steps()
    with _told(engine), engine.begin() as connection:
        before = MigrationContext.configure(connection).get_current_revision()
        _check_known(before, script)
        command.upgrade(config_on(connection), "head")
        after = MigrationContext.configure(connection).get_current_revision()
    applied = script.iterate_revisions(after, before) if after != before else ()
    return [f"{one.revision} {one.doc}" for one in applied if one is not None][::-1]


@cache
def _steps() -> ScriptDirectory:
    """This release's migrations, read once: a publisher asks five times a second."""
    return ScriptDirectory(str(MIGRATIONS))


def config_on(connection: Connection) -> Config:
    """What Alembic's commands need to work on this connection."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _check_known(revision: str | None, script: ScriptDirectory) -> None:
    if revision is not None and revision not in {one.revision for one in script.walk_revisions()}:
        raise NotPreparedError(
            f"the registry's database is of a later release, at {revision}; use that release, or restore a backup"
        )


def _check_version(session: Session) -> None:
    script = _steps()
    revision = MigrationContext.configure(session.connection()).get_current_revision()
    if revision == script.get_current_head():
        return
    _check_known(revision, script)
    raise NotPreparedError(
        f"the registry's database {_name(session.get_bind().engine)} is not prepared for this release; run "
        "`emberline registry migrate`"
    )
