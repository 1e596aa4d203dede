"""Rows of the checkpoints topic back into a state, whatever release wrote them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from detectors.checkpoints.encode import BATCH_ROWS, parts_of
from detectors.checkpoints.layout import KNOWN, OWN, Layout, begins
from detectors.checkpoints.rows import DAMAGED, CheckpointRows, WrongRows, device_of, taken_apart
from detectors.checkpoints.translate import differences, translated
from detectors.kinds import DETECTORS
from detectors.latch import LATCH
from detectors.late import LATE, POINTS
from detectors.order import REMEMBERED
from detectors.state import COLUMN, ROW, ROW_AT_REST, WATCHING, PartitionState
from schemas.quantities import CODES

UNKNOWN_LAYOUT: Final = "unknown_layout"


class Aside(NamedTuple):
    """Why a record was not used: a word for it, and a sentence for people."""

    reason: str
    why: str


@dataclass(slots=True)
class Restored:
    """What came of rows: by key those that were set aside, and what is told of layouts other than our own."""

    aside: dict[bytes, Aside] = field(default_factory=dict)
    layouts: dict[bytes, str] = field(default_factory=dict)


def restore_all(
    state: PartitionState,
    rows: Mapping[bytes, bytes],
    layouts: Mapping[bytes, Layout] = KNOWN,
    end: int | None = None,
) -> Restored:
    """Put rows, by key, into `state`, in place of what it held of their devices. Limits are looked up anew.

    A row that cannot be one is set aside, and the state is left as it was of its device. That is so too of a row which
    reflects what lies at or beyond offset `end` of telemetry, if that is given: its device would be deaf until then.
    """
    found = Restored()
    for layout, keys in batches(rows, layouts, found):
        put(state, read(layout, keys, rows, found, end))
    return found


def batches(
    rows: Mapping[bytes, bytes], layouts: Mapping[bytes, Layout], found: Restored
) -> Iterator[tuple[Layout, Sequence[bytes]]]:
    """The keys of rows of one layout, some at a time. What has none that is known is set aside in `found`."""
    by_layout = defaultdict[bytes, list[bytes]](list)
    for key, value in rows.items():
        by_layout[begins(value)].append(key)
    for beginning, keys in by_layout.items():
        layout = layouts.get(beginning)
        if layout is None:
            found.aside |= {key: _unknown(rows[key]) for key in keys}
            continue
        if layout is not OWN:
            found.layouts[beginning] = differences(layout)
        for first in range(0, len(keys), BATCH_ROWS):
            yield layout, keys[first : first + BATCH_ROWS]


def read(
    layout: Layout, keys: Sequence[bytes], rows: Mapping[bytes, bytes], found: Restored, end: int | None = None
) -> CheckpointRows:
    """A batch of rows as this release has them, those that cannot be one set aside. Needs no state: another thread may
    do it."""
    whole = _whole(layout, keys, [rows[key] for key in keys], end, found.aside)
    return whole if layout is OWN else translated(whole)


class Adopted(NamedTuple):
    """What came of rows of another partition: by key the offset and index there of the last report that each reflects,
    and what could not be used."""

    reflects: dict[bytes, tuple[int, int]]
    restored: Restored


def adopt(
    state: PartitionState, rows: Mapping[bytes, bytes], layouts: Mapping[bytes, Layout] = KNOWN, before: int = 0
) -> Adopted:
    """Put rows of another partition into `state`, which has none of their devices.

    Of this partition's log they hold from offset `before` on: what lies below was processed when the devices were not
    known here. Their first report here tells of them as of new ones. The rows are not dirty: a checkpoint written
    first would have them without where they came from."""
    restored = restore_all(state, rows, layouts)
    keys = [key for key in rows if key not in restored.aside]
    device_ids, tests = zip(*map(device_of, keys), strict=True) if keys else ((), ())
    adopted = state.find(device_ids, np.array(tests, np.bool_))
    places = zip(state.rows["offset"][adopted].tolist(), state.rows["index"][adopted].tolist(), strict=True)
    reflects = dict(zip(keys, places, strict=True))
    state.rows["offset"][adopted], state.rows["index"][adopted] = before - 1, np.iinfo(ROW["index"]).max
    state.rows["status"][adopted] = ROW_AT_REST["status"]
    return Adopted(reflects, restored)


def _unknown(value: bytes) -> Aside:
    beginning = begins(value)
    if not value:
        return Aside(DAMAGED, "it is empty")
    if not beginning:
        return Aside(UNKNOWN_LAYOUT, f"it has version {value[0]}, which this release does not know")
    return Aside(UNKNOWN_LAYOUT, f"its layout {beginning[1:].hex()} is described nowhere")


def _whole(
    layout: Layout, keys: Sequence[bytes], values: Sequence[bytes], end: int | None, aside: dict[bytes, Aside]
) -> CheckpointRows:
    """The rows that are whole."""
    while True:
        try:
            return taken_apart(layout, keys, values, end)
        except WrongRows as wrong:
            aside |= {keys[number]: Aside(*why) for number, why in wrong.found.items()}
            good = [number for number in range(len(keys)) if number not in wrong.found]
            keys, values = [keys[number] for number in good], [values[number] for number in good]


def put(state: PartitionState, read: CheckpointRows) -> None:
    """Put a batch of rows into `state`, in place of what it held of their devices."""
    held = read.heads["row"]
    kinds = held["device_kind"].tolist()
    rows = np.array([state.row(*device, kind) for device, kind in zip(read.devices, kinds, strict=True)], np.int64)
    state.devices.clear(rows)
    state.devices.make_room(rows, read.width)
    state.rows.unpack(rows, held)
    # Another release's ring may be larger.
    state.rows["next"][rows] = held["next"] % REMEMBERED
    state.rows["told"][rows] = [told is not None for told in read.told]
    state.indices["profile"][rows] = -1
    state.devices.dirty[rows] = False
    _open_minutes(state, rows, read.heads)
    for part, entries in zip(parts_of(state, rows), read.parts.values(), strict=True):
        part.table.unpack(part.entries, entries)
    _put_latches(state, rows[read.latch_row], read.latches)
    _put_late(state, rows[read.late_row], read.late)
    state.told.update({row: told for row, told in zip(rows.tolist(), read.told, strict=True) if told})


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
        first = state.indices["first"][rows[mine], COLUMN[CODES[detector.quantity]]]
        watched.engage(first + latches["component"][mine].astype(np.int64), latches[list(LATCH.names or ())][mine])


def _put_late(state: PartitionState, rows: np.ndarray, late: np.ndarray) -> None:
    for code in WATCHING:
        mine = late["quantity"] == code
        slots = state.indices["first"][rows[mine], COLUMN[code]] + late["component"][mine].astype(np.int64)
        entries = state.late[code].allot(np.ones(len(slots), np.int64))
        state.late[code].unpack(entries, late[list(LATE.names or ())][mine])
        state.late[code]["next"][entries] %= POINTS
        state.channels[code]["late"][slots] = entries
