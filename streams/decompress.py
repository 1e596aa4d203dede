"""The records of a batch, decompressed within a bound: a kilobyte may stand for a gigabyte."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import cramjam
import numpy as np

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
"""How a batch's header names them."""
_GZIP_FORM: Final = 16 + zlib.MAX_WBITS
_PIECES_MOST: Final = 65_536
"""Pieces of a batch that are compressed each by itself [ours]: Java's snappy writes one for 32 KiB, gzip one in all."""
_FEED_BYTES: Final = 65_536
"""So much is given to gzip at once: what follows the end of a piece is copied each time."""
_XERIAL: Final = b"\x82SNAPPY\x00"
"""What Java's snappy begins with: after 8 more bytes come pieces, each after its length."""


class TooLargeError(Exception):
    """More than is allowed would come out."""


class UnreadableError(Exception):
    """Not what its header says it is."""


def decompress(codec: int, packed: bytes, most: int) -> bytes:
    """What was compressed. Raises TooLargeError where it is more than `most` bytes, UnreadableError for all else."""
    if codec not in _CODECS:
        raise UnreadableError(f"nobody knows codec {codec}")
    try:
        return _CODECS[codec](packed, most)
    except (zlib.error, cramjam.DecompressionError, ValueError, OverflowError) as error:
        raise UnreadableError(str(error)) from error


def _gzip(packed: bytes, most: int) -> bytes:
    found = bytearray()
    unpacking = zlib.decompressobj(_GZIP_FORM)
    pieces, begin, fed = 1, 0, b""
    while fed or begin < len(packed):
        if not fed:
            fed, begin = packed[begin : begin + _FEED_BYTES], begin + _FEED_BYTES
        if unpacking.eof:
            pieces += 1
            if pieces > _PIECES_MOST:
                raise UnreadableError(f"more than {_PIECES_MOST} pieces")
            unpacking = zlib.decompressobj(_GZIP_FORM)
        found += unpacking.decompress(fed, most + 1 - len(found))
        if len(found) > most:
            raise TooLargeError
        fed = unpacking.unconsumed_tail or unpacking.unused_data
    if not unpacking.eof:
        raise UnreadableError("it ends in the middle")
    return bytes(found)


def _snappy(packed: bytes, most: int) -> bytes:
    if packed[:8] != _XERIAL:
        return _snappy_piece(packed, most)
    found, begin = bytearray(), 16
    for _ in range(_PIECES_MOST):
        if begin >= len(packed):
            return bytes(found)
        size = int.from_bytes(packed[begin : begin + 4], signed=True)
        piece = packed[begin + 4 : begin + 4 + max(0, size)]
        if not piece or len(piece) < size:
            raise UnreadableError("a piece is shorter than it says")
        found += _snappy_piece(piece, most - len(found))
        begin += 4 + size
    raise UnreadableError(f"more than {_PIECES_MOST} pieces")


def _snappy_piece(piece: bytes, most: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(piece) > most:
        raise TooLargeError
    return bytes(cramjam.snappy.decompress_raw(piece))


def _lz4(packed: bytes, most: int) -> bytes:
    return _into(cramjam.lz4.decompress_into, packed, most)


def _zstd(packed: bytes, most: int) -> bytes:
    return _into(cramjam.zstd.decompress_into, packed, most)


def _into(unpack: Callable[[Any, Any], int], packed: bytes, most: int) -> bytes:
    # Memory that nothing is written to costs nothing.
    room = np.empty(most, np.uint8)
    try:
        return room[: unpack(packed, room)].tobytes()
    except cramjam.DecompressionError as error:
        if "write whole buffer" in str(error):
            raise TooLargeError from error
        raise


_CODECS: Final[Mapping[int, Callable[[bytes, int], bytes]]] = {GZIP: _gzip, SNAPPY: _snappy, LZ4: _lz4, ZSTD: _zstd}
