"""Temperature by its rise: a failing joint heats in minutes, long before it reaches a level.

A temperature is compared with its own running mean. A cable that takes on load warms with a time constant of 20 to 60
min (domain.md, Normal life), and the mean follows with `memory_ms`. So a load that ends at 40 K more lies 15 K over its
mean at most, at any interval between reports: what lies above is no load [calculated: 40 K / e]. While a value waits to
be confirmed the mean waits too. A single wrong reading moves it little: no value counts for more than `MOST` times the
limit, by as much more as it comes later.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from detectors.detector import Detector
from detectors.latch import AT_REST, Elements, Findings, Watched, step
from detectors.twin.latches import Latch, Limits, Point, TwinFinding
from detectors.twin.stretches import Value
from schemas.alarm_kinds import AlarmKind

STATE: Final = np.dtype([AT_REST, ("has_mean", "i1"), ("mean_c", "f8")])
"""`has_mean` is 1 once there is a value; `mean_c` is the running mean."""
MOST: Final = 2.0
"""So many times the limit a value counts at most to the mean [ours]."""


def detect(state: Watched, elements: Elements) -> Findings:
    """Compare what each value lies over its running mean, in ℃, with the limits."""
    slots, limits = elements.slots, elements.limits
    usual = np.where(state["has_mean"][slots] == 1, state["mean_c"][slots], elements.values)
    elapsed, memory = elements.elapsed_ms, np.maximum(limits["memory_ms"], 1)
    most = MOST * limits["lowest"] * (1 + elapsed / memory)
    moved = usual + np.clip(elements.values - usual, -most, most) * (elapsed / (memory + elapsed))
    usual = np.where(state.waits(slots), usual, moved)
    state["has_mean"][slots], state["mean_c"][slots] = 1, usual
    return step(state, elements._replace(values=elements.values - usual), usual)


def mean(state: Watched, slot: int) -> float:
    """What the values of a component are compared with, ℃."""
    return float(state["mean_c"][slot])


class Warmed:
    """The slow twin."""

    def __init__(self) -> None:
        self.latch = Latch()
        self.mean: float | None = None

    @property
    def baseline(self) -> float:
        """What an order that ends its alarm tells."""
        return self.mean or 0.0

    def step(self, one: Value, limits: Limits) -> Iterator[TwinFinding]:
        """A live value."""
        usual = one.value if self.mean is None else self.mean
        elapsed, memory = one.elapsed_ms, max(limits["memory_ms"], 1)
        most = 2 * limits["lowest"] * (1 + elapsed / memory)
        moved = usual + max(-most, min(one.value - usual, most)) * (elapsed / (memory + elapsed))
        waits = not self.latch.rests and self.latch.severity is None
        self.mean = usual if waits else moved
        for finding in self.latch.step(one._replace(value=one.value - self.mean), limits):
            yield finding._replace(baseline=self.mean)

    def late(self, one: Value, points: list[Point], limits: Limits) -> Iterator[TwinFinding]:
        """A rise needs values one after the other."""
        return iter(())


DETECTOR: Final = Detector(
    AlarmKind.TEMPERATURE_RISE, state=STATE, detect=detect, twin=Warmed, baseline=mean, late=False
)
