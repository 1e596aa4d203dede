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
from schemas.report_rules import (
    MAX_RECORD_BYTES,
    MAX_REPORTS_PER_RECORD,
    Fault,
    is_device_id,
    may_measure,
    unknown_quantities,
)

FIELDS: Final = ("v", "device_id", "device_kind", "event_ts", "seq", "components", "faults", "test", *BY_NAME)
_KNOWN: Final = frozenset(FIELDS)
_MOST_IN_EXAMPLE: Final = 64
"""Fields of a report after whose example others are read: each is looked for in all. Thrice those we know [ours]."""
_BOM: Final = b"\xef\xbb\xbf"


class Parsed(NamedTuple):
    """n values that should be reports, field by field, and by number the faults of the records that hold none.

    `fields` has those of `FIELDS` that occur, with None where a report has none; what is no object has no fields.
    `unknown` has notes of fields that nobody knows, by report. `record`, int64[n], is the number of a report's record,
    `index_in_record`, int64[n], its number there, -1 where it stands for a record that holds none though its key names
    a device.
    """

    fields: Mapping[str, Sequence[Any]]
    unknown: Mapping[int, Sequence[str]]
    record: np.ndarray
    index_in_record: np.ndarray
    faults: Mapping[int, Fault]


def parse(
    keys: Sequence[bytes | None], values: Sequence[bytes | None], known: Mapping[int, Fault] = MappingProxyType({})
) -> Parsed:
    """Take the records of a chunk apart. Of those in `known` it is known already what is wrong with them."""
    faults = _unusable(keys, values) | dict(known)
    usable = [None if number in faults else value for number, value in enumerate(values)] if faults else values
    sizes: dict[int, int] = {}
    fields, unknown = _fields_of(_reports(keys, usable, faults, sizes))
    record, index = _whence(len(values), sizes)
    if faults:
        index[np.isin(record, list(faults))] = -1
    return Parsed(fields, unknown, record, index, faults)


def _whence(size: int, sizes: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Of every report of `size` records its record's number and its number in it. `sizes` has the records that hold not
    one report, and how many they hold."""
    if not sizes:
        return np.arange(size), np.zeros(size, dtype=np.int64)
    counts = np.ones(size, dtype=np.int64)
    counts[list(sizes)] = list(sizes.values())
    record = np.repeat(np.arange(size), counts)
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
    keys: Sequence[bytes | None],
    values: Sequence[bytes | None],
    faults: dict[int, Fault],
    sizes: dict[int, int],
) -> Iterator[dict[str, Any]]:
    """Report after report. By number, `faults` gets the records that hold none, `sizes` those not of a single one.

    A record that holds none but whose key names a device yields that name alone: the device talks.
    """
    loads = orjson.loads
    for number, value in enumerate(values):
        try:
            held = loads(value)  # type: ignore[arg-type]
        except orjson.JSONDecodeError as error:
            held = None if value is None else _with_not_finite(value, error)
            if held is None:
                if value is not None:
                    faults[number] = not_json(value, error)
                named = device_of(keys[number])
                if named is None:
                    sizes[number] = 0
                else:
                    yield {"device_id": named}
                continue
        if type(held) is dict:
            yield held
        elif type(held) is list and 0 < len(held) <= MAX_REPORTS_PER_RECORD:
            sizes[number] = len(held)
            yield from held if set(map(type, held)) == {dict} else [one if type(one) is dict else {} for one in held]
        else:
            faults[number] = not_reports(held)
            named = device_of(keys[number])
            if named is None:
                sizes[number] = 0
            else:
                yield {"device_id": named}


def device_of(key: bytes | None) -> str | None:
    """The device that a record's key names, if it may be one."""
    if key is None or len(key) > 4 * 64:
        return None
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return None
    return text if is_device_id(text) else None


def loads(value: bytes) -> Any:
    """A record's value parsed as `parse` parses it. Raises orjson.JSONDecodeError."""
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        held = _with_not_finite(value, error)
        if held is None:
            raise
        return held


def _with_not_finite(value: bytes, error: orjson.JSONDecodeError) -> Any:
    """What JSON proper has no word for though many encoders write it: NaN and Infinity, which are read as their names,
    numbers beyond any float, and a byte order mark. None where that was not what was wrong."""
    if not (value.startswith(_BOM) or b"NaN" in value or b"Infinity" in value or "infinity" in str(error)):
        return None
    if b"\\ud" in value.lower():
        # Python takes half a surrogate pair for a character, which then nobody can write.
        return None
    with suppress(ValueError, RecursionError):
        return json.loads(value.decode("utf-8-sig"), parse_constant=str)
    return None


def not_json(value: bytes, error: orjson.JSONDecodeError) -> Fault:
    """Tell text of another encoding from plain garbage."""
    with suppress(ValueError, RecursionError):
        orjson.loads(value.decode("gb18030"))
        return Fault("not_json", "the text is GB 18030, not UTF-8; have the sender write UTF-8")
    return Fault("not_json", f"not valid JSON: {error}")


def bytes_of(report: Any, record: bytes) -> bytes:
    """One report of an array written anew. orjson reads deeper nesting than it writes; then the array stands for it."""
    try:
        return orjson.dumps(report)
    except (orjson.JSONEncodeError, TypeError):
        return record


def not_reports(held: Any) -> Fault:
    """Why a value is neither a report nor an array of some."""
    if type(held) is not list:
        return Fault("not_a_report", f"expected an object or an array of objects, got {type(held).__name__}")
    if not held:
        return Fault("empty_record", "the array holds no report")
    return Fault("too_many_reports", f"{len(held)} reports in one record; at most {MAX_REPORTS_PER_RECORD} are taken")


def _fields_of(reports: Iterator[dict[str, Any]]) -> tuple[dict[str, Sequence[Any]], dict[int, Sequence[str]]]:
    """The fields of reports by name, and notes of those that nobody knows.

    Most reports of a chunk have the same fields as its first and are read with one call. They are read as soon as they
    are parsed and then let go: to parse them all first takes half as long again, for by then they have left the cache.
    """
    first = next(reports, None)
    if first is None:
        return {}, {}
    names = tuple(first) if 2 <= len(first) <= _MOST_IN_EXAMPLE else FIELDS
    pick, size = itemgetter(*names), len(names)
    picked = [tuple(map(first.get, names))]
    others: dict[int, dict[str, Any]] = {}
    if names is FIELDS:
        others[0] = first
    for report in reports:
        if len(report) == size:
            try:
                picked.append(pick(report))
                continue
            except KeyError:
                pass
        others[len(picked)] = report
        picked.append(tuple(map(report.get, names)))
    fields: dict[str, Sequence[Any]] = dict(zip(names, zip(*picked, strict=True), strict=True))
    unknown = _unknown_of_example(fields)
    if others:
        _add_others(others, len(picked), fields, unknown)
    return fields, unknown


def _add_others(
    others: Mapping[int, dict[str, Any]],
    size: int,
    fields: dict[str, Sequence[Any]],
    unknown: dict[int, Sequence[str]],
) -> None:
    """Add what the example does not have of the reports that are not like it."""
    names = set(fields)
    for number, report in others.items():
        # Among the fields of the example, None stands also for a field that is not there.
        if notes := () if report.keys() <= _KNOWN else unknown_quantities(report):
            unknown[number] = notes
    for name in set().union(*others.values()).intersection(FIELDS).difference(names):
        column = fields[name] = [None] * size
        for number, report in others.items():
            column[number] = report.get(name)


def _unknown_of_example(fields: Mapping[str, Sequence[Any]]) -> dict[int, Sequence[str]]:
    """The notes of the reports that have the fields of the example, and of others as far as they have them."""
    names = [name for name in fields if name not in _KNOWN and may_measure(name, fields[name])]
    if not names:
        return {}
    columns = [fields[name] for name in names]
    told = {
        number: unknown_quantities(dict(zip(names, values, strict=True)))
        for number, values in enumerate(zip(*columns, strict=True))
    }
    return {number: notes for number, notes in told.items() if notes}
