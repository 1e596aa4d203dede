"""Temperature of a port by its level: a socket whose contacts heat."""

from __future__ import annotations

from typing import Final

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = Detector(AlarmKind.PORT_TEMPERATURE)
