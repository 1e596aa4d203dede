"""A charge that lasts for longer than any may, s (AP3000: 36,000 s). A charge that nobody ends ends in a fire."""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.charging.ports import PortFacts
from detectors.detector import Detector
from detectors.twin.charging import TwinFacts
from schemas.alarm_kinds import AlarmKind


def _measure(state: np.ndarray, port: PortFacts) -> np.ndarray:
    return port.charging_ms / 1_000


def _slowly(state: float, port: TwinFacts) -> float:
    return port.charging_ms / 1_000


DETECTOR: Final = Detector(AlarmKind.LONG_CHARGE, measure=_measure, measured_slowly=_slowly, knows_port=True)
