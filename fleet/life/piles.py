"""The normal life of e-bike charging piles of ten ports: sessions of constant current, then a fall, then a trickle.

Constant power within ±10 % for more than half of a charge, then a fall over 30 to 90 min to under a quarter, then under
5 W, or the float of a lead-acid battery; then unplugged (domain.md). Nothing reaches a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from fleet.layout import PILE
from fleet.life import week
from fleet.life.week import minute_of_week
from fleet.load import CHARGING, look_up
from fleet.noise import Noise

PORTS: Final = 10
_HOUR_MS: Final = 3_600_000
_SLOT_MS: Final = 8 * _HOUR_MS
"""Of a port; a charge begins in its first hour and is over before its end."""
# Streams of noise beside those of the columns; of the ports' ones each takes ten.
LEAK, WARMTH, GRID = range(80, 83)
PLUGGED, BEGUN, LENGTH, FALL, FLOAT, WANDER = range(150, 210, PORTS)


@dataclass(frozen=True, slots=True)
class ChargingPiles:
    """n piles as columns; each array has one row a device."""

    noise: Noise
    site: np.ndarray
    shift_min: np.ndarray
    rated_a: np.ndarray
    power_factor: np.ndarray
    voltage_v: np.ndarray
    leakage_ma: np.ndarray
    by_load_ma: np.ndarray
    ambient_c: np.ndarray
    heating_c: np.ndarray
    charger_w: np.ndarray

    @classmethod
    def draw(cls, count: int, rng: np.random.Generator, noise: Noise) -> Self:
        """`count` different piles."""
        return cls(
            noise=noise,
            site=np.full(count, CHARGING),
            shift_min=rng.uniform(-240, 240, count),
            rated_a=np.full(count, 25.0),
            power_factor=rng.uniform(0.85, 1.0, (count, PORTS)),
            voltage_v=rng.uniform(221, 228, count),
            leakage_ma=rng.uniform(2, 7, count),
            by_load_ma=rng.uniform(0.5, 4, count),
            ambient_c=rng.uniform(6, 32, count),
            heating_c=rng.uniform(3, 12, count),
            charger_w=rng.uniform(110, 380, (count, PORTS)),
        )

    def values(self, row: np.ndarray, ts: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """What the devices `row` measure at `ts`, float64[m, 23]. `noise` is in [-1, 1), one a value."""
        out = np.empty((len(row), PILE.columns))
        minute = minute_of_week(ts, self.shift_min[row] / 8)
        load = look_up(week.LOAD, self.site[row], minute)
        power = self._charging(row, ts) * self.charger_w[row]
        grid = self.noise.smooth(row, ts, _HOUR_MS, GRID)
        out[:, 22] = self.voltage_v[row] - 3 * load + 2.5 * grid + 0.8 * noise[:, 22]
        out[:, 0:10] = power * (1 + 0.01 * noise[:, 0:10])
        out[:, 10:20] = out[:, 0:10] / (out[:, 22, None] * self.power_factor[row])
        slow = self.noise.smooth(row, ts, _HOUR_MS // 2, LEAK)
        out[:, 20] = (self.leakage_ma[row] + self.by_load_ma[row] * load) * (1 + 0.07 * slow + 0.03 * noise[:, 20])
        around = self.ambient_c[row] + 3 * look_up(week.SWING, np.zeros(len(row), np.int64), minute % week.DAY_MIN)
        heat = look_up(week.HEAT, self.site[row] * len(week.TAUS_MIN) + 1, minute)
        heat = heat * (1 + 0.1 * self.noise.smooth(row, ts, 2 * _HOUR_MS, WARMTH))
        out[:, 21] = around + self.heating_c[row] * heat + 0.1 * noise[:, 21]
        return out

    def _charging(self, row: np.ndarray, ts: np.ndarray) -> np.ndarray:
        """Each port's power as a share of its charger's, float64[m, 10]. As many charge as the hour has it that the
        port's turn begins in."""
        shift_ms = (self.shift_min[row] * 60_000).astype(np.int64)
        shifted = ts + shift_ms
        slot = shifted // _SLOT_MS
        begins = minute_of_week(slot * _SLOT_MS - shift_ms, np.zeros(len(row)))
        share = look_up(week.LOAD, self.site[row], begins)[:, None]
        number, ports = (slot * (1 << 24) + row)[:, None], np.arange(PORTS)

        def drawn(stream: int, low: float, high: float) -> np.ndarray:
            return low + (high - low) * self.noise.uniform(number, stream + ports)

        plugged = drawn(PLUGGED, 0, 1) < share
        since_h = (shifted - slot * _SLOT_MS)[:, None] / _HOUR_MS - drawn(BEGUN, 0, 1)
        steady_h, fall_h = drawn(LENGTH, 2, 4), drawn(FALL, 0.5, 1.5)
        trickle = np.where(drawn(FLOAT, 0, 1) < 0.5, 0.008, 0.04)
        falling = 1 - 0.8 * (since_h - steady_h) / fall_h
        level = np.where(since_h < steady_h, 1.0, np.where(since_h < steady_h + fall_h, falling, trickle))
        wander = np.stack([self.noise.smooth(row, ts, _HOUR_MS // 2, WANDER + port) for port in range(PORTS)], axis=1)
        over = (since_h < 0) | (since_h >= steady_h + fall_h + 1)
        return np.where(plugged & ~over, level * (1 + 0.06 * wander), 0.0)
