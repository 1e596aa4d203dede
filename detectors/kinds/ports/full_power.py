"""Power at a port whose battery is full (充满自动断电): overcharged, it may burn.

Float is no such power: the state of its port says so.
"""

from __future__ import annotations

from typing import Final

from detectors.charging.cut_off import flows_though
from detectors.charging.ports import Off
from schemas.alarm_kinds import AlarmKind

DETECTOR: Final = flows_though(AlarmKind.FULL_POWER, Off.FULL)
