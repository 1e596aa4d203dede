"""One place warmer than those beside it, their usual difference taken off: they share ambient and mostly load."""

from __future__ import annotations

from typing import Final

import numpy as np

from early_warning.arrays import others_median
from early_warning.judged import Evidence, Judged
from early_warning.normal import HourView
from early_warning.parameters import RuleParameters
from early_warning.rules.heat import is_believed

ADVICE: Final = "同一设备各路温差异常，多为该路接头松动或三相不平衡，请停电紧固并检查"


def judge(now: HourView, parameters: RuleParameters) -> Judged:
    """Its difference from normal exceeds that of the middle of its siblings; and so does what load leaves unexplained,
    for the line of the load is off by some K at times, of all of them alike: at night, and while they warm up."""
    least_siblings = int(parameters["least"])
    away = np.where(now.is_learned, now.value - now.centre, np.nan)
    theirs = others_median(now.siblings, away, least_siblings)
    off = np.nan_to_num(others_median(now.siblings, now.unexplained, least_siblings), nan=0.0)
    more = np.nan_to_num(np.fmin(away - theirs, now.unexplained - off), nan=0.0)
    more = np.where(np.isnan(theirs), 0.0, more)
    least = np.maximum(parameters["rise"], parameters["spreads"] * now.spread)
    which = now.is_learned & (more >= least) & is_believed(now, more, parameters)
    return Judged(which, more, {"value_c": now.value, "siblings_c": now.value - more})


def sentence(evidence: Evidence) -> str:
    """
    >>> sentence({"value_c": 62.0, "siblings_c": 41.0, "excess_k": 21.0})
    '温度明显高于同一设备其他各路：当前62.0℃，按其他各路应为约41.0℃，高出21.0K'
    """
    return (
        f"温度明显高于同一设备其他各路：当前{evidence['value_c']:.1f}℃，"
        f"按其他各路应为约{evidence['siblings_c']:.1f}℃，高出{evidence['excess_k']:.1f}K"
    )
