"""A device's row of state as one record of the checkpoints topic, and back. Pure: bytes in, bytes out.

    key    b"1" for test data, b"0" for real, then the device id in UTF-8
    value  HEAD: version, layout, ROW, its open minutes, how many latches are engaged and components have late values
           | per watched quantity, the time of each component; per detector that keeps more than a latch, what it keeps
           | per open minute, the last values of each component; then, per minute with several reports, their spread
           | the engaged latches | the late values
           | what is told of the device as JSON, nothing where that is nothing

Only what differs from nothing is there: a latch at rest or a minute that is not open takes no bytes. The bytes are
numpy's own, so `LAYOUT`, a hash over the dtypes and the order of detectors, goes with each record: a program whose
layout differs refuses it rather than misread it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
import orjson

from detectors.aggregates import LAST, SPREAD
from detectors.channels import CHANNEL
from detectors.device_status import OVERDUE, UNKNOWN, Told
from detectors.latch import AT_REST, LATCH
from detectors.late import LATE, POINTS
from detectors.order import REMEMBERED
from detectors.state import COLUMN, DETECTORS, ROW, WATCHING, PartitionState
from detectors.table import Table, runs
from schemas.quantities import CODES, DEVICE_KINDS, MAX_COMPONENTS, QUANTITIES

VERSION: Final = 3
_BATCH_ROWS: Final = 2048
"""Rows encoded or restored at once: enough to be quick, and 2 MB of bytes [ours]."""


class CheckpointError(ValueError):
    """A checkpoint that this program cannot read; the text says whose, why and what to do."""


_KEPT: Final = {
    number: np.dtype([field for field in detector.state.descr if field[0] != AT_REST[0]])
    for number, detector in enumerate(DETECTORS)
    if len(detector.state.descr) > 1
}
"""By detector, what it keeps of a component besides the latch."""
_ENGAGED: Final = np.dtype([("detector", "u1"), ("component", "u1"), *LATCH.descr])
"""A latch that is not at rest, and whose."""
_CHANNEL: Final = np.dtype([(name, CHANNEL[name]) for name in CHANNEL.names or () if name != "late"])
_LATE: Final = np.dtype([("quantity", "u1"), ("component", "u1"), *LATE.descr])
"""What is kept of the late values of a component, and whose."""


def _layout() -> bytes:
    told = [
        repr([ROW.descr, LAST.descr, SPREAD.descr, LATCH.descr, CHANNEL.descr, LATE.descr]),
        *(quantity.name for quantity in QUANTITIES),
        *(f"{detector.kind} {detector.quantity} {detector.state.descr!r}" for detector in DETECTORS),
    ]
    return blake2b("\n".join(told).encode(), digest_size=4).digest()


LAYOUT: Final = _layout()
_HEAD: Final = np.dtype(
    [
        ("version", "u1"),
        ("layout", "V4"),
        ("row", ROW),
        ("minute_ts", "i8", (2,)),
        ("spread", "u1", (2,)),
        ("latches", "u2"),
        ("late", "u2"),
    ]
)
"""`spread` is 1 for a minute of several reports."""
_BEGINNING: Final = bytes([VERSION]) + LAYOUT
_ROW_OF: Final = {False: b"0", True: b"1"}


class _Section(NamedTuple):
    """A part of the value: of each of k rows `counts[i]` entries of a table, which are `entries`, row by row."""

    table: Table
    dtype: np.dtype
    entries: np.ndarray
    counts: np.ndarray


def key_of(device_id: str, test: bool) -> bytes:
    """The key of a device's checkpoint."""
    return _ROW_OF[test] + device_id.encode()


def changed(state: PartitionState) -> list[tuple[bytes, bytes | None]]:
    """What has changed since this was asked last, to be written in this order: None for a device that was forgotten."""
    rows = state.dirty.nonzero()[0]
    found = [*tombstones(state), *encode(state, rows.tolist())]
    state.dirty[rows] = False
    return found


def tombstones(state: PartitionState) -> list[tuple[bytes, bytes | None]]:
    """The keys of devices that were forgotten since this was asked last, to be written before any row."""
    gone: list[tuple[bytes, bytes | None]] = [(key_of(*device), None) for device in state.forgotten]
    state.forgotten.clear()
    return gone


def encode(state: PartitionState, rows: Iterable[int]) -> Iterator[tuple[bytes, bytes]]:
    """The (key, value) of each of `rows`. Reads the state as it goes: finish before the state moves on."""
    waiting = iter(rows)
    while batch := list(islice(waiting, _BATCH_ROWS)):
        yield from _encoded(state, np.array(batch))


def _encoded(state: PartitionState, rows: np.ndarray) -> Iterator[tuple[bytes, bytes]]:
    latches, counts = _engaged(state, rows)
    late, late_counts = _late(state, rows)
    parts = [(_heads(state, rows, counts, late_counts), np.ones(len(rows), np.int64))]
    parts += [(one.table.packed(one.entries, one.dtype), one.counts) for one in _sections(state, rows)]
    parts += [(latches, counts), (late, late_counts)]
    slices = zip(*(_slices(entries, counts) for entries, counts in parts if len(entries)), strict=True)
    for row, test, of_row in zip(rows.tolist(), state.tests(rows), slices, strict=True):
        told = state.told.get(row)
        yield key_of(state.device_ids[row], test), b"".join((*of_row, _json_of(told)) if told else of_row)


def _json_of(told: Told) -> bytes:
    return orjson.dumps([told.words, told.notes])


def _slices(entries: np.ndarray, counts: np.ndarray) -> list[memoryview]:
    """The bytes of each row's entries."""
    told = entries.view(np.uint8).data
    ends = (np.cumsum(counts) * entries.itemsize).tolist()
    return [told[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def _heads(state: PartitionState, rows: np.ndarray, latches: np.ndarray, late: np.ndarray) -> np.ndarray:
    heads, cells = np.zeros(len(rows), _HEAD), state.minutes.cells
    heads["version"] = VERSION
    heads["layout"] = np.void(LAYOUT)
    heads["row"] = state.rows.packed(rows)
    heads["minute_ts"] = cells["minute_ts"].reshape(-1, 2)[rows]
    heads["spread"] = cells["spread"].reshape(-1, 2)[rows] > 0
    heads["latches"], heads["late"] = latches, late
    return heads


def _sections(state: PartitionState, rows: np.ndarray) -> list[_Section]:
    """All that has entries by component, of rows that have room for them."""
    width = state.rows["width"][rows].astype(np.int64)
    sections = [_Section(state.channels[code], _CHANNEL, state.slots(code, rows), width[:, code]) for code in WATCHING]
    for number, dtype in _KEPT.items():
        code = CODES[DETECTORS[number].quantity]
        sections.append(_Section(state.watched[number], dtype, state.slots(code, rows), width[:, code]))
    for name, table in (("last", state.minutes.last), ("spread", state.minutes.spread)):
        for bucket in (0, 1):
            first = state.minutes.cells[name][2 * rows + bucket].astype(np.int64)
            counts = width.sum(axis=1) * (first > 0)
            sections.append(_Section(table, table.dtype, runs(first, counts), counts))
    return sections


def _engaged(state: PartitionState, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The latches of `rows` that are not at rest, row by row, and how many each row has."""
    owner, found = [np.empty(0, np.int64)], [np.empty(0, _ENGAGED)]
    for code, numbers in WATCHING.items():
        width, slots = state.rows["width"][rows, code].astype(np.int64), state.slots(code, rows)
        row, component = np.repeat(np.arange(len(rows)), width), runs(np.zeros_like(width), width)
        for number in numbers:
            places = state.watched[number].places(slots)
            held = places.nonzero()[0]
            latches = np.empty(len(held), _ENGAGED)
            latches["detector"], latches["component"] = number, component[held]
            for name in LATCH.names or ():
                latches[name] = state.watched[number].latches[name][places[held]]
            owner.append(row[held])
            found.append(latches)
    owners = np.concatenate(owner)
    return np.concatenate(found)[np.argsort(owners, kind="stable")], np.bincount(owners, minlength=len(rows))


def _late(state: PartitionState, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is kept of late values of `rows`, row by row, and of how many components that is in each row."""
    owner, found = [np.empty(0, np.int64)], [np.empty(0, _LATE)]
    for code in WATCHING:
        width, slots = state.rows["width"][rows, code].astype(np.int64), state.slots(code, rows)
        row, component = np.repeat(np.arange(len(rows)), width), runs(np.zeros_like(width), width)
        places = state.channels[code]["late"][slots]
        held = places.nonzero()[0]
        kept = np.empty(len(held), _LATE)
        kept["quantity"], kept["component"] = code, component[held]
        for name in LATE.names or ():
            kept[name] = state.late[code][name][places[held]]
        owner.append(row[held])
        found.append(kept)
    owners = np.concatenate(owner)
    return np.concatenate(found)[np.argsort(owners, kind="stable")], np.bincount(owners, minlength=len(rows))


class _Read(NamedTuple):
    """Checkpoints that were read and found whole, not yet put into a state."""

    device_ids: list[str]
    heads: np.ndarray
    parts: list[np.ndarray]
    latches: np.ndarray
    late: np.ndarray
    told: list[Told | None]


def restore(state: PartitionState, key: bytes, value: bytes) -> None:
    """Put the row of one checkpoint into `state`, in place of what it held of that device. See `restore_all`."""
    restore_all(state, {key: value})


def restore_all(state: PartitionState, rows: Mapping[bytes, bytes]) -> None:
    """Put checkpoints, by key, into `state`, in place of what it held of their devices. Limits are looked up anew.

    Raises CheckpointError where a record is not one that this program wrote, and puts no part of that one there.
    """
    waiting = iter(rows.items())
    while batch := list(islice(waiting, _BATCH_ROWS)):
        _put(state, _read(*map(list, zip(*batch, strict=True))))


def _read(keys: Sequence[bytes], values: Sequence[bytes]) -> _Read:
    devices = [_device_of(key) for key in keys]
    device_ids = [device_id for device_id, _ in devices]
    for device_id, value in zip(device_ids, values, strict=True):
        if len(value) < _HEAD.itemsize or not value.startswith(_BEGINNING):
            raise _unreadable(device_id, value)
    heads = np.frombuffer(b"".join([value[: _HEAD.itemsize] for value in values]), _HEAD)
    _check_heads(device_ids, np.array([test for _, test in devices]), heads)
    dtypes, counts = _expected(heads)
    ends = _HEAD.itemsize + np.cumsum(counts * np.array([dtype.itemsize for dtype in dtypes]), axis=1)
    lengths = np.array([len(value) for value in values])
    for number in (ends[:, -1] > lengths).nonzero()[0].tolist():
        raise _garbled(device_ids[number], f"it is cut off after {lengths[number]} bytes")
    columns = [[_HEAD.itemsize] * len(values), *ends.T.tolist()]
    *parts, latches, late = (
        np.frombuffer(
            b"".join([value[begin:end] for value, begin, end in zip(values, begins, upto, strict=True)]), dtype
        )
        for dtype, begins, upto in zip(dtypes, columns[:-1], columns[1:], strict=True)
    )
    _check_latches(device_ids, heads, latches)
    _check_late(device_ids, heads, late)
    rest = zip(device_ids, values, columns[-1], strict=True)
    told = [_told_of(device_id, value[end:]) if end < len(value) else None for device_id, value, end in rest]
    return _Read(device_ids, heads, parts, latches, late, told)


def _expected(heads: np.ndarray) -> tuple[list[np.dtype], np.ndarray]:
    """What must follow the heads: the dtype of each part, and how many entries of it, int64[k, parts]."""
    width = heads["row"]["width"].astype(np.int64)
    whole, is_open = width.sum(axis=1)[:, None], heads["minute_ts"] > 0
    times = [width[:, code] for code in WATCHING]
    kept = [width[:, CODES[DETECTORS[number].quantity]] for number in _KEPT]
    engaged, late = heads["latches"].astype(np.int64), heads["late"].astype(np.int64)
    counts = [*times, *kept, *(whole * is_open).T, *(whole * heads["spread"]).T, engaged, late]
    dtypes = [*[_CHANNEL] * len(times), *_KEPT.values(), LAST, LAST, SPREAD, SPREAD, _ENGAGED, _LATE]
    return dtypes, np.column_stack(counts)


def _check_heads(device_ids: Sequence[str], tests: np.ndarray, heads: np.ndarray) -> None:
    row, is_open = heads["row"], heads["minute_ts"] > 0
    wrong = {
        "its key and its row disagree about test data": (row["test"] != 0) != tests,
        "it has more components than there can be": (row["width"] > MAX_COMPONENTS).any(axis=1),
        "its device is of no kind": (row["device_kind"] < 0) | (row["device_kind"] >= len(DEVICE_KINDS)),
        "its status is none": (row["status"] < UNKNOWN) | (row["status"] > OVERDUE),
        "its order is none": row["next"] >= REMEMBERED,
        "its minutes are none": (heads["spread"] > is_open).any(axis=1)
        | (is_open.any(axis=1) & ~row["width"].any(axis=1)),
    }
    for why, found in wrong.items():
        for number in found.nonzero()[0].tolist():
            raise _garbled(device_ids[number], why)


def _check_latches(device_ids: Sequence[str], heads: np.ndarray, latches: np.ndarray) -> None:
    owner = np.repeat(np.arange(len(heads)), heads["latches"])
    code = np.array([CODES[detector.quantity] for detector in DETECTORS])
    known = latches["detector"] < len(DETECTORS)
    width = heads["row"]["width"][owner, code[latches["detector"] * known]]
    for number in owner[~known | (latches["component"] >= width)].tolist():
        raise _garbled(device_ids[number], "it has a latch of a component that it has not")


def _check_late(device_ids: Sequence[str], heads: np.ndarray, late: np.ndarray) -> None:
    owner = np.repeat(np.arange(len(heads)), heads["late"])
    known = np.isin(late["quantity"], list(WATCHING))
    width = heads["row"]["width"][owner, late["quantity"] * known]
    for number in owner[~known | (late["component"] >= width) | (late["next"] >= POINTS)].tolist():
        raise _garbled(device_ids[number], "it has late values of a component that it has not")


def _put(state: PartitionState, read: _Read) -> None:
    held = read.heads["row"]
    devices = zip(read.device_ids, (held["test"] != 0).tolist(), held["device_kind"].tolist(), strict=True)
    rows = np.array([state.row(*device) for device in devices], np.int64)
    state.clear(rows)
    state.make_room(rows, held["width"].astype(np.int64))
    state.rows.unpack(rows, held)
    state.places["profile"][rows] = -1
    state.dirty[rows] = False
    _open_minutes(state, rows, read.heads)
    for section, entries in zip(_sections(state, rows), read.parts, strict=True):
        section.table.unpack(section.entries, entries)
    _put_latches(state, np.repeat(rows, read.heads["latches"]), read.latches)
    _put_late(state, np.repeat(rows, read.heads["late"]), read.late)
    state.told |= {row: told for row, told in zip(rows.tolist(), read.told, strict=True) if told}


def _open_minutes(state: PartitionState, rows: np.ndarray, heads: np.ndarray) -> None:
    """Make the room of the minutes that are open."""
    sizes, minutes = heads["row"]["width"].sum(axis=1, dtype=np.int64), state.minutes
    for bucket in (0, 1):
        cell, is_open = 2 * rows + bucket, heads["minute_ts"][:, bucket] > 0
        spread = heads["spread"][:, bucket] > 0
        minutes.cells["minute_ts"][cell] = heads["minute_ts"][:, bucket] * is_open
        minutes.cells["last"][cell[is_open]] = minutes.last.allot(sizes[is_open])
        minutes.cells["spread"][cell[spread]] = minutes.spread.allot(sizes[spread])


def _put_latches(state: PartitionState, rows: np.ndarray, latches: np.ndarray) -> None:
    for number, detector in enumerate(DETECTORS):
        mine, watched = latches["detector"] == number, state.watched[number]
        first = state.places["first"][rows[mine], COLUMN[CODES[detector.quantity]]]
        watched.engage(first + latches["component"][mine].astype(np.int64), latches[list(LATCH.names or ())][mine])


def _put_late(state: PartitionState, rows: np.ndarray, late: np.ndarray) -> None:
    for code in WATCHING:
        mine = late["quantity"] == code
        slots = state.places["first"][rows[mine], COLUMN[code]] + late["component"][mine].astype(np.int64)
        places = state.late[code].allot(np.ones(len(slots), np.int64))
        state.late[code].unpack(places, late[list(LATE.names or ())][mine])
        state.channels[code]["late"][slots] = places


def _device_of(key: bytes) -> tuple[str, bool]:
    if len(key) < 2 or key[:1] not in _ROW_OF.values():
        raise CheckpointError(f"the key {key[:80]!r} is not that of a checkpoint: 0 or 1, then a device id")
    try:
        return key[1:].decode(), key[:1] == _ROW_OF[True]
    except UnicodeDecodeError as error:
        raise CheckpointError(f"the key {key[:80]!r} is not that of a checkpoint: {error}") from error


def _unreadable(device_id: str, value: bytes) -> CheckpointError:
    """Why a value that does not begin as this program's do, or is too short, cannot be read."""
    if not value:
        return _garbled(device_id, "it is empty")
    if value[0] != VERSION:
        return CheckpointError(
            f"the checkpoint of {device_id} has version {value[0]}, this program reads version {VERSION}: "
            "start the release that wrote it, or begin with an empty checkpoints topic"
        )
    if len(value) < _HEAD.itemsize:
        return _garbled(device_id, f"it is cut off after {len(value)} bytes")
    layout = value[1 : len(_BEGINNING)]
    return CheckpointError(
        f"the checkpoint of {device_id} was written with state layout {layout.hex()}, this program has "
        f"{LAYOUT.hex()}: start the release that wrote it, or begin with an empty checkpoints topic"
    )


def _told_of(device_id: str, text: bytes) -> Told:
    try:
        words, notes = orjson.loads(text)
        told = Told(tuple(words), dict(notes))
        good = all(type(word) is str for word in told.words) and all(type(ts) is int for ts in told.notes.values())
    except (ValueError, TypeError) as error:
        raise _garbled(device_id, f"what is told of it cannot be read: {error}") from error
    if not good:
        raise _garbled(device_id, "what is told of it is not words and notes")
    return told


def _garbled(device_id: str, why: str) -> CheckpointError:
    return CheckpointError(
        f"the checkpoint of {device_id} cannot be read, {why}: begin with an empty checkpoints topic"
    )
