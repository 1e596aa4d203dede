"""A relay whose contacts stick: its port cannot be switched off any more."""

from __future__ import annotations

from typing import Final

from detectors.charging.codes import by_code
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = by_code(AlarmKind.RELAY_STUCK)
