"""What clocks of the field show (domain.md, What the field really sends). Scalars and arrays alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
_MILLENNIUM_TS: Final = 946_684_800_000
_GPS_WEEKS_MS: Final = 1_024 * 7 * DAY_MS
SET_BACK: Final = "set back an hour"


class Moments(NamedTuple):
    """What a clock may depend on, epoch ms: when its device started, and when its power failed for a moment."""

    boot_ts: Any
    fault_ts: Any


CLOCKS: Final[dict[str, Callable[[Any, Moments], Any]]] = {
    "right": lambda ts, at: ts,
    "since 1970": lambda ts, at: ts - at.boot_ts,
    "since 2000": lambda ts, at: _MILLENNIUM_TS + ts - at.boot_ts,
    "1024 weeks back": lambda ts, at: ts - _GPS_WEEKS_MS,
    "2 days ahead": lambda ts, at: ts + 2 * DAY_MS,
    "stuck": lambda ts, at: at.boot_ts - HOUR_MS + 0 * ts,
    SET_BACK: lambda ts, at: ts - HOUR_MS * (ts >= at.fault_ts),
    "8 h ahead": lambda ts, at: ts + 8 * HOUR_MS,
    "8 h back": lambda ts, at: ts - 8 * HOUR_MS,
    "of whole minutes": lambda ts, at: ts - ts % 60_000,
}
"""By name what a clock shows at a true time, epoch ms. The first is what others ought to be."""
STEADY: Final = frozenset(CLOCKS) - {"stuck", SET_BACK, "of whole minutes"}
"""Those by which reports that come in any order can be put in order: they run on, however wrong."""
