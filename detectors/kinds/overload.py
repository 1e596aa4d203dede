"""A line that carries more than it is rated for, for minutes: its insulation ages, though no breaker trips.

A breaker holds 1.13 times its current for an hour (GB/T 10963.1), so nobody else would tell.

Solar feed-in carries as well as load: a current counts whatever its direction.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = Detector(AlarmKind.OVERLOAD, measure=np.abs, measured_slowly=abs)
