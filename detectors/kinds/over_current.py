"""A current at which the breaker should trip, and which is still there: 1.45 times the rated one (GB/T 10963.1).

Motors start at six times their current for a second, so it must last.

Solar feed-in carries as well as load: a current counts whatever its direction.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = Detector(AlarmKind.OVER_CURRENT, measure=np.abs, measured_slowly=abs)
