"""The slow twin of how values are confirmed: by how often a component speaks. See `detectors.twin`."""

from __future__ import annotations

from typing import NamedTuple


class Value(NamedTuple):
    """One value of a component in its time."""

    value: float
    ts: int
    ingest_ts: int
    before_ts: int = 0
    elapsed_ms: int = 0
    step_ms: int = 0
    interval_ms: int = 0
    gap: bool = False
    others: tuple[float, ...] = ()

    @property
    def is_fast(self) -> bool:
        """Whether its component is believed by time."""
        return 0 < self.interval_ms <= 10_000 and not self.gap

    @property
    def is_seldom(self) -> bool:
        """Whether its component speaks so seldom that a first value is told."""
        return self.interval_ms == 0 or self.interval_ms > 120_000 or self.gap


class Stretch:
    """Since when values have been of one sort, and how long that has lasted."""

    def __init__(self) -> None:
        self.end()

    def end(self) -> None:
        """There are none."""
        self.since: int | None = None
        self.lasted_ms = self.now_ms = self.before_ms = 0

    def confirms(self, holds: bool, one: Value, confirm_ms: int, clock_ms: int) -> bool:
        """Take a value on. Whether it is confirmed by it that values are of the sort."""
        if one.is_fast:
            return self._within(holds, one, confirm_ms, clock_ms)
        goes_on = self._goes_on(holds, one)
        enough = confirm_ms <= 120_000 or self.lasted_ms >= confirm_ms
        return (goes_on and enough) or (holds and confirm_ms == 0)

    def lasts(self, holds: bool, one: Value, confirm_ms: int) -> bool:
        """As `confirms`, of values in a row that must last."""
        goes_on = self._goes_on(holds, one) and self.lasted_ms >= confirm_ms
        return goes_on or (holds and confirm_ms < 0)

    def _goes_on(self, holds: bool, one: Value) -> bool:
        """Take a value on; whether it follows another in a row."""
        self.now_ms = self.before_ms = 0
        if not holds:
            self.end()
            return False
        if self.since is None or one.gap or self.lasted_ms < 0:
            self.since, self.lasted_ms = one.ts, 0
            return False
        self.lasted_ms += one.step_ms
        return True

    def _within(self, holds: bool, one: Value, confirm_ms: int, clock_ms: int) -> bool:
        window_ms = max(30_000, 2 * confirm_ms)
        begun, into = self.since is not None, clock_ms % window_ms
        passed = clock_ms // window_ms - (clock_ms - one.elapsed_ms) // window_ms
        for _ in range(min(passed, 2)):
            self.now_ms, self.before_ms = 0, self.now_ms
        if holds and not begun:
            self.since, self.lasted_ms = one.ts, 0
            self.now_ms += 1
        elif holds:
            of_now = one.step_ms if passed == 0 else min(one.step_ms, into)
            self.now_ms += of_now
            self.before_ms = min(self.before_ms + one.step_ms - of_now, window_ms)
            self.lasted_ms = self.lasted_ms + one.step_ms if self.lasted_ms >= 0 else 0
        else:
            self.lasted_ms = -1
            if not self.now_ms and not self.before_ms:
                self.since = None
        return holds and self.now_ms + self.before_ms * (window_ms - into) // window_ms >= confirm_ms
