"""Sensors that say the same for a day: stuck, or, where leakage is 0 on a line that is never without any, open.

A residual-current transformer whose wire is off says 0, which no limit would ever find (domain.md, "What the field
really sends"). A line that is switched off at night or over a week-end is at 0 as well; so 0 is a fault only where it
has not been so for an hour before.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from detectors.table import Table
from schemas.quantities import CODES, QUANTITIES

SAME: Final = [("same_value", "f4"), ("same_ms", "i4"), ("has_moved", "i1"), ("has_rested", "i1")]
"""Fields of a component: its newest value, for how long it has been that, whether it ever was another than 0, and
whether it was 0 for an hour before it was another."""
DAY_MS: Final = 86_400_000
RESTED_MS: Final = 3_600_000
SELDOM_MS: Final = 3 * 3_600_000
"""Of a component that speaks more seldom eight values of a day may well be the same [ours]."""
STUCK, OPEN = "stuck", "open"
"""What the note of the sensor's fault says."""
_LEAKAGE: Final = CODES["residual_current_ma"]
_MAY_BE_0: Final = CODES["voltage_v"]
"""No supply is no fault of a sensor."""
WATCHED_FOR: Final = frozenset({_LEAKAGE, _MAY_BE_0, CODES["temperature_c"]})
"""By code the quantities that never say the same for a day where all is well. Currents may be 0 for weeks, and
whatever counts or switches says the same all year."""


class Same(NamedTuple):
    """Which of m components are stuck, and which open, bool[m] each."""

    stuck: np.ndarray
    is_open: np.ndarray


def note(
    code: int, table: Table, slots: np.ndarray, values: np.ndarray, step_ms: np.ndarray, interval_ms: np.ndarray
) -> Same:
    """Take a value of each of the distinct `slots` on, in place; the times are those of `channels.Passed`."""
    now, before, same_ms = values.astype(np.float32), table["same_value"][slots], table["same_ms"][slots]
    same = now == before
    if np.count_nonzero(same_ms >= RESTED_MS):
        table["has_rested"][slots] |= ~same & (before == 0) & (same_ms >= RESTED_MS)
    table["same_ms"][slots] = same_ms = np.where(same, np.minimum(same_ms + step_ms, 2 * DAY_MS), 0)
    if np.count_nonzero(same) < len(same):
        table["same_value"][slots] = now
        table["has_moved"][slots] |= now != 0
    long = same_ms >= DAY_MS
    if not np.count_nonzero(long):
        return Same(long, long)
    long &= interval_ms <= SELDOM_MS
    at_0 = now == 0
    is_open = long & at_0 & (table["has_moved"][slots] == 1) & (table["has_rested"][slots] == 0)
    if code == _LEAKAGE:
        return Same(long & ~at_0, is_open)
    return Same(long & ~(at_0 & (code == _MAY_BE_0)), np.zeros(len(slots), np.bool_))


def fault(code: int, component: int, word: str) -> str:
    """The note of it."""
    return f"sensor_fault:{QUANTITIES[code].name}[{component}]:{word}"
