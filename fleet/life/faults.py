"""Faults laid over normal life, and the truth of them: what must be told, how bad, and by when.

When a thing must be told follows from how often its device reports (domain.md, Confirming): at intervals up to 10 s
within the time of the standard, else by the second report that shows it, after the time for which it must last.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fleet.life.outages import Outage
from schemas.events import Severity
from schemas.registry import LimitSections


class Effect(NamedTuple):
    """What a fault does to some columns. `points` are (s since its onset, share) joined by straight lines: at a share
    of 1 the value is `level`, or that more where it is `added`; outside of them it is the normal one. `noise` is in
    the quantity's unit, plus or minus. With `on_s` it comes and goes, for as long each."""

    columns: tuple[int, ...]
    level: float
    points: tuple[tuple[float, float], ...]
    noise: float = 0.0
    added: bool = False
    on_s: float = 0.0

    def lay(self, values: np.ndarray, rows: np.ndarray, since_ms: np.ndarray, noise: np.ndarray) -> None:
        """Write it into `values` at `rows`, in place. `noise` is of all values, in [-1, 1)."""
        seconds = since_ms / 1_000
        within = (seconds >= self.points[0][0]) & (seconds < self.points[-1][0])
        if self.on_s:
            within &= (seconds // self.on_s) % 2 == 0
        if not within.any():
            return
        at = rows[within]
        times, shares = zip(*self.points, strict=True)
        share = np.interp(seconds[within], times, shares)
        for column in self.columns:
            normal = np.nan_to_num(values[at, column])  # it may not be measured otherwise
            by = self.level if self.added else self.level - normal
            values[at, column] = normal + share * by + self.noise * noise[at, column]


class MustTell(NamedTuple):
    """What must be told: an alarm of a kind, or a status, or a fault in one, each by its name. It must be told once it
    has lasted for `lasts_s`, and at intervals up to 10 s `within_s` after that. `level` is its severity at least."""

    name: str
    level: Severity = Severity.ALARM
    lasts_s: float = 0.0
    within_s: float = 30.0
    is_status: bool = False


class LifeDraft(NamedTuple):
    """What a recipe plants. `silences` are (from, until) in s since the onset; `words` are said while it lasts.
    `needs` says at which intervals it makes sense, s, and `rated_most_a` up to what rated current; `limits` are
    registered of its device. Nothing is told of a near miss."""

    effects: tuple[Effect, ...] = ()
    tells: tuple[MustTell, ...] = ()
    component: int = 0
    words: tuple[str, ...] = ()
    silences: tuple[tuple[float, float], ...] = ()
    needs: tuple[float, float] = (0, 21_600)
    rated_most_a: float = math.inf
    limits: LimitSections | None = None


class LifeSite(NamedTuple):
    """A device that a fault is planted at. `lasts_s` is for how long: long enough for all that must be told of it."""

    pile: bool
    interval_s: float
    lasts_s: float
    rated_a: float
    rng: random.Random

    @property
    def held(self) -> tuple[tuple[float, float], ...]:
        """The whole time, at once."""
        return (0, 1), (self.lasts_s, 1)

    @property
    def once(self) -> tuple[tuple[float, float], ...]:
        """One report."""
        return (0, 1), (self.interval_s, 1)

    def climbs(self, seconds: float) -> tuple[tuple[float, float], ...]:
        """For so long to the level, then held."""
        return (0, 0), (seconds, 1), (seconds + self.lasts_s, 1)


LifeRecipe = Callable[[LifeSite], LifeDraft]


def level(site: LifeSite, column: int, value: float, noise: float, *tells: MustTell, component: int = 0) -> LifeDraft:
    """One value goes to a level and stays there."""
    return LifeDraft((Effect((column,), value, site.held, noise),), tells, component)


def nothing(site: LifeSite, column: int, value: float, noise: float) -> LifeDraft:
    """The same, and nothing is told."""
    return level(site, column, value, noise)


def says(word: str, *tells: MustTell) -> LifeRecipe:
    """The device's own word, from a certified detector, counts at once (domain.md)."""

    def recipe(site: LifeSite) -> LifeDraft:
        return LifeDraft(words=(word,), tells=tells)

    recipe.__name__ = f"says_{word}"
    return recipe


def silent(hours: float, status: str) -> LifeRecipe:
    """Nothing is heard of the device."""

    def recipe(site: LifeSite) -> LifeDraft:
        told = MustTell(status, lasts_s=hours * 3_600, is_status=True)
        return LifeDraft(tells=(told,), silences=((0, hours * 3_600),), needs=(1, 600))

    recipe.__name__ = status
    return recipe


def flapping(site: LifeSite) -> LifeDraft:
    """Gone for 40 min, back for 20, six times."""
    silences = tuple((turn * 3_600.0, turn * 3_600.0 + 2_400) for turn in range(6))
    told = MustTell("flapping", lasts_s=6 * 3_600, is_status=True)
    return LifeDraft(tells=(told,), silences=silences, needs=(1, 300))


class LifeFault(NamedTuple):
    """One planted fault or near miss. `due` says of each thing that must be told by when, epoch ms."""

    name: str
    device: int
    component: int
    onset_ts: int
    quantities: frozenset[str]
    effects: tuple[Effect, ...]
    words: tuple[str, ...]
    until_ts: int
    silences: tuple[Outage, ...]
    due: tuple[tuple[MustTell, int], ...]
    limits: LimitSections | None

    def speaks(self, since_ms: np.ndarray) -> np.ndarray:
        """At which of these moments since its onset the device says its words, bool[m]."""
        return np.asarray((since_ms >= 0) & (since_ms < self.until_ts - self.onset_ts))
