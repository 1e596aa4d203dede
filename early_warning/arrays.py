"""Small things on arrays that numpy has not: medians of groups and of rows with gaps, each without a Python loop."""

from __future__ import annotations

import numpy as np


def group_medians(group: np.ndarray, values: np.ndarray, least: int) -> np.ndarray:
    """For each value the median of its group, float64[m]; NaN where fewer than `least` values of the group are numbers.

    `group` is int64[m], negative for none.
    """
    found = np.full(len(values), np.nan)
    counted = _in_order(group, values)
    names, starts, sizes = np.unique(group[counted], return_index=True, return_counts=True)
    ordered = values[counted].astype(np.float64)
    middles = (ordered[starts + (sizes - 1) // 2] + ordered[starts + sizes // 2]) / 2
    middles[sizes < least] = np.nan
    at = np.searchsorted(names, group)
    inside = (at < len(names)) & (group >= 0)
    same = np.zeros(len(group), bool)
    same[inside] = names[at[inside]] == group[inside]
    found[same] = middles[at[same]]
    return found


def group_counts(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each value how many of its group are numbers, int64[m]; 0 where it has no group."""
    counted = (group >= 0) & ~np.isnan(values)
    sizes = np.bincount(group[counted], minlength=int(group.max(initial=0)) + 1)
    return np.where(group >= 0, sizes[np.maximum(group, 0)], 0)


def row_quantiles(rows: np.ndarray, share: float, least: int = 1) -> np.ndarray:
    """Of each row the value below which `share` of its numbers lie, the lower one of two; NaN where it has fewer than
    `least`. `rows` is [m, k] with NaN for gaps."""
    counts = np.count_nonzero(~np.isnan(rows), axis=1)
    ordered = np.sort(rows, axis=1)  # NaN is last
    at = np.maximum((counts - 1) * share, 0).astype(np.int64)
    found = ordered[np.arange(len(rows)), at] if rows.shape[1] else np.full(len(rows), np.nan)
    return np.where(counts >= max(least, 1), found, np.nan)


def others_median(group: np.ndarray, values: np.ndarray, least: int) -> np.ndarray:
    """For each value the median of the *others* of its group, float64[m]; NaN where fewer than `least` others are
    numbers, or it is none itself."""
    found = np.full(len(values), np.nan)
    counted = _in_order(group, values)
    _, starts, inverse, sizes = np.unique(group[counted], return_index=True, return_inverse=True, return_counts=True)
    ordered = values[counted].astype(np.float64)
    rank = np.arange(len(counted)) - starts[inverse]
    others = sizes[inverse] - 1
    enough = others >= max(least, 1)
    low, high = (others - 1) // 2, others // 2  # ranks among the others
    low, high = low + (low >= rank), high + (high >= rank)
    last = sizes[inverse] - 1
    begin = starts[inverse]
    middles = (ordered[begin + np.clip(low, 0, last)] + ordered[begin + np.clip(high, 0, last)]) / 2
    found[counted] = np.where(enough, middles, np.nan)
    return found


def _in_order(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Which values are numbers and have a group, group after group, the least value of each first."""
    counted = np.flatnonzero((group >= 0) & ~np.isnan(values))
    return counted[np.lexsort((values[counted], group[counted]))]


def clear_passed(ring: np.ndarray, before: np.ndarray, now: int) -> None:
    """Empty the places of a ring, [m, k], that passed without a value since `before`, int64[m], until `now`; the place
    of a moment is moment % k."""
    size = ring.shape[1]
    back = (now - np.arange(size)) % size
    ring[(now - back)[None, :] > before[:, None]] = np.nan


def placed(ring: np.ndarray, now: int, back: np.ndarray) -> np.ndarray:
    """The values of a ring that lie so many moments back, [m, len(back)]."""
    found: np.ndarray = ring[:, (now - back) % ring.shape[1]]
    return found
