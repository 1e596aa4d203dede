"""Temperature under normal for half a day while the load is there: a probe that came off sees no fire, and a machine
that runs cold does not run as it did."""

from __future__ import annotations

from typing import Final

import numpy as np

from early_warning.judged import Evidence, Judged, lasting, middle_over
from early_warning.normal import HourView, last_day
from early_warning.parameters import RuleParameters

ADVICE: Final = "请确认测温探头未脱落、设备运行正常；停用的请登记停用"


def judge(now: HourView, parameters: RuleParameters) -> Judged:
    """Half of the last day's hours lie under normal, and so do the last three."""
    falls = -last_day(now, "rise")
    is_load_gone = ~np.isnan(now.load) & (now.load < parameters["load_part"] * now.load_line.mean_x)
    which = now.is_learned & lasting(falls, parameters["fall"], parameters["hours"]) & ~is_load_gone
    evidence = {"value_c": now.value, "normal_c": now.value - now.excess}
    return Judged(which, middle_over(falls, parameters["fall"]), evidence)


def sentence(evidence: Evidence) -> str:
    """
    >>> sentence({"value_c": 21.0, "normal_c": 45.0, "excess_k": 24.0})
    '温度持续低于自身正常水平：当前21.0℃，正常约45.0℃，低24.0K'
    """
    return (
        f"温度持续低于自身正常水平：当前{evidence['value_c']:.1f}℃，正常约{evidence['normal_c']:.1f}℃，"
        f"低{evidence['excess_k']:.1f}K"
    )
