"""A straight line through what was seen, older values weighing less: five sums a component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

SUMS: Final = ("n", "x", "y", "xx", "xy", "yy")
_ALIKE: Final = 12
"""Hours in a row that say the same, so that they count as one [ours]."""


class FittedLine(NamedTuple):
    """y = intercept + slope * x, of m components, float64[m]. `certainty` is r², 0 where nothing is known; `weight` how
    many values it stands for, `deviation_x` how far x usually lies from `mean_x`; `error` is by how much the slope may
    be wrong, inf where nothing is known."""

    intercept: np.ndarray
    slope: np.ndarray
    certainty: np.ndarray
    weight: np.ndarray
    mean_x: np.ndarray
    deviation_x: np.ndarray
    error: np.ndarray


def line_of(sums: Mapping[str, np.ndarray], prefix: str) -> FittedLine:
    """The line of the sums `prefix_n`, `prefix_x` and so on."""
    n, x, y, xx, xy, yy = (sums[f"{prefix}_{name}"].astype(np.float64) for name in SUMS)
    weight = np.maximum(n, 1e-9)
    mean_x, mean_y = x / weight, y / weight
    var_x = np.maximum(xx / weight - mean_x**2, 0.0)
    var_y = np.maximum(yy / weight - mean_y**2, 0.0)
    covariance = xy / weight - mean_x * mean_y
    known = var_x > 1e-9 * (1.0 + mean_x**2)  # what is left of a constant in float32
    slope = np.where(known, covariance / np.where(known, var_x, 1.0), 0.0)
    certainty = np.where(known & (var_y > 1e-9), slope * covariance / np.where(var_y > 1e-9, var_y, 1.0), 0.0)
    certainty = np.clip(certainty, 0.0, 1.0)
    left = np.sqrt((1.0 - certainty) * var_y * _ALIKE / weight)
    error = np.where(known, left / np.where(known, np.sqrt(var_x), 1.0), np.inf)
    return FittedLine(mean_y - slope * mean_x, slope, certainty, n, mean_x, np.sqrt(var_x), error)


def add(sums: Mapping[str, np.ndarray], prefix: str, x: np.ndarray, y: np.ndarray, memory: float) -> None:
    """Let values teach the line, in place; those that are NaN teach nothing. What lies `memory` values back weighs
    1/e."""
    known = ~(np.isnan(x) | np.isnan(y))
    keep = np.where(known, 1.0 - 1.0 / memory, 1.0)
    x, y = np.where(known, x, 0.0), np.where(known, y, 0.0)
    for name, value in zip(SUMS, (known, x, y, x * x, x * y, y * y), strict=True):
        held = sums[f"{prefix}_{name}"]
        held[:] = held * keep + value
