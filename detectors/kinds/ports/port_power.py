"""Power of a port by its level: over 2000 W no port may carry (AP3000)."""

from __future__ import annotations

from typing import Final

from detectors.charging.agreeing import power_carried, power_carried_slowly
from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = Detector(
    AlarmKind.PORT_POWER,
    measure=power_carried,
    measured_slowly=power_carried_slowly,
    piles_only=True,
    measures_beside=True,
)
