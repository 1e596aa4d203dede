"""What a chunk of records of a topic becomes: one block of its table. Pure functions, one a topic, listed in `BLOCKS`.

Telemetry comes from devices, and what is wrong with it is on the rejects topic already. The output topics are our own,
but anybody may write to a topic: a record that is not what its topic carries is left out and told as `Malformed`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, TypeVar
from uuid import UUID

import numpy as np

from schemas import topics
from schemas.absences import Absences
from schemas.events import Aggregate, Alarm, DeviceStatus
from schemas.quantities import BY_NAME, DEVICE_KINDS, MAX_COMPONENTS, QUANTITIES
from schemas.records import Records
from schemas.rejects import RejectEvent, gateway_of, original_headers
from schemas.report_fields import Marks
from schemas.report_rules import Reason
from schemas.reports import Ragged, decode
from sinks.columns import Column, Labels, constant, uuids
from sinks.contract import Block, Malformed

T = TypeVar("T")

TABLES: Final[Mapping[str, str]] = {
    topics.TELEMETRY.name: "telemetry",
    topics.ALARMS.name: "alarm_events",
    topics.AGGREGATES.name: "aggregates_1m",
    topics.DEVICE_STATUS.name: "device_status_events",
    topics.REJECTS.name: "rejects",
}
"""The table each topic's records go to."""

_TIMES: Final = (0, 4_102_444_800_000)
"""1970 and 2100, UTC: a time of an event outside is a mistake, and would open a table partition of its own [ours]."""
STATISTICS: Final = ("count", "min", "max", "mean", "last")
_KIND_NAMES: Final = (*(kind.name for kind in DEVICE_KINDS), "unknown")
_MALFORMED: Final = (ValueError, KeyError, TypeError, AttributeError)


def telemetry_block(records: Records, topic_id: UUID, absences: Absences | None = None) -> Block:
    """The good reports, one row each. `absences` says which values are none; without it, the shipped ones do."""
    reports = decode(records, absences)[0].good
    rows = len(reports)
    columns: dict[str, Column] = {
        "device_id": reports.device_id,
        # An unknown kind has the code -1, which is the last of the names.
        "device_kind": Labels(reports.device_kind % len(_KIND_NAMES), _KIND_NAMES),
        "event_ts": reports.event_ts,
        "ingest_ts": reports.ingest_ts,
        "ts": reports.ts,
        "by_arrival": reports.by_arrival,
        "seq": np.ma.masked_array(reports.seq, ~reports.has_seq),
        "test": reports.test,
        "faults": _texts(reports.faults, rows),
        "notes": _texts(reports.notes, rows),
    }
    columns |= {quantity.name: reports.quantities.get(quantity.name) or Ragged.absent(rows) for quantity in QUANTITIES}
    columns |= _absent(reports.marks, rows)
    columns |= _whence(records, topic_id, reports.offset, reports.index)
    return Block("telemetry", columns, rows)


def _texts(found: Mapping[int, Sequence[str]], rows: int) -> Column:
    return [found.get(row, ()) for row in range(rows)] if found else [()] * rows


def _absent(marks: Marks, rows: int) -> dict[str, Column]:
    """What has no value, but for what is not fitted: nearly every report of some devices has such."""
    told = marks.reason != Reason.NOT_FITTED
    counts = np.bincount(marks.report[told], minlength=rows)
    columns = {name: getattr(marks, name)[told] for name in ("quantity", "component", "reason", "value")}
    return {f"absent.{name}": Ragged.of(counts, column) for name, column in columns.items()}


def alarms_block(records: Records, topic_id: UUID) -> Block:
    """One row a record: the event's own fields, but for the version."""
    events, numbers, malformed = _read(records, lambda n: _checked(Alarm.from_json(_value(records, n))))
    columns = _fields(Alarm, events)
    return _one_a_record("alarm_events", records, topic_id, columns, numbers, malformed)


def device_status_block(records: Records, topic_id: UUID) -> Block:
    """One row a record: the event's own fields, but for the version, and when it was published."""
    events, numbers, malformed = _read(records, lambda n: _checked(DeviceStatus.from_json(_value(records, n))))
    columns = _fields(DeviceStatus, events) | {"ingest_ts": records.timestamps[numbers]}
    return _one_a_record("device_status_events", records, topic_id, columns, numbers, malformed)


def rejects_block(records: Records, topic_id: UUID) -> Block:
    """One row a record: why it was rejected and whence and through which gateway it came, its bytes, its headers."""
    events, numbers, malformed = _read(records, lambda n: _checked(RejectEvent.from_headers(records.headers[n])))
    columns: dict[str, Column] = _fields(RejectEvent, events) | {
        "gateway": [gateway_of(records.headers[number]) for number in numbers],
        "key": [records.keys[number] for number in numbers],
        "value": [records.values[number] for number in numbers],
        "headers": [original_headers(records.headers[number]) for number in numbers],
    }
    return _one_a_record("rejects", records, topic_id, columns, numbers, malformed)


def aggregates_block(records: Records, topic_id: UUID) -> Block:
    """One row a quantity and component of each record, in the order of the record."""
    events, numbers, malformed = _read(records, lambda n: _checked_aggregate(Aggregate.from_json(_value(records, n))))
    shapes = [[(name, len(of["count"])) for name, of in event.quantities.items()] for event in events]
    components = np.array([sum(count for _, count in shape) for shape in shapes], dtype=np.int64)
    row_event = np.repeat(np.arange(len(events)), components)
    of_event = _fields(Aggregate, events)
    columns: dict[str, Column] = {
        "device_id": [events[number].device_id for number in row_event.tolist()],
        "device_kind": [events[number].device_kind for number in row_event.tolist()],
        "test": np.asarray(of_event["test"])[row_event],
        "quantity": [name for shape in shapes for name, count in shape for _ in range(count)],
        "component": _ramp(count for shape in shapes for _, count in shape),
        "minute_ts": np.asarray(of_event["minute_ts"])[row_event] // 1000,
        "ingest_ts": records.timestamps[numbers][row_event],
        **{name: _statistic(name, events) for name in STATISTICS},
        "source_offset": np.asarray(of_event["source_offset"])[row_event],
        "source_ordinal": np.asarray(of_event["source_ordinal"])[row_event],
        "generation": np.asarray(of_event["generation"])[row_event],
        "source_topic_id": [events[number].source_topic_id for number in row_event.tolist()],
    }
    columns |= _whence(records, topic_id, records.offsets[numbers][row_event], _ramp(components))
    return Block("aggregates_1m", columns, len(row_event), malformed)


BLOCKS: Final[Mapping[str, Callable[[Records, UUID], Block]]] = {
    topics.TELEMETRY.name: telemetry_block,
    topics.ALARMS.name: alarms_block,
    topics.AGGREGATES.name: aggregates_block,
    topics.DEVICE_STATUS.name: device_status_block,
    topics.REJECTS.name: rejects_block,
}


def _whence(records: Records, topic_id: UUID, offset: np.ndarray, index: np.ndarray) -> dict[str, Column]:
    """The columns every table ends with."""
    rows = len(offset)
    return {
        "topic": constant(records.topic, rows),
        "topic_id": uuids(topic_id, rows),
        "partition": np.full(rows, records.partition, dtype=np.int32),
        "offset": offset,
        "index": index,
    }


def _one_a_record(
    table: str,
    records: Records,
    topic_id: UUID,
    columns: dict[str, Column],
    numbers: np.ndarray,
    malformed: Sequence[Malformed],
) -> Block:
    whence = _whence(records, topic_id, records.offsets[numbers], np.zeros(len(numbers), dtype=np.int32))
    return Block(table, columns | whence, len(numbers), malformed)


def _read(records: Records, read: Callable[[int], T]) -> tuple[list[T], np.ndarray, list[Malformed]]:
    """The events that can be read, the numbers of their records, and the others."""
    events: list[T] = []
    numbers: list[int] = []
    malformed: list[Malformed] = []
    for number in range(len(records.offsets)):
        try:
            events.append(read(number))
            numbers.append(number)
        except _MALFORMED as error:
            malformed.append(Malformed(int(records.offsets[number]), f"{type(error).__name__}: {error}"[:200]))
    return events, np.array(numbers, dtype=np.int64), malformed


def _value(records: Records, number: int) -> bytes:
    value = records.values[number]
    if value is None:
        raise ValueError("the record has no value")
    return value


def _fields(kind: type[Any], events: Sequence[Any]) -> dict[str, Column]:
    """A column a field: arrays of numbers, lists of all else."""
    return {
        field.name: _column(str(field.type), [getattr(event, field.name) for event in events])
        for field in fields(kind)
        if field.name not in ("v", "quantities")
    }


def _column(annotation: str, values: list[Any]) -> Column:
    dtype = {"int": np.int64, "float": np.float64, "bool": np.bool_, "float | None": np.float64}.get(annotation)
    # None becomes NaN in an array of floats.
    return values if dtype is None else np.array(values, dtype=dtype)


def _statistic(name: str, events: Sequence[Aggregate]) -> np.ndarray:
    values = [value for event in events for of in event.quantities.values() for value in of[name]]
    return np.array(values, dtype=np.int64 if name == "count" else np.float64)


def _ramp(counts: Iterable[int]) -> np.ndarray:
    """0, 1, … count - 1 for each count, one after the other."""
    each = np.fromiter(counts, np.int64)
    return np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)


def _is_integer(value: Any) -> bool:
    return type(value) is int and -(2**53) < value < 2**53


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


_CHECKS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "int": _is_integer,
    "float": _is_number,
    "float | None": lambda value: value is None or _is_number(value),
    "str": lambda value: type(value) is str,
    "bool": lambda value: type(value) is bool,
    "list[str]": lambda value: type(value) is list and all(type(item) is str for item in value),
}
_BOUNDS: Final = {
    "severity": (0, 127),
    "component": (0, 255),
    "source_ordinal": (0, 2**31 - 1),
    "source_index": (-1, 2**31 - 1),
    "generation": (0, 2**31 - 1),
    "source_partition": (0, 2**31 - 1),
    "source_offset": (0, 2**62),
    "reports": (1, 2**32 - 1),
    "cut": (-1, 2**62),
}
"""What the columns hold."""
_OF_SILENCE: Final = (-(2**31), -1)
"""Ordinals of statuses that silence tells."""


def _checked(event: T) -> T:
    """The event, if every field is of its type and fits its column. JSON says nothing of either."""
    for field in fields(event):  # type: ignore[arg-type]
        value = getattr(event, field.name)
        check = _CHECKS.get(str(field.type))
        if check is not None and not check(value):
            raise ValueError(f"{field.name} is {str(value)[:64]!r}, expected {field.type}")
        bounds = _TIMES if field.name.endswith("_ts") or field.name == "episode" else _BOUNDS.get(field.name)
        told_by_silence = type(event) is DeviceStatus and field.name == "source_ordinal" and value < 0
        bounds = _OF_SILENCE if told_by_silence else bounds
        if bounds is not None and not bounds[0] <= value <= bounds[1]:
            raise ValueError(f"{field.name} is {value}, expected {bounds[0]} to {bounds[1]}")
    return event


def _checked_aggregate(event: Aggregate) -> Aggregate:
    for name, of in _checked(event).quantities.items():
        if name not in BY_NAME:
            raise ValueError(f"unknown quantity {name[:64]!r}")
        lengths = {len(of[statistic]) for statistic in STATISTICS}
        if len(lengths) > 1 or max(lengths) > MAX_COMPONENTS:
            raise ValueError(f"{name}: arrays differ in length or are longer than {MAX_COMPONENTS}")
        if not all(_is_integer(value) and 0 <= value < 2**32 for value in of["count"]):
            raise ValueError(f"{name}: a count is not a number of values")
        if not all(value is None or _is_number(value) for statistic in STATISTICS[1:] for value in of[statistic]):
            raise ValueError(f"{name}: a statistic is neither a number nor null")
    return event
