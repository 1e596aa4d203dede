"""Load by hour and weekday, how warm it makes cables, and how the day warms cabinets. Tables by minute, linear between.

A row a kind of site and a column a minute of the Asia/Shanghai week, which begins on Monday.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fleet.load import HOME, HOURLY, OFFICE, PLANT, SHOP

TAUS_MIN: Final = (20, 30, 45, 60)
"""Time constants of cables, by which `HEAT` is told apart (domain.md: 20 to 60 min)."""
DAY_MIN: Final = 1_440
WEEK_MIN: Final = 7 * DAY_MIN
_MONDAY_MIN: Final = 3 * DAY_MIN + 480
"""1970 began on a Thursday, at 8 h in Shanghai."""


def _weekend() -> np.ndarray:
    """The hours of a day on which people are at home and offices and plants rest [ours]."""
    hours = HOURLY.astype(float)
    hours[HOME, 9:18] = np.maximum(hours[HOME, 9:18], 52)
    hours[SHOP] = np.minimum(1.1 * hours[SHOP], 100)
    hours[PLANT] = 22 + 0.25 * (hours[PLANT] - 25)
    hours[OFFICE] = 8 + 0.04 * (hours[OFFICE] - 8)
    return hours


def _load_table() -> np.ndarray:
    week = np.concatenate([np.tile(HOURLY, 5), np.tile(_weekend(), 2)], axis=1) / 100
    hours = np.arange(WEEK_MIN + 1) / 60
    return np.array([np.interp(hours, np.arange(7 * 24 + 1), np.append(row, row[0])) for row in week])


def _heat_table() -> np.ndarray:
    """Load squared through a lag of first order; a row a site and time constant."""
    drive = np.repeat(LOAD[:, :WEEK_MIN] ** 2, len(TAUS_MIN), axis=0)
    share = 1 / np.tile(np.array(TAUS_MIN, float), len(LOAD))
    heat = np.empty((len(drive), WEEK_MIN + 1))
    level = drive[:, -1]
    for minute in range(-DAY_MIN, WEEK_MIN):  # the day before only settles the lag, so that Sunday meets Monday
        level = level + (drive[:, minute] - level) * share
        heat[:, minute] = level
    heat[:, WEEK_MIN] = heat[:, 0]
    return heat


LOAD: Final = _load_table()
"""Load over peak load, 0 to 1. float64[sites, minutes of the week + 1]."""
HEAT: Final = _heat_table()
"""Load squared as a cable's temperature feels it. float64[sites x time constants, minutes of the week + 1]."""
_TURN: Final = 2 * np.pi * (np.arange(DAY_MIN + 1) / DAY_MIN)
SWING: Final = -np.cos(_TURN - 2 * np.pi * 2 / 24)[None, :]
"""The day's warmth, -1 at 2 h in the night and 1 at 14 h. float64[1, minutes of the day + 1]."""
SUN: Final = np.maximum(-np.cos(_TURN - 2 * np.pi / 24), 0)[None, :] ** 1.5
"""The sun on a cabinet, 1 at 13 h. float64[1, minutes of the day + 1]."""


def minute_of_week(ts: np.ndarray, shift_min: np.ndarray) -> np.ndarray:
    """Minutes since Monday began in Shanghai, moved by each device's own habit. float64[m]."""
    minute: np.ndarray = (ts / 60_000 + _MONDAY_MIN + shift_min) % WEEK_MIN
    return minute
