"""In which order a device's reports reach the broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from fleet.life.outages import ORDERS, handed_in

IN_ORDER, TWICE = "in order", "twice"
DELIVERIES: Final = (IN_ORDER, *ORDERS, TWICE)
AS_MADE: Final = frozenset({IN_ORDER, "oldest first", TWICE})
"""By these each report comes first after all that were made before it."""
_SOON_MS: Final = 10
"""From the first report after an outage to those that were kept, where these come at once."""


class KeptSpan(NamedTuple):
    """The reports `begin` to `end` of a device, that one not included, are kept, and handed in later."""

    begin: int
    end: int


def deliver(times: Sequence[int], kept: KeptSpan, delivery: str, interval_ms: int) -> list[tuple[int, int]]:
    """Of reports made at these times which is sent when: (time, number), in the order of sending."""
    live = list(zip(times, range(len(times)), strict=True))
    if delivery == IN_ORDER:
        return live
    if delivery == TWICE:
        again_ms = interval_ms + interval_ms // 3  # later than its successor
        return sorted(live + [(ts + again_ms, number) for ts, number in live])
    numbers = range(kept.begin, kept.end)
    first_ts = times[kept.end] + (interval_ms // 3 if delivery == "mixed with live" else _SOON_MS)
    arrivals = handed_in(len(numbers), delivery, first_ts, interval_ms).tolist()
    return sorted(live[: kept.begin] + live[kept.end :] + list(zip(arrivals, numbers, strict=True)))
