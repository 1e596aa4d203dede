"""From a record's bytes to good reports and rejects in plain Python, as a peer would write it.

`schemas.report_rules.fault_of` is the definition. It takes its time; here a report is waved through when nothing about
it is unusual, and only what is unusual is put before `fault_of`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson

from schemas.quantities import DEVICE_KINDS, MAX_COMPONENTS, QUANTITIES
from schemas.rejects import RejectEvent
from schemas.report_json import bytes_of, fault_of_record, not_json, not_reports
from schemas.report_rules import (
    EARLIEST_EVENT_TS,
    MAX_AHEAD_MS,
    MAX_REPORTS_PER_RECORD,
    MAX_SEQ,
    VERSION,
    Fault,
    fault_of,
    is_device_id,
)

_RANGES: Final = [(one.name, one.low, one.high, one.absent) for one in QUANTITIES]
_AXES: Final = {kind.name: kind.axis for kind in DEVICE_KINDS}
_NUMBERS: Final = frozenset({int, float})

Report = dict[str, Any]


class Source(NamedTuple):
    """Where a record stands. `topic` is that of the telemetry."""

    topic: str
    partition: int
    offset: int
    ingest_ts: int


class Rejected(NamedTuple):
    """What goes to the rejects: as it came, or one report of an array written anew; the reason in headers."""

    value: bytes | None
    headers: list[tuple[str, bytes]]


def read(source: Source, key: bytes | None, value: bytes | None) -> tuple[list[tuple[int, Report]], list[Rejected]]:
    """The good reports of a record, each with its index, and what is to be rejected."""
    found = fault_of_record(key, value) or _parsed(value or b"")
    if type(found) is Fault or value is None:
        return [], [_rejected(source, -1, found, value)]
    if type(found) is dict:
        if is_usual(found, source.ingest_ts):
            return [(0, found)], []
        found = [found]
    good: list[tuple[int, Report]] = []
    rejects: list[Rejected] = []
    for index, report in enumerate(found):
        if is_usual(report, source.ingest_ts) or (fault := fault_of(report, source.ingest_ts)) is None:
            good.append((index, report))
        else:
            rejects.append(_rejected(source, index, fault, value if value[:1] == b"{" else bytes_of(report, value)))
    return good, rejects


def is_usual(report: Any, ingest_ts: int) -> bool:
    """Whether `fault_of` finds nothing, by checks that are quick and never weaker."""
    if type(report) is not dict:
        return False
    get = report.get
    event_ts, device_id = get("event_ts"), get("device_id")
    if type(event_ts) is not int or not EARLIEST_EVENT_TS <= event_ts <= ingest_ts + MAX_AHEAD_MS:
        return False
    if type(device_id) is not str or not is_device_id(device_id):
        return False
    axis = _AXES.get(kind) if type(kind := get("device_kind")) is str else None
    version, faults = get("v"), get("faults")
    if axis is None or type(version) is not int or version != VERSION or (faults is not None and faults != []):
        return False
    seq, test = get("seq"), get("test")
    if seq is not None and (type(seq) is not int or not 0 <= seq <= MAX_SEQ):
        return False
    return (test is None or type(test) is bool) and _values_are_usual(report, axis)


def _values_are_usual(report: Report, axis: tuple[str, ...]) -> bool:
    total, along = 0, 0
    for name, low, high, absent in _RANGES:
        values = report.get(name)
        if values is None:
            continue
        if type(values) is not list or len(values) > MAX_COMPONENTS:
            return False
        for value in values:
            if type(value) not in _NUMBERS or not (low <= value <= high or value == absent):
                return False
        total += len(values)
        if values and name in axis:
            if along and along != len(values):
                return False
            along = len(values)
    stated = report.get("components")
    return stated is None or (type(stated) is int and stated == total)


def _parsed(value: bytes) -> Any:
    """What the record holds, or why it cannot be read."""
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        return not_json(value, error)
    if type(parsed) is dict or (type(parsed) is list and 0 < len(parsed) <= MAX_REPORTS_PER_RECORD):
        return parsed
    return not_reports(parsed)


def _rejected(source: Source, index: int, fault: Fault, value: bytes | None) -> Rejected:
    topic, partition, offset, ingest_ts = source
    event = RejectEvent(fault.reason, fault.detail, topic, partition, offset, index, ingest_ts)
    return Rejected(value, event.own_headers())
