"""Which device gets which fault, and with it the truth: the alarms that must come, and no others."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from fleet import recipes
from fleet.config import FleetConfig, Timeline
from fleet.layout import MONITOR, PILE
from fleet.overlay import Curve
from fleet.recipes import Recipe
from fleet.stage import Draft, FaultStage
from schemas.alarm_kinds import AlarmKind
from schemas.events import Severity

MONITORS_ONLY: Final[tuple[Recipe, ...]] = (
    recipes.residual_warning,
    recipes.residual_warning_of_leaky,
    recipes.residual_creep,
    recipes.arc_warning,
    recipes.arc_alarm,
    recipes.near_arc,
    recipes.near_spike,
    recipes.near_residual,
    recipes.near_hot,
    recipes.near_rise,
)
PILES_TOO: Final[tuple[Recipe, ...]] = (
    recipes.residual_alarm,
    recipes.residual_rise,
    recipes.temperature_warning,
    recipes.temperature_alarm,
    recipes.temperature_ramp,
    recipes.temperature_rise,
)


KINDS: Final = (
    AlarmKind.RESIDUAL_CURRENT,
    AlarmKind.RESIDUAL_CURRENT_RISE,
    AlarmKind.TEMPERATURE,
    AlarmKind.TEMPERATURE_RISE,
    AlarmKind.ARC_FAULT,
)
"""What they raise between them."""


class ExpectedAlarm(NamedTuple):
    """One alarm that must come, with the highest severity it reaches. No event of it is earlier than `after_ts`."""

    device_id: str
    component: int
    kind: AlarmKind
    severity: Severity
    after_ts: int


class Planted(NamedTuple):
    """A device's curve and the draft it was made from."""

    device: int
    name: str
    curve: Curve
    draft: Draft


def plant(config: FleetConfig, is_pile: np.ndarray) -> list[Planted]:
    """All faults and near misses of a run, each on its own device; recipes that cannot confirm in time are left out."""
    rng = random.Random(config.seed)
    timeline = Timeline(config)
    monitors = rng.sample(np.flatnonzero(~is_pile).tolist(), int((~is_pile).sum()))
    piles = rng.sample(np.flatnonzero(is_pile).tolist(), int(is_pile.sum()))
    planted: list[Planted] = []
    for recipe, copy, on_pile in _wanted(config.faults_per_kind, bool(piles)):
        pool = piles if on_pile else monitors
        if not pool:
            raise ValueError(
                f"{config.devices} devices are too few for {config.faults_per_kind} faults of each kind; "
                "take more devices or fewer faults"
            )
        draft = recipe(_stage(config, timeline, rng, pool[-1], on_pile, copy))
        if draft is not None:
            planted.append(_planted(pool.pop(), recipe.__name__, draft, on_pile))
    return planted


def _wanted(copies: int, piles: bool) -> Iterator[tuple[Recipe, int, bool]]:
    """Every second copy of what piles may have goes to a pile, the first to a monitor."""
    for copy in range(copies):
        for recipe in MONITORS_ONLY:
            yield recipe, copy, False
        for recipe in PILES_TOO:
            yield recipe, copy, piles and copy % 2 == 1


def _stage(
    config: FleetConfig, timeline: Timeline, rng: random.Random, device: int, pile: bool, copy: int
) -> FaultStage:
    spread = (copy + rng.random()) / config.faults_per_kind
    return FaultStage(
        device=device,
        pile=pile,
        timeline=timeline,
        period_ms=math.ceil(config.period_ms),
        end_ms=config.end_ts - config.start_ts,
        rise_window_ms=int(config.rise_window_s * 1_000),
        spread=min(spread, 0.999),
        recovers=rng.random() < 0.5,
        rng=rng,
    )


def _planted(device: int, name: str, draft: Draft, pile: bool) -> Planted:
    layout = PILE if pile else MONITOR
    column = layout.slice(draft.quantity).start + draft.component
    return Planted(device, name, Curve(device, column, draft.points, draft.noise), draft)
