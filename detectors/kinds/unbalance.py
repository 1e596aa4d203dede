"""The unbalance of a three-phase line as its device measures it."""

from __future__ import annotations

from typing import Final

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = Detector(AlarmKind.UNBALANCE)
