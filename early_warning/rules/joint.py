"""Heat at equal load that grows from week to week: a joint that is getting worse.

(T - ambient) / I² of a week is the slope of a line through its hours. Where nothing measures the ambient, the line's
intercept stands for it; what siblings grow by is its error, and is taken off.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from early_warning.arrays import others_median, placed, row_quantiles
from early_warning.calendar import day_of
from early_warning.judged import Evidence, Judged
from early_warning.normal import HourView
from early_warning.parameters import RuleParameters
from early_warning.regression import SUMS, add, line_of
from early_warning.state import RING_WEEKS

ADVICE: Final = "负荷相同而发热增加，多为接头氧化或松动，请尽快停电紧固"
_WEEK_DAYS: Final = 7
_NO_MEMORY: Final = 1e12
"""The hours of a week weigh the same."""


def observe(now: HourView, parameters: RuleParameters) -> None:
    """Add the hour to its week; the first hour of another closes the one before."""
    held, week = now.held, day_of(now.hour) // _WEEK_DAYS
    closes = held["week"] != week
    if closes.any():
        _close(now, parameters, closes, week)
    add(held, "heat", now.load, now.value - now.around, _NO_MEMORY)


def _close(now: HourView, parameters: RuleParameters, closes: np.ndarray, week: int) -> None:
    held = now.held
    line = line_of(held, "heat")
    is_good = (line.certainty >= parameters["certain"]) & (line.weight >= parameters["hours"]) & (line.slope > 0)
    last = held["week"].astype(np.int64)
    ring = held["ratio"]
    rows = np.flatnonzero(closes)
    ring[rows, last[rows] % RING_WEEKS] = np.where(is_good[rows], line.slope[rows], np.nan)
    back = (week - np.arange(RING_WEEKS)) % RING_WEEKS
    passed = closes[:, None] & ((week - back)[None, :] > last[:, None])
    ring[passed] = np.nan
    for name in SUMS:
        held[f"heat_{name}"][rows] = 0
    held["week"][rows] = week


def judge(now: HourView, parameters: RuleParameters) -> Judged:
    """Each of the last weeks lies over the middle of those before, by a share and by heat at the usual load."""
    weeks, before_weeks = int(parameters["weeks"]), int(parameters["before_weeks"])
    ratios = placed(np.asarray(now.held["ratio"], np.float64), day_of(now.hour) // _WEEK_DAYS, np.arange(1, RING_WEEKS))
    recent = row_quantiles(ratios[:, :weeks], 0.0, weeks)
    before = row_quantiles(ratios[:, weeks : weeks + before_weeks], 0.5, int(parameters["before_least"]))
    grown = recent / before
    theirs = np.fmax(others_median(now.siblings, grown, 1), 1.0)
    grown = grown / np.where(np.isnan(theirs), 1.0, theirs)
    line = now.load_line
    heat = (grown - 1.0) * before * (line.mean_x + line.deviation_x)
    which = now.is_learned & (grown >= parameters["grown"]) & (heat >= parameters["heat"])
    evidence = {"grown_pct": (grown - 1.0) * 100.0, "load_a": np.sqrt(np.maximum(line.mean_x + line.deviation_x, 0.0))}
    return Judged(which, np.nan_to_num(heat, nan=0.0), evidence)


def sentence(evidence: Evidence) -> str:
    """
    >>> sentence({"grown_pct": 45.0, "load_a": 32.0, "excess_k": 7.5})
    '同样负荷下发热逐周增加：较前几周增加45%，在32A时约多升温7.5K'
    """
    return (
        f"同样负荷下发热逐周增加：较前几周增加{evidence['grown_pct']:.0f}%，"
        f"在{evidence['load_a']:.0f}A时约多升温{evidence['excess_k']:.1f}K"
    )
