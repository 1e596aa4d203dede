"""A reject on its topic: the record's own key, value and headers, and headers of ours that say where it was and why it
is here.

The record's value holds the bytes as they were, so a replay only sends them, and records of 10 MB fit. Names of our
headers begin with `emberline.`; all others are the original record's.
"""

from __future__ import annotations

from typing import Annotated, Final, Self

import msgspec
from msgspec import Meta, Struct

from schemas.events import Natural, Offset, Ts
from schemas.records import Headers
from schemas.report_rejects import Reject
from schemas.report_rules import MAX_DETAIL_BYTES, Fault

PREFIX: Final = "emberline."
DETECTOR_FAILED: Final = "detector_failed"
"""The reason of a record that could be read but that a detector failed on: a defect of ours, not of the record."""
DEVICE_REFUSED: Final = "too_many_devices"
DEVICE_FLOODS: Final = "device_floods"
NOT_JUDGED: Final = frozenset({DETECTOR_FAILED, DEVICE_REFUSED, DEVICE_FLOODS})
"""Reasons of reports that can be read, so that they are stored all the same, but that no detector has judged."""
GATEWAY: Final = "gateway"
"""The optional header by which a record says which gateway sent it."""
UNKNOWN_GATEWAY: Final = "unknown"
MAX_GATEWAY_LENGTH: Final = 64


class RejectEvent(Struct, frozen=True, rename=lambda name: PREFIX + name, omit_defaults=True):
    """What the headers of a reject say. `source_index` is -1 where the whole record was rejected.

    It stands for `reports` of them, more than 1 where there were too many to tell each. `cut` is how many bytes the
    value had where they are not all there, else -1: then the record itself is in telemetry, as long as that keeps it.
    """

    reason: str
    detail: str
    source_topic: str
    source_partition: Natural
    source_offset: Offset
    source_index: Annotated[int, Meta(ge=-1, le=2**31 - 1)]
    ingest_ts: Ts
    reports: Annotated[int, Meta(ge=1, le=2**32 - 1)] = 1
    cut: Annotated[int, Meta(ge=-1, le=2**63 - 1)] = -1
    generation: Natural = 0
    source_topic_id: str = ""

    def to_headers(self, original: Headers) -> list[tuple[str, bytes | None]]:
        """Our headers first, then the original record's own."""
        return [*self.own_headers(), *original_headers(original)]

    def own_headers(self) -> list[tuple[str, bytes]]:
        """Ours alone, less what is as it mostly is."""
        return [(name, _written(value)) for name, value in msgspec.to_builtins(self).items()]

    @classmethod
    def from_headers(cls, headers: Headers) -> Self:
        """Read them back. Raises ValueError if one of ours is missing or malformed."""
        found = {name: (value or b"").decode() for name, value in headers if name.startswith(PREFIX)}
        return msgspec.convert(found, cls, strict=False)


def _written(value: str | int) -> bytes:
    text = str(value).encode()
    # Cut between characters.
    return text if len(text) <= MAX_DETAIL_BYTES else text[:MAX_DETAIL_BYTES].decode(errors="ignore").encode()


def event_of(reject: Reject, topic: str, partition: int) -> RejectEvent:
    """The event for a reject found while decoding `topic`/`partition`."""
    fault: Fault = reject.fault
    return RejectEvent(
        fault.reason,
        fault.detail,
        topic,
        partition,
        reject.offset,
        reject.index,
        reject.ingest_ts,
        reject.reports,
        reject.cut,
    )


def gateway_of(headers: Headers) -> str:
    """The gateway that a record's headers name, or that it is unknown."""
    for name, value in headers:
        if name == GATEWAY and value:
            try:
                found = value.decode()
            except UnicodeDecodeError:
                return UNKNOWN_GATEWAY
            return found if len(found) <= MAX_GATEWAY_LENGTH and found.isprintable() else UNKNOWN_GATEWAY
    return UNKNOWN_GATEWAY


def original_headers(headers: Headers) -> list[tuple[str, bytes | None]]:
    """The headers the rejected record itself carried."""
    return [(name, value) for name, value in headers if not name.startswith(PREFIX)]
