"""The partition that Kafka's clients choose for a key, by how many there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Self

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


MOVES_MS: Final = 7 * 86_400_000
"""For so long after topics were widened devices take along what was kept of them: as long as telemetry is kept."""
HURRY_MS: Final = 900_000
"""For so long after it most of them come: clients hear of new partitions within 5 min by default. Three times that."""


@dataclass(frozen=True, slots=True)
class Widths:
    """How many partitions telemetry has and had: each count with the time of the log, epoch ms, since which it is
    known. Counts rise, for no topic can be narrowed."""

    counts: tuple[tuple[int, int], ...] = ()

    @property
    def now(self) -> int:
        """How many there are; 0 where it is not known yet."""
        return self.counts[-1][0] if self.counts else 0

    @property
    def since_ts(self) -> int:
        """Since when there are so many; 0 where there never were less."""
        return self.counts[-1][1] if len(self.counts) > 1 else 0

    def widened(self, count: int, ts: int) -> Self:
        """These and, where there are more by now, how many there are."""
        return type(self)((*self.counts, (count, ts))) if count > self.now else self

    def former(self, ts: int) -> list[int]:
        """How many there were before topics were widened not long before `ts`, the newest count first."""
        follow = zip(self.counts, self.counts[1:], strict=False)
        return [count for (count, _), (_, until) in follow if ts - until <= MOVES_MS][::-1]

    def hurry(self, ts: int) -> bool:
        """Whether they were widened a moment ago."""
        return len(self.counts) > 1 and ts - self.since_ts <= HURRY_MS

    @classmethod
    def from_json(cls, kept: Any) -> Self:
        """Read them back; none where they are none."""
        counts = []
        for pair in kept if isinstance(kept, list) else ():
            match pair:
                case [int(count), int(ts)]:
                    counts.append((count, ts))
        return cls(tuple(counts))


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
