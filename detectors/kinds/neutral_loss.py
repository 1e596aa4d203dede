"""A broken neutral (断零): the star point wanders, so one phase rises far above 220 V while another falls far below.

What is judged is how far the highest phase lies over the lowest, where one is higher and another lower than GB/T 12325
allows; else it is 0. No load can raise a phase, and a lost phase raises none. [ours]
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

HIGH_V: Final = 235.4
LOW_V: Final = 198.0
"""220 V +7 % and -10 % (GB/T 12325)."""


def apart(voltage: np.ndarray) -> np.ndarray:
    """float64[m] of float64[m, 3], V."""
    high, low = voltage.max(axis=1), voltage.min(axis=1)
    return np.where((high > HIGH_V) & (low < LOW_V), high - low, 0.0)


def _slowly(voltage: list[float]) -> float:
    high, low = max(voltage), min(voltage)
    return high - low if high > HIGH_V and low < LOW_V else 0.0


DETECTOR: Final = Detector(AlarmKind.NEUTRAL_LOSS, measure=apart, measured_slowly=_slowly)
