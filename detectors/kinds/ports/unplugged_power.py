"""Power at a port from which somebody has unplugged (拔出自动断电)."""

from __future__ import annotations

from typing import Final

from detectors.charging.cut_off import flows_though
from detectors.charging.ports import Off
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = flows_though(AlarmKind.UNPLUGGED_POWER, Off.UNPLUGGED)
