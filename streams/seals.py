"""What shows that a record of the checkpoints topic is whole, and which of several holders of its partition wrote it.

    value  what the record says | the epoch of its writer, 8 bytes | a checksum, 4 bytes

The checksum covers the topic ids in the record's header, the key, and all bytes before it. So a record that is damaged,
cut off or under another key is noticed. It is no secret: whoever may write to the topic can make one, and only the
broker's ACLs keep others from that.

Each holder of a partition has an epoch one above the highest that it finds. So what a predecessor writes after it is
known to be older. This is not the epoch of the transactional id: that begins at 0 again where a broker has forgotten
the id.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple
from zlib import crc32

from detectors.checkpoints.encode import is_row
from detectors.checkpoints.layout import VERSION

_SEAL: Final = struct.Struct("<QI")
_EPOCH: Final = struct.Struct("<Q")
EPOCH_MOST: Final = 2**63 - 1
"""No count of holders comes near it."""
_UNSEALED: Final = tuple(bytes([version]) for version in range(2, VERSION))
"""How the values of releases began whose rows had no seal."""


class SealError(ValueError):
    """The record is not whole; the text says why."""


class Opened(NamedTuple):
    """What a record says, and the epoch of its writer: 0 where it is of a release that had none."""

    value: bytes
    epoch: int


def sealed(key: bytes, value: bytes, topic_ids: bytes, epoch: int) -> bytes:
    """The value of a record that says this."""
    told = value + _EPOCH.pack(epoch)
    return told + crc32(told, crc32(key, crc32(topic_ids))).to_bytes(4, "little")


def opened(key: bytes, value: bytes, topic_ids: bytes) -> Opened:
    """The reverse of `sealed`. Raises SealError where the record is not as it was written."""
    if is_row(key) and value.startswith(_UNSEALED):
        return Opened(value, 0)
    if len(value) < _SEAL.size:
        raise SealError(f"it is cut off after {len(value)} bytes")
    epoch, checksum = _SEAL.unpack_from(value, len(value) - _SEAL.size)
    if crc32(memoryview(value)[:-4], crc32(key, crc32(topic_ids))) != checksum:
        raise SealError("its checksum is another: it is damaged, cut off, or not under its own key")
    if epoch > EPOCH_MOST:
        raise SealError(f"its writer's epoch is {epoch}")
    return Opened(value[: -_SEAL.size], epoch)
