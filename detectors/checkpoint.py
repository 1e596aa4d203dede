"""A device's row of state as one record of the checkpoints topic, and back. Pure: bytes in, bytes out.

    key    b"1" for test data, b"0" for real, then the device id in UTF-8
    value  version 1 B | layout 4 B | ROW | number of quantities 1 B
           | per quantity the device has: code 1 B, width 1 B, the bytes of its slots in each table
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

from detectors.state import DETECTORS, ROW, Components, PartitionState
from schemas.quantities import MAX_COMPONENTS, QUANTITIES

VERSION: Final = 1


class CheckpointError(ValueError):
    """A checkpoint that this program cannot read; the text says whose, why and what to do."""


class _Quantity(NamedTuple):
    """One quantity's tables: their dtypes and the bytes that one component takes in all of them."""

    name: str
    tables: tuple[np.dtype, ...]
    slot_bytes: int


def _quantities() -> tuple[_Quantity, ...]:
    tables = {name: tuple(table.dtype for table in held.tables) for name, held in PartitionState().components.items()}
    return tuple(_Quantity(name, of, sum(table.itemsize for table in of)) for name, of in tables.items())


def _layout() -> bytes:
    told = [
        repr(ROW.descr),
        *(f"{quantity.name} {[table.descr for table in quantity.tables]}" for quantity in _QUANTITIES),
        *(f"{detector.kind} {detector.quantity}" for detector in DETECTORS),
    ]
    return blake2b("\n".join(told).encode(), digest_size=4).digest()


_QUANTITIES: Final = _quantities()
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
    held = [_Held.of(code, state.components[quantity.name], numbers) for code, quantity in enumerate(_QUANTITIES)]
    held = [quantity for quantity in held if any(quantity.width)]
    for number, (row, test) in enumerate(zip(numbers.tolist(), tests, strict=True)):
        parts: list[bytes | memoryview] = [_HEAD, row_bytes[row * ROW.itemsize : (row + 1) * ROW.itemsize], b""]
        present = 0
        for quantity in held:
            if quantity.width[number]:
                present += 1
                parts += quantity.parts(number)
        parts[2] = bytes((present,))
        if faults := state.faults.get(row):
            parts.append(orjson.dumps(faults))
        yield key_of(state.device_ids[row], bool(test)), b"".join(parts)


class _Held(NamedTuple):
    """One quantity of the rows at hand: where each row's slots lie, and the tables' bytes with their width."""

    code: int
    first: list[int]
    width: list[int]
    tables: list[tuple[memoryview, int]]

    @classmethod
    def of(cls, code: int, components: Components, rows: np.ndarray) -> _Held:
        tables = [(_bytes_of(table), table.dtype.itemsize) for table in components.tables]
        return cls(code, components.first[rows].tolist(), components.width[rows].tolist(), tables)

    def parts(self, number: int) -> list[bytes | memoryview]:
        first, width = self.first[number], self.width[number]
        slots = [table[first * size : (first + width) * size] for table, size in self.tables]
        return [bytes((self.code, width)), *slots]


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
    for quantity, width, begin in slots:
        _fill(state.components[quantity.name], row, width, whole[begin:])


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


def _body_of(device_id: str, value: bytes) -> tuple[list[tuple[_Quantity, int, int]], tuple[str, ...]]:
    """What follows the row: each quantity with its width and where its bytes begin, and the faults."""
    slots: list[tuple[_Quantity, int, int]] = []
    at, code = _ROW_END + 1, -1
    for _ in range(value[_ROW_END]):
        if at + 2 > len(value) or not code < value[at] < len(QUANTITIES) or not 0 < value[at + 1] <= MAX_COMPONENTS:
            raise _garbled(device_id, f"no quantity can stand at byte {at}")
        code, width = value[at], value[at + 1]
        slots.append((_QUANTITIES[code], width, at + 2))
        at += 2 + width * _QUANTITIES[code].slot_bytes
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
    state.faults.pop(row, None)
    for components in state.components.values():
        slots = components.slots_of(row)
        for table in components.tables:
            table[slots] = np.zeros((), table.dtype)


def _fill(components: Components, row: int, width: int, value: np.ndarray) -> None:
    components.widen(row, width)
    first, begin = int(components.first[row]), 0
    for table in components.tables:
        # As bytes: numpy copies structured dtypes field by field, at many times the price.
        size = table.itemsize
        end = begin + width * size
        table.view(np.uint8)[first * size : (first + width) * size] = value[begin:end]
        begin = end


def _bytes_of(array: np.ndarray) -> memoryview:
    return array.view(np.uint8).data


def _garbled(device_id: str, why: str) -> CheckpointError:
    return CheckpointError(
        f"the checkpoint of {device_id} cannot be read, {why}: begin with an empty checkpoints topic"
    )
