"""Which device gets which fault and when, and by when what must be told is due."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from fleet.layout import ReportLayout
from fleet.life.config import LifeConfig
from fleet.life.faults import Effect, LifeDraft, LifeFault, LifeRecipe, LifeSite, MustTell
from fleet.life.monitors import LINE
from fleet.life.outages import Outage
from fleet.life.pile_recipes import PILE_RECIPES
from fleet.life.piles import PORTS_PILE
from fleet.life.recipes import LINE_RECIPES

SOONEST_MS: Final = 3_600_000
"""No fault begins before: intervals and levels must be known."""
_GRACE_MS: Final = 3_000
"""From the making of a report to its arrival, at most, and some for the rounding of times."""
_FAST_MS: Final = 10_000
_OFTEN: Final = 6
"""A fault lasts for so many reports at least."""


class Timing(NamedTuple):
    """By device: between two reports, the first report (ms, epoch ms), and the rated current (A)."""

    interval_ms: np.ndarray
    first_ts: np.ndarray
    rated_a: np.ndarray


def plant(config: LifeConfig, timing: Timing) -> tuple[LifeFault, ...]:
    """Each recipe at `config.faults_per_kind` devices of its own. Raises ValueError where there are too few."""
    rng = random.Random(config.seed)
    found: list[LifeFault] = []
    for layout, recipes, numbers in (
        (LINE, LINE_RECIPES, range(config.monitors)),
        (PORTS_PILE, PILE_RECIPES, range(config.monitors, config.devices)),
    ):
        pool = rng.sample(list(numbers), len(numbers))
        wanted = [recipe for recipe in recipes for _ in range(config.faults_per_kind)]
        # What asks most of its device is placed first.
        for recipe in sorted(wanted, key=lambda one: one.__name__ != "residual_intermittent"):
            found += _placed(recipe, layout, pool, config, timing, rng)
    return tuple(found)


def _placed(
    recipe: LifeRecipe, layout: ReportLayout, pool: list[int], config: LifeConfig, timing: Timing, rng: random.Random
) -> Iterator[LifeFault]:
    """On the first device of the pool at which it makes sense; nowhere where the run is too short for it."""
    for device in pool:
        site = _site(device, layout, timing, rng)
        draft = recipe(site)
        room_ms = config.end_ts - config.start_ts - SOONEST_MS - int(_needs_s(draft, site) * 1_000)
        fits = draft.needs[0] <= site.interval_s <= draft.needs[1] and site.rated_a <= draft.rated_most_a
        if fits and room_ms > 0:
            pool.remove(device)
            yield _fault(
                recipe.__name__,
                device,
                layout,
                draft,
                site,
                timing,
                config.start_ts + SOONEST_MS + rng.randrange(room_ms),
            )
            return
    if not pool:
        raise ValueError(f"too few devices of the kind {layout.device_kind}; take more, or fewer faults of each kind")


def _site(device: int, layout: ReportLayout, timing: Timing, rng: random.Random) -> LifeSite:
    interval_s = float(timing.interval_ms[device]) / 1_000
    lasts_s = max(1_800.0, _OFTEN * interval_s)
    return LifeSite(layout is PORTS_PILE, interval_s, lasts_s, float(timing.rated_a[device]), rng)


def _needs_s(draft: LifeDraft, site: LifeSite) -> float:
    """From the onset until all is told."""
    ends = [effect.points[-1][0] for effect in draft.effects] + [until for _, until in draft.silences]
    return max(ends, default=site.lasts_s) + 3 * site.interval_s + 60


def _fault(
    name: str, device: int, layout: ReportLayout, draft: LifeDraft, site: LifeSite, timing: Timing, near_ts: int
) -> LifeFault:
    interval_ms, first_ts = int(timing.interval_ms[device]), int(timing.first_ts[device])
    # A little before a report, so that what lasts for one report is in one.
    onset_ts = first_ts + -(-(near_ts - first_ts) // interval_ms) * interval_ms - min(interval_ms // 2, 500)
    silences = tuple(
        Outage(device, onset_ts + int(begin * 1_000), onset_ts + int(end * 1_000), None)
        for begin, end in draft.silences
    )
    return LifeFault(
        name,
        device,
        draft.component,
        onset_ts,
        _touched(layout, draft.effects),
        draft.effects,
        draft.words,
        onset_ts + int(_needs_s(draft, site) * 1_000),
        silences,
        tuple((told, _due_ts(told, onset_ts, interval_ms)) for told in draft.tells),
        draft.limits,
    )


def _touched(layout: ReportLayout, effects: Sequence[Effect]) -> frozenset[str]:
    """The quantities that a fault shows in."""
    names = [name for name, count in zip(layout.names, layout.counts, strict=True) for _ in range(count)]
    return frozenset(names[column] for effect in effects for column in effect.columns)


def _due_ts(told: MustTell, onset_ts: int, interval_ms: int) -> int:
    lasting_ts = onset_ts + int(told.lasts_s * 1_000)
    if interval_ms <= _FAST_MS:
        return lasting_ts + int(told.within_s * 1_000) + _GRACE_MS
    return lasting_ts + 2 * interval_ms + _GRACE_MS
