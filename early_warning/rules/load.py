"""Leakage that load does not explain, where it is known how the line leaks by its load."""

from __future__ import annotations

from typing import Final

import numpy as np

from early_warning.judged import Evidence, Judged, lasting, middle_over
from early_warning.normal import HourView, last_day
from early_warning.parameters import RuleParameters

ADVICE: Final = "泄漏与用电量无关，请排查线路绝缘、接头受潮和零地混接"


def judge(now: HourView, parameters: RuleParameters) -> Judged:
    """Half of the last day's hours lie over the line of the load, and so do the last three."""
    left = last_day(now, "unexplained")
    least = np.maximum(parameters["rise"], parameters["spreads"] * now.spread)
    which = now.is_learned & now.is_load_certain & ~now.is_weather_unknown & lasting(left, least, parameters["hours"])
    explained = now.value - now.unexplained
    return Judged(
        which, middle_over(left, least), {"value_ma": now.value, "explained_ma": explained, "load_a": now.load}
    )


def sentence(evidence: Evidence) -> str:
    """
    >>> sentence({"value_ma": 95.0, "explained_ma": 60.0, "load_a": 12.3, "excess_ma": 35.0})
    '剩余电流无法用负荷解释：当前95mA，按负荷12.3A应为约60mA，多出35mA'
    """
    return (
        f"剩余电流无法用负荷解释：当前{evidence['value_ma']:.0f}mA，按负荷{evidence['load_a']:.1f}A应为约"
        f"{evidence['explained_ma']:.0f}mA，多出{evidence['excess_ma']:.0f}mA"
    )
