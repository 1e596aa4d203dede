"""Power at a port whose charge a protection has stopped, or ought to have (异常自动断电)."""

from __future__ import annotations

from typing import Final

from detectors.charging.cut_off import flows_though
from detectors.charging.ports import Off
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = flows_though(AlarmKind.ABNORMAL_POWER, Off.ABNORMAL)
