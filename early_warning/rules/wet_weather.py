"""A line that stays high after its neighbours dried.

A slow rise that neighbours share is the weather's, and no notice for each line: what weather explains is taken off
before any rule judges (`early_warning.normal`). A line that got wet and does not dry with the others has water in it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from early_warning.judged import Evidence, Judged, lasting, middle_over
from early_warning.normal import HourView, last_day
from early_warning.parameters import RuleParameters
from early_warning.state import NEVER

ADVICE: Final = "该线路可能进水或受潮，请检查穿管、接线盒和地下室线路"


def observe(now: HourView, parameters: RuleParameters) -> None:
    """Note that it is wet, and how much this line shows."""
    is_wet, held = now.is_shared, now.held
    rise = np.nan_to_num(now.value - now.centre, nan=0.0)
    is_same = now.hour - held["wet_hour"] < parameters["dry_hours"]
    most = np.where(is_same, np.maximum(held["wet_rise"], rise), rise)
    held["wet_rise"][:] = np.where(is_wet, most, held["wet_rise"])
    held["wet_hour"][:] = np.where(is_wet, now.hour, held["wet_hour"])


def judge(now: HourView, parameters: RuleParameters) -> Judged:
    """It was wet, the neighbours are dry for two days, and half of the last day lies over normal."""
    held = now.held
    dry_hours = now.hour - held["wet_hour"].astype(np.int64)
    dried = (
        (held["wet_hour"] > NEVER) & (dry_hours >= parameters["dry_hours"]) & (dry_hours <= parameters["within_hours"])
    )
    rises = last_day(now, "rise")
    stays = lasting(rises, parameters["rise"], parameters["hours"]) & (held["wet_rise"] >= parameters["rise"])
    evidence = {
        "value_ma": now.value,
        "wet_rise_ma": held["wet_rise"].astype(np.float64),
        "dry_hours": dry_hours.astype(np.float64),
    }
    return Judged(now.is_learned & dried & stays, middle_over(rises, parameters["rise"]), evidence)


def sentence(evidence: Evidence) -> str:
    """
    >>> sentence({"value_ma": 95.0, "wet_rise_ma": 60.0, "dry_hours": 50.0, "excess_ma": 35.0})
    '潮湿天气过后剩余电流未回落：邻近线路已恢复正常50小时，该线路当前95mA，仍高出35mA'
    """
    return (
        f"潮湿天气过后剩余电流未回落：邻近线路已恢复正常{evidence['dry_hours']:.0f}小时，"
        f"该线路当前{evidence['value_ma']:.0f}mA，仍高出{evidence['excess_ma']:.0f}mA"
    )
