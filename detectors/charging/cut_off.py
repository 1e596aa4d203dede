"""What flows, or could, at a port that must be off: which protection has failed is why it must be (requirement B1)."""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.charging.agreeing import power_carried, power_carried_slowly
from detectors.charging.ports import Off, PortFacts
from detectors.detector import Detector
from detectors.twin.charging import TwinFacts
from schemas.alarm_kinds import AlarmKind

GRACE_MS: Final = 60_000
"""So long after a port began to say that it is off nothing is judged: a relay opens within a second, and a pile
measures power by means of some [ours]."""


def is_off(port: PortFacts) -> np.ndarray:
    """Which ports must be off by now, bool[m]."""
    found: np.ndarray = (port.off != Off.NOT) & (port.off_ms >= GRACE_MS)
    return found


def flows_though(kind: AlarmKind, why: Off) -> Detector:
    """The detector of power, W, at ports that must be off for that reason; at others it judges 0."""

    def measure(power: np.ndarray, port: PortFacts, current: np.ndarray) -> np.ndarray:
        return np.where(is_off(port) & (port.off == why), power_carried(power, current), 0.0)

    def measured_slowly(power: float, port: TwinFacts, current: float) -> float:
        return power_carried_slowly(power, current) if port.off == why and port.off_ms >= GRACE_MS else 0.0

    return Detector(kind, measure=measure, measured_slowly=measured_slowly, knows_port=True, measures_beside=True)
