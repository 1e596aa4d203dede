"""A reject on its topic: the record's own key, value and headers, and beside them headers that say why and whence.

Keeping the bytes as the record's value makes replay trivial and 10 MB records affordable. Header names of ours begin
with `emberline.`; all others are the original record's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from schemas.report_rules import Fault
from schemas.reports import Reject

PREFIX: Final = "emberline."
DETECTOR_FAILED: Final = "detector_failed"
"""The reason of a record that could be read but that a detector failed on: a defect of ours, not of the record."""
Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class RejectEvent:
    """What the headers of a reject say. `source_index` is -1 where the whole record was rejected."""

    reason: str
    detail: str
    source_topic: str
    source_partition: int
    source_offset: int
    source_index: int
    ingest_ts: int

    def to_headers(self, original: Headers) -> list[tuple[str, bytes | None]]:
        """Our headers first, then the original record's own."""
        return [*self.own_headers(), *original_headers(original)]

    def own_headers(self) -> list[tuple[str, bytes]]:
        """Ours alone."""
        return [(PREFIX + name, str(getattr(self, name)).encode()) for name in self.__dataclass_fields__]

    @classmethod
    def from_headers(cls, headers: Headers) -> Self:
        """Read them back. Raises ValueError if one of ours is missing or malformed."""
        found = {name[len(PREFIX) :]: (value or b"").decode() for name, value in headers if name.startswith(PREFIX)}
        if missing := cls.__dataclass_fields__.keys() - found.keys():
            raise ValueError(f"not a reject: header {PREFIX}{min(missing)} is missing")
        return cls(
            reason=found["reason"],
            detail=found["detail"],
            source_topic=found["source_topic"],
            source_partition=int(found["source_partition"]),
            source_offset=int(found["source_offset"]),
            source_index=int(found["source_index"]),
            ingest_ts=int(found["ingest_ts"]),
        )


def event_of(reject: Reject, topic: str, partition: int) -> RejectEvent:
    """The event for a reject found while decoding `topic`/`partition`."""
    fault: Fault = reject.fault
    return RejectEvent(fault.reason, fault.detail, topic, partition, reject.offset, reject.index, reject.ingest_ts)


def original_headers(headers: Headers) -> list[tuple[str, bytes | None]]:
    """The headers the rejected record itself carried."""
    return [(name, value) for name, value in headers if not name.startswith(PREFIX)]
