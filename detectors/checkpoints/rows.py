"""Rows of one layout taken apart: from bytes to arrays, each row checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from detectors.checkpoints.encode import ROW_OF, is_row
from detectors.checkpoints.layout import WORDS_ONLY, Layout, Section
from detectors.device_status import OVERDUE, UNKNOWN, DeviceFaults, component_of
from detectors.own_words import from_notes
from schemas.events import Severity
from schemas.quantities import MAX_COMPONENTS

DAMAGED: Final = "damaged"
BEYOND: Final = "beyond_the_end"
_NEVER_MS: Final = 2**53
"""Later than any clock, and far from where silence after it would overflow."""


class CheckpointRows(NamedTuple):
    """k rows of a layout, found whole. `latch_row` and `late_row` say which of them each latch and late value is of."""

    layout: Layout
    devices: Sequence[tuple[str, bool]]
    heads: np.ndarray
    parts: Mapping[Section, np.ndarray]
    latches: np.ndarray
    latch_row: np.ndarray
    late: np.ndarray
    late_row: np.ndarray
    told: Sequence[DeviceFaults | None]

    @property
    def width(self) -> np.ndarray:
        """How many components each has of each quantity of the layout, int64[k, quantities]."""
        width: np.ndarray = self.heads["row"]["width"].astype(np.int64)
        return width


class WrongRows(Exception):  # noqa: N818 - it says which rows, and is always caught
    """Rows that are not what this layout writes: by number a word for what is wrong, and why."""

    def __init__(self, found: Mapping[int, tuple[str, str]]) -> None:
        super().__init__()
        self.found = found


def taken_apart(layout: Layout, keys: Sequence[bytes], values: Sequence[bytes], end: int | None) -> CheckpointRows:
    """The rows. Raises WrongRows where some are damaged, or reflect offset `end` of telemetry or a later one."""
    devices = _devices(keys)
    size, length = layout.head.itemsize, np.array([len(value) for value in values], np.int64)
    _refuse(length < size, lambda number: f"it is cut off after {length[number]} bytes")
    heads = np.frombuffer(b"".join([value[:size] for value in values]), layout.head)
    _check_heads(layout, np.array([test for _, test in devices]), heads)
    if end is not None:
        reflects = heads["row"]["offset"]
        _refuse(
            reflects >= end,
            lambda number: f"it reflects offset {reflects[number]}, where telemetry ends at {end}",
            BEYOND,
        )
    dtypes, counts = _expected(layout, heads)
    ends = size + np.cumsum(counts * np.array([dtype.itemsize for dtype in dtypes]), axis=1)
    _refuse(ends[:, -1] > length, lambda number: f"it is cut off after {length[number]} bytes")
    columns = [[size] * len(values), *ends.T.tolist()]
    *parts, latches, late = (
        np.frombuffer(
            b"".join([value[begin:end] for value, begin, end in zip(values, begins, upto, strict=True)]), dtype
        )
        for dtype, begins, upto in zip(dtypes, columns[:-1], columns[1:], strict=True)
    )
    rows = CheckpointRows(
        layout, devices, heads, dict(zip(layout.sections, parts, strict=True)),
        latches, np.repeat(np.arange(len(heads)), counts[:, -2]), late, np.repeat(np.arange(len(heads)), counts[:, -1]),
        _all_told(layout, values, columns[-1]),
    )  # fmt: skip
    _check_latches(rows)
    _check_late(rows)
    return rows


def device_of(key: bytes) -> tuple[str, bool]:
    """The device of a key, and whether it is of test data. Raises ValueError where the key is none of a row."""
    if len(key) < 2 or not is_row(key):
        raise ValueError(f"the key {key[:80]!r} is not that of a device: 0 or 1, then its id")
    return key[1:].decode(), key[:1] == ROW_OF[True]


def _devices(keys: Sequence[bytes]) -> list[tuple[str, bool]]:
    devices, wrong = list[tuple[str, bool]](), dict[int, tuple[str, str]]()
    for number, key in enumerate(keys):
        try:
            devices.append(device_of(key))
        except ValueError as error:
            wrong[number] = DAMAGED, str(error)
    if wrong:
        raise WrongRows(wrong)
    return devices


def _refuse(found: Any, why: Callable[[int], str] | str, word: str = DAMAGED) -> None:
    """Raise WrongRows of the rows that are found, bool[k]."""
    if numbers := np.flatnonzero(found).tolist():
        raise WrongRows({number: (word, why if isinstance(why, str) else why(number)) for number in numbers})


def _expected(layout: Layout, heads: np.ndarray) -> tuple[list[np.dtype], np.ndarray]:
    """What must follow the heads: the dtype of each part, and how many entries of it, int64[k, parts]."""
    width = heads["row"]["width"].astype(np.int64)
    code = {name: number for number, name in enumerate(layout.quantities)}
    whole = width.sum(axis=1)
    open_of = {"last": heads["minute_ts"] > 0, "spread": heads["spread"] > 0}
    counts = [
        whole * open_of[name][:, int(of)]
        if name in open_of
        else width[:, code[str(of) if name == "channel" else layout.quantity_of[str(of)]]]
        for name, of in layout.sections
    ]
    late = heads["late"].astype(np.int64) if layout.records["late"] else np.zeros(len(heads), np.int64)
    counts += [heads["latches"].astype(np.int64), late]
    return [*layout.sections.values(), layout.engaged, layout.late], np.column_stack(counts)


def _check_heads(layout: Layout, tests: np.ndarray, heads: np.ndarray) -> None:
    row, is_open = heads["row"], heads["minute_ts"] > 0
    _refuse((row["test"] != 0) != tests, "its key and its row disagree about test data")
    _refuse((row["width"] > MAX_COMPONENTS).any(axis=1), "it has more components than there can be")
    kind = row["device_kind"].astype(np.int64)
    _refuse((kind < 0) | (kind >= len(layout.device_kinds)), "its device is of no kind")
    _refuse((row["heard_ts"] < 0) | (row["heard_ts"] >= _NEVER_MS), "it was heard at no time that there is")
    _refuse((row["status"] < UNKNOWN) | (row["status"] > OVERDUE), "its status is none")
    several = heads["spread"] > is_open
    _refuse(several.any(axis=1) | (is_open.any(axis=1) & ~row["width"].any(axis=1)), "its minutes are none")


def _check_latches(rows: CheckpointRows) -> None:
    """Each is of a component that the device has, and there once, at a severity that there is."""
    layout, latches = rows.layout, rows.latches
    code = np.array([layout.quantities.index(detector.quantity) for detector in layout.detectors])
    known = latches["detector"] < len(code)
    width = rows.width[rows.latch_row, code[latches["detector"] * known]]
    bad = ~known | (latches["component"] >= width)
    bad |= (latches["severity"] < 0) | (latches["severity"] > max(Severity))
    whose = np.column_stack([rows.latch_row, latches["detector"], latches["component"]])
    _refuse_owners(rows, bad | _again(whose), rows.latch_row, "it has a latch of a component that it has not, or two")


def _check_late(rows: CheckpointRows) -> None:
    layout, late = rows.layout, rows.late
    watched = np.array([quantity in layout.watched for quantity in layout.quantities])
    known = late["quantity"] < len(watched)
    quantity = late["quantity"] * known
    bad = ~known | ~watched[quantity] | (late["component"] >= rows.width[rows.late_row, quantity])
    whose = np.column_stack([rows.late_row, late["quantity"], late["component"]])
    why = "it has late values of a component that it has not, or two"
    _refuse_owners(rows, bad | _again(whose), rows.late_row, why)


def _again(whose: np.ndarray) -> np.ndarray:
    """Which of the lines equal one before, bool[m]."""
    _, first = np.unique(whose, axis=0, return_index=True)
    again = np.ones(len(whose), np.bool_)
    again[first] = False
    return again


def _refuse_owners(rows: CheckpointRows, bad: np.ndarray, owner: np.ndarray, why: str) -> None:
    if bad.any():
        _refuse(np.bincount(owner[bad], minlength=len(rows.heads)) > 0, why)


def _all_told(layout: Layout, values: Sequence[bytes], ends: Sequence[int]) -> list[DeviceFaults | None]:
    told, wrong = list[DeviceFaults | None](), dict[int, tuple[str, str]]()
    for number, (value, end) in enumerate(zip(values, ends, strict=True)):
        try:
            told.append(_told_of(layout, value[end:]) if end < len(value) else None)
        except (ValueError, TypeError) as error:
            wrong[number] = DAMAGED, f"what is told of it cannot be read: {error}"
    if wrong:
        raise WrongRows(wrong)
    return told


def _told_of(layout: Layout, text: bytes) -> DeviceFaults:
    parsed = orjson.loads(text)
    words, notes = (parsed, {}) if layout.version == WORDS_ONLY else parsed
    if not all(type(word) is str for word in words) or not all(type(ts) is int for ts in notes.values()):
        raise ValueError("it is not words and notes")
    told = DeviceFaults(tuple(words), *from_notes(notes))
    for note in told.notes:
        component_of(note)
    return told
