"""What is kept of a port, and what detectors are shown of it."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from detectors.table import Table
from schemas.charging import FULL, PORT_STATES, UNPLUGGED, StopSort, stop_sort

REMEMBERED: Final = 4
"""Settlements of a port by whose times a repeat is known: piles repeat one until it is acknowledged, within seconds
(AP3000: 15 s), and a few may wait [ours]."""

PORT: Final = np.dtype(
    [
        ("state_ts", "i8"),
        ("off_ts", "i8"),
        ("began_ts", "i8"),
        ("seen_ts", "i8"),
        ("stopped_ts", "i8"),
        ("power_ts", "i8"),
        ("before_ts", "i8"),
        ("ended_ts", "i8"),
        ("settled_ts", "i8", (REMEMBERED,)),
        ("energy_wh", "f8"),
        ("greatest_w", "f8"),
        ("power_w", "f8"),
        ("smooth_w", "f8"),
        ("plateau_w", "f8"),
        ("low_w", "f8"),
        ("before_wh", "f8"),
        ("before_w", "f8"),
        ("state", "i2"),
        ("stopped_full", "i1"),
        ("ended_as", "i1"),
        ("settled", "i1"),
        ("fell", "i1"),
    ]
)
"""A port. `state` is the newest code and one, 0 while none was told, of `state_ts`; since `off_ts` it has said that no
power may flow, 0 while it does not.

Of the charge that lasts, `began_ts` is its beginning, 0 where there is none, `seen_ts` the newest moment at which it
was reported, `stopped_ts` since when the port says that it does not charge, 0 while it does, and `stopped_full` whether
that was for it is full; `energy_wh` and `greatest_w` are what it took so far, and `power_w` the newest power, of
`power_ts`, 0 where none was measured. `smooth_w`, `plateau_w`, `low_w` and `fell` are of `detectors.charging.power`.

Of the charge before, `before_ts` and `ended_ts` are its beginning and end, 0 where none is known, `before_wh` and
`before_w` what it took, -1 where that is not known; `ended_as` is an `Off`, and `settled` whether a settlement has
told of it. `settled_ts` are the moments of the last settlements, the oldest first."""
TIMES: Final = ("state_ts", "off_ts", "began_ts", "seen_ts", "stopped_ts", "power_ts", "before_ts", "ended_ts")
SHAPE: Final = ("smooth_w", "plateau_w", "low_w", "fell")


class Off(IntEnum):
    """Why no power may flow at a port."""

    NOT = 0
    """Some may, or nobody knows."""
    IDLE = 1
    UNPLUGGED = 2
    FULL = 3
    ABNORMAL = 4
    """A protection, or something else that is not ordinary, has ended the charge."""


LEAST_W: Final = 60.0
"""Chargers of bicycles take more; of a plateau below that the shape says nothing [ours]."""
FRESH_MS: Final = 10_000
"""For so long what a port said of its state holds for a power that is told in another report: a pile sends both in one
message, and a gateway may cut it in two [ours]."""
CHARGES: Final = np.array([code for code, one in PORT_STATES.items() if one.charges], float)
STOPS: Final = np.array([code for code, one in PORT_STATES.items() if not one.charges], float)
FAULTS: Final = np.array([code for code, one in PORT_STATES.items() if one.fault], float)
OFF: Final = np.array([code for code, one in PORT_STATES.items() if one.off], float)


def off_as(code: int) -> Off:
    """Why no power may flow after a charge that stopped by a code."""
    if code == FULL:
        return Off.FULL
    if code in UNPLUGGED:
        return Off.UNPLUGGED
    return Off.ABNORMAL if stop_sort(code) in (StopSort.ABNORMAL, StopSort.SAFETY) else Off.IDLE


class PortFacts(NamedTuple):
    """What is known of the ports of m values, or of one: why no power may flow (`Off`), and for how long it has been
    so, ms; how long a charge has lasted, ms, 0 where there is none; its power as it is smoothed, on its plateau and
    at the least since, W, 0 where that is not known; and whether it has fallen."""

    off: np.ndarray
    off_ms: np.ndarray
    charging_ms: np.ndarray
    smooth_w: np.ndarray
    plateau_w: np.ndarray
    low_w: np.ndarray
    fell: np.ndarray


class PortsOfRound:
    """The ports that the reports of a round tell of, as detectors are shown them."""

    def __init__(self, which: np.ndarray, port: np.ndarray, size: int, facts: PortFacts) -> None:
        """`which` of `size` reports each is of, and its number, int64[m] each."""
        self._facts = facts
        self._place = np.full((size, int(port.max(initial=-1)) + 1), -1)
        self._place[which, port] = np.arange(len(which))

    def of(self, which: np.ndarray, component: np.ndarray) -> tuple[np.ndarray, PortFacts]:
        """Which of m values are of a port that is known, int64[k], and what is known of these."""
        place = np.full(len(which), -1)
        within = component < self._place.shape[1]
        place[within] = self._place[which[within], component[within]]
        known = (place >= 0).nonzero()[0]
        return known, PortFacts._make(column[place[known]] for column in self._facts)


def facts_of(ports: Table, slots: np.ndarray, ts: np.ndarray) -> PortFacts:
    """What is known of the ports of `slots` at these moments."""
    off_ts, began_ts = ports["off_ts"][slots], ports["began_ts"][slots]
    # What history tells of power may be from hours before the state.
    fresh = (off_ts > 0) & (np.abs(ts - ports["state_ts"][slots]) <= FRESH_MS)
    ended_as = np.maximum(ports["ended_as"][slots], Off.IDLE)
    return PortFacts(
        off=np.where(fresh, ended_as, Off.NOT),
        off_ms=np.where(fresh, ts - off_ts, 0),
        charging_ms=np.where(began_ts > 0, ts - began_ts, 0),
        smooth_w=ports["smooth_w"][slots],
        plateau_w=ports["plateau_w"][slots],
        low_w=ports["low_w"][slots],
        fell=ports["fell"][slots] == 1,
    )
