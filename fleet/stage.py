"""What a recipe for a fault is given (`FaultStage`) and gives back (`Draft`), and the rules of the truth.

The limits and confirm times are copied from the detectors' defaults on purpose: the truth must not move when a detector
does. Whatever a recipe plants stays clear of every limit it does not mean to pass, by the margins beside the numbers.
"""

from __future__ import annotations

import random
from typing import Final, NamedTuple

from fleet.config import Timeline
from schemas.alarm_kinds import AlarmKind
from schemas.events import Severity

RESIDUAL_WARNING_S: Final = 10
RESIDUAL_ALARM_S: Final = 3
RISE_S: Final = 10
TEMPERATURE_WARNING_S: Final = 10
HEATING_S: Final = 10
HEATING_MEMORY_MS: Final = 1_200_000
SELDOM_MS: Final = 120_000
"""A device that reports more seldom has a single value told as provisional."""
_PARTS: Final = 6
"""What is usual in a window is found by its parts, two of which must be known."""
_SLIDES: Final = 1.2
"""So many times its confirm time may what lasts take until a window that slides in steps shows it: 1.17 is the most."""

Truth = tuple[tuple[AlarmKind, Severity], ...]


class FaultLimits(NamedTuple):
    """Of one kind of device. Residual currents in mA, temperatures in ℃, a temperature alarm's confirm time in s."""

    residual_warning_ma: float | None
    residual_alarm_ma: float
    residual_rise_ma: float
    temperature_warning_c: float
    temperature_alarm_c: float
    temperature_alarm_s: int


MONITOR_LIMITS: Final = FaultLimits(200, 300, 100, 60, 70, 5)
PILE_LIMITS: Final = FaultLimits(None, 30, 15, 70, 80, 30)


class Draft(NamedTuple):
    """A curve on one component and what it must raise, nothing of it before `after_ms`. Times: ms after the start."""

    quantity: str
    component: int
    points: tuple[tuple[int, float], ...]
    noise: float
    raises: Truth
    after_ms: int


class FaultStage(NamedTuple):
    """One device, one run. `spread` in [0, 1) says where among possible onsets; `recovers` whether it falls back."""

    device: int
    pile: bool
    timeline: Timeline
    period_ms: int
    end_ms: int
    rise_window_ms: int
    spread: float
    recovers: bool
    rng: random.Random

    @property
    def limits(self) -> FaultLimits:
        return PILE_LIMITS if self.pile else MONITOR_LIMITS

    @property
    def margin_ms(self) -> int:
        """Around each boundary in time: two reports and two seconds, so that no rounding decides what is true."""
        return 2 * self.period_ms + 2_000

    @property
    def part_ms(self) -> int:
        """The least time between values that show what is usual in different parts of a window."""
        return max(self.rise_window_ms // _PARTS, self.period_ms)

    @property
    def may_rise(self) -> bool:
        """Whether a rise could be judged anywhere in this run. Two values before it must lie within the window."""
        return 2 * self.period_ms * _PARTS < (_PARTS + 1) * self.rise_window_ms and self.end_ms > 2 * self.part_ms

    @property
    def settled_ms(self) -> int:
        """From when on it is surely known of every device what is usual; never where two reports may not lie within."""
        if 2 * self.period_ms > self.rise_window_ms:
            return self.end_ms
        return 2 * self.part_ms + 2 * self.period_ms + self.margin_ms

    def lasts_ms(self, *confirm_s: int) -> int:
        """How long what lasts may take until all of it is confirmed, reports aside, for which there is the margin."""
        return int(_SLIDES * max(confirm_s) * 1_000)

    def onset(self, needs_ms: int, earliest_ms: int = 0) -> int | None:
        """A time from which `needs_ms` and the margin fit into the run, or None; every device has reported twice by
        then, so that it is known how often."""
        earliest_ms = max(earliest_ms, 2 * self.period_ms + 1)
        latest_ms = self.end_ms - needs_ms - self.margin_ms
        if latest_ms < earliest_ms:
            return None
        return earliest_ms + int(self.spread * (latest_ms - earliest_ms))

    def next_report_ms(self, elapsed_ms: int) -> int:
        """The device's first report at or after that time, which is at least a period before the end."""
        start_ts = self.timeline.start_ts
        reports = self.timeline.of_device(self.device, start_ts + elapsed_ms, self.timeline.end_ts)
        return int(self.timeline.at(reports[0])) - start_ts

    def hold(self, over_from_ms: int, needs_ms: int, level: float, normal: float) -> tuple[tuple[int, float], ...]:
        """Stay at `level` until all has confirmed, then to the end of the run or back to `normal`."""
        until_ms = over_from_ms + needs_ms + self.margin_ms
        if not self.recovers:
            return ((until_ms, level),)
        return (until_ms, level), (until_ms + 1, normal)
