"""Notices, while a statement runs, that its client cancels it or is gone, and stops it.

The thread that serves the client is inside chDB then and cannot look. One thread watches the
sockets of all running statements.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from embedded.clickhouse.errors import ServerError
from embedded.clickhouse.wire import ClientPacket

_LOG = logging.getLogger(__name__)


_KILL_AGAIN_SECONDS = 0.05  # A kill may come before chDB has begun the statement it is for.


class ClientWatch:
    """Calls `kill(tag)` when a watched client sends Cancel or closes its connection."""

    def __init__(self, kill: Callable[[str], None]) -> None:
        self._kill = kill
        self._selector = selectors.DefaultSelector()
        self._changing = threading.Lock()
        self._to_kill: set[str] = set()
        threading.Thread(target=self._run, name="client-watch", daemon=True).start()

    @contextmanager
    def over(self, sock: socket.socket, tag: str) -> Iterator[None]:
        """Watch a client for as long as its statement runs."""
        with self._changing:
            self._selector.register(sock, selectors.EVENT_READ, tag)
        try:
            yield
        finally:
            with self._changing:
                self._forget(sock)
                self._to_kill.discard(tag)

    def _run(self) -> None:
        while True:
            ready = self._selector.select(_KILL_AGAIN_SECONDS if self._to_kill else None)
            with self._changing:
                for key, _ in ready:
                    self._look(key)
                for tag in self._to_kill:
                    self._try_kill(tag)

    def _look(self, key: selectors.SelectorKey) -> None:
        sock = cast(socket.socket, key.fileobj)
        watched = self._forget(sock)  # one look: what is unread stays readable
        if watched and wants_to_stop(sock):
            self._to_kill.add(key.data)

    def _forget(self, sock: socket.socket) -> bool:
        try:
            self._selector.unregister(sock)
        except (KeyError, ValueError):
            return False
        return True

    def _try_kill(self, tag: str) -> None:
        try:
            self._kill(tag)
        except ServerError as error:
            _LOG.warning("cannot stop the statement of %s: %s", tag, error)


def wants_to_stop(sock: socket.socket) -> bool:
    """Return whether a client has sent Cancel or gone, leaving what it sent unread."""
    try:
        peeked = sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return not peeked or peeked[0] == ClientPacket.CANCEL
