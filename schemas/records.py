"""Consecutive records of one partition, as columns: what decoding is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from schemas.report_rules import Fault

Headers = Sequence[tuple[str, bytes | None]]


class Records(NamedTuple):
    """Consecutive records of one partition, as columns. `timestamps` are the broker's, int64 epoch ms.

    `sent_bytes`, int64[n], is what each took as it was sent: of a compressed batch its share. None is for records that
    were sent as they are. `faults` says by number why records could not be taken from their batch, which are empty; and
    why those are none of ours that say they are control records (`schemas.control`).
    """

    topic: str
    partition: int
    offsets: np.ndarray
    timestamps: np.ndarray
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Headers]
    sent_bytes: np.ndarray | None = None
    faults: Mapping[int, Fault] = MappingProxyType({})

    def between(self, begin: int, end: int) -> Records:
        """The records `begin` to `end`, that one not included."""
        part = slice(begin, end)
        return self._replace(
            offsets=self.offsets[part],
            timestamps=self.timestamps[part],
            keys=self.keys[part],
            values=self.values[part],
            headers=self.headers[part],
            sent_bytes=None if self.sent_bytes is None else self.sent_bytes[part],
            faults={number - begin: fault for number, fault in self.faults.items() if begin <= number < end},
        )

    def only(self, kept: np.ndarray) -> Records:
        """The records where `kept`, bool[n]."""
        chosen = kept.nonzero()[0]
        numbers = chosen.tolist()
        return self._replace(
            offsets=self.offsets[chosen],
            timestamps=self.timestamps[chosen],
            keys=[self.keys[number] for number in numbers],
            values=[self.values[number] for number in numbers],
            headers=[self.headers[number] for number in numbers],
            sent_bytes=None if self.sent_bytes is None else self.sent_bytes[chosen],
            faults={new: self.faults[number] for new, number in enumerate(numbers) if number in self.faults},
        )

    @classmethod
    def joined(cls, parts: Sequence[Records]) -> Records:
        """The records of all parts, which follow each other in one partition."""
        if len(parts) == 1:
            return parts[0]
        *begins, _ = accumulate((len(part.offsets) for part in parts), initial=0)
        return cls(
            topic=parts[0].topic,
            partition=parts[0].partition,
            offsets=np.concatenate([part.offsets for part in parts]),
            timestamps=np.concatenate([part.timestamps for part in parts]),
            keys=[key for part in parts for key in part.keys],
            values=[value for part in parts for value in part.values],
            headers=[headers for part in parts for headers in part.headers],
            sent_bytes=(
                None
                if all(part.sent_bytes is None for part in parts)
                else np.concatenate([part.bytes_sent() for part in parts])
            ),
            faults={
                begin + number: fault
                for begin, part in zip(begins, parts, strict=True)
                for number, fault in part.faults.items()
            },
        )

    def bytes_sent(self) -> np.ndarray:
        """What each record took as it was sent, int64[n]."""
        if self.sent_bytes is not None:
            return self.sent_bytes
        sizes = map(bytes_of_record, self.keys, self.values, self.headers)
        return np.fromiter(sizes, np.int64, len(self.offsets))


def bytes_of_record(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """The bytes of a record that is sent as it is."""
    return len(key or b"") + len(value or b"") + header_bytes(headers)


def header_bytes(headers: Headers) -> int:
    """The bytes of names and values of headers."""
    return sum(len(name.encode()) + len(value or b"") for name, value in headers)
