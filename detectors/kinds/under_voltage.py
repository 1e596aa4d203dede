"""A phase voltage below what GB/T 12325 allows: motors draw more current and get hot.

Hardly any voltage is no supply, which `phase_loss` tells where others are there; and where none is, nothing can burn.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

NONE_V: Final = 44.0
"""What lies below is no supply: a fifth of 220 V [ours]."""


def supplied(voltage: np.ndarray) -> np.ndarray:
    """float64[m] in and out."""
    return np.where(voltage >= NONE_V, voltage, np.nan)


def _slowly(voltage: float) -> float:
    return voltage if voltage >= NONE_V else math.nan


DETECTOR: Final = Detector(AlarmKind.UNDER_VOLTAGE, measure=supplied, measured_slowly=_slowly)
