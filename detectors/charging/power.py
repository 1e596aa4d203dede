"""Power while a charge lasts: the energy that it comes to, and its shape.

A charger gives a constant current for more than half of a charge, within ± 10 %, which falls to under a quarter
within 30 to 90 min once the battery is nearly full; then there is a trickle, or the float of a lead-acid battery
(domain.md, Normal life). Of the shape is kept its smoothed power, the level of its plateau, the least since, and
whether it has fallen. A port that says that it floats has fallen: what flows then is no plateau, even if its charge was
not seen before.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.charging.reported import Reported
from detectors.table import Table
from schemas.charging import FLOAT_STATE

STANDS_MS: Final = 600_000
"""A power stands for what flows until the next one, but for no longer: two reports of a pile, which come each 5 min
(AP3000) [ours]."""
MEMORY_MS: Final = 600_000
"""Of the smoothed power: by it no single value that is wrong looks like a fall or a rise [ours]."""
MOST: Final = 1.5
"""A value counts for so many times the smoothed power or the plateau at most, whichever is more, and for half the
smoothed power at least [ours]."""
PLATEAU_MS: Final = 1_800_000
"""So long after its beginning a charge has its plateau, and hardly any has fallen by then [ours]."""
FALLEN: Final = 0.25
"""A battery is full that takes less than a quarter of its plateau (domain.md, Normal life)."""
_WH: Final = 3_600_000.0
"""One Wh in W ms."""


def note_power(ports: Table, said: Reported) -> None:
    """Take what is said of charges that last on, in place."""
    lasts = (ports["began_ts"][said.slots] > 0) & ~(np.isnan(said.state) & np.isnan(said.power))
    said = said.take(lasts)
    ports["seen_ts"][said.slots] = said.ts
    _note_energy(ports, said)
    measured = said.take(~np.isnan(said.power))
    if len(measured.slots):
        _note_shape(ports, measured)
        slots = measured.slots
        ports["greatest_w"][slots] = np.maximum(ports["greatest_w"][slots], measured.power)
        ports["power_w"][slots], ports["power_ts"][slots] = measured.power, measured.ts


def _note_energy(ports: Table, said: Reported) -> None:
    """As the pile counts it, else what the power comes to that flowed since the value before."""
    slots, power_ts = said.slots, ports["power_ts"][said.slots]
    stood_ms = np.clip(said.ts - power_ts, 0, STANDS_MS) * ((power_ts > 0) & ~np.isnan(said.power))
    flowed_wh = ports["energy_wh"][slots] + np.maximum(ports["power_w"][slots], 0.0) * stood_ms / _WH
    ports["energy_wh"][slots] = np.where(np.isnan(said.charge_wh), flowed_wh, said.charge_wh)


def _note_shape(ports: Table, said: Reported) -> None:
    slots, power = said.slots, np.maximum(said.power, 0.0)
    power_ts, smooth, plateau = ports["power_ts"][slots], ports["smooth_w"][slots], ports["plateau_w"][slots]
    elapsed = np.maximum(said.ts - power_ts, 0)
    moved = smooth + (np.clip(power, smooth / 2, MOST * np.maximum(smooth, plateau)) - smooth) * (
        elapsed / (MEMORY_MS + elapsed)
    )
    smooth = np.where(smooth > 0, moved, power)
    floats = np.where(np.isnan(said.state), ports["state"][slots] - 1, said.state) == FLOAT_STATE
    begins = (plateau == 0) & (said.ts - ports["began_ts"][slots] >= PLATEAU_MS) & ~floats
    plateau = np.where(begins, smooth, plateau)
    low = np.where(begins, smooth, np.minimum(ports["low_w"][slots], smooth))
    ports["smooth_w"][slots], ports["plateau_w"][slots], ports["low_w"][slots] = smooth, plateau, low
    ports["fell"][slots] |= (plateau > 0) & (floats | (smooth < FALLEN * plateau))
