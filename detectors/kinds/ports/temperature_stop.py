"""A charge that was stopped for heat, at the port or around it."""

from __future__ import annotations

from typing import Final

from detectors.charging.codes import by_code
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = by_code(AlarmKind.TEMPERATURE_STOP)
