"""A phase voltage above what GB/T 12325 allows: insulation and appliances are overstressed."""

from __future__ import annotations

from typing import Final

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = Detector(AlarmKind.OVER_VOLTAGE)
