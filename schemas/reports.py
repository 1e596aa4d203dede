"""The telemetry report, version 1: from the bytes of Kafka records to numpy columns and rejects.

A record's value is one report, a JSON object, or a JSON array of reports of devices of that partition:

    {"v": 1, "device_id": "LY-000123", "device_kind": "electrical_monitor", "event_ts": 1790000000000,
     "seq": 42, "components": 12, "faults": [], "test": false,
     "residual_current_ma": [61.5], "temperature_c": [31.0, 30.5, 32.1, -200.0],
     "current_a": [12.1, 11.8, 12.4], "voltage_v": [229.1, 230.4, 228.8], "arc_half_cycles": [0]}

`v`, `device_id`, `device_kind` and `event_ts` are required. Every quantity of `schemas.quantities` is an array with one
value a component. `components`, where given, is the number of values in all arrays together, by which a truncated array
is told from a smaller device. Unknown fields are ignored.

`decode` is the only way in. `fault_of` states what a good report is, one report at a time; `_columns` does the common
case for a whole chunk and sends the chunk back to `fault_of` as soon as anything in it is unusual.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from schemas.quantities import (
    BY_NAME,
    DEVICE_KINDS,
    KIND_CODES,
    MAX_COMPONENTS,
    QUANTITIES,
    Quantity,
    absent_to_nan,
)

VERSION: Final = 1
MAX_RECORD_BYTES: Final = 1_048_576
"""A record of 1000 reports of 64 components is under 1 MiB; anything larger is a broken gateway [ours]."""
MAX_REPORTS_PER_RECORD: Final = 1_000
"""NB-IoT devices hand in up to 600 cached reports at once (domain.md, rule 6); rounded up [ours]."""
MAX_DEVICE_ID_LENGTH: Final = 64
MAX_FAULTS: Final = 16
MAX_FAULT_LENGTH: Final = 64
MAX_SEQ: Final = 2**31 - 1
EARLIEST_EVENT_TS: Final = 1_577_836_800_000
"""2020-01-01 UTC: older than every device of this kind, so a clock that was never set [ours]."""
MAX_AHEAD_MS: Final = 86_400_000
"""A report dated over a day after its arrival is impossible; up to that its clock is merely wrong [ours]."""

_REQUIRED: Final = ("v", "device_id", "device_kind", "event_ts")


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


class Fault(NamedTuple):
    """Why a report is rejected: a stable `reason` to count by, and a `detail` that a person can act on."""

    reason: str
    detail: str


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
            rejects.append(_reject_record(records, number, _unparsable(records.keys[number], value)))
            continue
        try:
            parsed = loads(value)
        except orjson.JSONDecodeError as error:
            rejects.append(_reject_record(records, number, _not_json(value, error)))
            continue
        if type(parsed) is dict:
            items.append(_Item(number, 0, parsed))
        elif type(parsed) is list and 0 < len(parsed) <= MAX_REPORTS_PER_RECORD:
            items.extend(_Item(number, index, report) for index, report in enumerate(parsed))
        else:
            rejects.append(_reject_record(records, number, _not_reports(parsed)))
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


def _reject_record(records: Records, number: int, fault: Fault) -> Reject:
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


def fault_of(report: Any, ingest_ts: int) -> Fault | None:
    """Say what is wrong with one parsed report that arrived at `ingest_ts`, or None if nothing is.

    This is the definition of a good report. The order of the checks decides which reason is given.
    """
    if type(report) is not dict:
        return Fault("not_a_report", f"expected an object, got {type(report).__name__}")
    for check in (_fault_of_envelope, _fault_of_optional, _fault_of_quantities, _fault_of_shape):
        if fault := check(report):
            return fault
    event_ts = report["event_ts"]
    if not EARLIEST_EVENT_TS <= event_ts <= ingest_ts + MAX_AHEAD_MS:
        return Fault(
            "impossible_time", f"event_ts {event_ts} lies before 2020 or over a day after arrival at {ingest_ts}"
        )
    return None


def _fault_of_envelope(report: dict[str, Any]) -> Fault | None:
    for name in _REQUIRED:
        if report.get(name) is None:
            return Fault("missing_field", f"{name} is required")
    if type(report["v"]) is not int:
        return _wrong_type("v", "an integer", report["v"])
    if report["v"] != VERSION:
        return Fault("unknown_version", f"version {report['v']}; this platform reads version {VERSION}")
    device_id = report["device_id"]
    if type(device_id) is not str:
        return _wrong_type("device_id", "a string", device_id)
    if not _is_device_id(device_id):
        return Fault(
            "bad_device_id", f"device_id must be 1 to {MAX_DEVICE_ID_LENGTH} printable characters without spaces"
        )
    if type(report["device_kind"]) is not str:
        return _wrong_type("device_kind", "a string", report["device_kind"])
    if report["device_kind"] not in KIND_CODES:
        return Fault("unknown_device_kind", f"{report['device_kind'][:64]!r}; known kinds: {', '.join(KIND_CODES)}")
    if type(report["event_ts"]) is not int:
        return _wrong_type("event_ts", "an integer of epoch milliseconds", report["event_ts"])
    return None


def _is_device_id(text: str) -> bool:
    return 0 < len(text) <= MAX_DEVICE_ID_LENGTH and text.isprintable() and " " not in text


def _fault_of_optional(report: dict[str, Any]) -> Fault | None:
    seq = report.get("seq")
    if seq is not None and (type(seq) is not int or not 0 <= seq <= MAX_SEQ):
        return _wrong_type("seq", f"an integer from 0 to {MAX_SEQ}", seq)
    test = report.get("test")
    if test is not None and type(test) is not bool:
        return _wrong_type("test", "true or false", test)
    faults = report.get("faults")
    if faults is None:
        return None
    if type(faults) is not list or not all(type(fault) is str for fault in faults):
        return _wrong_type("faults", "an array of strings", faults)
    if len(faults) > MAX_FAULTS or any(len(fault) > MAX_FAULT_LENGTH for fault in faults):
        return Fault("array_too_long", f"faults: at most {MAX_FAULTS} of at most {MAX_FAULT_LENGTH} characters")
    return None


def _fault_of_quantities(report: dict[str, Any]) -> Fault | None:
    for quantity in QUANTITIES:
        values = report.get(quantity.name)
        if values is not None and (fault := _fault_of_values(quantity, values)):
            return fault
    return None


def _fault_of_values(quantity: Quantity, values: Any) -> Fault | None:
    if type(values) is not list:
        return _wrong_type(quantity.name, "an array of numbers", values)
    if len(values) > MAX_COMPONENTS:
        return Fault(
            "array_too_long", f"{quantity.name} has {len(values)} components; at most {MAX_COMPONENTS} are taken"
        )
    for component, value in enumerate(values):
        where = f"{quantity.name}[{component}]"
        if type(value) is not int and type(value) is not float:
            return _wrong_type(where, "a number", value)
        if not math.isfinite(value):
            return Fault("not_finite", f"{where} is {value}")
        if value != quantity.absent and not quantity.low <= value <= quantity.high:
            return Fault("impossible_value", f"{where} is {value}; possible is {quantity.low:g} to {quantity.high:g}")
    return None


def _fault_of_shape(report: dict[str, Any]) -> Fault | None:
    lengths = {name: len(report[name]) for name in BY_NAME if report.get(name) is not None}
    axis = DEVICE_KINDS[KIND_CODES[report["device_kind"]]].axis
    along = {name: lengths[name] for name in axis if lengths.get(name)}
    if len(set(along.values())) > 1:
        return Fault("components_differ", "arrays of the same parts differ in length: " + _listed(along))
    stated = report.get("components")
    if stated is None:
        return None
    if type(stated) is not int:
        return _wrong_type("components", "an integer", stated)
    if stated != sum(lengths.values()):
        return Fault("components_differ", f"{stated} components are stated, the arrays hold " + _listed(lengths))
    return None


def _listed(lengths: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {length}" for name, length in lengths.items()) or "none"


def _wrong_type(field: str, expected: str, value: Any) -> Fault:
    # A container is named, not shown: it may be a megabyte, or nested too deeply for Python to write.
    shown = "" if isinstance(value, list | dict) else f" {str(value)[:64]!r}"
    return Fault("wrong_type", f"{field} must be {expected}, got {type(value).__name__}{shown}")


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
    if versions.count(VERSION) != len(versions) or not all(map(_is_device_id, device_id)):  # type: ignore[arg-type]
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
        if _fault_of_optional(report) is not None:
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
