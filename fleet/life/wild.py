"""Wild samples: one value that has nothing to do with what was measured, between good ones (domain.md: 1e-5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from fleet.layout import ReportLayout
from fleet.noise import Noise

RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "residual_current_ma": (0, 3_000),
    "temperature_c": (-40, 200),
    "current_a": (-1_000, 1_000),
    "voltage_v": (0, 500),
    "power_w": (-100_000, 100_000),
    # Of arcs only impossible ones: 50 Hz has 100 half-cycles a second, and one count is told at once.
    "arc_half_cycles": (101, 255),
    "smoke": (0, 1),
    "insulation_mohm": (0, 2),
    "static_v": (-80_000, 80_000),
    "unbalance_pct": (0, 100),
    # Of codes only such as nobody knows: a code is no measure, and one that is known is a device's own word.
    "port_state": (17, 255),
    "stop_reason": (29, 255),
    "port_voltage_v": (0, 500),
    "port_temperature_c": (-40, 200),
    "charge_s": (0, 36_000),
    "charge_wh": (0, 5_000),
}
"""Any value between, as likely as any other [ours]: most of them lie over the limits."""
# Streams of noise of a report beside those of its columns.
_WHETHER, _HOW = 41, 42


def make_wild(layout: ReportLayout, values: np.ndarray, key: np.ndarray, share: float, noise: Noise) -> None:
    """Make that share of the values wild, in place. `key` is the number by which noise knows each report."""
    drawn = noise.uniform(key, _WHETHER)
    rows = (drawn < share * layout.columns).nonzero()[0]
    if len(rows):
        low, high = _ranges(layout)
        column = np.minimum((drawn[rows] / share).astype(np.int64), layout.columns - 1)
        # What is not measured has no samples.
        rows, column = (one[~np.isnan(values[rows, column])] for one in (rows, column))
        wild = low[column] + (high[column] - low[column]) * noise.uniform(key[rows], _HOW)
        values[rows, column] = np.round(wild, 1)


def _ranges(layout: ReportLayout) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array([RANGES[name] for name in layout.names], float).repeat(layout.counts, axis=0)
    return pairs[:, 0], pairs[:, 1]
