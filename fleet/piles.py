"""Healthy e-bike charging piles of ten ports: what they measure at a time.

A port is busy or idle for two hours at a time (a charge takes 2 to 8), the busier the evening. Leakage is 2 to 11 mA,
of which at most 3 follow the load: far from the alarm at 30 mA and from a rise of 15 mA.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from fleet import load
from fleet.layout import PILE
from fleet.noise import BUSY, Noise

_SESSION_MS = 7_200_000
_PORTS = 10


@dataclass(frozen=True, slots=True)
class Piles:
    """n piles as columns; each array has one row a device."""

    noise: Noise
    site: np.ndarray
    shift_min: np.ndarray
    leakage_ma: np.ndarray
    leakage_by_load_ma: np.ndarray
    ambient_c: np.ndarray
    heating_c: np.ndarray
    voltage_v: np.ndarray
    charger_w: np.ndarray

    @classmethod
    def draw(cls, count: int, rng: np.random.Generator, noise: Noise) -> Self:
        """`count` different piles."""
        return cls(
            noise=noise,
            site=np.full(count, load.CHARGING),
            shift_min=rng.uniform(-60, 60, count),
            leakage_ma=rng.uniform(2.5, 7.5, count),
            leakage_by_load_ma=rng.uniform(0.5, 3.0, count),
            ambient_c=rng.uniform(14, 30, count),
            heating_c=rng.uniform(4, 15, count),
            voltage_v=rng.uniform(222, 230, count),
            charger_w=rng.uniform(110, 380, (count, _PORTS)),
        )

    def values(self, row: np.ndarray, ts: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """What the devices `row` measure at `ts`, float64[m, 23]. `noise` is in [-1, 1), one a value."""
        site = self.site[row]
        minute = load.minute_of_day(ts, self.shift_min[row])
        drawn = load.look_up(load.LOAD, site, minute)
        out = np.empty((len(row), PILE.columns))
        voltage = self.voltage_v[row] - 2 * drawn + 1.2 * noise[:, 22]
        out[:, 0:10] = self._busy(row, ts, drawn) * self.charger_w[row] * (1 + 0.02 * noise[:, 0:10])
        out[:, 10:20] = out[:, 0:10] / voltage[:, None]
        out[:, 20] = self.leakage_ma[row] + self.leakage_by_load_ma[row] * drawn + 0.4 * noise[:, 20]
        heat = load.look_up(load.HEAT, site, minute)
        out[:, 21] = self.ambient_c[row] + self.heating_c[row] * heat + 0.05 * noise[:, 21]
        out[:, 22] = voltage
        return out

    def _busy(self, row: np.ndarray, ts: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """1 where a port charges, else 0. Sessions of different devices begin at different times."""
        session = (ts + (self.shift_min[row] * 60_000).astype(np.int64)) // _SESSION_MS
        number = session * (1 << 24) + row  # more piles than 2**24 do not fit in memory
        chance = self.noise.uniform(number[:, None], BUSY + np.arange(_PORTS)[None, :])
        return np.asarray(chance < drawn[:, None], dtype=np.float64)
