"""One-minute aggregates per component, closed by the device's own event time.

A minute closes once its device has reported from `LATENESS_MS` after its end; what comes for it later is stored as
telemetry but not counted here. Two minutes can be open at once, the even and the odd one: that bounds memory, and is
why the lateness may not exceed a minute. A device that falls silent closes its last minute with its next report.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

MINUTE_MS: Final = 60_000
LATENESS_MS: Final = 30_000
"""Gateways reorder within seconds; half a minute keeps aggregates prompt [ours]."""

BUCKET: Final = np.dtype(
    [("count", "i4"), ("last_ts", "i8"), ("min", "f8"), ("max", "f8"), ("sum", "f8"), ("last", "f8")]
)
STATE: Final = np.dtype([("bucket", BUCKET, (2,))])
"""Per component: the even and the odd minute."""


class Closed(NamedTuple):
    """Minutes that closed: of report `report[i]`'s device, row `row[i]`, the minute `minute_ts[i]` in `bucket[i]`."""

    report: np.ndarray
    row: np.ndarray
    bucket: np.ndarray
    minute_ts: np.ndarray


def close(minutes: np.ndarray, rows: np.ndarray, newest_ts: np.ndarray) -> Closed:
    """The open minutes that the devices in `rows` have now passed; `newest_ts` is each device's newest time.

    `minutes` is int64[devices, 2], the beginning of the open minute or 0; closed ones are set to 0, in place.
    """
    open_minutes = minutes[rows]
    passed = (open_minutes > 0) & (open_minutes + (MINUTE_MS + LATENESS_MS) <= newest_ts[:, None])
    report, bucket = np.nonzero(passed)
    closed = Closed(report, rows[report], bucket, open_minutes[report, bucket])
    minutes[closed.row, closed.bucket] = 0
    return closed


def open_bucket(minutes: np.ndarray, rows: np.ndarray, ts: np.ndarray, newest_ts: np.ndarray) -> np.ndarray:
    """The bucket that a report at `ts` of each of `rows` counts in, opened if need be; -1 where its minute closed."""
    minute = ts - ts % MINUTE_MS
    bucket = (minute // MINUTE_MS) & 1
    in_time = minute + (MINUTE_MS + LATENESS_MS) > newest_ts
    minutes[rows[in_time], bucket[in_time]] = minute[in_time]
    return np.where(in_time, bucket, -1)


def add(state: np.ndarray, slots: np.ndarray, bucket: np.ndarray, ts: np.ndarray, values: np.ndarray) -> None:
    """Count one finite value for each of the distinct `slots` in its bucket, in place."""
    held = state["bucket"][slots, bucket]
    first = held["count"] == 0
    newer = first | (ts >= held["last_ts"])
    held["min"] = np.where(first, values, np.minimum(held["min"], values))
    held["max"] = np.where(first, values, np.maximum(held["max"], values))
    held["sum"] = np.where(first, values, held["sum"] + values)
    held["last"] = np.where(newer, values, held["last"])
    held["last_ts"] = np.where(newer, ts, held["last_ts"])
    held["count"] += 1
    state["bucket"][slots, bucket] = held


def take(state: np.ndarray, slots: np.ndarray, bucket: np.ndarray) -> dict[str, list[Any]]:
    """Empty the buckets of `slots`; each statistic is a list with one entry a slot, None where the count is 0."""
    held = state["bucket"][slots, bucket]
    state["bucket"][slots, bucket] = np.zeros((), BUCKET)
    empty = held["count"] == 0
    mean = held["sum"] / np.maximum(held["count"], 1)
    columns = {"min": held["min"], "max": held["max"], "mean": mean, "last": held["last"]}
    return {"count": held["count"].tolist()} | {name: _known(column, empty) for name, column in columns.items()}


def _known(column: np.ndarray, empty: np.ndarray) -> list[Any]:
    return [None if missing else value for missing, value in zip(empty.tolist(), column.tolist(), strict=True)]
