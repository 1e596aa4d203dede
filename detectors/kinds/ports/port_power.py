"""Power of a port by its level: over 2000 W no port may carry (AP3000)."""

from __future__ import annotations

from typing import Final

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = Detector(AlarmKind.PORT_POWER, piles_only=True)
