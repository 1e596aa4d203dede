"""Faults that grow over hours to months, planted into a history, and their truth."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np


class SlowFault(StrEnum):
    """What goes wrong slowly; the last two are what people do, after which no notice is right."""

    STEP = "step_60"
    CREEP_7 = "creep_110_in_7_days"
    CREEP_30 = "creep_110_in_30_days"
    CREEP_60 = "creep_110_in_60_days"
    CREEP_50 = "creep_50_in_30_days"
    HOT_JOINT = "joint_15_k"
    WORSE_JOINT = "joint_gets_worse"
    STAYS_WET = "stays_wet"
    LAWFUL_RISE = "lawful_rise_accepted"
    REPLACED = "device_replaced"


LEAKAGE_FAULTS: Final = {
    SlowFault.STEP: (60.0, 0),
    SlowFault.CREEP_7: (110.0, 7),
    SlowFault.CREEP_30: (110.0, 30),
    SlowFault.CREEP_60: (110.0, 60),
    SlowFault.CREEP_50: (50.0, 30),
    SlowFault.STAYS_WET: (45.0, 1),
    SlowFault.LAWFUL_RISE: (60.0, 0),
}
"""How many mA more, and within how many days."""
_DAY_HOURS: Final = 24
HOT_JOINT_K: Final = 18.0
"""Of a joint at the load of its first hour: it is to be 15 K over whatever its noise [ours]."""
WORSE_JOINT_DAYS: Final = 56
WORSE_JOINT_GROWS: Final = 2.0
"""A joint that gets worse heats three times as much at equal load after eight weeks [ours]."""


class PlantedHistory(NamedTuple):
    """One planted fault. `begin_hour` is its first hour, `full_hour` that at which it is as bad as it gets; both count
    from 1970. `person_hour` is when a person accepted it or replaced the device, 0 for never."""

    fault: SlowFault
    device_id: str
    quantity: str
    component: int
    line_kind: str
    begin_hour: int
    full_hour: int
    person_hour: int = 0


def leakage(fault: SlowFault, hours: int, begin: int) -> np.ndarray:
    """What a fault adds to leakage, mA, float32[hours]; it begins at index `begin`."""
    most, days = LEAKAGE_FAULTS[fault]
    since = np.arange(hours) - begin
    grown = np.clip((since + 1) / (days * _DAY_HOURS), 0, 1) if days else (since >= 0).astype(np.float64)
    return np.asarray(most * np.where(since >= 0, grown, 0), np.float32)


def joint(fault: SlowFault, hours: int, begin: int, heat: np.ndarray) -> np.ndarray:
    """What a joint heats more, K, float32[hours]; `heat` is what the cable heats by its load."""
    since = np.arange(hours) - begin
    if fault is SlowFault.HOT_JOINT:
        return np.asarray(np.where(since >= 0, HOT_JOINT_K, 0), np.float32)
    grown = np.clip(since / (WORSE_JOINT_DAYS * _DAY_HOURS), 0, 1) * WORSE_JOINT_GROWS
    return np.asarray(grown * heat, np.float32)
