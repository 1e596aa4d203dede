"""Power at a port that is idle or waits: whoever touches the socket may be hurt, and nobody watches what it feeds."""

from __future__ import annotations

from typing import Final

from detectors.charging.cut_off import flows_though
from detectors.charging.ports import Off
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = flows_though(AlarmKind.IDLE_POWER, Off.IDLE)
