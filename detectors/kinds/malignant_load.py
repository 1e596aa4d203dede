"""A malignant load (恶性负载): a heater that is switched on where only small appliances are allowed.

What heats by resistance takes its power at once and without a reactive part. So a step of power between two values is
one if it is at least `RESISTIVE` of the apparent power that came with it. It is judged, in W, as long as at least half
of it is there. Where kettles are allowed this would alarm all day; so it has limits only in places where they are not
(`limits.toml`). The rule is of smart meters for dormitories [M], the numbers are [ours].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from detectors.detector import Detector
from detectors.latch import AT_REST, Elements, Findings, Watched, step
from detectors.twin.latches import Level, Limits, TwinFinding
from detectors.twin.stretches import Value
from schemas.alarm_kinds import AlarmKind

RESISTIVE: Final = 0.95
NOMINAL_V: Final = 220.0
"""Where no voltage is sent."""
STATE: Final = np.dtype(
    [AT_REST, ("begun", "i1"), ("power_w", "f8"), ("current_a", "f8"), ("step_w", "f8"), ("before_w", "f8")]
)
"""`power_w` and `current_a` are the newest values, meant where `begun`; `step_w` is the step that is there, 0 for none,
and `before_w` the power before it."""


def detect(state: Watched, elements: Elements) -> Findings:
    """Compare the step that is there with the limits."""
    slots, power, (current, voltage) = elements.slots, elements.values, elements.others
    held, before = state["step_w"][slots], state["before_w"][slots]
    risen_w, risen_a = power - state["power_w"][slots], np.abs(current) - state["current_a"][slots]
    apparent = np.where(np.isnan(voltage), NOMINAL_V, voltage) * risen_a
    begins = (state["begun"][slots] == 1) & (risen_w >= elements.limits["lowest"]) & (risen_w >= RESISTIVE * apparent)
    begins &= risen_a > 0
    stays = (held > 0) & (power - before >= held / 2)
    now = np.where(begins, risen_w, np.where(stays, held, 0.0))
    state["before_w"][slots] = np.where(begins, state["power_w"][slots], before)
    state["step_w"][slots] = now
    known = ~np.isnan(current)
    state["power_w"][slots], state["begun"][slots] = power, known
    state["current_a"][slots] = np.where(known, np.abs(current), 0.0)
    return step(state, elements._replace(values=now))


class SwitchedOn(Level):
    """The slow twin."""

    def __init__(self) -> None:
        super().__init__()
        self.newest: tuple[float, float] | None = None
        self.step_w = self.before_w = 0.0

    def step(self, one: Value, limits: Limits) -> Iterator[TwinFinding]:
        """A live value."""
        current, voltage = abs(one.others[0]), one.others[1]
        begins = False
        if self.newest is not None and not math.isnan(current):
            risen_w, risen_a = one.value - self.newest[0], current - self.newest[1]
            apparent = (NOMINAL_V if math.isnan(voltage) else voltage) * risen_a
            begins = risen_w >= limits["lowest"] and risen_w >= RESISTIVE * apparent and risen_a > 0
        if begins and self.newest is not None:
            self.before_w, self.step_w = self.newest[0], one.value - self.newest[0]
        elif not (self.step_w > 0 and one.value - self.before_w >= self.step_w / 2):
            self.step_w = 0.0
        self.newest = None if math.isnan(current) else (one.value, current)
        yield from super().step(one._replace(value=self.step_w), limits)


DETECTOR: Final = Detector(AlarmKind.MALIGNANT_LOAD, state=STATE, detect=detect, twin=SwitchedOn)
