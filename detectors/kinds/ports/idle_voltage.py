"""Voltage at a port that must be off (待机状态不带电), whatever the reason."""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.charging.cut_off import GRACE_MS, is_off
from detectors.charging.ports import Off, PortFacts
from detectors.detector import Detector
from detectors.twin.charging import TwinFacts
from schemas.alarm_kinds import AlarmKind


def _measure(voltage: np.ndarray, port: PortFacts) -> np.ndarray:
    return np.where(is_off(port), voltage, 0.0)


def _slowly(voltage: float, port: TwinFacts) -> float:
    return voltage if port.off != Off.NOT and port.off_ms >= GRACE_MS else 0.0


DETECTOR: Final = Detector(AlarmKind.IDLE_VOLTAGE, measure=_measure, measured_slowly=_slowly, knows_port=True)
