"""Where each quantity of each kind of device lies in a row of values, and how finely devices measure it."""

from __future__ import annotations

from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np


class ReportLayout(NamedTuple):
    """The values of a report as one row of a matrix: `counts` components of each of `names`, one after another."""

    device_kind: str
    names: tuple[str, ...]
    counts: tuple[int, ...]

    @property
    def columns(self) -> int:
        return sum(self.counts)

    def slice(self, name: str) -> slice:
        """The columns of one quantity."""
        index = self.names.index(name)
        ends = tuple(accumulate(self.counts))
        return slice(ends[index] - self.counts[index], ends[index])


_PER_UNIT: Final = {
    "residual_current_ma": 10.0,
    "temperature_c": 10.0,
    "current_a": 100.0,
    "voltage_v": 10.0,
    "power_w": 10.0,
    "arc_half_cycles": 1.0,
    "smoke": 100.0,
    "insulation_mohm": 10.0,
    "static_v": 1.0,
    "unbalance_pct": 10.0,
    "port_state": 1.0,
    "stop_reason": 1.0,
    "port_voltage_v": 10.0,
    "port_temperature_c": 10.0,
    "charge_s": 1.0,
    "charge_wh": 10.0,
}
"""Steps of the device's converter in one unit: 0.1 mA, 0.1 ℃, 0.01 A, 0.1 V (domain.md, rule 9)."""

MONITOR: Final = ReportLayout(
    "electrical_monitor",
    ("residual_current_ma", "temperature_c", "current_a", "voltage_v", "arc_half_cycles", "insulation_mohm"),
    (1, 4, 3, 3, 1, 1),
)
PILE: Final = ReportLayout(
    "charging_pile",
    ("power_w", "current_a", "residual_current_ma", "temperature_c", "voltage_v"),
    (10, 10, 1, 1, 1),
)


def rounded(layout: ReportLayout, values: np.ndarray) -> np.ndarray:
    """Values as the device's converter gives them: the double nearest to the decimal, so that JSON shows no tail."""
    steps = np.repeat([_PER_UNIT[name] for name in layout.names], layout.counts)
    return np.asarray(np.rint(values * steps) / steps)
