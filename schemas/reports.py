"""The telemetry report, version 1: from the bytes of Kafka records to numpy columns and rejects.

`decode` is the only way in. `fault_of` states what a good report is, one report at a time; `_columns` does the common
case for a whole chunk and sends the chunk back to `fault_of` as soon as anything in it is unusual.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import orjson

from schemas.quantities import (
    DEVICE_KINDS,
    KIND_CODES,
    MAX_COMPONENTS,
    QUANTITIES,
    Quantity,
    absent_to_nan,
)
from schemas.report_rules import (
    EARLIEST_EVENT_TS,
    MAX_AHEAD_MS,
    MAX_RECORD_BYTES,
    MAX_REPORTS_PER_RECORD,
    MAX_SEQ,
    VERSION,
    Fault,
    fault_of,
    fault_of_optional,
    is_device_id,
)


class Records(NamedTuple):
    """Consecutive records of one partition, as columns. `timestamps` are the broker's, int64 epoch ms."""

    topic: str
    partition: int
    offsets: np.ndarray
    timestamps: np.ndarray
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Sequence[tuple[str, bytes]]]


@dataclass(frozen=True, slots=True)
class Ragged:
    """One quantity over n reports: report i has the components `values[starts[i]:starts[i + 1]]`.

    `starts` is int64[n + 1]; `values` is float64[m], NaN where the component is absent.
    """

    starts: np.ndarray
    values: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Components of each report, int64[n]."""
        counts: np.ndarray = self.starts[1:] - self.starts[:-1]
        return counts

    def between(self, begin: int, end: int) -> Ragged:
        """Those of the reports `begin` to `end`, that one not included."""
        starts = self.starts[begin : end + 1]
        return Ragged(starts - starts[0], self.values[starts[0] : starts[-1]])


@dataclass(frozen=True, slots=True)
class Reports:
    """n reports as columns, in the order of their records. Times are int64 epoch milliseconds, UTC.

    `index` is the report's place in its record. `seq` is -1 where the report has none. `faults` holds only the
    reports that carry any. `quantities` holds only those that occur.
    """

    partition: int
    offset: np.ndarray
    index: np.ndarray
    ingest_ts: np.ndarray
    event_ts: np.ndarray
    seq: np.ndarray
    device_id: Sequence[str]
    device_kind: np.ndarray
    test: np.ndarray
    faults: Mapping[int, tuple[str, ...]]
    quantities: Mapping[str, Ragged]

    def __len__(self) -> int:
        return len(self.offset)

    def between(self, begin: int, end: int) -> Reports:
        """The reports `begin` to `end`, that one not included."""
        part = slice(begin, end)
        return Reports(
            partition=self.partition,
            offset=self.offset[part],
            index=self.index[part],
            ingest_ts=self.ingest_ts[part],
            event_ts=self.event_ts[part],
            seq=self.seq[part],
            device_id=self.device_id[part],
            device_kind=self.device_kind[part],
            test=self.test[part],
            faults={number - begin: found for number, found in self.faults.items() if begin <= number < end},
            quantities={name: ragged.between(begin, end) for name, ragged in self.quantities.items()},
        )


@dataclass(frozen=True, slots=True)
class Reject:
    """A rejected record, or one rejected report of a record (`index` is then its place, else -1)."""

    offset: int
    index: int
    fault: Fault
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    ingest_ts: int


class _Item(NamedTuple):
    record: int
    place: int
    report: Any


def decode(records: Records) -> tuple[Reports, list[Reject]]:
    """Decode a chunk of records; what is not a good report comes back as a reject, its neighbours unharmed.

    Never raises for bad input, and never loses any: every report of every record is in exactly one of the two results.
    """
    items, rejects = _parse(records)
    columns = _columns(records, items)
    if columns is None:
        items, found = _sift(records, items)
        rejects += found
        columns = _columns(records, items)
        assert columns is not None, "fault_of let through a report that _columns refuses"
    rejects.sort(key=lambda reject: (reject.offset, reject.index))
    return columns, rejects


def _parse(records: Records) -> tuple[list[_Item], list[Reject]]:
    items: list[_Item] = []
    rejects: list[Reject] = []
    loads = orjson.loads
    for number, value in enumerate(records.values):
        if value is None or records.keys[number] is None or not 0 < len(value) <= MAX_RECORD_BYTES:
            rejects.append(reject_record(records, number, _unparsable(records.keys[number], value)))
            continue
        try:
            parsed = loads(value)
        except orjson.JSONDecodeError as error:
            rejects.append(reject_record(records, number, _not_json(value, error)))
            continue
        if type(parsed) is dict:
            items.append(_Item(number, 0, parsed))
        elif type(parsed) is list and 0 < len(parsed) <= MAX_REPORTS_PER_RECORD:
            items.extend(_Item(number, index, report) for index, report in enumerate(parsed))
        else:
            rejects.append(reject_record(records, number, _not_reports(parsed)))
    return items, rejects


def _unparsable(key: bytes | None, value: bytes | None) -> Fault:
    if not value:
        return Fault("empty_record", "the record has no value; send one report or an array of reports")
    if len(value) > MAX_RECORD_BYTES:
        return Fault("record_too_large", f"{len(value)} bytes; at most {MAX_RECORD_BYTES} are taken")
    return Fault("null_key", "the record has no key; key it by device so that its reports stay in order")


def _not_json(value: bytes, error: orjson.JSONDecodeError) -> Fault:
    """Tell NaN and Infinity, which are not JSON but which many encoders write, from plain garbage."""
    found: list[str] = []
    with suppress(ValueError, RecursionError):
        json.loads(value, parse_constant=found.append)
    if found:
        return Fault(
            "not_finite", f"{found[0]} is not a value; leave the component out by its sentinel or null quantity"
        )
    return Fault("not_json", f"not valid JSON: {error}")


def _not_reports(parsed: Any) -> Fault:
    if type(parsed) is not list:
        return Fault("not_a_report", f"expected an object or an array of objects, got {type(parsed).__name__}")
    if not parsed:
        return Fault("empty_record", "the array holds no report")
    return Fault("too_many_reports", f"{len(parsed)} reports in one record; at most {MAX_REPORTS_PER_RECORD} are taken")


def reject_record(records: Records, number: int, fault: Fault) -> Reject:
    """The reject of a whole record."""
    return _reject(records, number, -1, fault, records.values[number])


def _reject(records: Records, number: int, index: int, fault: Fault, value: bytes | None) -> Reject:
    return Reject(
        offset=int(records.offsets[number]),
        index=index,
        fault=fault,
        key=records.keys[number],
        value=value,
        headers=records.headers[number],
        ingest_ts=int(records.timestamps[number]),
    )


def _sift(records: Records, items: list[_Item]) -> tuple[list[_Item], list[Reject]]:
    good: list[_Item] = []
    rejects: list[Reject] = []
    for item in items:
        fault = fault_of(item.report, int(records.timestamps[item.record]))
        if fault is None:
            good.append(item)
        else:
            value = _bytes_of(item.report, records.values[item.record])
            rejects.append(_reject(records, item.record, item.place, fault, value))
    return good, rejects


def _bytes_of(report: Any, record: bytes | None) -> bytes | None:
    """A rejected report as it came: the record itself, or one report of an array written anew.

    orjson reads arrays nested more deeply than it writes; then the record stands for its report.
    """
    if type(report) is dict and record is not None and record.lstrip()[:1] == b"{":
        return record
    try:
        return orjson.dumps(report)
    except orjson.JSONEncodeError:
        return record


def _columns(records: Records, items: list[_Item]) -> Reports | None:
    """Columns of the reports, or None as soon as any is unusual, by checks no weaker than those of `fault_of`."""
    reports = [item.report for item in items]
    number = np.fromiter((item.record for item in items), np.int64, len(items))
    ingest_ts = records.timestamps[number]
    if not all(type(report) is dict for report in reports):
        return None
    envelope = _envelope(reports, ingest_ts)
    optional = _optional(reports)
    if envelope is None or optional is None:
        return None
    quantities: dict[str, Ragged] = {}
    for quantity in QUANTITIES:
        arrays = [report.get(quantity.name) for report in reports]
        if not any(arrays):
            if any(type(array) is not list for array in arrays if array is not None):
                return None
            continue
        ragged = _ragged(quantity, arrays)
        if ragged is None:
            return None
        quantities[quantity.name] = ragged
    device_id, device_kind, event_ts = envelope
    seq, test, faults, stated = optional
    if not _shapes_agree(device_kind, stated, quantities):
        return None
    return Reports(
        partition=records.partition,
        offset=records.offsets[number],
        index=np.fromiter((item.place for item in items), np.int64, len(items)),
        ingest_ts=ingest_ts,
        event_ts=event_ts,
        seq=seq,
        device_id=device_id,
        device_kind=device_kind,
        test=test,
        faults=faults,
        quantities=quantities,
    )


def _envelope(reports: list[dict[str, Any]], ingest_ts: np.ndarray) -> tuple[list[str], np.ndarray, np.ndarray] | None:
    versions = [report.get("v") for report in reports]
    device_id = [report.get("device_id") for report in reports]
    kinds = [report.get("device_kind") for report in reports]
    event_ts = [report.get("event_ts") for report in reports]
    if not (_all_of(versions, int) and _all_of(device_id, str) and _all_of(kinds, str) and _all_of(event_ts, int)):
        return None
    if versions.count(VERSION) != len(versions) or not all(map(is_device_id, device_id)):  # type: ignore[arg-type]
        return None
    codes = [KIND_CODES.get(kind, -1) for kind in kinds]  # type: ignore[arg-type]
    if -1 in codes:
        return None
    if not all(EARLIEST_EVENT_TS <= ts < 2**62 for ts in event_ts):  # type: ignore[operator]
        return None
    times = np.array(event_ts, dtype=np.int64)
    if (times > ingest_ts + MAX_AHEAD_MS).any():
        return None
    return device_id, np.array(codes, dtype=np.int64), times  # type: ignore[return-value]


def _optional(
    reports: list[dict[str, Any]],
) -> tuple[np.ndarray, np.ndarray, dict[int, tuple[str, ...]], np.ndarray] | None:
    seq = _integers(reports, "seq", MAX_SEQ)
    stated = _integers(reports, "components", MAX_SEQ)
    tests = [report.get("test") for report in reports]
    if seq is None or stated is None or not set(map(type, tests)) <= {bool, type(None)}:
        return None
    faults: dict[int, tuple[str, ...]] = {}
    for row, report in enumerate(reports):
        found = report.get("faults")
        if found is None or found == []:
            continue
        if fault_of_optional(report) is not None:
            return None
        faults[row] = tuple(found)
    return seq, np.array([test is True for test in tests], dtype=np.bool_), faults, stated


def _integers(reports: list[dict[str, Any]], name: str, most: int) -> np.ndarray | None:
    """An optional field of integers from 0 to `most` as int64[n], -1 where it is missing."""
    values = [report.get(name) for report in reports]
    if not set(map(type, values)) <= {int, type(None)}:
        return None
    filled = [-1 if value is None else value for value in values]
    if filled and not (max(filled) <= most and sum(value < 0 for value in filled) == values.count(None)):
        return None
    return np.array(filled, dtype=np.int64)


def _ragged(quantity: Quantity, arrays: list[Any]) -> Ragged | None:
    present = [() if array is None else array for array in arrays]
    if not set(map(type, present)) <= {list, tuple}:
        return None
    counts = np.fromiter(map(len, present), np.int64, len(present))
    flat = list(chain.from_iterable(present))
    if counts.max(initial=0) > MAX_COMPONENTS or not set(map(type, flat)) <= {int, float}:
        return None
    try:
        raw = np.array(flat, dtype=np.float64)
    except OverflowError:  # an integer beyond every float
        return None
    values = absent_to_nan(quantity, raw)
    possible = (raw >= quantity.low) & (raw <= quantity.high)
    if quantity.absent is not None:
        possible |= raw == quantity.absent
    if not possible.all():
        return None
    starts = np.zeros(len(present) + 1, dtype=np.int64)
    np.cumsum(counts, out=starts[1:])
    return Ragged(starts, values)


def _shapes_agree(device_kind: np.ndarray, stated: np.ndarray, quantities: Mapping[str, Ragged]) -> bool:
    total = np.zeros(len(device_kind), dtype=np.int64)
    for ragged in quantities.values():
        total += ragged.counts
    if ((stated >= 0) & (stated != total)).any():
        return False
    for code, kind in enumerate(DEVICE_KINDS):
        lengths = [quantities[name].counts[device_kind == code] for name in kind.axis if name in quantities]
        if lengths and _any_differ(np.stack(lengths)):
            return False
    return True


def _any_differ(lengths: np.ndarray) -> bool:
    """Whether in any column the lengths above 0 differ. int64[axis, reports]."""
    shortest = np.where(lengths > 0, lengths, MAX_COMPONENTS).min(axis=0, initial=MAX_COMPONENTS)
    return bool(((lengths > 0) & (lengths != shortest)).any())


def _all_of(values: list[Any], wanted: type) -> bool:
    return not values or set(map(type, values)) == {wanted}
