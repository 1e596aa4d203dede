"""Insulation resistance that is too low: 0.5 MΩ is what inspection demands of low-voltage lines."""

from __future__ import annotations

from typing import Final

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = Detector(AlarmKind.INSULATION)
