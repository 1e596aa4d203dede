"""The state of one partition's devices, as arrays: a row a device, a slot a component.

A device's test data live in a row of their own, so that a test never masks, latches or teaches what is real
(domain.md, rule 5). Every row carries the offset of the last record it reflects: a restored row makes `process` skip
what it has seen already, which is what makes state exact after a crash without transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
from detectors.latch import Elements, Findings
from detectors.order import REMEMBERED
from schemas.events import AlarmKind
from schemas.quantities import QUANTITIES

ROW: Final = np.dtype(
    [
        ("offset", "i8"),
        ("newest_ts", "i8"),
        ("remembered", "i8", (REMEMBERED,)),
        ("minutes", "i8", (2,)),
        ("heard_ts", "i8"),
        ("since_ts", "i8"),
        ("profile", "i4"),
        ("faulty", "i1"),
        ("status", "i1"),
        ("device_kind", "i1"),
        ("test", "i1"),
    ]
)
"""One device. `offset` is the last record reflected, -1 for none; `newest_ts` the newest event time; `heard_ts` the
newest arrival; `since_ts` when `status` began; `faulty` whether `PartitionState.faults` holds any of its own;
`profile` its limits in the `LimitTable`, -1 until looked up."""


@dataclass(frozen=True, slots=True)
class Detector:
    """One detector: what it looks for, in which quantity, the state of one component, and the function that detects."""

    kind: AlarmKind
    quantity: str
    state: np.dtype
    detect: Callable[[np.ndarray, Elements], Findings]


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


def _tables_of(quantity: str) -> list[np.dtype]:
    return [aggregates.STATE, *(detector.state for detector in DETECTORS if detector.quantity == quantity)]


@dataclass(slots=True)
class Components:
    """The components of one quantity: where each device's slots lie, and the tables those slots index.

    `first` is int64[rows], -1 for a device without the quantity; `width` the number of its components. `tables[0]` are
    the aggregates, the others the quantity's detectors in the order of `DETECTORS`.
    """

    tables: list[np.ndarray]
    first: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    width: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    used: int = 0

    def widen(self, row: int, width: int) -> None:
        """Give `row` at least `width` slots. A device that grows moves to new slots and takes its state along."""
        held, old = int(self.width[row]), int(self.first[row])
        if width <= held:
            return
        end = self.used + width
        if end > len(self.tables[0]):
            self.tables = [grown(table, end) for table in self.tables]
        for table in self.tables if held else ():
            table[self.used : self.used + held] = table[old : old + held]
        self.first[row], self.width[row], self.used = self.used, width, end

    def slots_of(self, row: int) -> slice:
        """The slots of one device."""
        first = int(self.first[row])
        return slice(first, first + int(self.width[row]))


class PartitionState:
    """The state of all devices of one partition. Empty when made; `rows_of` makes a row for each device it first sees.

    `dirty`, bool[rows], marks the rows that changed since they were last checkpointed.
    """

    def __init__(self) -> None:
        self.device_ids: list[str] = []
        self.faults: dict[int, tuple[str, ...]] = {}
        self.dirty = np.zeros(0, np.bool_)
        self.rows = np.zeros(0, ROW)
        self.components = {
            quantity.name: Components([np.zeros(0, table) for table in _tables_of(quantity.name)])
            for quantity in QUANTITIES
        }
        self._row_of: dict[tuple[str, bool], int] = {}

    def __len__(self) -> int:
        return len(self.device_ids)

    def rows_of(self, device_ids: Sequence[str], test: np.ndarray, device_kind: np.ndarray) -> np.ndarray:
        """The row of each report's device, int64[n], made where it is new."""
        find = self._row_of.get
        found = [find(key, -1) for key in zip(device_ids, test.tolist(), strict=True)]
        for number, row in enumerate(found):
            if row < 0:
                found[number] = self.row_of(device_ids[number], bool(test[number]), int(device_kind[number]))
        return np.array(found, dtype=np.int64)

    def row_of(self, device_id: str, test: bool, device_kind: int) -> int:
        """The row of one device, made if it is new."""
        row = self._row_of.get((device_id, test))
        if row is not None:
            return row
        row = len(self.device_ids)
        self._row_of[device_id, test] = row
        self.device_ids.append(device_id)
        self.rows = grown(self.rows, row + 1)
        self.dirty = grown(self.dirty, row + 1)
        self.rows[row]["offset"] = -1
        self.rows[row]["status"] = device_status.UNKNOWN
        self.rows[row]["profile"] = -1
        self.rows[row]["device_kind"] = device_kind
        self.rows[row]["test"] = test
        for components in self.components.values():
            components.first = grown(components.first, row + 1, -1)
            components.width = grown(components.width, row + 1)
        return row


def grown(array: np.ndarray, size: int, fill: int = 0) -> np.ndarray:
    """`array` with room for `size` entries, doubled when it must grow so that adding one at a time stays cheap."""
    if size <= len(array):
        return array
    larger = np.zeros(max(size, 2 * len(array), 64), array.dtype)
    if fill:
        larger[len(array) :] = fill
    larger[: len(array)] = array
    return larger
