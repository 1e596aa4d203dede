"""Record batches as no honest client makes them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

NOW_TS: Final = 1_790_000_000_000
_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_LENGTH, _CODEC, _LAST_DELTA, _COUNT = 1, 5, 6, 12
_CRC_AT, _CRC_FROM, _AFTER_LENGTH = 17, 21, 12

RawRecord = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]


def batch(records: Sequence[RawRecord], timestamp: int = NOW_TS, deltas: Sequence[int] | None = None) -> bytes:
    """The batch that a client would make of the records (key, value, headers), not compressed.

    `deltas` are the records' offsets in it, which a client would count.
    """
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    for number, (key, value, headers) in zip(deltas or range(len(records)), records, strict=True):
        builder.append(number, timestamp, key, value, list(headers))
    return bytes(builder.build())


def with_records(made: bytes, records: bytes, codec: int = 0, count: int | None = None) -> bytes:
    """The batch with other bytes for its records, its header and checksum as they must be then."""
    header = list(_HEADER.unpack_from(made))
    header[_LENGTH] = _HEADER.size - _AFTER_LENGTH + len(records)
    header[_CODEC] |= codec
    if count is not None:
        header[_COUNT], header[_LAST_DELTA] = count, count - 1
    changed = bytearray(_HEADER.pack(*header) + records)
    struct.pack_into(">I", changed, _CRC_AT, calc_crc32c(bytes(changed[_CRC_FROM:])))
    return bytes(changed)


def records_of(made: bytes) -> bytes:
    """The bytes of a batch's records."""
    return made[_HEADER.size :]
