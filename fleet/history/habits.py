"""When people use electricity: load by hour, kind of day, season and chance, of lines of five kinds.

Shapes and shares are typical ones [ours]; that natural leakage of an office line swings from 30 to 150 mA each day is
domain.md's.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np
from holidays import country_holidays

DAY_HOURS: Final = 24
SHANGHAI_HOURS: Final = 8
_EPOCH: Final = date(1970, 1, 1)


class LineKind(NamedTuple):
    """A kind of line. `workday` and `other` are shares of the peak in % at each hour. `base_ma` and `share_ma` bound
    what a line leaks without load and more at its peak, `wet_ma` what a full rain adds; `jitter` is how much an hour's
    load differs from its shape, `stays_late` and `works_weekend` are shares of days."""

    name: str
    workday: tuple[int, ...]
    other: tuple[int, ...]
    base_ma: tuple[float, float]
    share_ma: tuple[float, float]
    wet_ma: tuple[float, float]
    jitter: float
    stays_late: float
    works_weekend: float


_OFFICE: Final = (10, 10, 10, 10, 10, 10, 14, 35, 80, 95, 97, 92, 75, 85, 96, 96, 92, 80, 45, 25, 18, 14, 12, 10)
_EMPTY: Final = (10, 10, 10, 10, 10, 10, 10, 11, 12, 13, 13, 13, 12, 12, 13, 13, 12, 12, 11, 11, 10, 10, 10, 10)
_PLANT: Final = (45, 45, 45, 45, 45, 48, 60, 85, 95, 95, 92, 75, 70, 90, 95, 95, 92, 80, 65, 60, 55, 52, 48, 45)
_PLANT_REST: Final = (20, 20, 20, 20, 20, 20, 22, 25, 28, 28, 28, 26, 25, 27, 28, 28, 26, 24, 22, 20, 20, 20, 20, 20)
_SHOP: Final = (12, 10, 10, 10, 10, 12, 20, 35, 55, 75, 85, 92, 90, 82, 80, 80, 82, 90, 95, 95, 85, 60, 30, 16)
_HOME: Final = (25, 20, 18, 17, 18, 25, 45, 55, 45, 38, 36, 45, 50, 42, 36, 36, 42, 60, 85, 95, 92, 80, 60, 38)
_HOME_REST: Final = (28, 22, 19, 18, 18, 22, 32, 50, 60, 62, 62, 68, 70, 62, 58, 58, 62, 72, 88, 95, 92, 82, 64, 42)
LINE_KINDS: Final = (
    LineKind("office", _OFFICE, _EMPTY, (20, 40), (60, 130), (0, 8), 0.06, 0.08, 0.06),
    LineKind("industrial", _PLANT, _PLANT_REST, (20, 60), (20, 80), (0, 10), 0.15, 0.05, 0.15),
    LineKind("shop", _SHOP, _SHOP, (15, 50), (20, 60), (0, 8), 0.08, 0.03, 0.0),
    LineKind("residential", _HOME, _HOME_REST, (10, 40), (10, 30), (0, 8), 0.12, 0.0, 0.0),
    LineKind("wet", _HOME, _HOME_REST, (20, 60), (10, 30), (30, 90), 0.12, 0.0, 0.0),
)
KIND_NAMES: Final = tuple(kind.name for kind in LINE_KINDS)
_LATE_HOURS: Final = range(18, 23)
_LATE_LOAD: Final = 0.75


def workdays(first_hour: int, hours: int) -> np.ndarray:
    """Whether people in China work, by hour, bool[hours]."""
    china = country_holidays("CN")
    days = (np.arange(first_hour, first_hour + hours) + SHANGHAI_HOURS) // DAY_HOURS
    known = {int(day): china.is_working_day(_EPOCH + timedelta(days=int(day))) for day in np.unique(days)}
    return np.array([known[int(day)] for day in days], bool)


def season_of(first_hour: int, hours: int) -> np.ndarray:
    """-1 at the end of January, 1 at the end of July, float64[hours]."""
    year = 365.25 * DAY_HOURS
    return -np.cos(2 * np.pi * (np.arange(first_hour, first_hour + hours) / year - 26 / 365.25))


def loads(rng: np.random.Generator, kind: np.ndarray, first_hour: int, hours: int) -> np.ndarray:
    """Share of the peak that each line carries in each hour, float32[lines, hours], 0 to about 1.5."""
    lines = len(kind)
    at = np.arange(first_hour, first_hour + hours) + SHANGHAI_HOURS
    day = at // DAY_HOURS - at[0] // DAY_HOURS
    days = int(day[-1]) + 1
    works = workdays(first_hour, hours)
    weekend = rng.random((lines, days)) < np.array([one.works_weekend for one in LINE_KINDS])[kind][:, None]
    late = rng.random((lines, days)) < np.array([one.stays_late for one in LINE_KINDS])[kind][:, None]
    shift = rng.choice([-1, 0, 0, 0, 0, 1], (lines, days))
    today = np.clip(rng.normal(1.0, 0.08, (lines, days)), 0.6, 1.4)
    shapes = np.array([[one.workday, one.other] for one in LINE_KINDS], np.float32) / 100
    is_work = works[None, :] | weekend[:, day]
    hour = (at[None, :] - shift[:, day]) % DAY_HOURS
    share = shapes[kind[:, None], np.where(is_work, 0, 1), hour]
    stays = late[:, day] & is_work & np.isin(at % DAY_HOURS, _LATE_HOURS)[None, :]
    share = np.where(stays, np.maximum(share, _LATE_LOAD), share)
    # Cooling and heating: more load the further the season is from mild, each line as it has machines for it.
    season = 1 + rng.uniform(0, 0.35, (lines, 1)) * season_of(first_hour, hours)[None, :] ** 2
    jitter = np.array([one.jitter for one in LINE_KINDS])[kind][:, None]
    noise = 1 + jitter * rng.standard_normal((lines, hours), np.float32)
    return np.asarray(np.clip(share * today[:, day] * season * noise, 0.0, 1.5), np.float32)
