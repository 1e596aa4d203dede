"""A device's state as a row of the checkpoints topic, by the layout of this release."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
import orjson

from detectors.checkpoints.layout import CHARGING, OWN
from detectors.device_status import DeviceFaults
from detectors.kinds import DETECTORS
from detectors.own_words import as_notes
from detectors.state import WATCHING, PartitionState
from detectors.table import Pool, Table, runs
from schemas.quantities import CODES

BATCH_ROWS: Final = 2048
"""Rows encoded or restored at once: enough to be quick, and 2 MB of bytes [ours]."""
ROW_OF: Final = {False: b"0", True: b"1"}
"""How the keys of real devices and of test data begin."""


class Part(NamedTuple):
    """A part of the value: of each of k rows `counts[i]` entries of a table, which are `entries`, row by row."""

    table: Table
    dtype: np.dtype
    entries: np.ndarray
    counts: np.ndarray


def key_of(device_id: str, test: bool) -> bytes:
    """The key of a device's checkpoint."""
    return ROW_OF[test] + device_id.encode()


def is_row(key: bytes) -> bool:
    """Whether a record's key is that of a device's checkpoint."""
    return key[:1] in ROW_OF.values()


def changed(state: PartitionState) -> list[tuple[bytes, bytes | None]]:
    """What has changed since this was asked last, to be written in this order: None for a device that was forgotten."""
    rows = state.dirty_rows()
    found = [*tombstones(state), *encode(state, rows.tolist())]
    state.devices.dirty[rows] = False
    return found


def tombstones(state: PartitionState) -> list[tuple[bytes, bytes | None]]:
    """The keys of devices that were forgotten since this was asked last, to be written before any row."""
    gone: list[tuple[bytes, bytes | None]] = [(key_of(*device), None) for device in state.forgotten]
    state.forgotten.clear()
    return gone


def encode(state: PartitionState, rows: Iterable[int]) -> Iterator[tuple[bytes, bytes]]:
    """The (key, value) of each of `rows`. Reads the state as it goes: finish before the state moves on."""
    waiting = iter(rows)
    while batch := list(islice(waiting, BATCH_ROWS)):
        yield from _encoded(state, np.array(batch))


def _encoded(state: PartitionState, rows: np.ndarray) -> Iterator[tuple[bytes, bytes]]:
    latches, counts = _engaged(state, rows)
    late, late_counts = _late(state, rows)
    parts = [(_heads(state, rows, counts, late_counts), np.ones(len(rows), np.int64))]
    parts += [(one.table.packed(one.entries, one.dtype), one.counts) for one in parts_of(state, rows)]
    parts += [(latches, counts), (late, late_counts)]
    slices = zip(*(_slices(entries, counts) for entries, counts in parts if len(entries)), strict=True)
    for row, test, of_row in zip(rows.tolist(), state.tests(rows), slices, strict=True):
        told = state.told.get(row)
        yield key_of(state.device_ids[row], test), b"".join((*of_row, _json_of(told)) if told else of_row)


def _json_of(told: DeviceFaults) -> bytes:
    return orjson.dumps([told.words, {**told.notes, **as_notes(told.own)}])


def _slices(entries: np.ndarray, counts: np.ndarray) -> list[memoryview]:
    """The bytes of each row's entries."""
    told = entries.view(np.uint8).data
    ends = (np.cumsum(counts) * entries.itemsize).tolist()
    return [told[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def _heads(state: PartitionState, rows: np.ndarray, latches: np.ndarray, late: np.ndarray) -> np.ndarray:
    heads, cells = np.zeros(len(rows), OWN.head), state.minutes.cells
    heads["beginning"] = np.void(OWN.beginning)
    heads["row"] = state.rows.packed(rows)
    heads["minute_ts"] = cells["minute_ts"].reshape(-1, 2)[rows]
    heads["spread"] = cells["spread"].reshape(-1, 2)[rows] > 0
    heads["latches"], heads["late"] = latches, late
    return heads


def parts_of(state: PartitionState, rows: np.ndarray) -> list[Part]:
    """All that has entries by component, of rows that have room for them, in the order of the layout's sections."""
    width = state.rows["width"][rows].astype(np.int64)
    kept: dict[str, Table] = {
        str(detector.kind): watched for detector, watched in zip(DETECTORS, state.watched, strict=True)
    }
    kept[CHARGING] = state.ports
    parts = []
    for (name, of), dtype in OWN.sections.items():
        if name in ("channel", "keeps"):
            code = CODES[str(of) if name == "channel" else OWN.quantity_of[str(of)]]
            table = state.channels[code] if name == "channel" else kept[str(of)]
            parts.append(Part(table, dtype, state.devices.slots(code, rows), width[:, code]))
        else:
            first = state.minutes.cells[name][2 * rows + int(of)].astype(np.int64)
            counts = width.sum(axis=1) * (first > 0)
            pool = state.minutes.last if name == "last" else state.minutes.spread
            parts.append(Part(pool, dtype, runs(first, counts), counts))
    return parts


def _engaged(state: PartitionState, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The latches of `rows` that are not at rest, row by row, and how many each row has."""
    owner, found = [np.empty(0, np.int64)], [np.empty(0, OWN.engaged)]
    for code, numbers in WATCHING.items():
        width, slots = state.rows["width"][rows, code].astype(np.int64), state.devices.slots(code, rows)
        row, component = np.repeat(np.arange(len(rows)), width), runs(np.zeros_like(width), width)
        for number in numbers:
            entries = state.watched[number].entries(slots)
            held = entries.nonzero()[0]
            if not len(held):
                continue
            latches = _gathered(state.watched[number].latches, entries[held], OWN.engaged)
            latches["detector"], latches["component"] = number, component[held]
            owner.append(row[held])
            found.append(latches)
    owners = np.concatenate(owner)
    return np.concatenate(found)[np.argsort(owners, kind="stable")], np.bincount(owners, minlength=len(rows))


def _late(state: PartitionState, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is kept of late values of `rows`, row by row, and of how many components that is in each row."""
    owner, found = [np.empty(0, np.int64)], [np.empty(0, OWN.late)]
    for code in WATCHING:
        width, slots = state.rows["width"][rows, code].astype(np.int64), state.devices.slots(code, rows)
        row, component = np.repeat(np.arange(len(rows)), width), runs(np.zeros_like(width), width)
        entries = state.channels[code]["late"][slots]
        held = entries.nonzero()[0]
        if not len(held):
            continue
        kept = _gathered(state.late[code], entries[held], OWN.late)
        kept["quantity"], kept["component"] = code, component[held]
        owner.append(row[held])
        found.append(kept)
    owners = np.concatenate(owner)
    return np.concatenate(found)[np.argsort(owners, kind="stable")], np.bincount(owners, minlength=len(rows))


def _gathered(pool: Pool, entries: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Entries of a pool, int64[m], with room for the further fields of `dtype`, which says whose they are."""
    gathered = np.empty(len(entries), dtype)
    for name in pool.dtype.names or ():
        gathered[name] = pool[name][entries]
    return gathered
