"""What is normal for a component in an hour, what of its value load and weather explain, and how it learns.

Normal is a level by hour of day and kind of day. It learns from clipped differences, upwards more slowly than
downwards, so it lies low and follows no creep as fast as that comes. Two lines (`early_warning.regression`) explain
what differs from it: how much of the neighbours' common difference a component shows, which is the weather's, and how
its value follows its load."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from early_warning.arrays import clear_passed, group_counts, group_medians, placed, row_quantiles
from early_warning.calendar import DAY_HOURS, SHANGHAI_HOURS, day_of, hour_of_day, is_workday
from early_warning.parameters import RuleParameters
from early_warning.regression import FittedLine, add, line_of
from early_warning.state import NEVER, RING_HOURS, LearnedRows

OVER, UNDER = 0, 1
"""Which side of its normal a component is on."""
_DAY_LEAST: Final = 3
"""Hours that make a level of a day: devices that report every six hours have four [ours]."""
_DAY_WHOLE: Final = 0.75
_SURE: Final = 2
"""Values of a slot before it says anything: one alone may be an accident."""
_PLAIN: Final = 3
"""The first values of a slot teach it whole: there is nothing to clip them by yet."""


@dataclass(slots=True)
class HourInput:
    """One hour of m components of one quantity that have a value in it. All arrays are [m].

    `hour` counts from 1970; `held` are the rows of their state, copies. `load` is what their value follows: A for
    leakage, A² for heat; NaN where nobody knows. `ambient` is the air around, where `has_ambient`. `neighbours` and
    `siblings`, `limit` and `alarm` are those of `early_warning.facts`.
    """

    quantity: str
    hour: int
    parameters: RuleParameters
    held: LearnedRows
    value: np.ndarray
    count: np.ndarray
    load: np.ndarray
    ambient: np.ndarray
    has_ambient: np.ndarray
    neighbours: np.ndarray
    siblings: np.ndarray
    limit: np.ndarray
    alarm: np.ndarray


@dataclass(slots=True)
class HourView(HourInput):
    """The same, and what is known of it.

    `centre` is the normal of this hour, `high` and `low` the most and least that is normal now, neighbours' hours
    included. `shared` is how far the middle of the neighbours is from its normal, `is_shared` whether that is more than
    chance, `weather` what of it this component shows, give or take `doubt`; it may not be known yet. `around` is what
    load comes on top of: the air where it is measured, else the weather. `unexplained` is the value less what its load
    explains, NaN where load explains nothing. `excess` is how far the value is over `high` (under `low`, negative),
    less what weather and load explain; NaN while nothing is learned."""

    is_learned: np.ndarray
    centre: np.ndarray
    shared: np.ndarray
    is_shared: np.ndarray
    weather: np.ndarray
    doubt: np.ndarray
    is_weather_unknown: np.ndarray
    around: np.ndarray
    load_line: FittedLine
    is_load_certain: np.ndarray
    unexplained: np.ndarray
    excess: np.ndarray

    @property
    def slot(self) -> int:
        return slot_of(self.hour)

    @property
    def spread(self) -> np.ndarray:
        """How far a value usually is from its normal, float64[m]."""
        return np.asarray(self.held["spread"], np.float64)


def slot_of(hour: int) -> int:
    """0 to 47: hours of a workday, then of another day."""
    return (0 if is_workday(day_of(hour)) else DAY_HOURS) + hour_of_day(hour)


def view(given: HourInput) -> HourView:
    """See an hour against what is known. Nothing is learned yet, but places of rings that passed are emptied."""
    held, value, parameters = given.held, given.value, given.parameters
    _forget_passed(held, given.hour)
    line = line_of(held, "load")
    certain = (line.certainty >= parameters["load_certain"]) & (line.weight >= parameters["learned_hours"] / 2)
    centre, high, low = _normals(held, slot_of(given.hour), certain & ~np.isnan(given.load))
    away = value - centre
    shared = group_medians(given.neighbours, away, int(parameters["neighbours_least"]))
    is_shared = _is_shared(shared, group_counts(given.neighbours, away), held, parameters)
    weather, margin, unknown = _weather(held, shared, is_shared, parameters)
    around = np.where(given.has_ambient, given.ambient, weather)
    certain &= ~np.isnan(given.load) & ~np.isnan(around)
    unexplained = np.where(certain, value - around - line.intercept - line.slope * given.load, np.nan)
    since = given.hour - held["first"]
    learned = (held["first"] > NEVER) & (since >= parameters["learned_hours"])
    learned &= held["samples"] >= parameters["learned_hours"] / 8
    excess = _excess(value, high, low, weather + margin, unexplained)
    return HourView(
        **{one.name: getattr(given, one.name) for one in fields(given)},
        is_learned=learned,
        centre=centre,
        shared=shared,
        is_shared=is_shared,
        weather=weather,
        doubt=np.maximum(margin, 0.0),
        is_weather_unknown=unknown,
        around=around,
        load_line=line,
        is_load_certain=certain,
        unexplained=unexplained,
        excess=np.where(learned, excess, np.nan),
    )


def _forget_passed(held: LearnedRows, hour: int) -> None:
    before = held["taken"].astype(np.int64)
    for name in ("level", "rise", "unexplained"):
        if name in held:
            clear_passed(held[name], before, hour)
    clear_passed(held["day"], (before + SHANGHAI_HOURS) // DAY_HOURS, day_of(hour))


def note(now: HourView) -> None:
    """Put the hour into the rings, by which rules judge."""
    held, at = now.held, now.hour % RING_HOURS
    held["level"][:, at] = np.where(now.is_weather_unknown, np.nan, now.value - now.weather)
    held["rise"][:, at] = now.excess
    held["day"][:, day_of(now.hour) % held["day"].shape[1]] = day_level(now)
    if "unexplained" in held:
        held["unexplained"][:, at] = now.unexplained


def learn(now: HourView) -> None:
    """Let the hour teach what is normal, in place."""
    held, parameters = now.held, now.parameters
    # Of heat no person can say that it is lawful: what stays is learned in the end.
    is_leakage = now.quantity == "residual_current_ma"
    standing = (held["told_hour"][:, OVER] > NEVER) & is_leakage
    teaches = (now.value < now.alarm) | (not is_leakage)
    _learn_normal(now, teaches, standing)
    known = now.is_learned & teaches & ~standing
    usable = teaches & ~standing & ~now.is_weather_unknown
    add(held, "load", now.load, np.where(usable, now.value - now.around, np.nan), parameters["load_hours"])
    add(held, "shared", now.shared, np.where(known, now.value - now.centre, np.nan), parameters["shared_hours"])
    held["first"][:] = np.where(held["first"] == NEVER, now.hour, held["first"])
    held["samples"][:] += 1
    held["taken"][:] = now.hour


def _learn_normal(now: HourView, teaches: np.ndarray, standing: np.ndarray) -> None:
    held, parameters, slot = now.held, now.parameters, now.slot
    seen = held["slot_samples"][:, slot].astype(np.int64)
    normal = held["normal"][:, slot].astype(np.float64)
    # Not less the weather: what is learned would change what weather is, and run away.
    away = now.value - normal
    step = np.where(seen < _PLAIN, away, np.clip(away, -parameters["clip"], parameters["clip"]))
    step = np.where((step > 0) & (seen >= _PLAIN), step * parameters["up"], step)
    weight = 1.0 / np.minimum(seen + 1, parameters["slot_values"])
    is_taught = teaches & ~(standing & (away > 0))
    held["normal"][:, slot] = np.where(is_taught, normal + step * weight, normal)
    held["slot_samples"][:, slot] = np.minimum(seen + is_taught, 255)
    spread = np.where(held["spread"] == 0, parameters["spread_first"], held["spread"]).astype(np.float64)
    usual = np.minimum(np.abs(away - now.weather), 3 * spread + 1)
    sure = is_taught & (seen >= _SURE) & ~now.is_weather_unknown
    # The mean of what was seen, at first; later with so long a memory that a fault is found before it is usual.
    memory = np.clip(held["samples"], DAY_HOURS, parameters["spread_hours"])
    held["spread"][:] = np.where(sure, spread + (usual - spread) / memory, spread)


def _normals(held: LearnedRows, slot: int, certain: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre, most and least that is normal at a slot. The hours before and after count, for work begins an hour
    earlier at times; and the other kind of day, where no load tells whether people are at work."""
    kind, hour = divmod(slot, DAY_HOURS)
    near = [(hour + step) % DAY_HOURS for step in (-1, 0, 1)]
    own = _known(held, [kind * DAY_HOURS + one for one in near])
    other = _known(held, [(1 - kind) * DAY_HOURS + one for one in near])
    has_own = ~np.isnan(own).all(axis=1)
    counted = np.where((certain & has_own)[:, None], np.nan, other)
    nearest = np.concatenate([own, counted], axis=1)
    centre = np.where(np.isnan(own[:, 1]), _row_mean(np.where(has_own[:, None], own, other)), own[:, 1])
    return centre, np.fmax.reduce(nearest, axis=1), np.fmin.reduce(nearest, axis=1)


def _known(held: LearnedRows, slots: list[int]) -> np.ndarray:
    return np.where(held["slot_samples"][:, slots] >= _SURE, held["normal"][:, slots].astype(np.float64), np.nan)


def _row_mean(rows: np.ndarray) -> np.ndarray:
    counts = np.count_nonzero(~np.isnan(rows), axis=1)
    return np.where(counts > 0, np.nansum(rows, axis=1) / np.maximum(counts, 1), np.nan)


def _is_shared(shared: np.ndarray, counts: np.ndarray, held: LearnedRows, parameters: RuleParameters) -> np.ndarray:
    """Whether the middle of the neighbours is over normal by more than it is by chance: the fewer, the more that is."""
    chance = parameters["shared_chance"] * held["spread"] / np.sqrt(np.maximum(counts, 1))
    return np.asarray(np.nan_to_num(shared, nan=0.0) >= np.maximum(parameters["shared_from"], chance))


def _weather(
    held: LearnedRows, shared: np.ndarray, is_wet: np.ndarray, parameters: RuleParameters
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What weather adds to each value, with how much more it might, and whether that is not known yet."""
    line = line_of(held, "shared")
    there = np.nan_to_num(shared, nan=0.0)
    may_be_off = np.where(np.isfinite(line.error), line.error, parameters["shared_first"]) * np.abs(there)
    is_known = may_be_off <= parameters["shared_doubt"]
    gain = np.where(is_known, np.clip(line.slope, 0.0, parameters["shared_first"] * 2), parameters["shared_first"])
    part = np.where(is_known | (parameters["shared_first"] == 1) | is_wet, gain * there, 0.0)
    doubt = part * (parameters["shared_margin"] - 1.0) + np.where(is_known & is_wet, may_be_off, 0.0)
    return part, doubt, is_wet & ~is_known


def _excess(
    value: np.ndarray, high: np.ndarray, low: np.ndarray, weather: np.ndarray, unexplained: np.ndarray
) -> np.ndarray:
    over = value - high - np.maximum(weather, 0.0)
    under = value - low - np.minimum(weather, 0.0)
    # fmin and fmax: where load explains nothing, what is NaN does not count.
    excess: np.ndarray = np.fmax(np.fmin(over, unexplained), 0.0) + np.fmin(np.fmax(under, unexplained), 0.0)
    return excess


def day_level(now: HourView) -> np.ndarray:
    """The level of the last 24 hours, float64[m]: of leakage the low one, of heat the hottest. NaN where fewer hours
    have a value than three quarters of those that usually have: what is left of a day may be its daytime only."""
    levels = last_day(now, "level")
    pace = now.held["samples"] / np.maximum(now.hour - now.held["first"], 1)
    known = np.count_nonzero(~np.isnan(levels), axis=1)
    level = row_quantiles(levels, now.parameters["day_share"], _DAY_LEAST)
    return np.where(known >= _DAY_WHOLE * RING_HOURS * np.minimum(pace, 1.0), level, np.nan)


def last_day(now: HourView, name: str) -> np.ndarray:
    """A ring of the last 24 hours, the newest first, [m, 24]."""
    return placed(np.asarray(now.held[name], np.float64), now.hour, np.arange(RING_HOURS))
