"""The conversation with one client, from its hello to its end."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from embedded.clickhouse import blocks, statements, wire
from embedded.clickhouse.engine import Engine
from embedded.clickhouse.errors import (
    MEMORY_LIMIT_EXCEEDED,
    NOT_IMPLEMENTED,
    QUERY_WAS_CANCELLED,
    DisconnectedError,
    ProtocolError,
    ServerError,
)
from embedded.clickhouse.statements import Insert, InsertInput, Select, Statement
from embedded.clickhouse.users import User, Users
from embedded.clickhouse.watch import ClientWatch, wants_to_stop
from embedded.clickhouse.wire import ClientPacket, ServerPacket

_HELLO_SECONDS = 10.0  # What connects and says nothing is no client.
_MAX_BLOCK_BYTES = 1 << 30  # A driver's largest block is about a million rows.
_MAX_INSERT_BYTES = 1 << 30  # An INSERT is held in memory until it is complete.
_HTTP = (b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI")
_SETTING_IMPORTANT = 1


@dataclass(frozen=True)
class Query:
    """What a Query packet says."""

    sql: str
    settings: dict[str, tuple[str, bool]]  # value, is it important
    compressed: bool


class Writing(Protocol):
    """Gives a context that keeps the server from stopping while a statement writes."""

    def __call__(self) -> AbstractContextManager[None]: ...


class Session:
    """Serves one client on its own thread."""

    def __init__(
        self,
        sock: socket.socket,
        engine: Engine,
        users: Users,
        watch: ClientWatch,
        writing: Writing,
    ) -> None:
        self._socket = sock
        self._cursor = wire.SocketCursor(sock, _MAX_BLOCK_BYTES)
        self._chdb = engine
        self._users = users
        self._watch = watch
        self._writing = writing

    def serve(self) -> None:
        """Talk until the client goes; raise `ProtocolError` if it does not speak the protocol."""
        self._socket.settimeout(_HELLO_SECONDS)
        with self._told():
            self._user, database = self._read_hello()
        with closing(self._chdb.session(self._user.reads_only)) as self._engine:
            if database:
                with self._told():
                    self._engine.use(database)
            self._send(_hello(self._chdb.version))
            self._converse()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell the client what keeps it from being let in, and end."""
        try:
            yield
        except ServerError as error:
            self._send(exception_packet(error))
            raise ProtocolError(error.message) from error

    def _converse(self) -> None:
        self._socket.settimeout(None)
        while True:
            self._cursor.forget()
            packet = self._cursor.varint()  # where a client may leave
            try:
                self._answer(packet)
            except DisconnectedError as error:
                raise ProtocolError("it left in the middle of a statement") from error

    def _read_hello(self) -> tuple[User, str]:
        self._cursor.need(1)
        self._refuse_http()
        if self._cursor.varint() != ClientPacket.HELLO:
            raise ProtocolError("it did not begin with the hello of the ClickHouse native protocol")
        self._cursor.string()  # the client's name
        self._cursor.varint(), self._cursor.varint()  # its version
        revision = self._cursor.varint()
        database, user, password = (self._cursor.string() for _ in range(3))
        if revision < wire.REVISION:
            raise ServerError(
                NOT_IMPLEMENTED,
                f"The client's protocol revision {revision} is older than {wire.REVISION}; "
                "use a client of 2022 or later.",
            )
        return self._users.admit(user, password), database

    def _refuse_http(self) -> None:
        if bytes(self._cursor.buffer[:4]) in _HTTP:
            text = "This port speaks the ClickHouse native protocol, not HTTP, for which there is another.\n"
            head = f"HTTP/1.0 400 Bad Request\r\nContent-Length: {len(text)}\r\n\r\n"
            self._send((head + text).encode())
            raise ProtocolError("it spoke HTTP; this port speaks the ClickHouse native protocol")

    def _answer(self, packet: int) -> None:
        match packet:
            case ClientPacket.PING:
                self._send(wire.varint(ServerPacket.PONG))
            case ClientPacket.QUERY:
                self._answer_query(self._read_query())
            case ClientPacket.CANCEL:
                pass  # came too late: its statement has ended
            case _:
                raise ProtocolError(f"it sent packet {packet} where a statement was due")

    def _answer_query(self, query: Query) -> None:
        if query.compressed:
            # Its blocks are compressed too, so nothing after this can be understood.
            self._send(exception_packet(_NO_COMPRESSION))
            self._read_to_end()
            raise ProtocolError("it asked for compression, which is not supported")
        try:
            self._read_external_tables()
            self._engine.apply(query.settings)
            statement = statements.parse(query.sql, self._user.reads_only)
            if self._cancelled_already():
                self._send(_END)
            else:
                self._execute(statement)
        except ServerError as error:
            cancelled = error.code == QUERY_WAS_CANCELLED and wants_to_stop(self._socket)
            self._send(_END if cancelled else exception_packet(error))

    def _execute(self, statement: Statement) -> None:
        match statement:
            case Insert() | InsertInput():
                self._insert(statement)
            case Select():
                with self._watch.over(self._socket, self._engine.tag):
                    self._send_result(self._engine.run(statement))
            case _:
                with self._writing(), self._watch.over(self._socket, self._engine.tag):
                    self._send_result(self._engine.run(statement))

    def _send_result(self, result: Iterable[bytes]) -> None:
        rows = count = size_bytes = 0
        for block in result:
            self._send(_DATA + blocks.BLOCK_INFO, block)
            rows, count, size_bytes = (
                rows + blocks.rows_in(block),
                count + 1,
                size_bytes + len(block),
            )
        self._send(_progress(rows, size_bytes) + _profile(rows, count, size_bytes) + _END)

    def _insert(self, insert: Insert | InsertInput) -> None:
        self._send(_DATA + blocks.BLOCK_INFO, blocks.empty_block(self._engine.columns(insert)))
        data = self._read_insert_blocks()
        with self._writing():
            written_rows = self._engine.insert(insert, data)
            self._send(_progress(0, 0, written_rows, sum(map(len, data))) + _END)

    def _read_insert_blocks(self) -> list[bytes]:
        """Return all blocks of an INSERT: none reaches chDB before the last has arrived."""
        data: list[bytes] = []
        size_bytes = 0
        while block := self._read_block():
            size_bytes += len(block)
            if size_bytes <= _MAX_INSERT_BYTES:
                data.append(block)
            else:
                data.clear()  # read on, so that the client comes to hear of it
        if size_bytes > _MAX_INSERT_BYTES:
            raise ServerError(
                MEMORY_LIMIT_EXCEEDED,
                f"The INSERT has {size_bytes} bytes, more than the {_MAX_INSERT_BYTES} the "
                "embedded ClickHouse holds; send fewer rows an INSERT. (MEMORY_LIMIT_EXCEEDED)",
            )
        return data

    def _read_block(self) -> bytes:
        """Return the next block of an INSERT; nothing if it is the empty one that ends it."""
        self._cursor.forget()
        if (packet := self._cursor.varint()) != ClientPacket.DATA:
            raise ProtocolError(f"it sent packet {packet} in the middle of an INSERT")
        self._cursor.string()  # the table's name, for external tables only
        blocks.skip_block_info(self._cursor)
        start = self._cursor.position
        shape = blocks.skip_block(self._cursor)
        if shape.columns == 0:
            return b""
        return bytes(memoryview(self._cursor.buffer)[start : self._cursor.position])

    def _read_external_tables(self) -> None:
        """Read up to the empty block that follows every query."""
        refused = False
        while self._read_block():
            refused = True
        if refused:
            raise ServerError(NOT_IMPLEMENTED, "External tables are not supported.")

    def _read_query(self) -> Query:
        cursor = self._cursor
        cursor.string()  # query id: chDB gives its own
        self._skip_client_info()
        settings = {}
        while name := cursor.string():
            important = bool(cursor.varint() & _SETTING_IMPORTANT)
            settings[name] = (cursor.string(), important)
        cursor.string()  # secret between servers
        cursor.varint()  # the stage to process up to
        compressed = bool(cursor.varint())
        return Query(cursor.string(), settings, compressed)

    def _skip_client_info(self) -> None:
        cursor = self._cursor
        if cursor.byte() == 0:  # no query kind: nothing follows
            return
        for _ in range(3):
            cursor.string()  # initial user, query id, address
        cursor.skip(8)  # start time
        if cursor.byte() != 1:
            raise ProtocolError("it claims to come by another interface than TCP")
        for _ in range(3):
            cursor.string()  # system user, host, client
        for _ in range(3):
            cursor.varint()  # version, revision
        cursor.string()  # quota key
        cursor.varint()  # distributed depth
        cursor.varint()  # patch version
        if cursor.byte():
            cursor.skip(16 + 8)  # OpenTelemetry: trace id, span id,
            cursor.string()  # state,
            cursor.skip(1)  # flags
        for _ in range(3):
            cursor.varint()  # parallel replicas

    def _read_to_end(self) -> None:
        """Wait for the client to hang up: closing on unread bytes could lose it our last words."""
        self._socket.settimeout(_HELLO_SECONDS)
        with suppress(DisconnectedError):
            while True:
                self._cursor.fill()
                self._cursor.position = len(self._cursor.buffer)
                self._cursor.forget()

    def _cancelled_already(self) -> bool:
        """Return whether Cancel came so close behind its query that it has been read with it."""
        position = self._cursor.position
        return self._cursor.buffer[position : position + 1] == bytes([ClientPacket.CANCEL])

    def _send(self, *pieces: bytes) -> None:
        try:
            for piece in pieces:
                self._socket.sendall(piece)
        except OSError as error:
            raise DisconnectedError from error


_DATA = wire.varint(ServerPacket.DATA) + wire.string("")
_END = wire.varint(ServerPacket.END_OF_STREAM)
_NO_COMPRESSION = ServerError(
    NOT_IMPLEMENTED,
    "The embedded ClickHouse does not compress; connect with compression=False (clickhouse-client: --compression 0).",
)


def _hello(version: str) -> bytes:
    major, minor, patch = ([int(part) for part in version.split(".")] + [0, 0])[:3]
    return b"".join(
        (
            wire.varint(ServerPacket.HELLO),
            wire.string("ClickHouse"),
            *map(wire.varint, (major, minor, wire.REVISION)),
            wire.string("UTC"),
            wire.string("emberline embedded"),
            wire.varint(patch),
        )
    )


def exception_packet(error: ServerError) -> bytes:
    """Write an error as the packet that tells a client."""
    return b"".join(
        (
            wire.varint(ServerPacket.EXCEPTION),
            struct.pack("<i", error.code),
            wire.string("DB::Exception"),
            wire.string(f"DB::Exception: {error.message}"),
            wire.string(""),  # stack trace
            b"\x00",  # no nested exception
        )
    )


def _progress(rows: int, size_bytes: int, written_rows: int = 0, written_bytes: int = 0) -> bytes:
    numbers = (ServerPacket.PROGRESS, rows, size_bytes, 0, written_rows, written_bytes)
    return b"".join(map(wire.varint, numbers))


def _profile(rows: int, count: int, size_bytes: int) -> bytes:
    numbers = (ServerPacket.PROFILE_INFO, rows, count, size_bytes)
    return b"".join(map(wire.varint, numbers)) + b"\x00" + wire.varint(rows) + b"\x00"
