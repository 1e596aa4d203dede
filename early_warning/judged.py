"""What a rule finds in an hour, and what several rules ask of the hours before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from early_warning.arrays import row_quantiles
from early_warning.normal import HourView, last_day

Evidence = Mapping[str, float]
"""Numbers by name, units last, of one component."""
LAST: Final = 3
"""Three consecutive reports (domain.md)."""


class Judged(NamedTuple):
    """Of m components: whether there is something to say, how much it is over (or under, as a positive number) what is
    normal in the unit of the quantity, and the numbers that show it, by name. All are arrays [m]."""

    which: np.ndarray
    excess: np.ndarray
    evidence: Mapping[str, np.ndarray]


def lasting(values: np.ndarray, least: np.ndarray | float, hours: float) -> np.ndarray:
    """Whether the hours of a day, newest first, [m, 24], are `least` or more in the last three that have a value, and
    in half of those that have one, `hours` at most. bool[m]."""
    known = ~np.isnan(values)
    over = known & (values >= np.reshape(least, (-1, 1)))
    newest = known & (np.cumsum(known, axis=1) <= LAST)
    counts = np.count_nonzero(known, axis=1)
    enough = np.count_nonzero(over, axis=1) >= np.minimum(np.maximum(np.ceil(counts / 2), LAST), hours)
    result: np.ndarray = enough & (np.count_nonzero(newest & over, axis=1) >= LAST)
    return result


def middle_over(values: np.ndarray, least: np.ndarray | float) -> np.ndarray:
    """The middle of those hours that are `least` or more, float64[m]; 0 where none is."""
    over = np.where(values >= np.reshape(least, (-1, 1)), values, np.nan)
    middle: np.ndarray = np.nan_to_num(row_quantiles(over, 0.5), nan=0.0)
    return middle


def is_explained_by_load(now: HourView, excess: np.ndarray, part: float) -> np.ndarray:
    """Where the load explains leakage, and of an excess less than `part` is left by it in the middle of the day."""
    left = row_quantiles(last_day(now, "unexplained"), 0.5, LAST)
    explained: np.ndarray = now.is_load_certain & (np.nan_to_num(left, nan=np.inf) < part * excess)
    return explained
