"""Creep of leakage: the level of the last days against that of sixty days ago, which no learning can hide.

The level of a day is its low one, at which little load is on the line, less what weather explains. What all neighbours
creep by is the season's.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from early_warning.arrays import group_medians, placed, row_quantiles
from early_warning.calendar import day_of
from early_warning.judged import Evidence, Judged, is_explained_by_load
from early_warning.normal import HourView
from early_warning.parameters import RuleParameters
from early_warning.state import RING_DAYS

ADVICE: Final = "绝缘可能正在老化或受潮，请安排停电测量绝缘电阻；确属正常用电的，请执行“确认基线”"


def judge(now: HourView, parameters: RuleParameters) -> Judged:
    """The middle of the last days lies over that of the days around sixty days ago, or of the oldest that are known."""
    days = placed(np.asarray(now.held["day"], np.float64), day_of(now.hour), np.arange(RING_DAYS))
    recent = row_quantiles(days[:, : int(parameters["days"])], 0.5, int(parameters["least"]))
    half = int(parameters["ago_width"]) // 2
    ago = int(parameters["ago_days"])
    before = row_quantiles(days[:, ago - half : ago + half], 0.5, half)
    oldest, age = _oldest(days, int(parameters["apart_days"]), half)
    is_young = np.isnan(before)
    before, age = np.where(is_young, oldest, before), np.where(is_young, age, ago)
    drift = recent - before
    season = np.fmax(group_medians(now.neighbours, drift, int(now.parameters["neighbours_least"])), 0.0)
    drift = np.nan_to_num(drift - np.nan_to_num(season, nan=0.0), nan=0.0)
    which = now.is_learned & (drift >= parameters["rise"]) & ~now.is_weather_unknown
    which &= ~is_explained_by_load(now, drift, parameters["load_part"])
    return Judged(which, drift, {"level_ma": recent, "before_ma": before, "days": age})


def _oldest(days: np.ndarray, apart: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The middle of the oldest `width` days that are known, `apart` ago at least, and how long ago that was."""
    old = days[:, apart:][:, ::-1]
    known = ~np.isnan(old)
    first = known & (np.cumsum(known, axis=1) <= width)
    ages = np.where(first, np.arange(days.shape[1] - 1, apart - 1, -1)[None, :], np.nan)
    return row_quantiles(np.where(first, old, np.nan), 0.5, width), row_quantiles(ages, 0.5, width)


def sentence(evidence: Evidence) -> str:
    """
    >>> sentence({"level_ma": 82.0, "before_ma": 41.0, "days": 60.0, "excess_ma": 41.0})
    '剩余电流缓慢上升：近几日低值约82mA，60天前约41mA，扣除季节影响后上升41mA'
    """
    return (
        f"剩余电流缓慢上升：近几日低值约{evidence['level_ma']:.0f}mA，{evidence['days']:.0f}天前约"
        f"{evidence['before_ma']:.0f}mA，扣除季节影响后上升{evidence['excess_ma']:.0f}mA"
    )
