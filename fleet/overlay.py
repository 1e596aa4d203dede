"""Planted curves laid over healthy values: for one component of a device, points in time joined by straight lines.

Before its first point a curve has the first value, after its last point the last. NaN leaves the healthy value, and
a NaN at either end of a line leaves it for the whole line but the other end, so a single report can be planted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Curve(NamedTuple):
    """`points` are (ms after the start of the run, value), in order; `noise` is added, plus or minus."""

    device: int
    column: int
    points: tuple[tuple[int, float], ...]
    noise: float


class Overlay:
    """All curves of a fleet, one a device at most, as arrays."""

    def __init__(self, curves: Sequence[Curve], devices: int) -> None:
        width = max((len(curve.points) for curve in curves), default=0)
        self._curve_of = np.full(devices, -1, dtype=np.int32)
        for index, curve in enumerate(curves):
            self._curve_of[curve.device] = index
        padded = [_padded(curve.points, width) for curve in curves]
        self._times = np.array([[time for time, _ in points] for points in padded], dtype=np.int64)
        self._levels = np.array([[level for _, level in points] for points in padded])
        self._columns = np.array([curve.column for curve in curves], dtype=np.int64)
        self._noise = np.array([curve.noise for curve in curves])

    @property
    def planted(self) -> np.ndarray:
        """Which devices have a curve, bool[devices]."""
        return self._curve_of >= 0

    def lay(self, values: np.ndarray, device: np.ndarray, elapsed_ms: np.ndarray, noise: np.ndarray) -> None:
        """Write the curves into `values`, in place. `elapsed_ms` counts from the start of the run."""
        rows = np.flatnonzero(self._curve_of[device] >= 0)
        if not len(rows):
            return
        curve = self._curve_of[device[rows]]
        column = self._columns[curve]
        level = _interpolate(self._times[curve], self._levels[curve], elapsed_ms[rows])
        level = level + self._noise[curve] * noise[rows, column]
        values[rows, column] = np.where(np.isnan(level), values[rows, column], level)


def _padded(points: tuple[tuple[int, float], ...], width: int) -> list[tuple[int, float]]:
    last_ms, level = points[-1]
    return [*points, *((last_ms + extra, level) for extra in range(1, width + 1 - len(points)))]


def _interpolate(times: np.ndarray, levels: np.ndarray, at: np.ndarray) -> np.ndarray:
    each = np.arange(len(at))
    left = np.clip((times <= at[:, None]).sum(axis=1) - 1, 0, times.shape[1] - 2)
    begin, end = times[each, left], times[each, left + 1]
    share = np.clip((at - begin) / (end - begin), 0, 1)
    low, high = levels[each, left], levels[each, left + 1]
    between = low + share * (high - low)
    level: np.ndarray = np.where(share == 0, low, np.where(share == 1, high, between))
    return level
