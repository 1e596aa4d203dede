"""A charge that was stopped for too much power or current."""

from __future__ import annotations

from typing import Final

from detectors.charging.codes import by_code
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = by_code(AlarmKind.OVERLOAD_STOP)
