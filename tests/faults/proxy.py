"""A way to ClickHouse that can be cut in the middle of an INSERT."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Final, Self

from common.settings import host_port

_PIECE: Final = 65_536
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing sends a reset, as a firewall or a crash would."""


class Proxy:
    """Passes bytes on between clients and one server. `cuts` counts the INSERTs it has cut."""

    def __init__(self, target: str) -> None:
        self.cuts = 0
        self._target = host_port(target)
        self._to_cut = 0
        self._cut = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()

    @property
    def address(self) -> str:
        """host:port"""
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        # A thread in `accept` does not see a mere close.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._open):
            self._end(one)

    def cut(self, inserts: int, seconds: float) -> None:
        """Cut so many of the INSERTs that come, each after half of its data; return when it is done."""
        with self._cut:
            self._to_cut, wanted = inserts, self.cuts + inserts
            assert self._cut.wait_for(lambda: self.cuts >= wanted, seconds), f"{self.cuts} of {wanted} INSERTs cut"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, timeout=10)
        except OSError:
            self._end(client)
            return
        server.settimeout(None)
        self._open |= {client, server}
        threading.Thread(target=self._send_on, args=(client, server), daemon=True).start()
        threading.Thread(target=self._send_back, args=(client, server), daemon=True).start()

    def _send_on(self, client: socket.socket, server: socket.socket) -> None:
        inserting = False
        with contextlib.suppress(OSError):
            while piece := client.recv(_PIECE):
                if inserting and self._may_cut():
                    server.sendall(piece[: len(piece) // 2])
                    break
                server.sendall(piece)
                # The statement goes alone, its data after it.
                inserting = b"INSERT INTO" in piece and b"input(" in piece
        self._end(client)
        self._end(server)

    def _send_back(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := server.recv(_PIECE):
                client.sendall(piece)
        self._end(client)
        self._end(server)

    def _may_cut(self) -> bool:
        with self._cut:
            if not self._to_cut:
                return False
            self._to_cut -= 1
            self.cuts += 1
            self._cut.notify_all()
            return True

    def _end(self, one: socket.socket) -> None:
        self._open.discard(one)
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            # Wakes the thread that reads from it.
            one.shutdown(socket.SHUT_RDWR)
        one.close()
