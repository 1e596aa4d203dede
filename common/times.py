"""Times and durations as people write them on the command line."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from common.errors import OperatorError

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")
LATEST_TS: Final = 4_102_444_800_000
"""2100-01-01 UTC; what lies beyond is a mistake."""
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"(\d{1,6})([smhd])")


def now_ms() -> int:
    """The wall clock, epoch ms: reports carry it, so it is what response is measured by on one machine."""
    return time.time_ns() // 1_000_000


def moment(text: str, option: str, zone: ZoneInfo = SHANGHAI) -> int:
    """Epoch ms of `now`, ISO 8601 (in `zone` unless it says otherwise), epoch s or ms. Raises OperatorError.

    From 10¹¹ up, which seconds reach in the year 5138, a number is milliseconds.
    """
    if text == "now":
        return now_ms()
    try:
        found = _number(text) if re.fullmatch(r"[\d.]+", text) else _iso(text, zone)
    except (ValueError, OverflowError):
        found = -1
    if not 0 <= found <= LATEST_TS:
        raise OperatorError(
            f"{option}: {text!r} is no time; 2026-03-01, 2026-03-01T08:00 (Shanghai), 2026-03-01T00:00Z, now or epoch "
            "seconds or milliseconds are"
        )
    return found


def _number(text: str) -> int:
    number = float(text)
    return round(number if number >= 1e11 else number * 1000)


def _iso(text: str, zone: ZoneInfo) -> int:
    when = datetime.fromisoformat(text)
    return round((when if when.tzinfo else when.replace(tzinfo=zone)).timestamp() * 1000)


def duration_ms(text: str, option: str) -> int:
    """Milliseconds of `90s`, `30m`, `2h`, `1d` or `0`. Raises OperatorError."""
    if text == "0":
        return 0
    match = _DURATION.fullmatch(text)
    if match is None:
        raise OperatorError(f"{option}: {text!r} is no duration; 90s, 30m, 2h and 1d are")
    return int(match[1]) * _UNITS_MS[match[2]]


def local(ts: int) -> str:
    """A time for people, in Shanghai."""
    return f"{datetime.fromtimestamp(ts / 1000, SHANGHAI):%Y-%m-%d %H:%M:%S}"
