"""Rows of another release's layout as rows of this one's, field by field and by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from detectors.checkpoints.layout import OWN, Keeper, Layout, Section
from detectors.checkpoints.rows import CheckpointRows
from detectors.state import ROW_AT_REST, ROW_AXES
from detectors.table import runs

AT_REST: Final[Mapping[str, Mapping[str, float]]] = {"row": ROW_AT_REST, "spread": {"min": np.inf, "max": -np.inf}}
"""By kind of entry, what is at rest where that is not 0."""
INSTEAD: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    "latch": {"stretch_peak": ["peak"], "told_value": ["peak"], "told_active": ["active"]}
}
"""By kind of entry and field, sums of fields that say what it is in rows of releases before it was there."""


def translated(rows: CheckpointRows) -> CheckpointRows:
    """The rows by the layout of this release."""
    theirs = rows.layout
    heads = _heads(rows)
    ours = rows._replace(layout=OWN, heads=heads)
    parts = {section: _part(section, rows, ours) for section in OWN.sections}
    late_of = _order([name if name in OWN.watched else None for name in OWN.quantities], theirs.quantities)
    detectors = _order([*map(_whose, OWN.detectors)], map(_whose, theirs.detectors))
    latches, latch_row = _numbered(rows.latches, rows.latch_row, "detector", detectors, "latch", theirs)
    late, late_row = _numbered(rows.late, rows.late_row, "quantity", late_of, "late", theirs)
    return CheckpointRows(OWN, rows.devices, heads, parts, latches, latch_row, late, late_row, rows.told)


def _part(section: Section, rows: CheckpointRows, ours: CheckpointRows) -> np.ndarray:
    """Our entries of a section, row by row."""
    (kind, of), theirs, dtype = section, rows.layout, OWN.sections[section]
    found = rows.parts.get(section)
    if kind in ("last", "spread"):
        is_there = np.asarray(rows.heads["minute_ts" if kind == "last" else "spread"] > 0)[:, [int(of)]]
        if found is None:
            return _resting(int((ours.width * is_there).sum()), dtype, kind)
        chosen: np.ndarray = _fitted(found, dtype, theirs, kind)[_blocks(rows.width * is_there, theirs)]
        return chosen
    if kind == "keeps":
        quantity, kind = OWN.quantity_of[str(of)], str(of)
        if theirs.quantity_of.get(kind) != quantity:
            found = None
    else:
        quantity = str(of)
    if found is None:
        return _resting(int(ours.width[:, OWN.quantities.index(quantity)].sum()), dtype, kind)
    return _fitted(found, dtype, theirs, kind)


def _heads(rows: CheckpointRows) -> np.ndarray:
    theirs, before = rows.layout, rows.heads["row"]
    heads = np.zeros(len(before), OWN.head)
    row = _fitted(before, OWN.row, theirs, "row")
    for name, axis in ROW_AXES.items():
        row[name] = 0
        if _goes_over(before.dtype, OWN.row, name, whole=False):
            row[name] = _columns(before[name], _order(getattr(theirs, axis), getattr(OWN, axis)))
    row["device_kind"] = np.maximum(_order(OWN.device_kinds, theirs.device_kinds), 0)[before["device_kind"]]
    heads["row"] = row
    # A minute in which only quantities were measured that are none here holds nothing.
    known = np.asarray(row["width"] > 0).any(axis=1, keepdims=True)
    heads["minute_ts"], heads["spread"] = rows.heads["minute_ts"] * known, rows.heads["spread"] * known
    return heads


def _order(names: Sequence[object], wanted: Iterable[object]) -> np.ndarray:
    """Where in `names` each of the wanted is, -1 where it is not."""
    number_of = {name: number for number, name in enumerate(names)}
    return np.array([number_of.get(name, -1) for name in wanted], np.int64)


def _columns(array: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The chosen columns, one of zeros where that is -1."""
    found: np.ndarray = np.pad(array, ((0, 0), (0, 1)))[:, chosen]
    return found


def _blocks(width: np.ndarray, theirs: Layout) -> np.ndarray:
    """Where the entries are that runs of all quantities of ours take from runs of theirs, row by row."""
    quantity, ends = _order(theirs.quantities, OWN.quantities), width.ravel().cumsum()
    first = (ends - width.ravel()).reshape(width.shape)
    return runs(_columns(first, quantity).ravel(), _columns(width, quantity).ravel())


def _whose(detector: Keeper) -> tuple[str, str]:
    return detector.kind, detector.quantity


def _numbered(
    entries: np.ndarray, owner: np.ndarray, of: str, number: np.ndarray, kind: str, theirs: Layout
) -> tuple[np.ndarray, np.ndarray]:
    """Entries that say of what they are by a number, with our number; those of what is none here are dropped."""
    ours = number[entries[of]]
    held = ours >= 0
    found = _fitted(entries[held], OWN.engaged if kind == "latch" else OWN.late, theirs, kind)
    found[of] = ours[held]
    return found, owner[held]


def _resting(size: int, dtype: np.dtype, kind: str) -> np.ndarray:
    found = np.zeros(size, dtype)
    for name, value in AT_REST.get(kind, {}).items():
        found[name] = value
    return found


def _fitted(entries: np.ndarray, dtype: np.dtype, theirs: Layout, kind: str) -> np.ndarray:
    """The entries with our fields."""
    found, instead = _resting(len(entries), dtype, kind), _instead(theirs, kind, entries.dtype)
    for name in dtype.names or ():
        if name in instead:
            found[name] = sum(_term(one, entries) for one in instead[name])
        elif _goes_over(entries.dtype, dtype, name):
            found[name] = entries[name]
    return found


def _instead(theirs: Layout, kind: str, dtype: np.dtype) -> Mapping[str, Sequence[str | int]]:
    """By field, the sums that stand for it in entries of this dtype, which lack it."""
    names = set(dtype.names or ())
    known = {name: terms for name, terms in INSTEAD.get(kind, {}).items() if name not in names >= {*terms}}
    return {**known, **theirs.instead.get(kind, {})}


def _term(term: str | int, entries: np.ndarray) -> Any:
    if isinstance(term, int):
        return np.int64(term)
    return -entries[term[1:]] if term.startswith("-") else entries[term]


def _goes_over(theirs: np.dtype, ours: np.dtype, name: str, whole: bool = True) -> bool:
    """Whether their field holds nothing that ours could not."""
    if name not in (theirs.names or ()) or not np.can_cast(theirs[name].base, ours[name].base, "safe"):
        return False
    return not whole or theirs[name].shape == ours[name].shape


def differences(theirs: Layout) -> str:
    """What of rows by another layout is at rest here, and what is dropped; "" where nothing is."""
    lacking, dropped = list[str](), list[str]()
    records = [(kind, theirs.dtype(theirs.records[kind]), OWN.dtype(OWN.records[kind])) for kind in OWN.records]
    keeps = {one.kind: theirs.dtype(one.keeps) for one in theirs.detectors}
    records += [(one.kind, keeps[one.kind], OWN.dtype(one.keeps)) for one in OWN.detectors if one.kind in keeps]
    for kind, before, now in records:
        instead = _instead(theirs, kind, before)
        over = {name for name in now.names or () if _goes_over(before, now, name, whole=name not in ROW_AXES)}
        lacking += [f"{kind}.{name}" for name in now.names or () if name not in over | instead.keys()]
        dropped += [f"{kind}.{name}" for name in before.names or () if name not in over]
    ours = {f"{one.kind} of {one.quantity}" for one in OWN.detectors} | set(OWN.quantities) | set(OWN.device_kinds)
    other = (
        {f"{one.kind} of {one.quantity}" for one in theirs.detectors}
        | set(theirs.quantities)
        | set(theirs.device_kinds)
    )
    lacking += sorted(ours - other)
    dropped += sorted(other - ours)
    told = [f"{what} {', '.join(names)}" for what, names in (("at rest", lacking), ("dropped", dropped)) if names]
    return "; ".join(told)
