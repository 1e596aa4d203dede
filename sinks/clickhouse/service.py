"""Connections to ClickHouse, and the one place that decides whether to try again: by error code, with a deadline.

The driver's Client is for one thread at a time, so each thread gets its own.
"""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from clickhouse_driver import errors

from sinks.clickhouse.config import Config
from sinks.clickhouse.reach import obstacle
from sinks.clickhouse.wire import BlockClient
from sinks.contract import SinkRefused, SinkTakenOver, SinkUnavailable

T = TypeVar("T")
Codes = errors.ErrorCodes

FIRST_PAUSE_S: Final = 0.1
MAX_PAUSE_S: Final = 5.0
"""Pauses double up to this: a server that comes back is found within it, a busy one is asked 12 times a minute."""
TELL_EVERY_S: Final = 10.0
"""The tables' threads try again, each up to ten times a second; what they wait for is told this often."""

NO_ANSWER: Final = frozenset({Codes.NETWORK_ERROR, Codes.SOCKET_TIMEOUT})
NOT_ITS_PROTOCOL: Final = frozenset({Codes.NETWORK_ERROR, Codes.UNEXPECTED_PACKET_FROM_SERVER})
"""What comes of speaking plainly where TLS is wanted, or the other way round: no answer, or one nobody can read."""
BUSY: Final = {
    Codes.TOO_MANY_PARTS: "it cannot merge as fast as it is written to; write fewer, larger blocks or look at its disk",
    Codes.MEMORY_LIMIT_EXCEEDED: "its memory is used up; raise max_server_memory_usage or find the query that takes it",
    Codes.NOT_ENOUGH_SPACE: "its disk is full; make room",
    Codes.CANNOT_WRITE_TO_FILE_DESCRIPTOR: "it cannot write to its disk; look at its log",
    Codes.TOO_MANY_SIMULTANEOUS_QUERIES: "it has too many queries; raise max_concurrent_queries or use fewer clients",
    Codes.NO_FREE_CONNECTION: "it has no free connection; raise max_connections or use fewer clients",
    Codes.TIMEOUT_EXCEEDED: "it takes too long; look at its load",
    Codes.TABLE_IS_READ_ONLY: "the table is read-only; look at its replication and its disk",
    Codes.KEEPER_EXCEPTION: "its Keeper does not work; look at its log",
    Codes.UNKNOWN_STATUS_OF_INSERT: "its Keeper does not work; look at its log",
    Codes.ABORTED: "it is being shut down; start it again",
    Codes.QUERY_WAS_CANCELLED: "somebody cancelled the query, or it is being shut down",
    Codes.QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING: "an INSERT of another worker has not ended; see system.processes",
    Codes.ATTEMPT_TO_READ_AFTER_EOF: "the connection broke off",
    Codes.CANNOT_READ_ALL_DATA: "the connection broke off",
}
"""What passes by itself or by an operator's hand while we wait, and what to do about it. All other codes are final."""
TABLE_IS_PERMANENTLY_READ_ONLY: Final = 774
"""Of newer servers; the driver does not know it."""
REFUSED: Final = {
    Codes.UNKNOWN_TABLE: "the tables are not there or not ours; run `emberline migrate`",
    Codes.UNKNOWN_DATABASE: "the database is not there; run `emberline migrate`",
    Codes.NO_SUCH_COLUMN_IN_TABLE: "the tables are not of this version; run `emberline migrate`",
    Codes.READONLY: "its user may only read; set readonly to 0 in the user's profile",
    TABLE_IS_PERMANENTLY_READ_ONLY: "a table may only be read; reset its setting table_readonly, or look at its disk",
}
TAKEN_OVER: Final = Codes.FUNCTION_THROW_IF_VALUE_IS_NON_ZERO
"""The only thing our statements throw by themselves: an INSERT whose sink has lost its claim, or its rows."""
ROWS_GONE: Final = "rows that were stored are gone"
ACCESS: Final = frozenset({192, 193, 194, 497, 516})
"""Unknown user, wrong password, password required, access denied, authentication failed."""

_TAKEN_OVER: Final = (
    "another worker has taken over partitions that this one was about to write: this one stood still for too long, or "
    "the group went on without it; nothing was written, and nothing is lost"
)

_ROWS_GONE: Final = (
    "ClickHouse holds fewer rows than this worker has stored there: it was restored from a backup, or rows were "
    "removed; nothing was written, and the worker that takes over goes back to what ClickHouse holds"
)


class StillRunning(errors.Error):  # type: ignore[misc]
    """An INSERT that another worker left behind has not ended; it may pass."""

    code = Codes.QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING


class TakenOver(errors.Error):  # type: ignore[misc]
    """Another sink has claimed the partition of this number; the server would have said so too."""

    code = TAKEN_OVER


class Service:
    """Runs calls on the thread's own connection until they succeed, are refused, or the deadline passes.

    `tell` hears, in a sentence, what calls are waiting for.
    """

    def __init__(
        self,
        config: Config,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self.config = config
        self._clock = clock
        self._tell = tell
        self._telling = threading.Lock()
        self._told_at: dict[int, float] = {}
        self._closing = threading.Event()
        self._answered = False
        self._local = threading.local()
        self._clients: list[BlockClient] = []

    def call(self, ask: Callable[[BlockClient], T], database: str | None = None) -> T:
        """`ask` is called again after a failure that may pass, so it must be safe to repeat."""
        give_up = self._clock() + self.config.deadline_s
        pause = FIRST_PAUSE_S
        while True:
            try:
                answer = ask(self._client(database))
                self._answered = True
                return answer
            except (errors.Error, EOFError, OSError) as error:
                self._wait_or_raise(error, pause, give_up)
            pause = min(2 * pause, MAX_PAUSE_S)

    def query(self, sql: str, params: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        rows: list[tuple[Any, ...]] = self.call(lambda client: client.execute(sql, params))
        return rows

    def wait(self, seconds: float) -> None:
        """Sleep, but not when closing."""
        self._closing.wait(seconds)

    def close(self) -> None:
        """Let go of the server; a call that waits for it gives up. May be called from any thread."""
        self._closing.set()
        for client in self._clients:
            _hang_up(client)
        for client in self._own().values():
            client.disconnect()

    def _wait_or_raise(self, error: Exception, pause: float, give_up: float) -> None:
        """Return after the pause if it makes sense to try again; otherwise raise the SinkError this is."""
        if code_of(error) == TAKEN_OVER:
            raise SinkTakenOver(
                _ROWS_GONE if ROWS_GONE in str(getattr(error, "message", "")) else _TAKEN_OVER
            ) from None
        if not self._answered and code_of(error) in NOT_ITS_PROTOCOL and (why := obstacle(self.config)):
            raise SinkRefused(f"ClickHouse at {self.config.address} cannot be reached: {why}") from None
        sentence = self._sentence(error)
        if not may_pass(error):
            raise SinkRefused(sentence) from None
        now = self._clock()
        if now + pause > give_up:
            raise SinkUnavailable(f"{sentence} (tried for {self.config.deadline_s:g} s)") from None
        if not self._closing.is_set():
            self._tell_once_in_a_while(code_of(error), f"{sentence}; trying again for {give_up - now:.0f} s", now)
        if self._closing.wait(pause):
            raise SinkUnavailable(sentence) from None

    def _tell_once_in_a_while(self, code: int, sentence: str, now: float) -> None:
        with self._telling:
            if now - self._told_at.get(code, -math.inf) < TELL_EVERY_S:
                return
            self._told_at[code] = now
        self._tell(sentence)

    def _client(self, database: str | None) -> BlockClient:
        wanted = self.config.database if database is None else database
        known = self._own()
        if wanted not in known:
            known[wanted] = self._connect(wanted)
            self._clients.append(known[wanted])
        return known[wanted]

    def _own(self) -> dict[str, BlockClient]:
        """The calling thread's clients, by database."""
        clients: dict[str, BlockClient] = self._local.__dict__.setdefault("clients", {})
        return clients

    def _connect(self, database: str) -> BlockClient:
        config = self.config
        client = BlockClient(
            config.host,
            port=config.port,
            database=database,
            user=config.user,
            password=config.password,
            secure=config.secure,
            ca_certs=config.ca_certs,
            client_name="emberline",
            connect_timeout=config.connect_timeout_s,
            send_receive_timeout=config.request_timeout_s,
            sync_request_timeout=config.connect_timeout_s,
            tcp_keepalive=True,
        )
        if config.ca_certs is None:  # or the driver trusts a list that it brings along, where the system has its own
            client.connection.ssl_options.pop("ca_certs", None)
        return client

    def _sentence(self, error: Exception) -> str:
        """What is wrong and what to do, without the password and without the stack trace a server's text may hold."""
        config, code = self.config, code_of(error)
        if code in ACCESS:
            return f"ClickHouse at {config.address} refuses user {config.user!r}; check user, password and grants"
        if code in NO_ANSWER:
            if config.secure:
                return (
                    f"ClickHouse at {config.address} does not answer by TLS; is it running, and is this its port with "
                    "TLS? Start it, correct host and port, or set EMBERLINE_CLICKHOUSE_TLS=no"
                )
            return f"ClickHouse at {config.address} does not answer; is it running? Start it, or correct host and port"
        advice = BUSY.get(code) or REFUSED.get(code) or _first_line(error, config.password)
        return f"ClickHouse at {config.address}, database {config.database!r}, error {code}: {advice}"


def _hang_up(client: BlockClient) -> None:
    """Wake the thread that waits for an answer; taking the connection apart is for that thread alone."""
    if (connection := client.connection.socket) is not None:
        with suppress(OSError):  # the server went first
            connection.shutdown(socket.SHUT_RDWR)


def may_pass(error: Exception) -> bool:
    """Whether trying the same again may succeed."""
    code = code_of(error)
    return code in NO_ANSWER or code in BUSY


def code_of(error: Exception) -> int:
    """The server's or the driver's error code; what is neither is a broken connection."""
    if isinstance(error, errors.Error) and error.code is not None:
        return int(error.code)
    return int(Codes.NETWORK_ERROR)


def _first_line(error: Exception, password: str) -> str:
    text = (getattr(error, "message", None) or str(error)).partition(" Stack trace:")[0].strip().partition("\n")[0]
    return text.replace(password, "***") if password else text
