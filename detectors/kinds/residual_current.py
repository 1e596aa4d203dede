"""Residual current by its level: current that leaves the circuit through insulation, water or a person.

Natural leakage of 100-200 mA is normal (GB 50116-2013 9.2.3, note), so the limits lie above it and a value must hold
for its confirm time. `residual_current_rise` sees what is abnormal for one device though below the limits.
"""

from __future__ import annotations

from typing import Final

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = Detector(AlarmKind.RESIDUAL_CURRENT)
