"""The state of one partition's devices, as arrays: a row a device, a slot a component.

A device's test data live in a row of their own, so that a test never masks, latches or teaches what is real
(domain.md, rule 5). Every row carries the offset of the last record it reflects: a restored row makes `process` skip
what it has seen already, which is what makes state exact after a crash without transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from schemas.quantities import CODES, QUANTITIES

ROW: Final = np.dtype(
    [
        ("offset", "i8"),
        ("newest_ts", "i8"),
        ("remembered", "i8", (REMEMBERED,)),
        ("minutes", "i8", (2,)),
        ("back_ts", "i8"),
        ("back_ingest_ts", "i8"),
        ("back_count", "i4"),
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
newest arrival; `since_ts` when `status` began; `back_...` the last report behind the newest and how
many of them came in pace (`detectors.order`); `faulty` whether `PartitionState.faults` holds any of its own;
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


KINDS: Final = tuple(AlarmKind)


@dataclass(frozen=True, slots=True)
class Family:
    """Detectors that share a state and a function, and so are run in one pass. Arrays are by quantity code.

    `column` is the quantity's column in the family's space, -1 where the family does not watch it; `number` the
    detector's place in `DETECTORS`; `kind` the place of its alarm kind in `AlarmKind`.
    """

    state: np.dtype
    detect: Callable[[np.ndarray, Elements], Findings]
    column: np.ndarray
    number: np.ndarray
    kind: np.ndarray


def _families() -> tuple[Family, ...]:
    shared: dict[Callable[[np.ndarray, Elements], Findings], list[int]] = {}
    for number, detector in enumerate(DETECTORS):
        shared.setdefault(detector.detect, []).append(number)
    return tuple(_family(numbers) for numbers in shared.values())


def _family(numbers: list[int]) -> Family:
    column, number_of, kind = (np.full(len(QUANTITIES), -1) for _ in range(3))
    for place, number in enumerate(numbers):
        code = CODES[DETECTORS[number].quantity]
        column[code], number_of[code], kind[code] = place, number, KINDS.index(DETECTORS[number].kind)
    first = DETECTORS[numbers[0]]
    return Family(first.state, first.detect, column, number_of, kind)


FAMILIES: Final = _families()


class Space:
    """The slots of some quantities' components, and the table those slots index.

    `column` is as in `Family`. `first` is int64[rows, columns], where the slots of a device's quantity begin.
    """

    def __init__(self, state: np.dtype, column: np.ndarray) -> None:
        self.table = np.zeros(0, state)
        self.column = column
        self.first = np.zeros((0, int(column.max()) + 1), np.int64)
        self.used = 0

    def widen(self, row: int, quantity: int, held: int, width: int) -> None:
        """Give a quantity that has `held` slots `width` of them. It moves to new slots and takes its state along."""
        column = self.column[quantity]
        old, new = int(self.first[row, column]), self.used
        self.used += width
        self.table = grown(self.table, self.used)
        self.table[new : new + held] = self.table[old : old + held]
        self.first[row, column] = new


class PartitionState:
    """The state of all devices of one partition. Empty when made; `rows_of` makes a row for each device it first sees.

    `dirty`, bool[rows], marks the rows that changed since they were last checkpointed. `width`, int64[rows,
    quantities], is how many components a device has of each quantity.
    """

    def __init__(self) -> None:
        self.device_ids: list[str] = []
        self.faults: dict[int, tuple[str, ...]] = {}
        self.dirty = np.zeros(0, np.bool_)
        self.rows = np.zeros(0, ROW)
        self.width = np.zeros((0, len(QUANTITIES)), np.int64)
        self.aggregates = Space(aggregates.STATE, np.arange(len(QUANTITIES)))
        self.watched = [Space(family.state, family.column) for family in FAMILIES]
        self._row_of: dict[tuple[str, bool], int] = {}

    def __len__(self) -> int:
        return len(self.device_ids)

    @property
    def spaces(self) -> list[Space]:
        """Every space: the aggregates', then one for each of `FAMILIES`."""
        return [self.aggregates, *self.watched]

    def make_room(self, row: int, quantity: int, width: int) -> None:
        """Let the device have at least `width` components of a quantity, given by its code."""
        held = int(self.width[row, quantity])
        if width <= held:
            return
        for space in self.spaces:
            if space.column[quantity] >= 0:
                space.widen(row, quantity, held, width)
        self.width[row, quantity] = width

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
        self.width = grown(self.width, row + 1)
        for space in self.spaces:
            space.first = grown(space.first, row + 1)
        return row


def grown(array: np.ndarray, size: int) -> np.ndarray:
    """`array` with room for `size` entries, doubled when it must grow so that adding one at a time stays cheap."""
    if size <= len(array):
        return array
    larger = np.zeros((max(size, 2 * len(array), 64), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
