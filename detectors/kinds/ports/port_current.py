"""Current of a port by its level: over-current, and where it stays, a current limit (限流保护) that does not limit.

Both have the level of the socket. What a protection cuts off is over by the next value; what is still there is the
alarm."""

from __future__ import annotations

from typing import Final

from detectors.charging.agreeing import current_needed, current_needed_slowly
from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = Detector(
    AlarmKind.PORT_CURRENT,
    measure=current_needed,
    measured_slowly=current_needed_slowly,
    piles_only=True,
    measures_beside=True,
)
