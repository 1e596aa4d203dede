"""Cable temperature by its level. PVC insulation ages fast above 70 ℃ and then fails.

The alarm is due within 40 s (GB 50166-2019 4.8.5).
"""

from __future__ import annotations

from typing import Final

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = Detector(AlarmKind.TEMPERATURE)
