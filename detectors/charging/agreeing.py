"""Power and current of a port, which tell the same twice: what one says and the other cannot bear is no measurement.

A wild sample is of one value. So power is as much as its current can carry at most, and a current as much as its power
needs; where the other is not told, a value stands for itself. Both are negative where a transformer is mounted the
wrong way round.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

MOST_V: Final = 300.0
"""No supply is higher that a pile still runs at (AP3000: 270 V is an alarm) [ours]."""
LEAST_V: Final = 50.0
"""By it a current may have so little power: half of the least supply (AP3000: 100 V is an alarm), for chargers without
power factor correction [ours]."""


def power_carried(power: np.ndarray, current: np.ndarray) -> np.ndarray:
    """W, float64[m]; NaN of the current is none that is told."""
    found: np.ndarray = np.fmin(np.abs(power), MOST_V * np.abs(current))
    return found


def power_carried_slowly(power: float, current: float) -> float:
    """The same of one port."""
    return abs(power) if math.isnan(current) else min(abs(power), MOST_V * abs(current))


def current_needed(current: np.ndarray, power: np.ndarray) -> np.ndarray:
    """A, float64[m]; NaN of the power is none that is told."""
    found: np.ndarray = np.fmin(np.abs(current), np.abs(power) / LEAST_V)
    return found


def current_needed_slowly(current: float, power: float) -> float:
    """The same of one port."""
    return abs(current) if math.isnan(power) else min(abs(current), abs(power) / LEAST_V)
