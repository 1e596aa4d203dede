"""The state of one partition's devices, as arrays: a row a device, a slot a component.

A device's test data live in a row of their own, so that a test never masks, latches or teaches what is real
(domain.md, rule 5). Every row carries the offset of the last record it reflects: a restored row makes `process` skip
what it has seen already, which is what makes state exact after a crash without transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final

import numpy as np

from detectors import (
    aggregates,
    arc_fault,
    device_status,
    residual_current,
    residual_current_rise,
    temperature,
    temperature_rise,
)
from detectors.latch import Elements, Findings, Watched
from detectors.order import REMEMBERED
from detectors.table import Room, Table, grown, runs
from schemas.events import AlarmKind
from schemas.quantities import CODES, QUANTITIES

ROW: Final = np.dtype(
    [
        ("offset", "i8"),
        ("newest_ts", "i8"),
        ("remembered", "i8", (REMEMBERED,)),
        ("back_ts", "i8"),
        ("back_ingest_ts", "i8"),
        ("heard_ts", "i8"),
        ("since_ts", "i8"),
        ("width", "u1", (len(QUANTITIES),)),
        ("oldest", "u1"),
        ("back_count", "u1"),
        ("faulty", "i1"),
        ("status", "i1"),
        ("device_kind", "i1"),
        ("test", "i1"),
    ]
)
"""One device. `offset` is the last record reflected, -1 for none; `newest_ts` the newest event time; `heard_ts` the
newest arrival; `since_ts` when `status` began; `remembered`, `oldest` and `back_...`, the last report behind the newest
and how many of them came in pace, are of `detectors.order`; `width` is how many components it has of each quantity;
`faulty` whether `PartitionState.faults` holds any of its own."""


@dataclass(frozen=True, slots=True)
class Detector:
    """One detector: what it looks for, in which quantity, the state of one component, and the function that detects."""

    kind: AlarmKind
    quantity: str
    state: np.dtype
    detect: Callable[[Watched, Elements], Findings]


DETECTORS: Final = (
    Detector(AlarmKind.RESIDUAL_CURRENT, "residual_current_ma", residual_current.STATE, residual_current.detect),
    Detector(
        AlarmKind.RESIDUAL_CURRENT_RISE,
        "residual_current_ma",
        residual_current_rise.STATE,
        residual_current_rise.detect,
    ),
    Detector(AlarmKind.TEMPERATURE, "temperature_c", temperature.STATE, temperature.detect),
    Detector(AlarmKind.TEMPERATURE_RISE, "temperature_c", temperature_rise.STATE, temperature_rise.detect),
    Detector(AlarmKind.ARC_FAULT, "arc_half_cycles", arc_fault.STATE, arc_fault.detect),
)
"""All detectors. The order is part of events' places and of checkpoints: append, never reorder."""


WATCHING: Final = {
    CODES[name]: tuple(number for number, detector in enumerate(DETECTORS) if detector.quantity == name)
    for name in dict.fromkeys(detector.quantity for detector in DETECTORS)
}
"""By code the quantities that are watched, and the places in `DETECTORS` of those that watch each."""
COLUMN: Final = {code: column for column, code in enumerate(WATCHING)}

PLACE: Final = np.dtype([("profile", "i4"), ("first", "i4", (len(WATCHING),))])
"""Where things of a device are in this process: its limits in the `LimitTable`, -1 until looked up; and where its slots
of each watched quantity begin, by `COLUMN`."""


class PartitionState:
    """The state of all devices of one partition. Empty when made; `rows_of` makes a row for each device it first sees.

    `rows` and `places` have an entry a device. `watched[n]` is the state of `DETECTORS[n]`, a slot a component; the
    detectors of a quantity have the same slots. `dirty`, bool[rows], marks the rows that changed since they were last
    checkpointed.
    """

    def __init__(self) -> None:
        self.device_ids: list[str] = []
        self.faults: dict[int, tuple[str, ...]] = {}
        self.dirty = np.zeros(0, np.bool_)
        self.rows = Table(ROW)
        self.places = Table(PLACE)
        self.minutes = aggregates.Minutes()
        self.watched = [Watched(detector.state) for detector in DETECTORS]
        self._rooms = {code: Room() for code in WATCHING}
        self._row_of: dict[bool, dict[str, int]] = {False: {}, True: {}}

    def __len__(self) -> int:
        return len(self.device_ids)

    def make_room(self, rows: np.ndarray, width: np.ndarray) -> None:
        """Let the distinct `rows` have `width` components of each quantity, int64[k, quantities], or more if they do.

        What they have moves to where there is room for all.
        """
        before = self.rows["width"][rows].astype(np.int64)
        after = np.maximum(before, width)
        aggregates.widen(self.minutes, rows, before, after)
        for code in WATCHING:
            wider = after[:, code] > before[:, code]
            if wider.any():
                self._widen(code, rows[wider], before[wider, code], after[wider, code])
        self.rows["width"][rows] = after

    def _widen(self, code: int, rows: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        room, places = self._rooms[code], self.places["first"][:, COLUMN[code]]
        first, held = room.allot(after), before > 0
        old, new = runs(places[rows][held].astype(np.int64), before[held]), runs(first[held], before[held])
        for number in WATCHING[code]:
            self.watched[number].grow(room.used)
            self.watched[number].clear(runs(first, after))
            self.watched[number].copy(old, new)
        room.release(places[rows][held], before[held])
        places[rows] = first

    def forget(self, rows: np.ndarray) -> None:
        """Let the distinct `rows` have no component and no fault. What was kept of them goes to others."""
        width = self.rows["width"][rows].astype(np.int64)
        aggregates.drop(self.minutes, rows, width.sum(axis=1))
        for code, numbers in WATCHING.items():
            first = self.places["first"][rows, COLUMN[code]].astype(np.int64)
            slots, there = runs(first, width[:, code]), width[:, code] > 0
            for number in numbers:
                watched = self.watched[number]
                watched.let_rest(slots[watched["latch"][slots] != 0])
            self._rooms[code].release(first[there], width[there, code])
        self.rows["width"][rows] = 0
        for row in rows.tolist():
            self.faults.pop(row, None)

    def rows_of(self, device_ids: Sequence[str], test: np.ndarray, device_kind: np.ndarray) -> np.ndarray:
        """The row of each report's device, int64[n], made where it is new."""
        held: Iterator[int] = map(self._row_of[False].get, device_ids, repeat(-1))
        if test.any():
            held = (self._row_of[one].get(key, -1) for key, one in zip(device_ids, test.tolist(), strict=True))
        found = np.fromiter(held, np.int64, len(device_ids))
        new = (found < 0).nonzero()[0]
        if len(new):
            found[new] = self._made([device_ids[number] for number in new.tolist()], test[new], device_kind[new])
        return found

    def _made(self, device_ids: list[str], test: np.ndarray, device_kind: np.ndarray) -> list[int]:
        """The rows of devices that had none. One may be named several times: the first time decides its kind."""
        before, found, begun = len(self), list[int](), list[int]()
        for number, (device_id, one) in enumerate(zip(device_ids, test.tolist(), strict=True)):
            row = self._row_of[one].setdefault(device_id, len(self.device_ids))
            if row == len(self.device_ids):
                self.device_ids.append(device_id)
                begun.append(number)
            found.append(row)
        self._grow(len(self))
        rows, new = self.rows, slice(before, len(self))
        rows["offset"][new] = self.places["profile"][new] = -1
        rows["status"][new] = device_status.UNKNOWN
        rows["device_kind"][new], rows["test"][new] = device_kind[begun], test[begun]
        return found

    def _grow(self, size: int) -> None:
        self.rows.grow(size)
        self.places.grow(size)
        self.minutes.cells.grow(2 * size)
        self.dirty = grown(self.dirty, size)
