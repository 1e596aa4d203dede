"""Temperature over the place's own normal of the hour: spoken of when the hour has closed.

Where nobody knows the load and the siblings are as much warmer, it is load in the first place: then it must be more.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from early_warning.arrays import others_median
from early_warning.judged import Evidence, Judged
from early_warning.normal import HourView
from early_warning.parameters import RuleParameters

ADVICE: Final = "请检查接头是否松动、是否过载；必要时用测温仪复核"


def judge(now: HourView, parameters: RuleParameters) -> Judged:
    """The hour lies over normal, by values enough to believe it, or as the one before."""
    rise = np.where(_is_shared_by_siblings(now, parameters), parameters["shared_rise"], parameters["rise"])
    least = np.maximum(rise, parameters["spreads"] * now.spread)
    is_over = np.nan_to_num(now.excess, nan=0.0) >= least
    which = now.is_learned & is_over & is_believed(now, now.excess, parameters)
    return Judged(which, now.excess, {"value_c": now.value, "normal_c": now.value - now.excess})


def _is_shared_by_siblings(now: HourView, parameters: RuleParameters) -> np.ndarray:
    away = now.value - now.centre
    theirs = others_median(now.siblings, away, 1)
    shared: np.ndarray = ~now.is_load_certain & (np.nan_to_num(theirs, nan=0.0) >= parameters["shared_part"] * away)
    return shared


def is_believed(now: HourView, excess: np.ndarray, parameters: RuleParameters) -> np.ndarray:
    """Whether an hour may be believed: it has values enough that a wild one says nothing, or the value is one that a
    joint may have. A single one far beyond is a wild sample, or the stream has alarmed."""
    believed: np.ndarray = (now.count >= parameters["count"]) | (
        np.nan_to_num(excess, nan=0.0) <= parameters["lone_most"]
    )
    return believed


def sentence(evidence: Evidence) -> str:
    """
    >>> sentence({"value_c": 62.0, "normal_c": 41.0, "excess_k": 21.0})
    '温度明显高于自身同一时段的正常水平：当前62.0℃，正常约41.0℃，高出21.0K'
    """
    return (
        f"温度明显高于自身同一时段的正常水平：当前{evidence['value_c']:.1f}℃，"
        f"正常约{evidence['normal_c']:.1f}℃，高出{evidence['excess_k']:.1f}K"
    )
