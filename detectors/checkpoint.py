"""A device's row of state as one record of the checkpoints topic, and back. Pure: bytes in, bytes out.

    key    b"1" for test data, b"0" for real, then the device id in UTF-8
    value  version 1 B | layout 4 B | ROW | number of segments 1 B
           | per space and quantity the device has: code 1 B, width 1 B, the bytes of its slots
           | the device's own faults as a JSON array, nothing where it has none

The bytes are numpy's own, so `LAYOUT`, a hash over the dtypes and the order of detectors, goes with each record: a
program whose layout differs refuses it rather than misread it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np
import orjson

from detectors.state import DETECTORS, ROW, PartitionState
from schemas.quantities import MAX_COMPONENTS, QUANTITIES

VERSION: Final = 1


class CheckpointError(ValueError):
    """A checkpoint that this program cannot read; the text says whose, why and what to do."""


class _Segment(NamedTuple):
    """The slots of one quantity in one space: which, and the bytes of one slot."""

    space: int
    quantity: int
    slot_bytes: int


def _segments() -> tuple[_Segment, ...]:
    return tuple(
        _Segment(number, quantity, space.table.itemsize)
        for number, space in enumerate(PartitionState().spaces)
        for quantity in np.flatnonzero(space.column >= 0).tolist()
    )


def _layout() -> bytes:
    told = [
        repr(ROW.descr),
        *(repr(space.table.dtype.descr) for space in PartitionState().spaces),
        *(f"{segment.space} {QUANTITIES[segment.quantity].name}" for segment in _SEGMENTS),
        *(f"{detector.kind} {detector.quantity}" for detector in DETECTORS),
    ]
    return blake2b("\n".join(told).encode(), digest_size=4).digest()


_SEGMENTS: Final = _segments()
LAYOUT: Final = _layout()
_HEAD: Final = bytes([VERSION]) + LAYOUT
_ROW_END: Final = len(_HEAD) + ROW.itemsize
_ROW_OF: Final = {False: b"0", True: b"1"}


def key_of(device_id: str, test: bool) -> bytes:
    """The key of a device's checkpoint."""
    return _ROW_OF[test] + device_id.encode()


def encode(state: PartitionState, rows: Iterable[int]) -> Iterator[tuple[bytes, bytes]]:
    """The (key, value) of each of `rows`. Reads the state as it goes: finish before the state moves on."""
    numbers = np.fromiter(rows, np.int64)
    row_bytes = _bytes_of(state.rows)
    tests = state.rows["test"][numbers].tolist()
    held = [_Held.of(code, segment, state, numbers) for code, segment in enumerate(_SEGMENTS)]
    held = [segment for segment in held if any(segment.width)]
    for number, (row, test) in enumerate(zip(numbers.tolist(), tests, strict=True)):
        parts: list[bytes | memoryview] = [_HEAD, row_bytes[row * ROW.itemsize : (row + 1) * ROW.itemsize], b""]
        present = 0
        for segment in held:
            if segment.width[number]:
                present += 1
                parts += segment.parts(number)
        parts[2] = bytes((present,))
        if faults := state.faults.get(row):
            parts.append(orjson.dumps(faults))
        yield key_of(state.device_ids[row], bool(test)), b"".join(parts)


class _Held(NamedTuple):
    """One segment of the rows at hand: where each row's slots lie, and the bytes of the table."""

    code: int
    first: list[int]
    width: list[int]
    table: memoryview
    slot_bytes: int

    @classmethod
    def of(cls, code: int, segment: _Segment, state: PartitionState, rows: np.ndarray) -> _Held:
        space = state.spaces[segment.space]
        first = space.first[rows, space.column[segment.quantity]].tolist()
        width = state.width[rows, segment.quantity].tolist()
        return cls(code, first, width, _bytes_of(space.table), segment.slot_bytes)

    def parts(self, number: int) -> list[bytes | memoryview]:
        first, width = self.first[number], self.width[number]
        return [bytes((self.code, width)), self.table[first * self.slot_bytes : (first + width) * self.slot_bytes]]


def restore(state: PartitionState, key: bytes, value: bytes) -> None:
    """Put the row of one checkpoint into `state`, in place of what it held of that device.

    Limits are looked up anew. Raises CheckpointError, and leaves the state alone, where the record is not one that
    this program wrote.
    """
    device_id, test = _device_of(key)
    _check_head(device_id, value)
    held = np.frombuffer(value, ROW, 1, len(_HEAD))[0]
    slots, faults = _body_of(device_id, value)
    if bool(held["test"]) != test:
        raise _garbled(device_id, "its key and its row disagree about test data")
    before = len(state)
    row = state.row_of(device_id, test, int(held["device_kind"]))
    if row < before:
        _forget(state, row)
    state.rows[row] = held
    state.rows["profile"][row] = -1
    state.dirty[row] = False
    if faults:
        state.faults[row] = faults
    whole = np.frombuffer(value, np.uint8)
    for segment, width, begin in slots:
        state.make_room(row, segment.quantity, width)
        _fill(state, row, segment, whole[begin : begin + width * segment.slot_bytes])


def _device_of(key: bytes) -> tuple[str, bool]:
    if len(key) < 2 or key[:1] not in _ROW_OF.values():
        raise CheckpointError(f"the key {key[:80]!r} is not that of a checkpoint: 0 or 1, then a device id")
    try:
        return key[1:].decode(), key[:1] == _ROW_OF[True]
    except UnicodeDecodeError as error:
        raise CheckpointError(f"the key {key[:80]!r} is not that of a checkpoint: {error}") from error


def _check_head(device_id: str, value: bytes) -> None:
    if not value:
        raise _garbled(device_id, "it is empty")
    if value[0] != VERSION:
        raise CheckpointError(
            f"the checkpoint of {device_id} has version {value[0]}, this program reads version {VERSION}: "
            "start the release that wrote it, or begin with an empty checkpoints topic"
        )
    if len(value) <= _ROW_END:
        raise _garbled(device_id, f"it is cut off after {len(value)} bytes")
    if (layout := value[1 : len(_HEAD)]) != LAYOUT:
        raise CheckpointError(
            f"the checkpoint of {device_id} was written with state layout {layout.hex()}, this program has "
            f"{LAYOUT.hex()}: start the release that wrote it, or begin with an empty checkpoints topic"
        )


def _body_of(device_id: str, value: bytes) -> tuple[list[tuple[_Segment, int, int]], tuple[str, ...]]:
    """What follows the row: each segment with its width and where its bytes begin, and the faults."""
    slots: list[tuple[_Segment, int, int]] = []
    at, code = _ROW_END + 1, -1
    for _ in range(value[_ROW_END]):
        if at + 2 > len(value) or not code < value[at] < len(_SEGMENTS) or not 0 < value[at + 1] <= MAX_COMPONENTS:
            raise _garbled(device_id, f"no component can stand at byte {at}")
        code, width = value[at], value[at + 1]
        slots.append((_SEGMENTS[code], width, at + 2))
        at += 2 + width * _SEGMENTS[code].slot_bytes
    if at > len(value):
        raise _garbled(device_id, f"it is cut off after {len(value)} bytes")
    return slots, _faults_of(device_id, value[at:])


def _faults_of(device_id: str, text: bytes) -> tuple[str, ...]:
    if not text:
        return ()
    try:
        faults = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _garbled(device_id, f"its faults are not JSON: {error}") from error
    if type(faults) is not list or not all(type(fault) is str for fault in faults):
        raise _garbled(device_id, "its faults are not an array of strings")
    return tuple(faults)


def _forget(state: PartitionState, row: int) -> None:
    """Empty every slot of the row; its room stays."""
    state.faults.pop(row, None)
    for segment in _SEGMENTS:
        if width := int(state.width[row, segment.quantity]):
            _fill(state, row, segment, np.zeros(width * segment.slot_bytes, np.uint8))


def _fill(state: PartitionState, row: int, segment: _Segment, value: np.ndarray) -> None:
    """Put bytes into a segment's first slots. As bytes: numpy copies structured dtypes field by field, far slower."""
    space = state.spaces[segment.space]
    begin = int(space.first[row, space.column[segment.quantity]]) * segment.slot_bytes
    space.table.view(np.uint8)[begin : begin + len(value)] = value


def _bytes_of(array: np.ndarray) -> memoryview:
    return array.view(np.uint8).data


def _garbled(device_id: str, why: str) -> CheckpointError:
    return CheckpointError(
        f"the checkpoint of {device_id} cannot be read, {why}: begin with an empty checkpoints topic"
    )
