"""Weather that neighbours share: rain that wets lines and dries slowly, and the air around cabinets."""

from __future__ import annotations

from typing import Final

import numpy as np

from fleet.history.habits import DAY_HOURS, SHANGHAI_HOURS, season_of

_RAIN_DAYS: Final = (16.0, 7.0)
"""Days between rains in winter and in summer, on average [ours]."""
_MILD_C: Final = 17.0
_SEASON_K: Final = 13.0
_DAY_K: Final = 4.5
_FRONT_K: Final = 3.0
_FRONT_HOURS: Final = 72.0


def wetness(rng: np.random.Generator, first_hour: int, hours: int, dry_hours: np.ndarray) -> np.ndarray:
    """How wet lines of one area are, float32[lines, hours], 0 to about 1.5; `dry_hours`, float[lines], is how slowly
    each dries. Rains are the same for all."""
    rain = _rains(rng, first_hour, hours)
    keep = np.exp(-1.0 / dry_hours).astype(np.float32)
    wet = np.empty((len(dry_hours), hours), np.float32)
    level = np.zeros(len(dry_hours), np.float32)
    for hour in range(hours):
        # Soil and plaster take up water over hours, so that leakage rises slowly.
        level = np.minimum(level * keep + rain[hour] / 10, 1.5)
        wet[:, hour] = level
    return wet


def _rains(rng: np.random.Generator, first_hour: int, hours: int) -> np.ndarray:
    """How hard it rains, float64[hours]."""
    season = (season_of(first_hour, hours) + 1) / 2
    every = (_RAIN_DAYS[0] + (_RAIN_DAYS[1] - _RAIN_DAYS[0]) * season) * DAY_HOURS
    rain = np.zeros(hours)
    for begin in np.flatnonzero(rng.random(hours) < 1 / every):
        rain[begin : begin + int(rng.integers(5, 30))] = rng.uniform(0.4, 1.2)
    return rain


def air(rng: np.random.Generator, first_hour: int, hours: int) -> np.ndarray:
    """Temperature of the air of one area, °C, float32[hours]: season, day and fronts."""
    at = np.arange(first_hour, first_hour + hours) + SHANGHAI_HOURS
    day = _DAY_K * np.cos(2 * np.pi * (at % DAY_HOURS - 15) / DAY_HOURS)
    fronts = noise(rng, (1, hours), np.exp(-1 / _FRONT_HOURS))[0] * _FRONT_K
    return np.asarray(_MILD_C + _SEASON_K * season_of(first_hour, hours) + day + fronts, np.float32)


def sun(first_hour: int, hours: int) -> np.ndarray:
    """How the sun stands on a cabinet, 0 to 1, float32[hours]."""
    at = np.arange(first_hour, first_hour + hours) + SHANGHAI_HOURS
    return np.asarray(np.maximum(np.cos(2 * np.pi * (at % DAY_HOURS - 13) / DAY_HOURS), 0) ** 2, np.float32)


def noise(rng: np.random.Generator, shape: tuple[int, int], memory: float) -> np.ndarray:
    """Noise of deviation 1 that remembers itself from hour to hour, float32[shape]."""
    fresh = rng.standard_normal(shape, np.float32)
    found = np.empty(shape, np.float32)
    found[:, 0] = fresh[:, 0]
    scale = np.float32(np.sqrt(1 - memory**2))
    for hour in range(1, shape[1]):
        found[:, hour] = np.float32(memory) * found[:, hour - 1] + scale * fresh[:, hour]
    return found
