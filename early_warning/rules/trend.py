"""A value that will cross its limit within a stated time, if it goes on as in the last weeks."""

from __future__ import annotations

from typing import Final

import numpy as np

from early_warning.arrays import group_medians, others_median, placed, row_quantiles
from early_warning.calendar import day_of, is_workday
from early_warning.judged import Evidence, Judged
from early_warning.normal import HourView, last_day
from early_warning.parameters import RuleParameters

ADVICE: Final = "请在预计时间之前安排检查"


def judge(now: HourView, parameters: RuleParameters) -> Judged:
    """A straight line fits the levels of the days, steeper than that of the neighbours, and meets the limit in time."""
    days = int(parameters["days"])
    levels = placed(np.asarray(now.held["day"], np.float64), day_of(now.hour), np.arange(days))
    # A week's shape is no trend.
    levels[:, [not is_workday(day_of(now.hour) - back) for back in range(days)]] = np.nan
    slope, certainty = _fitted(levels)
    season = np.fmax(group_medians(now.neighbours, slope, int(now.parameters["neighbours_least"])), 0.0)
    # What siblings share is load or ambient as well.
    shared = np.fmax(season, others_median(now.siblings, slope, 1))
    own = slope - np.nan_to_num(shared, nan=0.0)
    highest = row_quantiles(last_day(now, "level"), 1.0, 3)
    left = np.where(slope > 0, (now.limit - highest) / np.where(slope > 0, slope, 1.0), np.inf)
    which = now.is_learned & (own >= parameters["slope"]) & (certainty >= parameters["certain"])
    which &= (left > 0) & (left <= parameters["within_days"]) & (highest >= parameters["near"] * now.limit)
    is_leakage = np.full(len(slope), float(now.quantity == "residual_current_ma"))
    evidence = {"highest": highest, "limit": now.limit, "a_day": slope, "days": np.ceil(left), "is_leakage": is_leakage}
    return Judged(which & ~now.is_weather_unknown, np.nan_to_num(own * days, nan=0.0), evidence)


def _fitted(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope a day and r² of days that are newest first; NaN and 0 where half of them are missing."""
    known = ~np.isnan(levels)
    count = np.maximum(np.count_nonzero(known, axis=1), 1)
    x = np.where(known, -np.arange(levels.shape[1], dtype=np.float64)[None, :], 0.0)
    y = np.where(known, levels, 0.0)
    x = np.where(known, x - (x.sum(axis=1) / count)[:, None], 0.0)
    y = np.where(known, y - (y.sum(axis=1) / count)[:, None], 0.0)
    xx, xy, yy = (x * x).sum(axis=1), (x * y).sum(axis=1), (y * y).sum(axis=1)
    enough = (count >= levels.shape[1] / 2) & (xx > 0)
    slope = np.where(enough, xy / np.where(xx > 0, xx, 1.0), np.nan)
    moves = enough & (yy > 0)
    return slope, np.where(moves, xy * xy / np.where(moves, xx * yy, 1.0), 0.0)


def sentence(evidence: Evidence) -> str:
    """
    >>> sentence({"highest": 160.0, "limit": 200.0, "a_day": 2.0, "days": 20.0, "is_leakage": 1.0})
    '剩余电流持续上升：近日最高160mA，每天约上升2.0mA，预计20天内达到限值200mA'
    """
    label, unit = ("剩余电流", "mA") if evidence["is_leakage"] else ("温度", "℃")
    return (
        f"{label}持续上升：近日最高{evidence['highest']:.0f}{unit}，每天约上升{evidence['a_day']:.1f}{unit}，"
        f"预计{evidence['days']:.0f}天内达到限值{evidence['limit']:.0f}{unit}"
    )
