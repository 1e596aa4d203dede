"""The JSON of records taken apart: the fields of all their reports, and what is wrong with records that hold none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from schemas.quantities import BY_NAME
from schemas.report_rules import MAX_RECORD_BYTES, MAX_REPORTS_PER_RECORD, Fault

FIELDS: Final = ("v", "device_id", "device_kind", "event_ts", "seq", "components", "faults", "test", *BY_NAME)
_MOST_IN_EXAMPLE: Final = 64
"""Fields of a report after whose example others are read: each is looked for in all. Thrice those we know [ours]."""


class Parsed(NamedTuple):
    """n values that should be reports, field by field, and by number the faults of the records that hold none.

    `fields` has those of `FIELDS` that occur, with None where a report has none; what is no object has no fields.
    `record`, int64[n], is the number of a report's record, `place`, int64[n], its index in it.
    """

    fields: Mapping[str, Sequence[Any]]
    record: np.ndarray
    place: np.ndarray
    faults: Mapping[int, Fault]


def parse(
    keys: Sequence[bytes | None], values: Sequence[bytes | None], known: Mapping[int, Fault] = MappingProxyType({})
) -> Parsed:
    """Take the records of a chunk apart. Of those in `known` it is known already what is wrong with them."""
    faults = _unusable(keys, values) | dict(known)
    usable = [None if number in faults else value for number, value in enumerate(values)] if faults else values
    sizes: dict[int, int] = {}
    fields = _fields_of(_reports(usable, faults, sizes))
    record, place = _whence(len(values), sizes)
    return Parsed(fields, record, place, faults)


def _whence(records: int, sizes: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Of every report its record's number and its place in it, where `sizes` tells the records of not one report."""
    if not sizes:
        return np.arange(records), np.zeros(records, dtype=np.int64)
    counts = np.ones(records, dtype=np.int64)
    counts[list(sizes)] = list(sizes.values())
    record = np.repeat(np.arange(records), counts)
    return record, np.arange(len(record)) - (np.cumsum(counts) - counts)[record]


def _unusable(keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> dict[int, Fault]:
    if all(keys) and all(values) and max(map(len, values), default=0) <= MAX_RECORD_BYTES:  # type: ignore[arg-type]
        return {}
    judged = enumerate(map(fault_of_record, keys, values))
    return {number: fault for number, fault in judged if fault is not None}


def fault_of_record(key: bytes | None, value: bytes | None) -> Fault | None:
    """Why a record cannot be read at all, or None."""
    if not value:
        return Fault("empty_record", "the record has no value; send one report or an array of reports")
    if len(value) > MAX_RECORD_BYTES:
        return Fault("record_too_large", f"{len(value)} bytes; at most {MAX_RECORD_BYTES} are taken")
    if key is None:
        return Fault("null_key", "the record has no key; key it by device so that its reports stay in order")
    return None


def _reports(
    values: Sequence[bytes | None], faults: dict[int, Fault], sizes: dict[int, int]
) -> Iterator[dict[str, Any]]:
    """Report after report. By number, `faults` gets the records that hold none, `sizes` those not of a single one."""
    loads = orjson.loads
    for number, value in enumerate(values):
        try:
            held = loads(value)  # type: ignore[arg-type]
        except orjson.JSONDecodeError as error:
            sizes[number] = 0
            if value is not None:
                faults[number] = not_json(value, error)
            continue
        if type(held) is dict:
            yield held
        elif type(held) is list and 0 < len(held) <= MAX_REPORTS_PER_RECORD:
            sizes[number] = len(held)
            yield from held if set(map(type, held)) == {dict} else [one if type(one) is dict else {} for one in held]
        else:
            sizes[number] = 0
            faults[number] = not_reports(held)


def not_json(value: bytes, error: orjson.JSONDecodeError) -> Fault:
    """Tell NaN and Infinity, which are not JSON but which many encoders write, from plain garbage."""
    found: list[str] = []
    with suppress(ValueError, RecursionError):
        json.loads(value, parse_constant=found.append)
    if found:
        return Fault(
            "not_finite", f"{found[0]} is not a value; leave the component out by its sentinel or null quantity"
        )
    return Fault("not_json", f"not valid JSON: {error}")


def bytes_of(report: Any, record: bytes) -> bytes:
    """One report of an array written anew. orjson reads deeper nesting than it writes; then the array stands for it."""
    try:
        return orjson.dumps(report)
    except orjson.JSONEncodeError:
        return record


def not_reports(held: Any) -> Fault:
    """Why a value is neither a report nor an array of some."""
    if type(held) is not list:
        return Fault("not_a_report", f"expected an object or an array of objects, got {type(held).__name__}")
    if not held:
        return Fault("empty_record", "the array holds no report")
    return Fault("too_many_reports", f"{len(held)} reports in one record; at most {MAX_REPORTS_PER_RECORD} are taken")


def _fields_of(reports: Iterator[dict[str, Any]]) -> dict[str, Sequence[Any]]:
    """The fields of reports by name.

    Most reports of a chunk have the same fields as its first and are read with one call. They are read as soon as they
    are parsed and then let go: to parse them all first takes half as long again, for by then they have left the cache.
    """
    first = next(reports, None)
    if first is None:
        return {}
    names = tuple(first) if 2 <= len(first) <= _MOST_IN_EXAMPLE else FIELDS
    pick, size = itemgetter(*names), len(names)
    rows = [tuple(map(first.get, names))]
    others: dict[int, dict[str, Any]] = {}
    for report in reports:
        if len(report) == size:
            try:
                rows.append(pick(report))
                continue
            except KeyError:
                pass
        others[len(rows)] = report
        rows.append(tuple(map(report.get, names)))
    fields: dict[str, Sequence[Any]] = dict(zip(names, zip(*rows, strict=True), strict=True))
    if others:
        for name in set().union(*others.values()).intersection(FIELDS).difference(names):
            column = fields[name] = [None] * len(rows)
            for row, report in others.items():
                column[row] = report.get(name)
    return fields
