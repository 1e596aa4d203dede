"""Leakage over the line's own normal, for half a day: +60 mA on a line that leaks 40 mA as well as on one of 150 mA.

Normal is that of the hour and the kind of day (`early_warning.normal`). Where the load makes hours of one day differ as
much as a fault would, the low level of the day is compared with those of the weeks before.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from early_warning.arrays import placed, row_quantiles
from early_warning.calendar import day_of
from early_warning.judged import Evidence, Judged, is_explained_by_load, lasting, middle_over
from early_warning.normal import HourView, day_level, last_day
from early_warning.parameters import RuleParameters

ADVICE: Final = "请排查该回路绝缘和新增用电设备；确属正常用电的，请执行“确认基线”"


def judge(now: HourView, parameters: RuleParameters) -> Judged:
    """Half of the last day's hours lie over normal, and so do the last three; or the day's low level does."""
    rises = last_day(now, "rise")
    least = np.maximum(parameters["rise"], parameters["spreads"] * now.spread)
    lasts = lasting(rises, least, parameters["hours"])
    excess = middle_over(rises, least)
    usual, noise = _usual_low(now, parameters)
    low_rise = np.nan_to_num(day_level(now) - now.doubt - usual, nan=0.0)
    is_low = low_rise >= np.maximum(
        parameters["low_rise"], parameters["low_spreads"] * np.nan_to_num(noise, nan=np.inf)
    )
    is_low &= ~is_explained_by_load(now, low_rise, 0.5)
    which = now.is_learned & ~now.is_weather_unknown & (lasts | is_low)
    normal = np.where(lasts, now.value - now.excess, usual)
    return Judged(which, np.where(lasts, excess, low_rise), {"value_ma": now.value, "normal_ma": normal})


def _usual_low(now: HourView, parameters: RuleParameters) -> tuple[np.ndarray, np.ndarray]:
    """The middle of the days' low levels, today's and yesterday's left out, and how far a day usually is from it."""
    back = np.arange(2, int(parameters["low_days"]) + 2)
    days = placed(np.asarray(now.held["day"], np.float64), day_of(now.hour), back)
    usual = row_quantiles(days, 0.5, int(parameters["low_least"]))
    return usual, row_quantiles(np.abs(days - usual[:, None]), 0.5, int(parameters["low_least"]))


def sentence(evidence: Evidence) -> str:
    """
    >>> sentence({"value_ma": 102.0, "normal_ma": 41.0, "excess_ma": 61.0})
    '剩余电流持续高于该线路同一时段的正常水平：当前102mA，正常约41mA，高出61mA'
    """
    return (
        f"剩余电流持续高于该线路同一时段的正常水平：当前{evidence['value_ma']:.0f}mA，"
        f"正常约{evidence['normal_ma']:.0f}mA，高出{evidence['excess_ma']:.0f}mA"
    )
