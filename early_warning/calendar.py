"""Days and hours as people in China live them: Asia/Shanghai, workdays with those that are made up for.

An hour is counted from 1970 in UTC (epoch ms // 3,600,000). Holidays and make-up workdays are those that the State
Council announces for each year, as far as the package `holidays` knows them. For a year that it does not know yet it
computes the statutory holidays (the lunar ones too), and weekends stay weekends.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from holidays import country_holidays

HOUR_MS: Final = 3_600_000
SHANGHAI_HOURS: Final = 8
"""UTC+8, no summer time since 1991."""
DAY_HOURS: Final = 24
_EPOCH: Final = date(1970, 1, 1)
_CHINA: Final = country_holidays("CN")


def hour_of_day(hour: int) -> int:
    """0 to 23, in Shanghai."""
    return (hour + SHANGHAI_HOURS) % DAY_HOURS


def day_of(hour: int) -> int:
    """The day in Shanghai, counted from 1970-01-01."""
    return (hour + SHANGHAI_HOURS) // DAY_HOURS


@lru_cache(maxsize=4_096)
def is_workday(day: int) -> bool:
    """Whether people work on a day, counted from 1970-01-01."""
    return bool(_CHINA.is_working_day(_EPOCH + timedelta(days=day)))
