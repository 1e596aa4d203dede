"""Unbalance of three phase currents: the greatest deviation from their mean, by the mean, %.

A little load on one phase is no unbalance, so it is judged only where the mean is `LEAST_A` or more. [ours]
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from detectors.detector import Detector
from detectors.kinds.voltage_unbalance import unbalance, unbalance_slowly
from schemas.alarm_kinds import AlarmKind

LEAST_A: Final = 10.0
"""A third of the smallest three-phase breaker in use, 32 A [ours]."""


def _measure(current: np.ndarray) -> np.ndarray:
    current = np.abs(current)
    return np.where(current[:, 0] + current[:, 1] + current[:, 2] >= 3 * LEAST_A, unbalance(current), np.nan)


def _slowly(current: list[float]) -> float:
    current = [abs(one) for one in current]
    return unbalance_slowly(current) if current[0] + current[1] + current[2] >= 3 * LEAST_A else math.nan


DETECTOR: Final = Detector(AlarmKind.CURRENT_UNBALANCE, measure=_measure, measured_slowly=_slowly)
