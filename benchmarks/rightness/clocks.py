"""What clocks and deliveries of the field do to reports (domain.md, What the field really sends)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
_MILLENNIUM_TS: Final = 946_684_800_000
_GPS_WEEKS_MS: Final = 1_024 * 7 * DAY_MS


class Moments(NamedTuple):
    """What a clock may depend on, epoch ms: when its device started, and when the fault began."""

    boot_ts: int
    onset_ts: int


SET_BACK: Final = "set back an hour at the fault"
Clock = Callable[[int, Moments], int]
"""What the device's clock shows at a true time."""

CLOCKS: Final[dict[str, Clock]] = {
    "right": lambda ts, at: ts,
    "since 1970": lambda ts, at: ts - at.boot_ts,
    "since 2000": lambda ts, at: _MILLENNIUM_TS + ts - at.boot_ts,
    "1024 weeks back": lambda ts, at: ts - _GPS_WEEKS_MS,
    "2 days ahead": lambda ts, at: ts + 2 * DAY_MS,
    "stuck": lambda ts, at: at.boot_ts - HOUR_MS,
    SET_BACK: lambda ts, at: ts - HOUR_MS * (ts >= at.onset_ts),
    "8 h ahead": lambda ts, at: ts + 8 * HOUR_MS,
    "8 h back": lambda ts, at: ts - 8 * HOUR_MS,
    "of whole minutes": lambda ts, at: ts - ts % 60_000,
}
STEADY: Final = frozenset(CLOCKS) - {"stuck", SET_BACK, "of whole minutes"}
"""Clocks by which reports that come in any order can be put in order: they run on, however wrong."""


class Outage(NamedTuple):
    """The reports `begin` to `end` of a device, that one not included, are kept and handed in once it is over."""

    begin: int
    end: int


Delivery = Callable[[Sequence[int], Outage, int], list[tuple[int, int]]]
"""Of reports made at these times, which is sent when: (time, number), in the order of sending. The last argument is the
usual interval, ms."""
_BURST_MS: Final = 5
"""Between two records that a gateway hands in at once."""


def _in_order(times: Sequence[int], outage: Outage, _: int) -> list[tuple[int, int]]:
    return [(ts, number) for number, ts in enumerate(times)]


def _kept(
    outage: Outage, times: Sequence[int], order: Sequence[int], pace_ms: float, first_ts: int
) -> list[tuple[int, int]]:
    """The others live, those kept in this order and pace from `first_ts` on."""
    live = [(ts, number) for number, ts in enumerate(times) if not outage.begin <= number < outage.end]
    return sorted(live + [(first_ts + int(turn * pace_ms), number) for turn, number in enumerate(order)])


def _oldest_first(times: Sequence[int], outage: Outage, _: int) -> list[tuple[int, int]]:
    first_ts = times[outage.end] + 2 * _BURST_MS
    return _kept(outage, times, range(outage.begin, outage.end), _BURST_MS, first_ts)


def _newest_first(times: Sequence[int], outage: Outage, _: int) -> list[tuple[int, int]]:
    first_ts = times[outage.end] + 2 * _BURST_MS
    return _kept(outage, times, range(outage.end - 1, outage.begin - 1, -1), _BURST_MS, first_ts)


def _mixed(times: Sequence[int], outage: Outage, interval_ms: int) -> list[tuple[int, int]]:
    """At their own pace: one kept report between each two live ones."""
    return _kept(outage, times, range(outage.begin, outage.end), interval_ms, times[outage.end] + interval_ms // 3)


def _twice(times: Sequence[int], outage: Outage, interval_ms: int) -> list[tuple[int, int]]:
    """Each again, later than its successor."""
    return sorted(
        sent
        for number, ts in enumerate(times)
        for sent in ((ts, number), (ts + interval_ms + interval_ms // 3, number))
    )


DELIVERIES: Final[dict[str, Delivery]] = {
    "in order": _in_order,
    "oldest first": _oldest_first,
    "newest first": _newest_first,
    "mixed with live": _mixed,
    "twice": _twice,
}
AS_MADE: Final = frozenset({"in order", "oldest first", "twice"})
"""Deliveries by which each report comes first after all that were made before it."""
