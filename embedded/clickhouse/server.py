"""Listener, one thread a client, and a stop that lets running inserts end."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from embedded.clickhouse.engine import Engine
from embedded.clickhouse.errors import (
    ABORTED,
    TOO_MANY_CONNECTIONS,
    DisconnectedError,
    ProtocolError,
    ServerError,
    is_the_end,
)
from embedded.clickhouse.http_session import HttpSession, ServerParts
from embedded.clickhouse.session import Session, exception_packet
from embedded.clickhouse.users import Users
from embedded.clickhouse.watch import ClientWatch

_LOG = logging.getLogger(__name__)

_MAX_CLIENTS = 100  # A thread each; a demo has a dozen.
_WRITES_END_SECONDS = 10.0  # The longest a stop waits for running writes.
_THREADS_END_SECONDS = 1.0  # For clients to be let go after that; chDB is consistent without.


class ClickHouseServer:
    """A ClickHouse server on two listening sockets, of the native protocol and of HTTP."""

    def __init__(self, engine: Engine, native: socket.socket, http: socket.socket, users: Users) -> None:
        self._listeners = (native, http)
        for listener in self._listeners:
            listener.setblocking(False)  # a client may go between select and accept
        self._http = http
        self._parts = ServerParts(engine, users, ClientWatch(engine.kill), self._writing)
        self._wake, self._woken = socket.socketpair()
        self._clients: dict[str, tuple[socket.socket, threading.Thread]] = {}
        self._changed = threading.Condition()
        self._writes = 0
        self._stopping = False
        self._accepted = 0
        self.failed = False

    def serve(self) -> bool:
        """Serve until `stop` is called or chDB fails, then end in order; return whether all clients are gone."""
        with selectors.DefaultSelector() as selector:
            for one in (*self._listeners, self._woken):
                selector.register(one, selectors.EVENT_READ)
            while self._woken not in (ready := [key.fileobj for key, _ in selector.select()]):
                for listener in self._listeners:
                    if listener in ready:
                        self._accept(listener)
        return self._end()

    def stop(self) -> None:
        """Make `serve` end; may be called from a signal handler and from any thread."""
        self._wake.send(b"\x00")

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, address = listener.accept()
        except OSError as error:  # the client went already, or no descriptor is free
            _LOG.warning("cannot accept a connection: %s", error)
            return
        self._accepted += 1
        tag = f"emberline-{self._accepted}"
        peer = "{}:{}".format(*address[:2])
        http = listener is self._http
        thread = threading.Thread(target=self._serve, args=(sock, tag, peer, http), name=tag, daemon=True)
        with self._changed:
            full = len(self._clients) >= _MAX_CLIENTS
            if not full:
                self._clients[tag] = (sock, thread)
        if full:
            _refuse(sock, http)
            return
        thread.start()

    def _serve(self, sock: socket.socket, tag: str, peer: str, http: bool) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._converse(sock, http)
        except DisconnectedError:
            _LOG.debug("%s left", peer)
        except ProtocolError as error:
            _LOG.warning("dropped %s: %s", peer, error)
        except OSError as error:
            _LOG.warning("lost %s: %s", peer, error)
        except Exception as error:
            if is_the_end(error):
                self._fail()
            else:
                _LOG.exception("dropped %s after an error of the server", peer)
        finally:
            sock.close()
            with self._changed:
                self._clients.pop(tag, None)
                self._changed.notify_all()

    def _converse(self, sock: socket.socket, http: bool) -> None:
        if http:
            HttpSession(sock, self._parts)
        else:
            Session(sock, self._parts.engine, self._parts.users, self._parts.watch, self._parts.writing).serve()

    def _fail(self) -> None:
        """End, for the next to go on: what clients were told is stored is stored."""
        with self._changed:
            again, self.failed = self.failed, True
        if not again:
            self.stop()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._changed:
            if self._stopping:
                raise ServerError(ABORTED, "The server is shutting down. (ABORTED)")
            self._writes += 1
        try:
            yield
        finally:
            with self._changed:
                self._writes -= 1
                self._changed.notify_all()

    def _end(self) -> bool:
        for listener in self._listeners:
            listener.close()
        with self._changed:
            self._stopping = True
            if not self._changed.wait_for(lambda: not self._writes, _WRITES_END_SECONDS):
                _LOG.warning("stopping although %d statements still write", self._writes)
            clients = list(self._clients.values())
        for sock, _ in clients:
            _hang_up(sock)  # which also makes the watch stop what they run
        deadline = time.monotonic() + _THREADS_END_SECONDS
        for _, thread in clients:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for _, thread in clients)


def _hang_up(sock: socket.socket) -> None:
    with suppress(OSError):  # gone already
        sock.shutdown(socket.SHUT_RDWR)


def _refuse(sock: socket.socket, http: bool) -> None:
    error = ServerError(TOO_MANY_CONNECTIONS, f"More than {_MAX_CLIENTS} clients are connected.")
    text = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    with sock, suppress(OSError):  # it left before it was refused
        sock.sendall(text if http else exception_packet(error))
