"""Power that rises while it should be constant or fall: a battery that heats takes more and more current (热失控).

Judged is how far power lies over the least since the plateau began, by the plateau, %. The voltage of a battery
rises by a fifth while it is charged, and power with it. What rises after it has fallen is `restart_after_full`."""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.charging.ports import LEAST_W, PortFacts
from detectors.detector import Detector
from detectors.twin.charging import TwinFacts
from schemas.alarm_kinds import AlarmKind


def _measure(power: np.ndarray, port: PortFacts) -> np.ndarray:
    judged = (port.plateau_w >= LEAST_W) & ~port.fell
    risen = np.minimum(power, port.smooth_w) - port.low_w
    return np.where(judged, 100 * risen / np.where(judged, port.plateau_w, 1.0), 0.0)


def _slowly(power: float, port: TwinFacts) -> float:
    if port.plateau_w < LEAST_W or port.fell:
        return 0.0
    return 100 * (min(power, port.smooth_w) - port.low_w) / port.plateau_w


DETECTOR: Final = Detector(AlarmKind.RISING_PLATEAU, measure=_measure, measured_slowly=_slowly, knows_port=True)
