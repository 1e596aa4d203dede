"""Static electricity, whatever its sign: a spark where there are vapours or dust."""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = Detector(AlarmKind.STATIC, measure=np.abs, measured_slowly=abs)
