"""Hours of a few components, by hand: what the tests of early warning begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from early_warning.advance import HourlyValues, RelearnOrder, advance
from early_warning.calendar import DAY_HOURS, hour_of_day
from early_warning.parameters import load_parameters
from early_warning.state import ComponentKey, LearnedState, empty_states
from schemas.notices import Notice
from schemas.registry import VERSION, DeviceEntry

FIRST: Final = 493_960
"""2026-05-09 in Shanghai, a Saturday on which people make up for the holiday."""
PARAMETERS: Final = load_parameters()


def hours_of(values: Mapping[str, Sequence[np.ndarray]], counts: int = 60) -> HourlyValues:
    """Values by device: a row a component."""
    keys = [ComponentKey(device, number) for device, rows in values.items() for number in range(len(rows))]
    value = np.array([row for rows in values.values() for row in rows], np.float64).reshape(
        len(keys), -1 if keys else 0
    )
    return HourlyValues(keys, value, np.full(value.shape, counts))


def days(count: int, seed: int = 1, base: float = 40.0, swing: float = 30.0, noise: float = 2.0) -> np.ndarray:
    """Days of a line that has more by day than by night."""
    rng = np.random.default_rng(seed)
    of_day = np.array([hour_of_day(FIRST + at) for at in range(count * DAY_HOURS)])
    return base + swing * ((of_day >= 8) & (of_day < 18)) + noise * rng.standard_normal(len(of_day))


def told(
    hours: Mapping[str, HourlyValues],
    orders: Sequence[RelearnOrder] = (),
    registered: Sequence[DeviceEntry] = (),
    states: Mapping[str, LearnedState] | None = None,
    first: int = FIRST,
) -> list[Notice]:
    """What the rules tell, in one run."""
    known = {entry.device_id: entry for entry in registered}
    return advance(empty_states() if states is None else states, first, hours, known, list(orders), PARAMETERS)


def neighbour(device: str, unit: str = "U1") -> DeviceEntry:
    """A device of a unit."""
    return DeviceEntry(v=VERSION, device_id=device, kind="electrical_monitor", unit_id=unit, unit_name="国贸大厦")


def day_of_notice(notice: Notice) -> float:
    """Days from the first hour on."""
    return (notice.hour_ts // 3_600_000 - FIRST) / DAY_HOURS
