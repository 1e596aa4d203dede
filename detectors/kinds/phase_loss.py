"""A phase without supply while another has it: three-phase motors go on with two, and burn.

The lowest of the three voltages is judged as long as the highest is at least `SUPPLIED_V`; what is left on a lost phase
comes through the loads. [ours]
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

SUPPLIED_V: Final = 187.0
"""220 V less 15 %, below which the line as a whole is not well supplied (`limits.toml`, under_voltage) [ours]."""


def lowest(voltage: np.ndarray) -> np.ndarray:
    """The lowest of three phases, float64[m] of float64[m, 3]; NaN where none of them is supplied."""
    found: np.ndarray = voltage.min(axis=1)
    return np.where(voltage.max(axis=1) >= SUPPLIED_V, found, np.nan)


def _slowly(voltage: list[float]) -> float:
    return min(voltage) if max(voltage) >= SUPPLIED_V else math.nan


DETECTOR: Final = Detector(AlarmKind.PHASE_LOSS, measure=lowest, measured_slowly=_slowly)
