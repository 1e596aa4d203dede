"""Charges at charging piles (requirement B2), on `emberline.charging-sessions`: one event each, once it is over."""

from __future__ import annotations

from hashlib import blake2b

from schemas.events import Component, Natural, Offset, StreamEvent, Ts


class ChargingSession(StreamEvent, frozen=True):
    """One charge at a port.

    `port` counts from 0. `stop_reason` is the code that the pile stopped by (`schemas.charging`), 0 where nobody
    said; `ended_as` is of which sort that is: ordinary, abnormal, safety, unknown. `settled` says whether the pile's
    settlement tells of it, and `amended` that it was told as not settled before: the event of the same `session_id`
    before is replaced by this one. `energy_wh` and `power_w_max` are null where nobody measured them. `ingest_ts` is
    the arrival of the report by which it is told."""

    session_id: str
    device_id: str
    device_kind: str
    test: bool
    port: Component
    began_ts: Ts
    ended_ts: Ts
    energy_wh: float | None
    power_w_max: float | None
    stop_reason: Natural
    ended_as: str
    settled: bool
    amended: bool
    ingest_ts: Ts
    source_offset: Offset
    source_ordinal: Natural
    generation: Natural = 0
    source_topic_id: str = ""


def session_id(device_id: str, port: int, began_ts: int, test: bool) -> str:
    """The id of a charge, 32 hexadecimal digits computed from whose it is and when it began."""
    return blake2b(f"{device_id}\n{port}\n{began_ts}\n{int(test)}".encode(), digest_size=16).hexdigest()
