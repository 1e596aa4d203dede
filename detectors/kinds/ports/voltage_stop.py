"""A charge that was stopped for too high or too low a supply."""

from __future__ import annotations

from typing import Final

from detectors.charging.codes import by_code
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = by_code(AlarmKind.VOLTAGE_STOP)
