"""From a record's bytes to good reports and rejects in plain Python, as a peer would write it.

`schemas.report_rules.read` is the definition. It takes its time; here a report is waved through when nothing about it
is unusual, and only what is unusual is put before it. What emberline does besides, with late reports, wrong clocks and
values that are none, the peers do not: `plain` leaves it out of what they are given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson

from benchmarks.peers.rules import Report, key_of
from benchmarks.workload import SentRecord
from schemas.absences import shipped
from schemas.own_words import kinds_said
from schemas.quantities import BY_NAME, DEVICE_KINDS, MAX_COMPONENTS, QUANTITIES
from schemas.rejects import RejectEvent
from schemas.report_json import bytes_of, fault_of_record, loads, not_json, not_reports
from schemas.report_rules import (
    MAX_REPORTS_PER_RECORD,
    MAX_SEQ,
    VERSION,
    Fault,
    Reading,
    Reason,
    credible,
    is_device_id,
)
from schemas.report_rules import read as read_report

_RANGES: Final = [(one.name, *shipped().usual[one.name], one.absent) for one in QUANTITIES]
"""Within which no value is special."""
_AXES: Final = {kind.name: kind.axis for kind in DEVICE_KINDS}
_NUMBERS: Final = frozenset({int, float})


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
        if is_usual(report, source.ingest_ts):
            good.append((index, report))
            continue
        reading = read_report(report, source.ingest_ts)
        if isinstance(reading, Fault):
            rejects.append(_rejected(source, index, reading, value if value[:1] == b"{" else bytes_of(report, value)))
        elif is_plain(report, reading):
            good.append((index, report))
        else:
            raise ValueError(f"a report that is not plain, which the peers are not given: {report}")
    return good, rejects


def is_plain(report: Report, reading: Reading) -> bool:
    """Whether all that a report says is to be taken as it stands: a clock that is right, values or none, and no word
    that is an alarm of its own."""
    if (
        reading.notes
        or kinds_said(reading.faults)
        or reading.event_ts != reading.ts
        or any(mark.reason is not Reason.NOT_FITTED for mark in reading.marks)
    ):
        return False
    return all(
        value == said or (math.isnan(value) and said is not None and said == BY_NAME[name].absent)
        for name, values in reading.quantities.items()
        for value, said in zip(values, report[name], strict=True)
    )


def plain(records: Iterable[SentRecord]) -> Iterator[SentRecord]:
    """The records of a partition whose reports are plain, each later than all of its device before and of one kind with
    them. Rejects stay, one a record: of several emberline tells only what its record has room for."""
    newest: dict[str, tuple[str, int]] = {}
    for one in records:
        held = _newest(one, newest)
        if held is not None:
            newest |= held
            yield one


def _newest(one: SentRecord, newest: Mapping[str, tuple[str, int]]) -> dict[str, tuple[str, int]] | None:
    """The kind and newest time of each device in a record, None where one of its reports is not for peers."""
    found: Any = fault_of_record(one.key, one.value) or _parsed(one.value, loads)
    held: dict[str, tuple[str, int]] = {}
    rejects = 0
    for report in [] if type(found) is Fault else [found] if type(found) is dict else found:
        reading = read_report(report, one.arrival_ts)
        if isinstance(reading, Fault):
            rejects += 1
            continue
        key, kind = key_of(report), str(report.get("device_kind"))
        known, ts = held.get(key) or newest.get(key) or (kind, 0)
        if not is_plain(report, reading) or reading.ts <= ts or kind != known:
            return None
        held[key] = kind, reading.ts
    return held if rejects < 2 else None


def is_usual(report: Any, ingest_ts: int) -> bool:
    """Whether a report is plain, by checks that are quick and never weaker."""
    if type(report) is not dict:
        return False
    get = report.get
    event_ts, device_id = get("event_ts"), get("device_id")
    if type(event_ts) is not int or not credible(event_ts, ingest_ts):
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


def _parsed(value: bytes, loads: Callable[[bytes], Any] = orjson.loads) -> Any:
    """What the record holds, or why it cannot be read."""
    try:
        parsed = loads(value)
    except orjson.JSONDecodeError as error:
        return not_json(value, error)
    if type(parsed) is dict or (type(parsed) is list and 0 < len(parsed) <= MAX_REPORTS_PER_RECORD):
        return parsed
    return not_reports(parsed)


def _rejected(source: Source, index: int, fault: Fault, value: bytes | None) -> Rejected:
    topic, partition, offset, ingest_ts = source
    event = RejectEvent(fault.reason, fault.detail, topic, partition, offset, index, ingest_ts)
    return Rejected(value, event.own_headers())
