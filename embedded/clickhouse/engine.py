"""chDB as a storage engine: one `Engine` a process, one `EngineSession` a client.

chDB's connections to one path share their data and run side by side: a slow query on one holds
up neither a query nor an INSERT on another (chDB lets go of the GIL), so nothing is serialised
here. One connection runs one statement at a time.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

# chDB reads the time zone once, when it is imported; the server says UTC in its hello.
os.environ["TZ"] = "UTC"

from chdb.state import connect

from embedded.clickhouse import blocks
from embedded.clickhouse.access import write_config
from embedded.clickhouse.blocks import ColumnHeader
from embedded.clickhouse.errors import UNKNOWN_SETTING, ServerError, from_chdb
from embedded.clickhouse.statements import Insert, InsertInput, Other, ReadStatement, Select
from embedded.manners import CannotStartError

# When the disk fills up in the middle of an INSERT, chDB answers as if it were stored [seen in 26.9].
# So none begins with less than this, more than others write to the disk while it runs.
_MIN_FREE_BYTES = 64 << 20
_MIN_FREE = "min_free_disk_bytes_to_perform_insert"
_LEAVES_TRACES = re.compile(r"\b(SET|TEMPORARY)\b", re.IGNORECASE)
_INPUT_ROWS = "emberline_input_rows"


class Connection:
    """A connection to chDB, and the tag of its statements, which `Engine.kill` finds them by."""

    def __init__(self, path: str, tag: str, reads_only: bool) -> None:
        self.tag = tag
        try:
            self.chdb = connect(path)
            self.chdb.query(f"SET {_MIN_FREE} = {_MIN_FREE_BYTES}, log_comment = {_quoted(tag)}")
            if reads_only:
                self.chdb.query("SET readonly = 1")  # which nothing takes back
        except Exception as error:
            raise from_chdb(error) from error


class Connections:
    """Connections to chDB of one data directory: used again, and not closed before the end.

    If one is closed while a stream of another is cut off and others insert, chDB now and then fails for good, for
    everybody [seen in 26.9]. One that is open takes 100 kB.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._numbers = itertools.count(1)
        self._all: list[Connection] = []
        self._free: dict[bool, list[Connection]] = {False: [], True: []}

    def take(self, reads_only: bool) -> Connection:
        """One that nobody uses."""
        try:
            return self._free[reads_only].pop()
        except IndexError:
            connection = Connection(self._path, f"emberline-{next(self._numbers)}", reads_only)
            self._all.append(connection)
            return connection

    def give(self, connection: Connection, reads_only: bool) -> None:
        """Let others have it; its session has left no trace in it."""
        self._free[reads_only].append(connection)

    def close(self) -> None:
        """Close all of them, for good."""
        for connection in self._all:
            connection.chdb.close()


class Engine:
    """The chDB of this process, on its data directory, with the rights of `embedded.clickhouse.access`."""

    def __init__(self, data_dir: Path, lock: int) -> None:
        """Open the data directory, which `lock` holds for us, or raise `CannotStartError`."""
        self._lock = lock
        try:
            config = write_config(data_dir.resolve(), *_setting_names())
            self._connections = Connections(f"{data_dir.resolve()}?config-file={config}")
            self._control = EngineSession(self._connections, frozenset(), reads_only=False)
            self.version = self._control.value("SELECT version()")
            names = self._control.value("SELECT name FROM system.settings").splitlines()
            # Ours: log_comment carries the tag that `kill` finds a session's statements by.
            self._settings = frozenset(names) - {"log_comment", _MIN_FREE}
        except Exception as error:
            raise CannotStartError(f"chDB cannot open {data_dir}: {error}") from error

    def session(self, reads_only: bool) -> EngineSession:
        """Return a session for one client."""
        return EngineSession(self._connections, self._settings, reads_only)

    def kill(self, tag: str) -> None:
        """Stop the statement that a session runs, from another thread."""
        self._control.value(f"KILL QUERY WHERE Settings['log_comment'] = '{tag}' ASYNC")

    def close(self) -> None:
        """Close chDB and release the data directory."""
        self._connections.close()
        os.close(self._lock)


class EngineSession:
    """One connection to chDB: its current database, its settings, one statement at a time."""

    def __init__(self, connections: Connections, settings: frozenset[str], reads_only: bool) -> None:
        self._connections = connections
        self._reads_only = reads_only
        self._connection = connections.take(reads_only)
        self._known = settings
        self._applied: dict[str, str] = {}
        self._leaves_traces = False
        self.use("default")

    def close(self) -> None:
        """Give the connection back, or leave it for good if a later session would find something of this one's."""
        try:
            self.apply({})
            self.use("default")
        except ServerError:
            return
        if not self._leaves_traces:
            self._connections.give(self._connection, self._reads_only)

    @property
    def tag(self) -> str:
        """The mark of this session's statements, for `Engine.kill`."""
        return self._connection.tag

    def use(self, database: str) -> None:
        """Make a database the current one."""
        name = database.replace("\\", "\\\\").replace("`", "\\`")
        self._query(f"USE `{name}`")
        self._database = database

    def apply(self, settings: Mapping[str, tuple[str, bool]]) -> None:
        """Make these the settings of the next statement; each is (value, is it important).

        As in ClickHouse, an unknown setting is an error if it is important and skipped if not.
        Those of the statement before are taken back: they belong to it, not to the session.
        """
        for name, (_, important) in settings.items():
            if important and name not in self._known:
                raise ServerError(UNKNOWN_SETTING, f"Unknown setting '{name}'. (UNKNOWN_SETTING)")
        wanted = {name: value for name, (value, _) in settings.items() if name in self._known}
        try:
            for name in self._applied.keys() - wanted.keys():
                self._query(f"SET {name} = DEFAULT")
                del self._applied[name]
        except ServerError:
            self._reopen()  # a setting such as readonly does not let itself be taken back
        for name, value in wanted.items():
            if self._applied.get(name) != value:
                self._query(f"SET {name} = {_quoted(value)}")
                self._applied[name] = value

    def run(self, statement: Select | ReadStatement | Other) -> Iterator[bytes]:
        """Run a statement and yield its result; nothing for a DDL.

        The first block is a header of no rows, which drivers take the columns' types from.
        """
        match statement:
            case Select(sql):
                yield from self._select(sql)
            case ReadStatement(sql):
                data = self._blocks(sql)
                yield blocks.empty_block(blocks.columns_in(data[0]) if data else self._columns(sql))
                yield from data
            case Other(sql):
                self._leaves_traces |= _LEAVES_TRACES.search(sql) is not None
                for block in self._blocks(sql):  # KILL QUERY, OPTIMIZE ... and the like have rows
                    yield from (blocks.empty_block(blocks.columns_in(block)), block)
                self._database = self.value("SELECT currentDatabase()")

    def columns(self, insert: Insert | InsertInput) -> list[ColumnHeader]:
        """Return the columns an INSERT expects, in its order."""
        if isinstance(insert, InsertInput):
            return self._describe(f"SELECT * FROM null({_quoted(insert.columns)})")  # noqa: S608
        try:
            # Its own words, run with its own rights: nothing is injected that it could not say.
            columns = self._describe(f"SELECT {insert.columns} FROM {insert.table}")  # noqa: S608
        except ServerError:
            self._begin(insert).cancel()  # says better what is wrong with an INSERT
            raise
        for column in columns:
            blocks.layout(column.type)
        return columns

    def insert(self, insert: Insert | InsertInput, data: Sequence[bytes], data_format: str = "Native") -> int:
        """Insert blocks as one INSERT and return the number of rows written, as far as chDB tells."""
        if isinstance(insert, InsertInput):
            return self._insert_input(insert, data)
        inserter = self._begin(insert, data_format)
        try:
            for block in data:
                inserter.append(block)
            return int(inserter.finish().rows_written)
        except RuntimeError as error:
            inserter.cancel()
            raise from_chdb(error) from error

    def value(self, sql: str) -> str:
        """Run a query and return its result as text, a line a row."""
        return str(self._query(sql, "TabSeparatedRaw")).rstrip("\n")

    def formatted(self, sql: str, output_format: str, params: Mapping[str, str]) -> bytes:
        """Run a statement and return its result, in a format unless it names another itself."""
        self._leaves_traces |= _LEAVES_TRACES.search(sql) is not None
        data: bytes = self._query(sql, output_format, params).bytes()
        return data

    def _insert_input(self, insert: InsertInput, data: Sequence[bytes]) -> int:
        """Insert blocks through the query of an INSERT: chDB has no input(), so it reads them from a table of ours."""
        self._query(f"CREATE TEMPORARY TABLE {_INPUT_ROWS} ({insert.columns}) ENGINE = Memory")
        try:
            self.insert(Insert(_INPUT_ROWS, "*", ""), data)
            self._query(insert.before + _INPUT_ROWS + insert.after)
        finally:
            with suppress(ServerError):  # the connection is lost, and the table with it
                self._query(f"DROP TEMPORARY TABLE {_INPUT_ROWS}")
        return 0

    def _reopen(self) -> None:
        self._connection = self._connections.take(self._reads_only)
        self._applied = {}
        self.use(self._database)

    def _select(self, sql: str) -> Iterator[bytes]:
        stream = self._stream(sql)
        header: list[ColumnHeader] = []
        try:
            while (chunk := _next(stream)) is not None:
                data: bytes = chunk.bytes()
                if not header:
                    header = self._header(sql, data)
                    zoned = _has_zoned_date_time(header)
                    yield blocks.empty_block(header)
                for block in blocks.split(data, chunk.rows_read()):
                    yield blocks.retype(block, header) if zoned else block
        finally:
            stream.cancel()
        if not header:
            yield blocks.empty_block(self._describe(sql))

    def _stream(self, sql: str) -> Any:
        try:
            return self._connection.chdb.send_query(sql, "Native")
        except Exception as error:
            raise from_chdb(error) from error

    def _header(self, sql: str, data: bytes) -> list[ColumnHeader]:
        """Return the columns of a query whose first data is `data`.

        `Native` without a client's revision leaves out the time zone of DateTime (not of
        DateTime64), for the sake of clients of 2018, so then chDB is asked; as for types whose
        values cannot be walked. On a connection of its own: any statement on this one would end
        the stream it is sending, silently.
        """
        try:
            columns = blocks.columns_in(data)
            if all(column.type != "DateTime" for column in columns):
                return columns
        except ServerError:
            pass  # a type that only passes through
        other = EngineSession(self._connections, frozenset(), self._reads_only)
        try:
            other.use(self._database)
            return other._describe(sql)
        finally:
            other.close()

    def _describe(self, sql: str) -> list[ColumnHeader]:
        rows = json.loads(str(self._query(f"DESCRIBE TABLE (\n{sql}\n)", "JSONCompact")))["data"]
        return [ColumnHeader(name=row[0], type=row[1]) for row in rows]

    def _columns(self, sql: str) -> list[ColumnHeader]:
        meta = json.loads(str(self._query(sql, "JSONCompact")))["meta"]
        return [ColumnHeader(name=column["name"], type=column["type"]) for column in meta]

    def _blocks(self, sql: str) -> list[bytes]:
        result = self._query(sql, "Native")
        data: bytes = result.bytes()
        return blocks.split(data, result.rows_read()) if data else []

    def _begin(self, insert: Insert, data_format: str = "Native") -> Any:
        try:
            return self._connection.chdb.send_insert(insert.sql, data_format)
        except RuntimeError as error:
            raise from_chdb(error) from error

    def _query(self, sql: str, output_format: str = "TabSeparated", params: Mapping[str, str] | None = None) -> Any:
        try:
            return self._connection.chdb.query(sql, output_format, params=dict(params or {}))
        except Exception as error:
            raise from_chdb(error) from error


def _next(stream: Any) -> Any:
    try:
        return stream.fetch()
    except Exception as error:
        raise from_chdb(error) from error


def _has_zoned_date_time(columns: Sequence[ColumnHeader]) -> bool:
    return any(column.type.startswith("DateTime(") for column in columns)


def _setting_names() -> list[list[str]]:
    """The names of all settings, of statements and of tables; chDB tells them without data too."""
    chdb = connect(":memory:")
    try:
        asked = (f"SELECT name FROM system.{table}" for table in ("settings", "merge_tree_settings"))  # noqa: S608
        return [str(chdb.query(sql, "TabSeparatedRaw")).split() for sql in asked]
    finally:
        chdb.close()


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
