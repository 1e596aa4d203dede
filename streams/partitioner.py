"""The partition that Kafka's clients choose for a key."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final

from aiokafka.partitioner import murmur2

from schemas.report_rejects import Reject

KEY_BYTES_MOST: Final = 256
"""Longer keys are not looked at: a device's id has 64 characters at most, and each byte takes time [ours]."""
KEYS_KEPT: Final = 131_072
"""Keys whose partitions are kept, some 20 MB: hashing takes twenty times what looking up takes [measured]."""


def partition_of(key: bytes, partitions: int) -> int:
    """The number of the partition that every client with Kafka's own partitioner puts a record of the key into."""
    number: int = (murmur2(key) & 0x7FFFFFFF) % partitions
    return number


_partition_of = lru_cache(KEYS_KEPT)(partition_of)


def home_of(key: bytes | None, partitions: int) -> int | None:
    """The same, None for a record that has no key to tell by, or one that is too long to look at."""
    return _partition_of(key, partitions) if key and len(key) <= KEY_BYTES_MOST else None


def is_misplaced(key: bytes | None, partition: int, partitions: int) -> bool:
    """Whether a record is in another partition than its key belongs to: its sender hashes keys in another way, or
    knows another number of partitions. Then a device may be in two of them."""
    return home_of(key, partitions) not in (None, partition)


def with_home(reject: Reject, partition: int, partitions: int) -> Reject:
    """The reject; where its key was hashed by another partitioner than Kafka's, it says so."""
    home = home_of(reject.key, partitions)
    if home is None or home == partition:
        return reject
    detail = f"{reject.fault.detail}; by Kafka's murmur2 its key belongs to partition {home}, not {partition}"
    return replace(reject, fault=reject.fault._replace(detail=detail))
