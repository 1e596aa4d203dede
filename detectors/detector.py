"""What a detector is: the one thing that each file of `detectors/kinds` holds.

A detector judges values of one kind of alarm. What the kind is called, which quantities it is found in and of what part
of a device it is, `schemas.alarm_kinds` says; its limits stand in `schemas/limits.toml`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from detectors.findings import Elements, Findings
from detectors.latch import AT_REST, Watched, step
from detectors.twin.latches import Latch, Level, Limits, Point, TwinFinding
from detectors.twin.stretches import Value
from schemas.alarm_kinds import AlarmKind, AlarmPart

LATCH_ALONE: Final = np.dtype([AT_REST])
"""What a detector keeps of a component that keeps nothing but the latch."""


class Twin(Protocol):
    """The slow twin of a detector, of one component: plain Python, one value at a time."""

    latch: Latch

    @property
    def baseline(self) -> float | None:
        """What values are compared with, None where with nothing of the component's own."""

    def step(self, one: Value, limits: Limits) -> Iterator[TwinFinding]:
        """A live value."""

    def late(self, one: Value, points: list[Point], limits: Limits) -> Iterator[TwinFinding]:
        """A late value, and those that are kept."""


@dataclass(frozen=True, slots=True)
class Detector:
    """A detector of a kind.

    `measure` makes of the values of its inputs what is compared with limits, float64[m], NaN where there is nothing
    to be judged; without it that is the value itself. It is given the first input alone: float64[m], or float64[m,
    3] of a kind that is about phases; with `knows_port` also what is known of the ports that they are of,
    `charging.ports.PortFacts`, and only such values are judged. `measured_slowly` is the same for one component, of
    a number or a list of three. `state` is what is kept of a component, `detect` judges, and `twin` is its slow
    twin. `baseline` tells what the values of a slot are compared with. `late` says whether late values are judged
    (`detectors.late.judge`), `measures_beside` that `measure` is given the other inputs too, each as the first, NaN
    where there is none, and `piles_only` that it judges charging piles alone, though other devices have the quantity
    as well."""

    kind: AlarmKind
    measure: Callable[..., np.ndarray] | None = None
    measured_slowly: Callable[..., float] | None = None
    state: np.dtype = LATCH_ALONE
    detect: Callable[[Watched, Elements], Findings] = step
    twin: Callable[[], Twin] = Level
    baseline: Callable[[Watched, int], float] | None = None
    late: bool = True
    knows_port: bool = False
    piles_only: bool = False
    measures_beside: bool = False

    @property
    def quantity(self) -> str:
        """The quantity that leads."""
        return self.kind.quantity

    @property
    def sign(self) -> int:
        """By what values and limits are multiplied so that more is worse."""
        return -1 if self.kind.about.below else 1

    @property
    def is_level(self) -> bool:
        """Whether it does nothing but compare with limits, and so keeps nothing of values that are normal."""
        return self.detect is step

    @property
    def of_phases(self) -> bool:
        """Whether it judges three components at once."""
        return self.kind.about.part is AlarmPart.PHASES

    @property
    def judges_late(self) -> bool:
        """Whether late values are judged: one by one, which is not enough where several are needed."""
        return self.late and not self.of_phases and not self.knows_port and len(self.kind.about.inputs) == 1
