"""A block of life as columns, as `schemas.reports.decode` makes them of JSON, without JSON; and as JSON, to compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import numpy as np
import orjson

from fleet.layout import ReportLayout
from fleet.life.life import LifeBlock
from schemas.absences import Absences, shipped
from schemas.quantities import DEVICE_KINDS, QUANTITIES
from schemas.report_fields import Arrays, mark
from schemas.report_rules import AHEAD_MS, BEHIND_MS, in_order, read_times
from schemas.reports import Ragged, Reports


def reports_of(
    block: LifeBlock, names: Sequence[str], first_offset: int = 0, absences: Absences | None = None
) -> Reports:
    """The block as reports of records of their own, from that offset on. `names` are the ids of the devices."""
    size, arrays = len(block), _arrays(block)
    device_id = [names[one] for one in block.name.tolist()]
    marks = mark(arrays, (), block.kind, device_id, absences or shipped())
    event_ts, ts, by_arrival, notes = _times(block)
    held = zip(arrays.quantities, arrays.starts, pairwise(arrays.begins), strict=True)
    return Reports(
        partition=0,
        offset=np.arange(first_offset, first_offset + size),
        index=np.zeros(size, np.int64),
        ingest_ts=block.ingest_ts,
        event_ts=event_ts,
        ts=ts,
        by_arrival=by_arrival,
        seq=block.seq.astype(np.uint64),
        has_seq=np.ones(size, np.bool_),
        device_kind=block.kind,
        test=np.zeros(size, np.bool_),
        rejected=np.zeros(size, np.bool_),
        device_id=device_id,
        faults=dict(sorted(block.words.items())),
        notes=notes,
        marks=marks,
        quantities={
            one.name: Ragged(starts, arrays.values[begin:end]) for one, starts, (begin, end) in held if begin < end
        },
    )


def _arrays(block: LifeBlock) -> Arrays:
    """All values, quantity after quantity."""
    quantities = [one for one in QUANTITIES if any(one.name in layout.names for layout, _, _ in block.values)]
    counts = np.zeros((len(quantities), len(block)), np.uint8)
    for number, quantity in enumerate(quantities):
        for layout, which, _ in block.values:
            counts[number, which] = (
                layout.counts[layout.names.index(quantity.name)] if quantity.name in layout.names else 0
            )
    starts = np.zeros((len(quantities), len(block) + 1), np.int64)
    counts.cumsum(axis=1, dtype=np.int64, out=starts[:, 1:])
    begins = [0, *accumulate(starts[:, -1].tolist())]
    values = np.empty(begins[-1])
    for number, quantity in enumerate(quantities):
        for layout, which, matrix in block.values:
            if quantity.name in layout.names:
                part = matrix[:, layout.slice(quantity.name)]
                at = begins[number] + starts[number, which]
                values[at[:, None] + np.arange(part.shape[1])] = part
    return Arrays(quantities, counts, starts, begins, values)


def _times(block: LifeBlock) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, tuple[str, ...]]]:
    """`event_ts`, `ts`, `by_arrival` and notes, as `schemas.report_rules.read_times` has them."""
    event_ts, ingest_ts = block.event_ts.copy(), block.ingest_ts
    ts, by_arrival = np.minimum(event_ts, ingest_ts), np.zeros(len(block), np.bool_)
    found: dict[int, tuple[str, ...]] = {}
    odd = (event_ts > ingest_ts + AHEAD_MS) | (event_ts < ingest_ts - BEHIND_MS)
    for report in odd.nonzero()[0].tolist():
        notes: list[str] = []
        told = read_times(int(event_ts[report]), int(ingest_ts[report]), notes)
        event_ts[report], ts[report], by_arrival[report] = told
        if notes:
            found[report] = in_order(notes)
    return event_ts, ts, by_arrival, found


def json_of(block: LifeBlock, names: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """The same as records of one report each: key and value."""
    found: dict[int, tuple[bytes, bytes]] = {}
    for layout, which, matrix in block.values:
        found |= zip(which.tolist(), _json(block, layout, which, matrix, names), strict=True)
    return [found[report] for report in range(len(block))]


def _json(
    block: LifeBlock, layout: ReportLayout, which: np.ndarray, matrix: np.ndarray, names: Sequence[str]
) -> Iterator[tuple[bytes, bytes]]:
    slices = [(name, layout.slice(name)) for name in layout.names]
    facts = [block.name, block.event_ts, block.seq, block.kind]
    for report, row, name, event_ts, seq, kind in zip(
        which.tolist(), matrix.tolist(), *(one[which].tolist() for one in facts), strict=True
    ):
        told = {
            "v": 1,
            "device_id": names[name],
            "device_kind": DEVICE_KINDS[kind].name,
            "event_ts": event_ts,
            "seq": seq,
            "components": layout.columns,
            **{quantity: row[part] for quantity, part in slices},
        }
        if report in block.words:
            told["faults"] = list(block.words[report])
        yield names[name].encode(), orjson.dumps(told)
