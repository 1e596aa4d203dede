"""A charge that was stopped because something was put out, or a fire system said so."""

from __future__ import annotations

from typing import Final

from detectors.charging.codes import by_code
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = by_code(AlarmKind.FIRE_STOP)
