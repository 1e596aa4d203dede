"""Smoke, as its detector measures it: 0 for none, 1 for as much as it can tell."""

from __future__ import annotations

from typing import Final

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = Detector(AlarmKind.SMOKE)
