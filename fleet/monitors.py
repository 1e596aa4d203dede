"""Healthy electrical monitors: what they measure at a time. Far from every limit, whatever the seed.

Residual current is 20 to 140 mA: a device's own leakage plus at most 40 mA that follows the load, so the rise over any
baseline stays under half of the limit of 100 mA. Cables reach 48 ℃ at most. The currents of the phases deviate from
their mean by 26 % of it at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from fleet import load
from fleet.layout import MONITOR

_NOT_FITTED_C = -200.0
_LEAKAGE_NOISE_MA = 3.0
_TEMPERATURE_NOISE_C = 0.05
"""After rounding to 0.1, two neighbours differ by 0.2 at most."""


@dataclass(frozen=True, slots=True)
class Monitors:
    """n monitors as columns; each array has one row a device."""

    site: np.ndarray
    shift_min: np.ndarray
    leakage_ma: np.ndarray
    leakage_by_load_ma: np.ndarray
    ambient_c: np.ndarray
    heating_c: np.ndarray
    fitted: np.ndarray
    peak_a: np.ndarray
    voltage_v: np.ndarray
    insulation_mohm: np.ndarray

    @classmethod
    def draw(cls, count: int, rng: np.random.Generator) -> Self:
        """`count` different monitors."""
        return cls(
            site=rng.choice([load.HOME, load.SHOP, load.PLANT, load.SCHOOL], count, p=[0.5, 0.3, 0.12, 0.08]),
            shift_min=rng.uniform(-45, 45, count),
            leakage_ma=rng.uniform(20, 95, count),
            leakage_by_load_ma=rng.uniform(5, 40, count),
            ambient_c=rng.uniform(14, 28, count),
            heating_c=rng.uniform(6, 18, (count, 4)),
            fitted=rng.random((count, 4)) < [1.0, 1.0, 0.9, 0.7],
            peak_a=rng.uniform(8, 60, (count, 1)) * rng.uniform(0.85, 1.15, (count, 3)),
            voltage_v=rng.uniform(222, 230, (count, 3)),
            insulation_mohm=rng.uniform(5, 200, count),
        )

    def values(self, row: np.ndarray, ts: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """What the devices `row` measure at `ts`, float64[m, 13]. `noise` is in [-1, 1), one a value."""
        site = self.site[row]
        minute = load.minute_of_day(ts, self.shift_min[row])
        drawn = load.look_up(load.LOAD, site, minute)
        heat = load.look_up(load.HEAT, site, minute)
        out = np.empty((len(row), MONITOR.columns))
        leakage = self.leakage_ma[row] + self.leakage_by_load_ma[row] * drawn
        out[:, 0] = leakage + _LEAKAGE_NOISE_MA * noise[:, 0]
        cable = self.ambient_c[row, None] + self.heating_c[row] * heat[:, None] + _TEMPERATURE_NOISE_C * noise[:, 1:5]
        out[:, 1:5] = np.where(self.fitted[row], cable, _NOT_FITTED_C)
        out[:, 5:8] = self.peak_a[row] * drawn[:, None] * (1 + 0.03 * noise[:, 5:8])
        out[:, 8:11] = self.voltage_v[row] - 2 * drawn[:, None] + 1.2 * noise[:, 8:11]
        out[:, 11] = arc_half_cycles(noise[:, 11])
        out[:, 12] = self.insulation_mohm[row] * (1 + 0.02 * noise[:, 12])
        return out


def arc_half_cycles(noise: np.ndarray) -> np.ndarray:
    """Switching and brushed motors: mostly 0, one report in 50 is 1 to 3, one in 5,000 is 4 to 8."""
    chance = (noise + 1) / 2
    few = np.floor(1 + chance / 0.02 * 3)
    some = np.floor(4 + chance / 0.0002 * 5)
    return np.where(chance < 0.0002, np.minimum(some, 8), np.where(chance < 0.02, np.minimum(few, 3), 0.0))
