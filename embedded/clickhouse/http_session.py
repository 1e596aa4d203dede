"""ClickHouse's HTTP interface: what curl, clickhouse-connect and tools that speak HTTP need of it.

Queries come in the URL or in the body, rows in the body, users in headers or by basic authentication. A request is a
session of its own: `session_id` is taken and means nothing. What GET asks may only read, as with a real server.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import logging
import re
import socket
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import cramjam

from embedded.clickhouse import statements
from embedded.clickhouse.engine import Engine, EngineSession
from embedded.clickhouse.errors import (
    ACCESS_DENIED,
    AUTHENTICATION_FAILED,
    BAD_ARGUMENTS,
    MEMORY_LIMIT_EXCEEDED,
    NOT_IMPLEMENTED,
    SYNTAX_ERROR,
    UNKNOWN_DATABASE,
    UNKNOWN_TABLE,
    ServerError,
    is_the_end,
)
from embedded.clickhouse.session import Writing
from embedded.clickhouse.statements import Insert, InsertInput, Select
from embedded.clickhouse.users import User, Users
from embedded.clickhouse.watch import ClientWatch

_LOG = logging.getLogger(__name__)

_IDLE_SECONDS: Final = 300.0  # How long a connection may wait for its next request.
_MAX_BODY_BYTES: Final = 256 << 20  # A body is held in memory, as sent and as unpacked.
_STATUS: Final = {AUTHENTICATION_FAILED: 403, ACCESS_DENIED: 403, UNKNOWN_TABLE: 404, UNKNOWN_DATABASE: 404}
_OF_THE_INTERFACE: Final = frozenset(
    {
        "query",
        "database",
        "default_format",
        "user",
        "password",
        "session_id",
        "session_timeout",
        "session_check",
        "query_id",
        "quota_key",
        "compress",
        "decompress",
        "enable_http_compression",
        "client_protocol_version",
        "wait_end_of_query",
        "buffer_size",
        "role",
        "stacktrace",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close",
    }
)
"""Parameters of a URL that are no settings of the statement. Those that are not used are harmless to leave out."""
_UNPACK: Final[dict[str, Callable[[bytes], Any]]] = {
    "gzip": gzip.decompress,
    "lz4": cramjam.lz4.decompress,
    "zstd": cramjam.zstd.decompress,
}
_TYPES: Final = {"JSON": "application/json", "CSV": "text/csv", "Tab": "text/tab-separated-values"}
_WITH_ROWS: Final = re.compile(rb"\s*INSERT\s.*?\sFORMAT\s+\w+[ \t;]*(?:\r?\n|$)?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class ServerParts:
    """What a conversation needs of its server."""

    engine: Engine
    users: Users
    watch: ClientWatch
    writing: Writing


@dataclass(frozen=True)
class HttpAnswer:
    """What goes back."""

    data: bytes
    data_format: str
    written_rows: int = 0


class HttpSession(BaseHTTPRequestHandler):
    """Serves one client on its own thread."""

    protocol_version = "HTTP/1.1"
    server_version = "ClickHouse"
    sys_version = ""
    timeout = _IDLE_SECONDS

    def __init__(self, sock: socket.socket, parts: ServerParts) -> None:
        self._parts = parts
        super().__init__(sock, sock.getpeername(), None)  # type: ignore[arg-type]  # it asks nothing of its server

    def do_GET(self) -> None:
        """A query that may only read, or a look whether the server is there."""
        if urlsplit(self.path).path in ("/ping", "/replicas_status") or "?" not in self.path:
            self._reply(200, b"Ok.\n", {})
        else:
            self._answer(may_write=False)

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        """A query, or rows for one."""
        self._answer(may_write=True)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request: a URL may hold a password."""

    def _answer(self, may_write: bool) -> None:
        try:
            body = self._body()
            parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            user = self._user(parameters)
            answer = self._execute(user, may_write and not user.reads_only, parameters, body)
        except ServerError as error:
            text = f"Code: {error.code}. DB::Exception: {error.message}\n".encode()
            status = _STATUS.get(error.code, 400 if error.code < NOT_IMPLEMENTED or error.code == SYNTAX_ERROR else 500)
            self._reply(status, text, {"X-ClickHouse-Exception-Code": str(error.code)})
            if is_the_end(error):
                raise
            return
        summary = {"read_rows": "0", "written_rows": str(answer.written_rows), "result_rows": "0"}
        data, packed = self._packed(answer.data, parameters)
        kind = next((kind for begin, kind in _TYPES.items() if answer.data_format.startswith(begin)), None)
        headers = {
            "Content-Type": f"{kind or 'application/octet-stream'}; charset=UTF-8",
            "X-ClickHouse-Format": answer.data_format,
            "X-ClickHouse-Query-Id": parameters.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Summary": json.dumps(summary),
            "X-ClickHouse-Timezone": "UTC",
        }
        self._reply(200, data, headers | packed)

    def _reply(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _body(self) -> bytes:
        try:
            data = self._chunked() if "chunked" in self.headers.get("Transfer-Encoding", "") else self._sized()
            packing = self.headers.get("Content-Encoding", "identity")
            if packing == "identity" or not data:
                return data
            if packing not in _UNPACK:
                self.close_connection = True
                raise ServerError(NOT_IMPLEMENTED, f"Content-Encoding {packing} is not known; use gzip, lz4 or zstd.")
            return bytes(_UNPACK[packing](data))
        except (ValueError, EOFError, OSError, cramjam.DecompressionError) as error:
            self.close_connection = True
            raise ServerError(BAD_ARGUMENTS, f"Cannot read the body: {error}. (BAD_ARGUMENTS)") from error

    def _sized(self) -> bytes:
        size = self._bounded(int(self.headers.get("Content-Length", "0")))
        return self.rfile.read(size)

    def _chunked(self) -> bytes:
        pieces, size = [], 0
        while piece := self._bounded(int(self.rfile.readline(64).split(b";")[0], 16)):
            size = self._bounded(size + piece)
            pieces.append(self.rfile.read(piece))
            self.rfile.readline(64)
        while self.rfile.readline(65536).strip():  # trailers
            pass
        return b"".join(pieces)

    def _bounded(self, size: int) -> int:
        if not 0 <= size <= _MAX_BODY_BYTES:
            self.close_connection = True
            what = f"A body may have {_MAX_BODY_BYTES} bytes; send fewer rows an INSERT. (MEMORY_LIMIT_EXCEEDED)"
            raise ServerError(MEMORY_LIMIT_EXCEEDED, what)
        return size

    def _user(self, parameters: dict[str, str]) -> User:
        name, password = parameters.get("user", "default"), parameters.get("password", "")
        kind, _, encoded = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                name = ""  # nobody's
        name = self.headers.get("X-ClickHouse-User", name)
        return self._parts.users.admit(name, self.headers.get("X-ClickHouse-Key", password))

    def _execute(self, user: User, may_write: bool, parameters: dict[str, str], body: bytes) -> HttpAnswer:
        sql, data = _query_of(parameters.get("query", ""), body)
        if "1" in (parameters.get("compress"), parameters.get("decompress")):
            raise ServerError(NOT_IMPLEMENTED, "compress=1 and decompress=1 are not supported; use Content-Encoding.")
        if not sql.strip():
            raise ServerError(SYNTAX_ERROR, "Empty query (SYNTAX_ERROR)")
        with closing(self._parts.engine.session(not may_write)) as engine:
            if database := self.headers.get("X-ClickHouse-Database", parameters.get("database", "")):
                engine.use(database)
            given = {name: value for name, value in parameters.items() if not name.startswith("param_")}
            engine.apply({name: (given[name], True) for name in given.keys() - _OF_THE_INTERFACE})
            default = parameters.get("default_format") or self.headers.get("X-ClickHouse-Format") or "TabSeparated"
            values = {name[6:]: value for name, value in parameters.items() if name.startswith("param_")}
            return self._run(engine, sql, data, default, values, may_write)

    def _run(
        self, engine: EngineSession, sql: str, data: bytes, default: str, values: dict[str, str], may_write: bool
    ) -> HttpAnswer:
        statement = statements.parse(sql, not may_write)
        told = statements.format_of(sql)
        match statement:
            case Insert():
                with self._parts.writing():
                    return HttpAnswer(b"", told, engine.insert(statement, [data], told or "Values"))
            case InsertInput():
                raise ServerError(NOT_IMPLEMENTED, "input() is not supported over HTTP; use the native protocol.")
            case Select(text) if (told or default) == "Native" and not values:
                with self._parts.watch.over(self.connection, engine.tag):
                    return HttpAnswer(b"".join(engine.run(Select(text))), "Native")
            case Select():
                with self._parts.watch.over(self.connection, engine.tag):
                    return HttpAnswer(engine.formatted(sql, default, values), told or default)
            case _:
                with self._parts.writing(), self._parts.watch.over(self.connection, engine.tag):
                    return HttpAnswer(engine.formatted(sql, default, values), told or default)

    def _packed(self, data: bytes, parameters: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        wanted = parameters.get("enable_http_compression") == "1" and "gzip" in self.headers.get("Accept-Encoding", "")
        return (gzip.compress(data, 1), {"Content-Encoding": "gzip"}) if wanted else (data, {})


def _query_of(query: str, body: bytes) -> tuple[str, bytes]:
    """The statement and its rows: the body is one of them, or one after the other, or the rest of the statement."""
    if not query.strip():
        found = _WITH_ROWS.match(body)
        end = found.end() if found else len(body)
        return body[:end].decode("utf-8", "replace"), body[end:]
    if query.lstrip()[:6].upper() == "INSERT":
        return query, body
    return f"{query}\n{body.decode('utf-8', 'replace')}" if body else query, b""
