"""The normal life of electrical monitors: what three-phase lines of homes, shops, plants and offices measure at a time.

All of it is normal, so nothing reaches a limit: leakage stays under 190 mA (of which 100 to 200 are natural, GB 50116
9.2.3), a cable under 55 ℃, a phase between 200 and 235 V (GB/T 12325), current under 0.8 of the rated one but in the
second in which a motor starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from fleet.layout import ReportLayout
from fleet.life import week
from fleet.life.week import minute_of_week
from fleet.load import HOME, OFFICE, PLANT, SHOP, look_up
from fleet.monitors import arc_half_cycles
from fleet.noise import Noise

LINE: Final = ReportLayout(
    "electrical_monitor",
    (
        "residual_current_ma", "temperature_c", "current_a", "voltage_v", "power_w", "arc_half_cycles", "smoke",
        "insulation_mohm", "static_v", "unbalance_pct",
    ),
    (1, 4, 3, 3, 3, 1, 1, 1, 1, 1),
)  # fmt: skip
NOT_FITTED_C: Final = -200.0
_SIZES_A: Final = np.array([16, 20, 25, 32, 40, 50, 63, 80, 100, 125, 160, 200], float)
"""Rated currents of breakers (GB/T 10963, GB/T 14048)."""
_HIGHEST_MA: Final = 165.0
"""Leakage before its noise of a tenth: so no line reaches 190 mA, under the warning at 200 [ours]."""
_MINUTE_MS: Final = 60_000
# Streams of noise beside those of the columns.
LOADED, PHASE, LEAK_SLOW, LEAK_FAST, WET, CLOUDS, WARMTH, GRID, MOTOR = range(64, 73)


@dataclass(frozen=True, slots=True)
class Lines:
    """n monitored lines as columns; each array has one row a device. `area` shares its weather."""

    noise: Noise
    area: np.ndarray
    site: np.ndarray
    shift_min: np.ndarray
    peak_a: np.ndarray
    rated_a: np.ndarray
    power_factor: np.ndarray
    voltage_v: np.ndarray
    leakage_ma: np.ndarray
    by_load_ma: np.ndarray
    wet_ma: np.ndarray
    tau: np.ndarray
    ambient_c: np.ndarray
    sun_c: np.ndarray
    heating_c: np.ndarray
    fitted: np.ndarray
    motor_share: np.ndarray
    starts_an_hour: np.ndarray
    insulation_mohm: np.ndarray

    @classmethod
    def draw(cls, count: int, rng: np.random.Generator, noise: Noise) -> Self:
        """`count` different lines."""
        site = rng.choice([HOME, SHOP, PLANT, OFFICE], count, p=[0.45, 0.25, 0.15, 0.15])
        leakage, by_load, wet = _leakage(site, rng)
        peak = rng.uniform(10, 120, count)
        sun = np.where(rng.random(count) < 0.3, rng.uniform(3, 9, count), 0.0)
        ambient = rng.uniform(6, 32, count)
        return cls(
            noise=noise,
            area=rng.integers(0, 4, count),
            site=site,
            shift_min=rng.uniform(-40, 40, count),
            peak_a=peak[:, None] * rng.uniform(0.96, 1.04, (count, 3)),
            rated_a=_SIZES_A[np.searchsorted(_SIZES_A, 1.2 * peak / 0.8)],
            power_factor=rng.uniform(0.85, 1.0, (count, 3)),
            voltage_v=rng.uniform(221, 228, count)[:, None] + rng.uniform(-1, 1, (count, 3)),
            leakage_ma=leakage,
            by_load_ma=by_load,
            wet_ma=wet,
            tau=rng.integers(0, len(week.TAUS_MIN), count),
            ambient_c=ambient,
            sun_c=sun,
            heating_c=rng.uniform(0.3, 1.0, (count, 4)) * np.minimum(18, 48 - ambient - sun)[:, None],
            fitted=rng.random((count, 4)) < [1.0, 1.0, 0.9, 0.7],
            motor_share=np.where(np.isin(site, (SHOP, PLANT)), rng.uniform(0.03, 0.2, count), 0.02),
            starts_an_hour=np.where(np.isin(site, (SHOP, PLANT)), 2.0, 1.0),
            insulation_mohm=rng.uniform(5, 200, count),
        )

    def values(self, row: np.ndarray, ts: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """What the devices `row` measure at `ts`, float64[m, 19]. `noise` is in [-1, 1), one a value."""
        out = np.empty((len(row), LINE.columns))
        minute, wetness = minute_of_week(ts, self.shift_min[row]), self._wetness(row, ts)
        load = look_up(week.LOAD, self.site[row], minute) * (1 + 0.1 * self._smooth(row, ts, 20, LOADED))
        starts = self.noise.uniform(row * (1 << 31) + ts // 1_000, MOTOR) < self.starts_an_hour[row] / 3_600
        starts &= load > 0.25
        out[:, 0] = self._leakage(row, ts, load, wetness, noise[:, 0])
        out[:, 1:5] = self._temperature(row, ts, minute, noise[:, 1:5])
        current = self._current(row, ts, load, noise[:, 5:8])
        # A motor draws 6 times its current while it starts, which takes a second (domain.md).
        out[:, 5:8] = current + 5 * (self.motor_share[row] * starts)[:, None] * self.peak_a[row]
        out[:, 8:11] = self._voltage(row, ts, load, starts, noise[:, 8:11])
        out[:, 11:14] = out[:, 5:8] * out[:, 8:11] * self.power_factor[row]
        out[:, 14] = arc_half_cycles(noise[:, 14])
        out[:, 15] = 0.03 + 0.02 * noise[:, 15]
        out[:, 16] = self.insulation_mohm[row] * (1 - 0.3 * wetness) * (1 + 0.02 * noise[:, 16])
        out[:, 17] = 1_500 + 1_200 * noise[:, 17]
        out[:, 18] = 3 + 1.5 * noise[:, 18]
        return out

    def _smooth(self, number: np.ndarray, ts: np.ndarray, period_min: int, stream: int) -> np.ndarray:
        return self.noise.smooth(number, ts, period_min * _MINUTE_MS, stream)

    def _wetness(self, row: np.ndarray, ts: np.ndarray) -> np.ndarray:
        """Rain and what it leaves, 0 to 1, shared by an area: some days are wet, and none becomes so at once."""
        return np.maximum(1.6 * self._smooth(self.area[row], ts, 12 * 60, WET) - 0.6, 0)

    def _leakage(
        self, row: np.ndarray, ts: np.ndarray, load: np.ndarray, wetness: np.ndarray, noise: np.ndarray
    ) -> np.ndarray:
        """Base, share of the load, weather, and noise of a tenth at most, most of it slow."""
        level = self.leakage_ma[row] + self.by_load_ma[row] * np.minimum(load, 1) + self.wet_ma[row] * wetness
        slow, fast = self._smooth(row, ts, 45, LEAK_SLOW), self._smooth(row, ts, 6, LEAK_FAST)
        return np.asarray(level * (1 + 0.05 * slow + 0.03 * fast + 0.02 * noise))

    def _temperature(self, row: np.ndarray, ts: np.ndarray, minute: np.ndarray, noise: np.ndarray) -> np.ndarray:
        clouds = 0.5 + 0.5 * self._smooth(self.area[row], ts, 90, CLOUDS)
        day, only = minute % week.DAY_MIN, np.zeros(len(row), np.int64)
        around = self.ambient_c[row] + 3 * look_up(week.SWING, only, day)
        around += self.sun_c[row] * look_up(week.SUN, only, day) * clouds
        heat = look_up(week.HEAT, self.site[row] * len(week.TAUS_MIN) + self.tau[row], minute)
        heat *= 1 + 0.1 * self._smooth(row, ts, 120, WARMTH)
        cable = around[:, None] + self.heating_c[row] * heat[:, None] + 0.1 * noise
        return np.where(self.fitted[row], cable, NOT_FITTED_C)

    def _current(self, row: np.ndarray, ts: np.ndarray, load: np.ndarray, noise: np.ndarray) -> np.ndarray:
        apart = np.stack([self._smooth(row * 3 + phase, ts, 30, PHASE) for phase in range(3)], axis=1)
        return np.asarray(self.peak_a[row] * load[:, None] * (1 + 0.02 * apart + 0.01 * noise))

    def _voltage(
        self, row: np.ndarray, ts: np.ndarray, load: np.ndarray, starts: np.ndarray, noise: np.ndarray
    ) -> np.ndarray:
        """It falls with the load, by a twentieth while a motor starts, and wanders with the grid."""
        level = self.voltage_v[row] - 3 * load[:, None] + (2.5 * self._smooth(row, ts, 60, GRID))[:, None]
        return np.asarray(level * (1 - 0.05 * starts)[:, None] + 0.8 * noise)


def _leakage(site: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Base, share of the load and of wet weather, mA. An office swings from 30 to 150 each day, 97 of it within an hour
    of the morning (domain.md)."""
    count = len(site)
    base, by_load = rng.uniform(15, 90, count), rng.uniform(5, 50, count)
    wet = np.where(rng.random(count) < 0.3, rng.uniform(5, 40, count), 0.0)
    office = site == OFFICE
    base[office], by_load[office] = rng.uniform(16, 24, office.sum()), rng.uniform(116, 122, office.sum())
    shrunk = np.minimum(1, (_HIGHEST_MA - base - by_load) / np.maximum(wet, 0.1))
    return base, by_load, wet * np.clip(shrunk, 0, 1)
