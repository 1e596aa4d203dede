"""Unbalance of three phase voltages: the greatest deviation from their mean, by the mean, %.

Standards define it by the negative sequence (GB/T 15543), for which angles are needed that devices do not send. Where a
phase is lost, `phase_loss` tells, and this does not.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

LOST_V: Final = 110.0
"""Below this a phase is lost (`limits.toml`, phase_loss)."""


def unbalance(phases: np.ndarray) -> np.ndarray:
    """The greatest deviation from the mean of three, %, float64[m] of float64[m, 3]; NaN where the mean is not above
    0."""
    mean = (phases[:, 0] + phases[:, 1] + phases[:, 2]) / 3
    deviation = np.maximum(phases.max(axis=1) - mean, mean - phases.min(axis=1))
    return np.where(mean > 0, 100 * deviation / np.where(mean > 0, mean, 1), np.nan)


def unbalance_slowly(phases: list[float]) -> float:
    """The same of three numbers."""
    mean = (phases[0] + phases[1] + phases[2]) / 3
    return 100 * max(max(phases) - mean, mean - min(phases)) / mean if mean > 0 else math.nan


def _measure(voltage: np.ndarray) -> np.ndarray:
    return np.where(voltage.min(axis=1) >= LOST_V, unbalance(voltage), np.nan)


def _slowly(voltage: list[float]) -> float:
    return unbalance_slowly(voltage) if min(voltage) >= LOST_V else math.nan


DETECTOR: Final = Detector(AlarmKind.VOLTAGE_UNBALANCE, measure=_measure, measured_slowly=_slowly)
