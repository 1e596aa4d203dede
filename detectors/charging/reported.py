"""What the reports of a round say of ports, as flat arrays: one entry a report and port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from detectors.charging.ports import CHARGES, OFF, STOPS
from detectors.rounds import Context, QuantityValues, Round
from detectors.state import COLUMN, PORTS
from detectors.values import RoundValues
from schemas.charging import NO_REASON
from schemas.quantities import CODES

_COLUMNS: Final = ("port_state", "power_w", "stop_reason", "charge_s", "charge_wh")


class Reported(NamedTuple):
    """m ports: of which report of the round each is, its number and slot, the report's moment and arrival; and what is
    said, NaN where nothing is: state, power (W), stop reason, duration (s) and energy (Wh) of the charge.

    State and power are those that are newer than all before; a settlement, which is what has a stop reason but 0, may
    come late, and counts all the same."""

    which: np.ndarray
    port: np.ndarray
    slots: np.ndarray
    ts: np.ndarray
    ingest_ts: np.ndarray
    state: np.ndarray
    power: np.ndarray
    reason: np.ndarray
    charge_s: np.ndarray
    charge_wh: np.ndarray

    def take(self, chosen: np.ndarray) -> Reported:
        """Those that are `chosen`, a mask."""
        return Reported._make(column[chosen] for column in self)

    @property
    def charges(self) -> np.ndarray:
        """Which say that they charge, bool[m]."""
        return np.isin(self.state, CHARGES)

    @property
    def stops(self) -> np.ndarray:
        """Which say that they do not, bool[m]."""
        return np.isin(self.state, STOPS)

    @property
    def is_off(self) -> np.ndarray:
        """Which say that no power may flow, bool[m]."""
        return np.isin(self.state, OFF)


def reported(shown: Sequence[QuantityValues], found: RoundValues, taken: Round, context: Context) -> Reported | None:
    """What a round says of ports; None where it says nothing, as of all devices that have none."""
    state = context.state
    width = state.rows["width"][taken.row, PORTS]
    with_ports = width.nonzero()[0]
    if not len(with_ports):
        return None
    number = np.full(len(width), -1)
    number[with_ports] = np.arange(len(with_ports))
    table = np.full((len(_COLUMNS), len(with_ports), int(width.max())), np.nan)
    for column, (which, component, value) in _said(shown, found, context):
        held = (number[which] >= 0) & (component < table.shape[2])
        table[column, number[which[held]], component[held]] = value[held]
    reason = table[_COLUMNS.index("stop_reason")]
    reason[reason == NO_REASON] = np.nan
    has_room = np.arange(table.shape[2]) < width[with_ports, None]
    at, port = (has_room & ~np.isnan(table[:3]).all(axis=0)).nonzero()
    which = with_ports[at]
    slots = state.indices["first"][taken.row[which], COLUMN[PORTS]].astype(np.int64) + port
    one = Reported(which, port, slots, taken.ts[which], taken.ingest_ts[which], *table[:, at, port])
    # Of a port that never told its state, power alone says nothing.
    alone = np.isnan(one.state) & np.isnan(one.reason)
    return one.take(~alone | (state.ports["state"][slots] > 0))


def _said(
    shown: Sequence[QuantityValues], found: RoundValues, context: Context
) -> list[tuple[int, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """By number of the column the report, component and value of all that is said in it."""
    watched = {one.code: one for one in shown}
    parts = []
    for column, name in enumerate(_COLUMNS):
        one = watched.get(CODES[name])
        if name in ("charge_s", "charge_wh"):
            if CODES[name] in context.values.codes:
                number = context.values.codes.index(CODES[name])
                part = slice(*found.bounds[number : number + 2])
                parts.append((column, (found.which[part], found.component[part], found.value[part])))
        elif one is not None:
            kept = slice(None) if name == "stop_reason" else one.live
            parts.append((column, (one.which[kept], one.component[kept], one.value[kept])))
    return parts
