"""Arc faults by the 9/14 rule: 9 arc half-cycles within 1 s must not alarm, 14 must (GB 31252-2014 4.3.4).

`arc_half_cycles` is the most the device counted within any 1 s since its last report, so each report stands alone and
no confirm time is wanted: the device has confirmed already.
"""

from __future__ import annotations

from typing import Final

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = Detector(AlarmKind.ARC_FAULT)
