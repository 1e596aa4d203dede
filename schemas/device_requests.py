"""What devices are asked for, on `emberline.device-requests`: gateways consume it, and have the devices answer.

A gateway reads the topic in a group of its own. It leaves out what is a repeat by `schemas.positions` or by its id,
what has expired, kinds that it does not know, and what its devices cannot do: which can be read back is not known here,
so all are asked. There is no topic of answers: a device answers by its next report, as it reports at any time.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b
from typing import Final

from schemas.events import Component, Natural, Offset, StreamEvent, Ts

EXPIRES_MS: Final = 120_000
"""So long after the arrival of what it follows from: a device that reports more often than that need not be read back
(domain.md, Confirming), and nobody is to be surprised by power that goes off later [ours]."""


class RequestKind(StrEnum):
    """What is asked for. Others may follow: a gateway leaves out what it does not know."""

    READ_BACK = "read_back"
    """The device is to report its values now: one lies over a limit, and the next one tells whether that is so."""
    CUT_OFF = "cut_off"
    """The device is to switch off, by order of a person."""

    @property
    def label(self) -> str:
        """The word users see."""
        return _LABELS[self]


_LABELS: Final = {RequestKind.READ_BACK: "回读", RequestKind.CUT_OFF: "切断"}


class DeviceRequest(StreamEvent, frozen=True):
    """What one device is asked for, until `expires_ts` by the brokers' clocks.

    `component` counts from 0; 255 is the device as a whole. Of a read-back it is the component of `quantity` that is to
    be confirmed, and the whole without a quantity where it is several; of a cut-off it is the port of a charging pile.
    `by` and `why` say who asks and why. A read-back is by `emberline`, for the alarm `alarm_id`, the first of several.
    `ingest_ts` is the arrival of the report or order that it follows from.
    """

    request_id: str
    kind: str
    device_id: str
    device_kind: str
    test: bool
    quantity: str
    component: Component
    alarm_id: str
    by: str
    why: str
    ingest_ts: Ts
    expires_ts: Ts
    source_offset: Offset
    source_ordinal: Natural
    generation: Natural = 0
    source_topic_id: str = ""


def request_id(kind: str, about: str) -> str:
    """The id of a request, 32 hexadecimal digits computed from what it is about, so that a repeat is recognisable: of a
    read-back the id of the alarm, of a cut-off the device and the place of the order in the log."""
    return blake2b(f"{kind}\n{about}".encode(), digest_size=16).hexdigest()
