"""One-minute aggregates of each component, closed by the time of the device's own reports.

A minute closes once its device has reported from `LATENESS_MS` after its end. What comes for it later is stored as
telemetry, but not counted here. A device can have two open minutes at once, an even and an odd one. That bounds memory,
and is why the lateness may not exceed a minute. A device that falls silent closes its last minute with its next report.

Only open minutes take memory. A minute with a single report has only the last values, which are least, greatest and sum
as well. Most devices of a large fleet report once a minute or less.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from detectors.table import Pool, Table, runs

MINUTE_MS: Final = 60_000
LATENESS_MS: Final = 30_000
"""Gateways reorder within seconds; half a minute keeps aggregates prompt [ours]."""

CELL: Final = np.dtype([("minute_ts", "i8"), ("last", "i4"), ("spread", "i4")])
"""One of the two minutes of a device. `minute_ts` is the beginning of an open one, else 0; `last` and `spread` are
the first entries of its runs, 0 for none. A run has an entry for each component of the device, quantity by quantity."""

LAST: Final = np.dtype([("count", "u4"), ("last_ms", "u2"), ("last", "f8")])
"""What is known of a component from its newest value; `last_ms` counts from the beginning of the minute."""

SPREAD: Final = np.dtype([("min", "f8"), ("max", "f8"), ("sum", "f8")])
"""What is known of a component in a minute of several reports. Without a value: inf, -inf and 0."""


class Minutes:
    """The open minutes of all devices. Row r has the cells 2r, its even minute, and 2r + 1, its odd one."""

    def __init__(self) -> None:
        self.cells = Table(CELL)
        self.last = Pool(LAST)
        self.spread = Pool(SPREAD)


class Closed(NamedTuple):
    """Minutes that closed: of report `report[i]`'s device, row `row[i]`, the minute `minute_ts[i]` in `bucket[i]`."""

    report: np.ndarray
    row: np.ndarray
    bucket: np.ndarray
    minute_ts: np.ndarray


class Counting(NamedTuple):
    """Where each of k reports counts: its cell, whether it is in time for it, and whether it opened the minute."""

    cell: np.ndarray
    in_time: np.ndarray
    opened: np.ndarray


def passed(minutes: Minutes, rows: np.ndarray, newest_ts: np.ndarray) -> Closed:
    """The open minutes that the devices in `rows` have now passed; `newest_ts` is each device's newest time."""
    open_ts = minutes.cells["minute_ts"].reshape(-1, 2)[rows]
    report, bucket = ((open_ts > 0) & (open_ts + (MINUTE_MS + LATENESS_MS) <= newest_ts[:, None])).nonzero()
    return Closed(report, rows[report], bucket, open_ts[report, bucket])


def all_open(minutes: Minutes, rows: np.ndarray) -> Closed:
    """All open minutes of the devices in `rows`, as if they had been passed."""
    open_ts = minutes.cells["minute_ts"].reshape(-1, 2)[rows]
    report, bucket = (open_ts > 0).nonzero()
    return Closed(report, rows[report], bucket, open_ts[report, bucket])


def open_minutes(
    minutes: Minutes, rows: np.ndarray, ts: np.ndarray, newest_ts: np.ndarray, sizes: np.ndarray
) -> Counting:
    """Open the minute that a report at `ts` of each of `rows` counts in, if need be.

    `sizes`, int64[k], is how many components the devices have in all.
    """
    minute_ts = ts - ts % MINUTE_MS
    in_time = minute_ts + (MINUTE_MS + LATENESS_MS) > newest_ts
    cell = 2 * rows + (minute_ts // MINUTE_MS & 1)
    opened = in_time & (minutes.cells["last"][cell] == 0) & (sizes > 0)
    if np.count_nonzero(opened):
        _open(minutes, cell[opened], minute_ts[opened], sizes[opened])
    return Counting(cell, in_time, opened)


def _open(minutes: Minutes, cell: np.ndarray, minute_ts: np.ndarray, sizes: np.ndarray) -> None:
    first = minutes.last.allot(sizes)
    minutes.last.clear(runs(first, sizes))
    minutes.cells["last"][cell] = first
    minutes.cells["minute_ts"][cell] = minute_ts


def count(
    minutes: Minutes,
    counting: Counting,
    sizes: np.ndarray,
    which: np.ndarray,
    within: np.ndarray,
    ts: np.ndarray,
    values: np.ndarray,
) -> None:
    """Count m finite values of reports that are in time, each of another component.

    `which` of the k reports each value is of; `within` is the component's index in the device's runs; `ts` and
    `sizes` are those of the reports.
    """
    cell, again = counting.cell, counting.in_time & ~counting.opened
    if np.count_nonzero(again):
        _make_spread(minutes, cell[again], sizes[again])
        told = again[which].nonzero()[0]
        _widen(minutes.spread, minutes.cells["spread"][cell][which[told]] + within[told], values[told])
    entries = minutes.cells["last"][cell][which] + within
    minutes.last["count"][entries] += 1
    last_ms = (ts % MINUTE_MS)[which]
    older = last_ms < minutes.last["last_ms"][entries]
    if np.count_nonzero(older):
        entries, last_ms, values = entries[~older], last_ms[~older], values[~older]
    minutes.last["last_ms"][entries] = last_ms
    minutes.last["last"][entries] = values


def _widen(spread: Pool, entries: np.ndarray, values: np.ndarray) -> None:
    spread["min"][entries] = np.minimum(spread["min"][entries], values)
    spread["max"][entries] = np.maximum(spread["max"][entries], values)
    spread["sum"][entries] += values


def _make_spread(minutes: Minutes, cell: np.ndarray, sizes: np.ndarray) -> None:
    """Give the minutes that had one report until now a spread, of that report's values."""
    lacking = ((minutes.cells["spread"][cell] == 0) & (sizes > 0)).nonzero()[0]
    if not len(lacking):
        return
    cell, sizes = cell[lacking], sizes[lacking]
    first = minutes.spread.allot(sizes)
    minutes.cells["spread"][cell] = first
    held = runs(minutes.cells["last"][cell].astype(np.int64), sizes)
    entries, value, known = runs(first, sizes), minutes.last["last"][held], minutes.last["count"][held] > 0
    minutes.spread["min"][entries] = np.where(known, value, np.inf)
    minutes.spread["max"][entries] = np.where(known, value, -np.inf)
    minutes.spread["sum"][entries] = np.where(known, value, 0)


def widen(minutes: Minutes, rows: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
    """Give devices more components. `before` and `after` are int64[rows, quantities], how many they have of each."""
    for bucket in (0, 1):
        cell = 2 * rows + bucket
        for name, pool in (("last", minutes.last), ("spread", minutes.spread)):
            there = minutes.cells[name][cell] > 0
            if there.any():
                minutes.cells[name][cell[there]] = _moved(
                    pool, minutes.cells[name][cell[there]], before[there], after[there]
                )


def _moved(pool: Pool, old: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Move runs to where there is room for more components of some quantities. Where they begin now, int64[k]."""
    sizes = after.sum(axis=1)
    new = pool.allot(sizes)
    entries = runs(new, sizes)
    pool.clear(entries)
    if pool.dtype == SPREAD:
        pool["min"][entries], pool["max"][entries] = np.inf, -np.inf
    held = before.ravel()
    pool.copy(
        runs((old[:, None] + offsets(before)).ravel(), held),
        runs((new[:, None] + offsets(after)).ravel(), held),
    )
    pool.room.release(old, before.sum(axis=1))
    return new


def offsets(width: np.ndarray) -> np.ndarray:
    """Where each quantity begins in a device's runs. int64[devices, quantities] in and out."""
    begins: np.ndarray = width.cumsum(axis=1) - width
    return begins


def drop(minutes: Minutes, rows: np.ndarray, sizes: np.ndarray) -> None:
    """Empty all minutes of `rows`, whose devices have `sizes` components."""
    for cell in (2 * rows, 2 * rows + 1):
        for name, pool in (("last", minutes.last), ("spread", minutes.spread)):
            there = minutes.cells[name][cell] > 0
            pool.room.release(minutes.cells[name][cell[there]], sizes[there])
        minutes.cells.clear(cell)


def take(minutes: Minutes, closed: Closed, sizes: np.ndarray) -> dict[str, list[Any]]:
    """Empty the closed minutes; each statistic is one list of all their runs, None where the count is 0."""
    cells, cell = minutes.cells, 2 * closed.row + closed.bucket
    first, spread = cells["last"][cell].astype(np.int64), cells["spread"][cell].astype(np.int64)
    entries, several = runs(first, sizes), spread > 0
    counts, last = minutes.last["count"][entries], minutes.last["last"][entries]
    least, greatest, mean = last.copy(), last.copy(), last.copy()
    if several.any():
        where, held = np.repeat(several, sizes), runs(spread[several], sizes[several])
        least[where], greatest[where] = minutes.spread["min"][held], minutes.spread["max"][held]
        mean[where] = minutes.spread["sum"][held] / np.maximum(counts[where], 1)
        minutes.spread.room.release(spread[several], sizes[several])
    minutes.last.room.release(first, sizes)
    cells.clear(cell)
    columns = {"count": counts.tolist()} | _lists(min=least, max=greatest, mean=mean, last=last)
    for missing in (counts == 0).nonzero()[0].tolist():
        for name in ("min", "max", "mean", "last"):
            columns[name][missing] = None
    return columns


def _lists(**columns: np.ndarray) -> dict[str, list[Any]]:
    return {name: column.tolist() for name, column in columns.items()}
