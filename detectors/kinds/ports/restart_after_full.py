"""Power that comes back within one charge after it has fallen to what a full battery takes: it is charged again.

Judged is the power by the plateau, %.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.charging.ports import LEAST_W, PortFacts
from detectors.detector import Detector
from detectors.twin.charging import TwinFacts
from schemas.alarm_kinds import AlarmKind


def _measure(power: np.ndarray, port: PortFacts) -> np.ndarray:
    judged = (port.plateau_w >= LEAST_W) & port.fell
    return np.where(judged, 100 * np.minimum(power, port.smooth_w) / np.where(judged, port.plateau_w, 1.0), 0.0)


def _slowly(power: float, port: TwinFacts) -> float:
    if port.plateau_w < LEAST_W or not port.fell:
        return 0.0
    return 100 * min(power, port.smooth_w) / port.plateau_w


DETECTOR: Final = Detector(AlarmKind.RESTART_AFTER_FULL, measure=_measure, measured_slowly=_slowly, knows_port=True)
