"""Checkpoint rows of any layout, by hand and field by field: the slow twin of encoding and restoring.

A device is told as nested dicts by names, in which what is at rest is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson

from detectors.checkpoints.layout import CHARGING, OWN, Layout, beginning_of, parsed
from detectors.device_status import DeviceFaults
from detectors.kinds import DETECTORS
from detectors.latch import LATCH
from detectors.late import LATE
from detectors.own_words import as_notes
from detectors.state import COLUMN, PORTS, PartitionState
from schemas.quantities import DEVICE_KINDS, QUANTITIES

Entry = dict[str, Any]
AXES: Final = {"width": "quantities", "judged_ts": "watched", "judged_every_ms": "watched"}
AT_REST: Final[Mapping[str, Mapping[str, Any]]] = {
    "row": {"offset": -1, "index": -1, "status": -1},
    "spread": {"min": np.inf, "max": -np.inf},
}


def device(state: PartitionState, row: int) -> Entry:
    """All there is to a device, by names."""
    told = state.told.get(row, DeviceFaults())
    found: Entry = {"row": _row(state, row), "words": list(told.words), "notes": {**told.notes, **as_notes(told.own)}}
    found |= {"latches": {}, "late": {}}
    width = {quantity.name: int(state.rows["width"][row, quantity.code]) for quantity in QUANTITIES}
    channels, keeps = found.setdefault("channels", {}), found.setdefault("keeps", {})
    for code, column in COLUMN.items():
        first, name = int(state.indices["first"][row, column]), QUANTITIES[code].name
        slots = range(first, first + width[name])
        channels[name] = [_entry(state.channels[code], slot, leave=("late",)) for slot in slots]
        for component, slot in enumerate(slots):
            if at := int(state.channels[code]["late"][slot]):
                found["late"][name, component] = _entry(state.late[code], at, LATE.names)
        if code == PORTS:
            keeps[CHARGING] = [_entry(state.ports, slot) for slot in slots]
        for number, detector in enumerate(DETECTORS):
            if detector.quantity != name:
                continue
            watched = state.watched[number]
            if len(detector.state.names or ()) > 1:
                keeps[str(detector.kind)] = [_entry(watched, slot, leave=("latch",)) for slot in slots]
            for component, slot in enumerate(slots):
                if at := abs(int(watched["latch"][slot])):
                    found["latches"][str(detector.kind), component] = _entry(watched.latches, at, LATCH.names)
    found["minutes"] = [_minute(state, 2 * row + bucket, width) for bucket in (0, 1)]
    return found


def _entry(table: Any, number: int, names: Sequence[str] | None = None, leave: Sequence[str] = ()) -> Entry:
    names = [name for name in names or table.dtype.names if name not in leave]
    return {name: table[name][number].tolist() for name in names}


def _row(state: PartitionState, row: int) -> Entry:
    found = _entry(state.rows, row)
    found["device_kind"] = DEVICE_KINDS[found["device_kind"]].name
    for name, axis in AXES.items():
        found[name] = {one: value for one, value in zip(getattr(OWN, axis), found[name], strict=True) if value}
    return found


def _minute(state: PartitionState, cell: int, width: Mapping[str, int]) -> Entry | None:
    minutes = state.minutes
    if not minutes.cells["minute_ts"][cell]:
        return None
    found: Entry = {"ts": int(minutes.cells["minute_ts"][cell])}
    for name in ("last", "spread"):
        at = int(minutes.cells[name][cell])
        found[name] = {} if at else None
        for quantity in OWN.quantities if at else ():
            entries = [_entry(getattr(minutes, name), at + number) for number in range(width[quantity])]
            at += width[quantity]
            if entries:
                found[name][quantity] = entries
    return found


def layout_of(described: Any) -> Layout:
    """The layout that is described so, as a release would tell it."""
    text = orjson.dumps(described)
    return parsed(beginning_of(text), text)


def value_of(layout: Layout, told: Entry) -> bytes:
    """The row of a device by a layout; what is not told of it is at rest."""
    width = {name: told["row"]["width"].get(name, 0) for name in layout.quantities}
    minutes = [one if one and any(width.values()) else None for one in told["minutes"]]
    numbers = {detector.kind: number for number, detector in enumerate(layout.detectors)}
    looked = {(detector.kind, detector.quantity) for detector in layout.detectors}
    quantity_of = {str(detector.kind): detector.quantity for detector in DETECTORS}
    latches = [
        {"detector": numbers[kind], "component": component, **latch}
        for (kind, component), latch in told["latches"].items()
        if (kind, quantity_of[kind]) in looked
    ]
    late = [
        {"quantity": layout.quantities.index(name), "component": component, **one}
        for (name, component), one in told["late"].items()
        if name in layout.watched and layout.records["late"]
    ]
    head = np.zeros(1, layout.head)
    head["beginning"] = np.void(layout.beginning)
    _fill(head["row"], 0, _row_by(layout, told["row"]), "row")
    for bucket, minute in enumerate(minutes):
        head["minute_ts"][0, bucket] = minute["ts"] if minute else 0
        head["spread"][0, bucket] = bool(minute and minute["spread"] is not None)
    head["latches"] = len(latches)
    if layout.records["late"]:
        head["late"] = len(late)
    parts = [head]
    for (name, of), dtype in layout.sections.items():
        parts.append(_array(dtype, list(_entries(layout, name, of, told, minutes, width)), name))
    parts += [_array(layout.engaged, latches, "latch"), _array(layout.late, late, "late")]
    said = orjson.dumps([told["words"], told["notes"]]) if told["words"] or told["notes"] else b""
    return b"".join(part.tobytes() for part in parts) + said


def _row_by(layout: Layout, row: Entry) -> Entry:
    found = dict(row)
    kinds = layout.device_kinds
    found["device_kind"] = kinds.index(row["device_kind"]) if row["device_kind"] in kinds else 0
    for name, axis in AXES.items():
        found[name] = [row[name].get(one, 0) for one in getattr(layout, axis)]
    return found


def _entries(
    layout: Layout, name: str, of: str | int, told: Entry, minutes: Sequence[Entry | None], width: Mapping[str, int]
) -> Iterator[Entry]:
    if name == "channel":
        yield from told["channels"].get(of, [{}] * width[str(of)])
    elif name == "keeps":
        quantity = layout.quantity_of[str(of)]
        yield from told["keeps"].get(of) or [{}] * width[quantity]
    elif (minute := minutes[int(of)]) and minute[name] is not None:
        for quantity in layout.quantities:
            yield from minute[name].get(quantity, [{}] * width[quantity])


def _array(dtype: np.dtype, entries: Sequence[Entry], kind: str) -> np.ndarray:
    found = np.zeros(len(entries), dtype)
    for number, entry in enumerate(entries):
        _fill(found, number, entry, kind)
    return found


def _fill(array: np.ndarray, number: int, entry: Entry, kind: str) -> None:
    for name in array.dtype.names or ():
        rest = AT_REST.get(kind, {}).get(name, 0)
        held = entry.get(name, rest)
        array[name][number] = held if np.shape(held) in ((), array.dtype[name].shape) else rest
