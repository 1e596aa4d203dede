"""The normal life of e-bike charging piles of ten ports: charges of constant current, then a fall, then a trickle.

Constant power within ±10 % for more than half of a charge, then a fall over 30 to 90 min to under a quarter, then
under 5 W, or the float of a lead-acid battery; then the pile says that it is full (domain.md). A fifth is unplugged
before. Each is settled by the first report after its end, but some late, some twice and some never. Nothing reaches
a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np

from fleet.layout import ReportLayout
from fleet.life import week
from fleet.life.week import minute_of_week
from fleet.load import CHARGING, look_up
from fleet.noise import Noise

PORTS: Final = 10
PORTS_PILE: Final = ReportLayout(
    "charging_pile",
    (
        "power_w", "current_a", "residual_current_ma", "temperature_c", "voltage_v", "port_state", "stop_reason",
        "charge_s", "charge_wh", "port_voltage_v", "port_temperature_c",
    ),
    (PORTS, PORTS, 1, 1, 1, PORTS, PORTS, PORTS, PORTS, PORTS, PORTS),
)  # fmt: skip
STATE, REASON, CHARGE_S, CHARGE_WH, PORT_V, PORT_C = range(23, 23 + 6 * PORTS, PORTS)
"""The first columns of what ports tell."""
IDLE, CHARGES, FULL, FLOATS = 0, 1, 3, 5
BY_FULL, BY_UNPLUGGING = 1, 5
_UNPLUGGED_SHARE: Final = 0.2
_MISSING, _LATE, _TWICE = 0.05, 0.1, 0.15
"""Of settlements one in twenty each never comes, comes two reports late, or comes twice [ours]."""
_HOUR_MS: Final = 3_600_000
_SLOT_MS: Final = 8 * _HOUR_MS
"""Of a port; a charge begins in its first hour and is over before its end."""
# Streams of noise beside those of the columns; of the ports' ones each takes ten.
LEAK, WARMTH, GRID = range(80, 83)
PLUGGED, BEGUN, LENGTH, FALL, FLOAT, WANDER, EARLY, SETTLED = range(150, 230, PORTS)


class _Charges(NamedTuple):
    """One charge of each port, as it is drawn, float64 or bool[m, ports]: whether somebody comes, who is `early` to
    leave, and whether the battery `floats`; h since it began, and since then when its power falls, has fallen, and
    ends; and what becomes of its settlement, from 0 to 1."""

    comes: np.ndarray
    early: np.ndarray
    floats: np.ndarray
    since_h: np.ndarray
    falls_h: np.ndarray
    fallen_h: np.ndarray
    end_h: np.ndarray
    settled: np.ndarray

    @property
    def lasts(self) -> np.ndarray:
        return np.asarray(self.comes & (self.since_h >= 0) & (self.since_h < self.end_h))

    @property
    def trickle(self) -> np.ndarray:
        return np.where(self.floats, 0.04, 0.008)

    @property
    def level(self) -> np.ndarray:
        """The share of the charger's power that flows."""
        falling = 1 - 0.8 * (self.since_h - self.falls_h) / (self.fallen_h - self.falls_h)
        shares = np.where(
            self.since_h < self.falls_h, 1.0, np.where(self.since_h < self.fallen_h, falling, self.trickle)
        )
        return np.where(self.lasts, shares, 0.0)

    @property
    def state(self) -> np.ndarray:
        """The code that the port tells."""
        after_h = self.since_h - self.end_h
        is_full = self.comes & ~self.early & ~self.floats & (after_h >= 0) & (after_h < 0.5)
        charges = np.where(self.floats & (self.since_h >= self.fallen_h), FLOATS, CHARGES)
        return np.where(self.lasts, charges, np.where(is_full, FULL, IDLE))

    def settles(self, interval_ms: np.ndarray) -> np.ndarray:
        """Whether a report of a device that reports so often is a settlement, bool[m, ports]."""
        number = np.floor((self.since_h - self.end_h) * _HOUR_MS / interval_ms[:, None])
        late = (self.settled >= _MISSING) & (self.settled < _LATE)
        twice = (self.settled >= _LATE) & (self.settled < _TWICE)
        is_told = (self.settled >= _MISSING) & (number == np.where(late, 2, 0))
        return np.asarray(self.comes & (is_told | (twice & (number == 1))))

    @property
    def full_h(self) -> np.ndarray:
        """For how long at full power it would have taken what it has."""
        counted_h, fall_h = np.minimum(self.since_h, self.end_h), self.fallen_h - self.falls_h
        fell_h = np.clip(counted_h - self.falls_h, 0, fall_h)
        held_h = np.minimum(counted_h, self.falls_h) + fell_h - 0.4 * fell_h**2 / fall_h
        return np.asarray(held_h + self.trickle * np.maximum(counted_h - self.fallen_h, 0))


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
    interval_ms: np.ndarray

    @classmethod
    def draw(cls, interval_ms: np.ndarray, rng: np.random.Generator, noise: Noise) -> Self:
        """Different piles, which report at these intervals."""
        count = len(interval_ms)
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
            interval_ms=interval_ms,
        )

    def values(self, row: np.ndarray, ts: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """What the devices `row` measure at `ts`, float64[m, 83], NaN where nothing. `noise` is in [-1, 1), one a
        value."""
        out = np.full((len(row), PORTS_PILE.columns), np.nan)
        minute = minute_of_week(ts, self.shift_min[row] / 8)
        load = look_up(week.LOAD, self.site[row], minute)
        charge = self._charges(row, ts)
        wander = np.stack([self.noise.smooth(row, ts, _HOUR_MS // 2, WANDER + port) for port in range(PORTS)], axis=1)
        power = charge.level * (1 + 0.06 * wander) * self.charger_w[row]
        grid = self.noise.smooth(row, ts, _HOUR_MS, GRID)
        out[:, 22] = self.voltage_v[row] - 3 * load + 2.5 * grid + 0.8 * noise[:, 22]
        out[:, 0:10] = power * (1 + 0.01 * noise[:, 0:10])
        out[:, 10:20] = out[:, 0:10] / (out[:, 22, None] * self.power_factor[row])
        slow = self.noise.smooth(row, ts, _HOUR_MS // 2, LEAK)
        out[:, 20] = (self.leakage_ma[row] + self.by_load_ma[row] * load) * (1 + 0.07 * slow + 0.03 * noise[:, 20])
        around = self.ambient_c[row] + 3 * look_up(week.SWING, np.zeros(len(row), np.int64), minute % week.DAY_MIN)
        heat = look_up(week.HEAT, self.site[row] * len(week.TAUS_MIN) + 1, minute)
        out[:, 21] = around + self.heating_c[row] * heat + 2 * self.noise.smooth(row, ts, 2 * _HOUR_MS, WARMTH)
        self._tell_ports(out, row, charge, noise)
        return out

    def _tell_ports(self, out: np.ndarray, row: np.ndarray, charge: _Charges, noise: np.ndarray) -> None:
        """What ports say of themselves. Every second pile measures their voltage and temperature."""
        state, settles = charge.state, charge.settles(self.interval_ms[row])
        counts = charge.lasts | settles
        reason = np.where(charge.early, BY_UNPLUGGING, BY_FULL)
        lasted_s = 3_600 * np.minimum(charge.since_h, charge.end_h)
        volts = np.where(np.isin(state, (CHARGES, FLOATS)), out[:, 22, None] - 1, 0.4)
        volts = np.maximum(volts + 0.3 * noise[:, PORT_V : PORT_V + PORTS], 0)
        warmth = out[:, 21, None] + 6 * charge.level + 0.2 * noise[:, PORT_C : PORT_C + PORTS]
        has = (row % 2 == 0)[:, None]
        for first, values, told in (
            (STATE, state, True),
            (REASON, reason, settles),
            (CHARGE_S, lasted_s, counts),
            (CHARGE_WH, charge.full_h * self.charger_w[row], counts),
            (PORT_V, volts, has),
            (PORT_C, warmth, has),
        ):
            out[:, first : first + PORTS] = np.where(told, values, np.nan)

    def _charges(self, row: np.ndarray, ts: np.ndarray) -> _Charges:
        """What the ports do, each by the slot of time that a charge may begin in."""
        shift_ms = (self.shift_min[row] * 60_000).astype(np.int64)
        shifted = ts + shift_ms
        slot = shifted // _SLOT_MS
        begins = minute_of_week(slot * _SLOT_MS - shift_ms, np.zeros(len(row)))
        share = look_up(week.LOAD, self.site[row], begins)[:, None]
        number, ports = (slot * (1 << 24) + row)[:, None], np.arange(PORTS)

        def drawn(stream: int, low: float, high: float) -> np.ndarray:
            return low + (high - low) * self.noise.uniform(number, stream + ports)

        falls_h = drawn(LENGTH, 2, 4)
        fallen_h, early = falls_h + drawn(FALL, 0.5, 1.5), drawn(EARLY, 0, 1 / _UNPLUGGED_SHARE)
        return _Charges(
            comes=drawn(PLUGGED, 0, 1) < share,
            early=early < 1,
            floats=drawn(FLOAT, 0, 1) >= 0.5,
            since_h=(shifted - slot * _SLOT_MS)[:, None] / _HOUR_MS - drawn(BEGUN, 0, 1),
            falls_h=falls_h,
            fallen_h=fallen_h,
            end_h=np.where(early < 1, early * falls_h, fallen_h + 1),
            settled=drawn(SETTLED, 0, 1),
        )
