"""Residual current by a sudden rise over the component's own level.

A line that leaks 40 mA and a quarter of an hour later leaks 160 mA is failing, though 160 mA is normal elsewhere. The
natural leakage of an office line rises by 97 mA within an hour each morning; so what counts is the rise within half an
hour (domain.md, Confirming). The level is what has been usual in `window_ms`, taken in `PARTS` parts of which each has
the mean of its values: the second lowest of these, so that one that was wrong or off does not count. What has risen is
not taken in: as long as a rise is there, the level stays. A rise that a person has accepted is part of the level from
then on. Where no two parts have values, because the component is new, speaks too seldom or was away, there is no level,
and no rise is found; slow early warning looks after these.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from detectors.detector import Detector
from detectors.latch import AT_REST, NOTHING, Elements, Findings, Watched, step
from detectors.twin.latches import Latch, Limits, Point, TwinFinding
from detectors.twin.stretches import Value
from schemas.alarm_kinds import AlarmKind

PARTS: Final = 6
"""Of half an hour each is 5 min: several values of a device that reports each minute [ours]."""
STATE: Final = np.dtype(
    [
        AT_REST,
        ("level_ma", "f8"),
        ("accepted_ma", "f8"),
        ("sum_ma", "f8"),
        ("mean_ma", "f8", (PARTS,)),
        ("clock_ms", "i8"),
        ("values", "i4"),
        ("has_mean", "i1", (PARTS,)),
        ("has_level", "i1"),
    ]
)
"""`values` of the part that runs have the sum `sum_ma`. `mean_ma` are the means of the parts before, where `has_mean`,
a ring by the number of the part; `level_ma` is what they come to. `clock_ms` is for how long values have been taken in.
What is at or below `accepted_ma` a person has accepted."""


def detect(state: Watched, elements: Elements) -> Findings:
    """Compare each value's rise over its level, in mA, with the limits, then take in those that have not risen."""
    slots = elements.slots
    # While an alarm is active, or may become one, its level stays.
    stays = (state["latch"][slots] > 0) & (state["has_level"][slots] == 1)
    _let_pass(state, elements.take(~stays) if stays.any() else elements)
    usual = np.maximum(state["level_ma"][slots], state["accepted_ma"][slots])
    judged = state["has_level"][slots] == 1
    rise = elements.values - usual
    risen = judged & (rise >= elements.limits["lowest"])
    taken = ~stays & ~risen
    _take_in(state, slots[taken], elements.values[taken])
    which = judged.nonzero()[0]
    if not len(which):
        return NOTHING
    findings = step(state, elements._replace(values=rise).take(which), usual[which])
    return findings._replace(element=which[findings.element])


def level(state: Watched, slot: int) -> float:
    """What values of a component are compared with, mA."""
    return max(float(state["level_ma"][slot]), float(state["accepted_ma"][slot]))


def accept(state: Watched, slot: int, risen_ma: float) -> None:
    """Let a rise of so much over the level be part of it from now on."""
    state["accepted_ma"][slot] = level(state, slot) + risen_ma


def _let_pass(state: Watched, elements: Elements) -> None:
    """Let the clocks go on; where that ends a part, take its mean."""
    slots, part_ms = elements.slots, np.maximum(elements.limits["window_ms"] // PARTS, 1)
    clock = state["clock_ms"][slots]
    state["clock_ms"][slots] = after = clock + elements.elapsed_ms
    before, now = clock // part_ms, after // part_ms
    ended = (now > before).nonzero()[0]
    if len(ended):
        _end_parts(state, slots[ended], before[ended], now[ended])


def _end_parts(state: Watched, slots: np.ndarray, before: np.ndarray, now: np.ndarray) -> None:
    """End the parts from `before` on, so that the parts `now` run; those between have no values."""
    mean, has_mean, values = state["mean_ma"][slots], state["has_mean"][slots], state["values"][slots]
    parts = np.arange(PARTS)
    # How many parts back each place of the ring was written last, the part that just ended being the first.
    back = (now[:, None] - 1 - parts) % PARTS
    is_ended = back == (now - before)[:, None] - 1
    mean = np.where(is_ended, (state["sum_ma"][slots] / np.maximum(values, 1))[:, None], mean)
    has_mean = np.where(is_ended, (values > 0)[:, None], np.where(back < (now - before)[:, None], 0, has_mean))
    ordered = np.sort(np.where(has_mean == 1, mean, np.inf), axis=1)
    has_level = has_mean.sum(axis=1) >= 2
    state["mean_ma"][slots], state["has_mean"][slots] = mean, has_mean
    state["has_level"][slots], state["level_ma"][slots] = has_level, np.where(has_level, ordered[:, 1], 0.0)
    state["sum_ma"][slots] = state["values"][slots] = 0


def _take_in(state: Watched, slots: np.ndarray, values: np.ndarray) -> None:
    state["sum_ma"][slots] += values
    state["values"][slots] += 1


class Risen:
    """The slow twin."""

    def __init__(self) -> None:
        self.latch = Latch()
        self.clock_ms = 0
        self.running: list[float] = []
        self.means: list[float | None] = [None] * 6
        self.level: float | None = None
        self.accepted_ma = 0.0

    @property
    def baseline(self) -> float:
        """What values are compared with."""
        return max(self.level or 0.0, self.accepted_ma)

    def step(self, one: Value, limits: Limits) -> Iterator[TwinFinding]:
        """A live value."""
        stays = not self.latch.rests and not self.latch.quiet and self.level is not None
        if not stays:
            self._let_pass(one.elapsed_ms, max(limits["window_ms"] // 6, 1))
        baseline = self.baseline
        rise, judged = one.value - baseline, self.level is not None
        if not stays and not (judged and rise >= limits["lowest"]):
            self.running.append(one.value)
        if judged:
            for finding in self.latch.step(one._replace(value=rise), limits):
                yield finding._replace(baseline=baseline)

    def _let_pass(self, elapsed_ms: int, part_ms: int) -> None:
        before = self.clock_ms // part_ms
        self.clock_ms += elapsed_ms
        now = self.clock_ms // part_ms
        if now == before:
            return
        self.means[before % 6] = _mean(self.running)
        for part in range(before + 1, min(now, before + 7)):
            self.means[part % 6] = None
        self.running = []
        means = sorted(mean for mean in self.means if mean is not None)
        self.level = means[1] if len(means) >= 2 else None

    def accept(self, risen_ma: float) -> None:
        """A person accepts a rise of so much."""
        self.accepted_ma = self.baseline + risen_ma

    def late(self, one: Value, points: list[Point], limits: Limits) -> Iterator[TwinFinding]:
        """A rise needs values one after the other."""
        return iter(())


def _mean(values: list[float]) -> float | None:
    total = 0.0
    for value in values:
        total += value  # sum() would compensate, the arrays do not
    return total / len(values) if values else None


DETECTOR: Final = Detector(
    AlarmKind.RESIDUAL_CURRENT_RISE, state=STATE, detect=detect, twin=Risen, baseline=level, late=False
)
