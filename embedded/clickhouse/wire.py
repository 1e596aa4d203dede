"""The native protocol's bytes: a cursor to read them, functions to write them, packet numbers."""

from __future__ import annotations

import socket
from enum import IntEnum

from embedded.clickhouse.errors import DisconnectedError, ProtocolError

REVISION = 54453
"""Just below 54454, from which every column carries a custom-serialization byte that chDB's
`Native` format lacks."""

_RECV_BYTES = 1 << 18  # About what a local socket hands over at once.
_MAX_STRING_BYTES = 16 << 20  # Statements and names; the values of columns never pass through here.
_MAX_VARINT_BYTES = 10  # 64 bits, seven at a time.


class ClientPacket(IntEnum):
    """What clients send."""

    HELLO = 0
    QUERY = 1
    DATA = 2
    CANCEL = 3
    PING = 4


class ServerPacket(IntEnum):
    """What servers send."""

    HELLO = 0
    DATA = 1
    EXCEPTION = 2
    PROGRESS = 3
    PONG = 4
    END_OF_STREAM = 5
    PROFILE_INFO = 6


class Cursor:
    """A position in bytes; a subclass may add to the bytes when they run out."""

    def __init__(self, data: bytes | bytearray = b"") -> None:
        self.buffer = bytearray(data)
        self.position = 0

    def fill(self) -> None:
        """Add at least one byte to the buffer, or raise."""
        raise ProtocolError("the data ends in the middle of a value")

    def need(self, count: int) -> None:
        """Make sure `count` bytes from the position on are in the buffer."""
        end = self.position + count
        while len(self.buffer) < end:
            self.fill()

    def skip(self, count: int) -> None:
        """Step over `count` bytes."""
        self.need(count)
        self.position += count

    def take(self, count: int) -> bytes:
        """Read `count` bytes."""
        start = self.position
        self.skip(count)
        return bytes(self.buffer[start : self.position])

    def byte(self) -> int:
        """Read one byte."""
        self.need(1)
        self.position += 1
        return self.buffer[self.position - 1]

    def uint64(self) -> int:
        """Read a little-endian unsigned 64-bit integer."""
        return int.from_bytes(self.take(8), "little")

    def varint(self) -> int:
        """Read an integer of seven bits a byte, the lowest first."""
        value = 0
        for index in range(_MAX_VARINT_BYTES):
            part = self.byte()
            value |= (part & 0x7F) << (7 * index)
            if part < 0x80:
                return value
        raise ProtocolError("a number has no end")

    def string(self) -> str:
        """Read a length and that many bytes of UTF-8."""
        length = self.varint()
        if length > _MAX_STRING_BYTES:
            raise ProtocolError(f"a string of {length} bytes is longer than {_MAX_STRING_BYTES}")
        return self.take(length).decode("utf-8", "replace")

    def forget(self) -> None:
        """Drop the bytes before the position."""
        del self.buffer[: self.position]
        self.position = 0


class SocketCursor(Cursor):
    """A cursor over what arrives on a socket, holding at most `limit_bytes` of it."""

    def __init__(self, sock: socket.socket, limit_bytes: int) -> None:
        super().__init__()
        self._socket = sock
        self._limit_bytes = limit_bytes

    def fill(self) -> None:
        received = self._socket.recv(_RECV_BYTES)
        if not received:
            raise DisconnectedError
        self.buffer += received

    def need(self, count: int) -> None:
        if self.position + count > self._limit_bytes:
            raise ProtocolError(f"a block is larger than {self._limit_bytes} bytes")
        super().need(count)


def varint(value: int) -> bytes:
    """Write an integer as `Cursor.varint` reads it."""
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def string(text: str) -> bytes:
    """Write a string as `Cursor.string` reads it."""
    data = text.encode()
    return varint(len(data)) + data
