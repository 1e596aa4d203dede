"""Telemetry rows as the columns detectors take, in the order of their records and in bounded batches.

They are what decoding gave, with two exceptions. Components that are not fitted have no mark; no detector judges them.
And a rejected report, which no table of telemetry holds, does not tell that its device talks.

Within a partition the offset is the order, never the time of arrival: a broker's clock may go back. So a partition is
read in windows of offsets, sized by how many rows there are an offset, and no record is ever cut in two: detectors skip
reports at or below the offset that a device's state reflects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple
from uuid import UUID

import numpy as np

from cli.backfill.plan import Plan
from schemas.quantities import KIND_CODES, QUANTITIES, UNKNOWN_KIND
from schemas.report_fields import Marks
from schemas.report_rules import MAX_REPORTS_PER_RECORD
from schemas.reports import Ragged, Reports
from sinks.clickhouse.service import Service

BATCH_ROWS: Final = 50_000
"""Rows fetched at once: about 100 MB as Python values, and one pass over the table's offsets [ours]."""
DECIMALS: Final = 7
_PERIOD: Final = (
    "ingest_ts >= fromUnixTimestamp64Milli(toInt64(%(begin)s)) "
    "AND ingest_ts < fromUnixTimestamp64Milli(toInt64(%(end)s))"
)
_PARTITIONS: Final = """
    SELECT topic_id, `partition`, min(`offset`), max(`offset`), count(),
        countIf(ingest_ts >= fromUnixTimestamp64Milli(toInt64(%(from)s)))
    FROM telemetry WHERE {period} AND {devices}
    GROUP BY topic_id, `partition` ORDER BY topic_id, `partition`
"""
_ROWS: Final = """
    SELECT `offset`, `index`, toUnixTimestamp64Milli(ingest_ts), toUnixTimestamp64Milli(event_ts),
        toUnixTimestamp64Milli(ts), by_arrival, ifNull(seq, 0), isNotNull(seq),
        device_id, device_kind, test, faults, notes, arrayMap(quantity -> toInt8(quantity), absent.quantity),
        absent.component, arrayMap(reason -> toInt8(reason), absent.reason),
        arrayMap(value -> ifNull(value, nan), absent.value), {quantities}
    FROM telemetry
    WHERE topic_id = toUUID(%(topic_id)s) AND `partition` = %(partition)s
        AND `offset` >= %(first)s AND `offset` <= %(last)s AND {period} AND {devices}
    ORDER BY `offset`, `index` LIMIT %(limit)s
"""
_BEFORE_MARKS: Final = 13
_BEFORE_QUANTITIES: Final = _BEFORE_MARKS + len(Marks._fields) - 1
"""Columns of `_ROWS`."""
_QUANTITIES: Final = ", ".join(f"arrayMap(value -> ifNull(value, nan), {quantity.name})" for quantity in QUANTITIES)


class StoredPartition(NamedTuple):
    """What there is of one partition of one incarnation of telemetry. `in_period` leaves out the warm-up."""

    topic_id: UUID
    partition: int
    first: int
    last: int
    rows: int
    in_period: int


def stored_partitions(service: Service, plan: Plan) -> list[StoredPartition]:
    """What there is to read."""
    devices, asked = plan.devices.where()
    asked |= {"begin": plan.begin_ts, "from": plan.from_ts, "end": plan.to_ts}
    return [StoredPartition(*row) for row in service.query(_PARTITIONS.format(period=_PERIOD, devices=devices), asked)]


def batches(service: Service, plan: Plan, stored: StoredPartition, rows: int = BATCH_ROWS) -> Iterator[Reports]:
    """The reports of a partition in order, whole records, at most `rows` at a time (more than one record may hold)."""
    if rows <= MAX_REPORTS_PER_RECORD:
        raise ValueError(f"a batch of {rows} rows may be smaller than one record")
    width = max(1, rows * (stored.last - stored.first + 1) // stored.rows)
    first = stored.first
    while first <= stored.last:
        last = min(first + width - 1, stored.last)
        columns = _fetch(service, plan, stored, first, last, rows)
        offsets = columns[0] if columns else ()
        if len(offsets) == rows:
            # There may be more of the window, and of its last record: that one begins the next batch.
            last = offsets[-1] - 1
            columns = [column[: _count_below(offsets, last + 1)] for column in columns]
        if columns and columns[0]:
            yield _reports(columns, stored.partition)
        first = last + 1


def _count_below(offsets: Sequence[int], beyond: int) -> int:
    return int(np.searchsorted(np.array(offsets), beyond))


def _fetch(
    service: Service, plan: Plan, stored: StoredPartition, first: int, last: int, rows: int
) -> Sequence[Sequence[Any]]:
    devices, asked = plan.devices.where()
    sql = _ROWS.format(quantities=_QUANTITIES, period=_PERIOD, devices=devices)
    asked |= {
        "topic_id": str(stored.topic_id),
        "partition": stored.partition,
        "first": first,
        "last": last,
        "limit": rows,
    }
    asked |= {"begin": plan.begin_ts, "end": plan.to_ts}
    found: Sequence[Sequence[Any]] = service.call(lambda client: client.execute(sql, asked, columnar=True))
    return found


def _reports(columns: Sequence[Sequence[Any]], partition: int) -> Reports:
    offset, index, ingest_ts, event_ts, ts, by_arrival, seq, has_seq, *texts = columns[:_BEFORE_MARKS]
    device_id, kind, test, faults, notes = texts
    return Reports(
        partition=partition,
        offset=np.array(offset, np.int64),
        index=np.array(index, np.int64),
        ingest_ts=np.array(ingest_ts, np.int64),
        event_ts=np.array(event_ts, np.int64),
        ts=np.array(ts, np.int64),
        by_arrival=np.array(by_arrival, np.bool_),
        seq=np.array(seq, np.uint64),
        has_seq=np.array(has_seq, np.bool_),
        device_id=list(device_id),
        device_kind=np.array([KIND_CODES.get(name, UNKNOWN_KIND) for name in kind], np.int64),
        test=np.array(test, np.bool_),
        rejected=np.zeros(len(offset), np.bool_),
        faults=_texts(faults),
        notes=_texts(notes),
        marks=_marks(columns[_BEFORE_MARKS:_BEFORE_QUANTITIES]),
        quantities=_ragged(columns[_BEFORE_QUANTITIES:]),
    )


def _texts(rows: Sequence[Sequence[str]]) -> dict[int, tuple[str, ...]]:
    return {number: tuple(some) for number, some in enumerate(rows) if some}


def _marks(columns: Sequence[Sequence[Any]]) -> Marks:
    counts = np.fromiter(map(len, columns[0]), np.int64, len(columns[0]))
    quantity, component, reason, value = (list(chain.from_iterable(column)) for column in columns)
    return Marks(
        report=np.repeat(np.arange(len(counts)), counts),
        quantity=np.array(quantity, np.int64),
        component=np.array(component, np.int64),
        reason=np.array(reason, np.int64),
        value=np.array(value, np.float64),
    )


def _ragged(columns: Sequence[Sequence[Any]]) -> Mapping[str, Ragged]:
    found = {}
    for quantity, rows in zip(QUANTITIES, columns, strict=True):
        counts = np.fromiter(map(len, rows), np.int64, len(rows))
        if counts.any():
            starts = np.concatenate([[0], np.cumsum(counts)])
            stored = np.fromiter(chain.from_iterable(rows), np.float32, int(starts[-1]))
            found[quantity.name] = Ragged(starts, widened(stored))
    return found


def widened(stored: np.ndarray) -> np.ndarray:
    """The numbers that devices wrote, float64[n], from what the table kept of them, float32[n].

    Live detection sees 61.3 and the table holds the nearest float32, 61.2999992…; a limit of 61.3 tells them apart. The
    shortest decimal that the float32 stands for is what was written, as long as that had at most 6 digits.
    """
    values = stored.astype(np.float64)
    left = (np.isfinite(values) & (values != np.rint(values))).nonzero()[0]
    for decimals in range(1, DECIMALS + 1):
        scale = 10.0**decimals
        guess = np.rint(values[left] * scale) / scale
        is_it = guess.astype(np.float32) == stored[left]
        values[left[is_it]] = guess[is_it]
        left = left[~is_it]
    return values
