"""How much electricity a site draws over the day, and how warm that makes its cables.

Tables of one row a kind of site and one column a minute of the Asia/Shanghai day (UTC+8, no summer time since 1991).
Heat follows load squared through a first-order lag of 15 minutes (a distribution cable's own is 10 to 30), so that even
a site that switches on at once heats by far less than the 2 ℃/min a healthy cable may show.
"""

from __future__ import annotations

from typing import Final

import numpy as np

HOME, SHOP, PLANT, SCHOOL, CHARGING, OFFICE = range(6)
HOURLY: Final = np.array(
    [
        [25, 20, 18, 17, 18, 25, 45, 55, 45, 38, 36, 45, 50, 42, 36, 36, 42, 60, 85, 95, 92, 80, 60, 38],
        [12, 10, 10, 10, 10, 12, 20, 35, 55, 75, 85, 92, 90, 82, 80, 80, 82, 90, 95, 95, 85, 60, 30, 16],
        [25, 25, 25, 25, 25, 28, 40, 75, 95, 95, 92, 70, 55, 88, 95, 95, 92, 75, 50, 42, 38, 32, 28, 25],
        [10, 10, 10, 10, 10, 14, 35, 60, 85, 88, 88, 75, 60, 70, 86, 86, 80, 55, 45, 60, 62, 45, 20, 12],
        [60, 55, 45, 35, 25, 18, 12, 15, 25, 28, 25, 25, 28, 28, 25, 22, 22, 30, 50, 70, 82, 88, 82, 70],
        [8, 8, 8, 8, 8, 8, 8, 9, 12, 93, 98, 100, 90, 92, 98, 98, 95, 85, 50, 30, 20, 12, 9, 8],
    ]
)
"""Share of the peak in %, at each full hour of a workday: typical shapes [ours]. An office switches on from 8 to 9."""
_DAY_MIN: Final = 1_440
_LAG_MIN: Final = 15
_SHANGHAI_MIN: Final = 480


def _load_table() -> np.ndarray:
    hours = np.arange(_DAY_MIN + 1) / 60
    rows = [np.interp(hours, np.arange(25), np.append(row, row[0]) / 100) for row in HOURLY]
    return np.array(rows)


def _heat_table() -> np.ndarray:
    drive = LOAD[:, :_DAY_MIN] ** 2
    heat = np.empty_like(LOAD)
    level = drive.mean(axis=1)
    for minute in range(2 * _DAY_MIN + 1):  # the first day only settles the lag, so that the table meets at midnight
        level = level + (drive[:, minute % _DAY_MIN] - level) / _LAG_MIN
        heat[:, minute % _DAY_MIN] = level
    heat[:, _DAY_MIN] = heat[:, 0]
    return heat


LOAD: Final = _load_table()
"""Load over peak load, 0 to 1."""
HEAT: Final = _heat_table()
"""Load squared as the cable's temperature feels it, 0 to 1."""


def minute_of_day(ts: np.ndarray, shift_min: np.ndarray) -> np.ndarray:
    """Minutes since midnight in Shanghai, moved by each device's own habit. float64[m]."""
    minute: np.ndarray = (ts / 60_000 + _SHANGHAI_MIN + shift_min) % _DAY_MIN
    return minute


def look_up(table: np.ndarray, site: np.ndarray, minute: np.ndarray) -> np.ndarray:
    """The table at a site and time, linear between minutes. float64[m]."""
    whole = minute.astype(np.int64)
    before = table[site, whole]
    return np.asarray(before + (minute - whole) * (table[site, whole + 1] - before))
