"""What a chunk of records of a topic becomes: one block of its table. Pure functions, one a topic, listed in `BLOCKS`.

Telemetry comes from devices, and what is wrong with it is on the rejects topic already. The output topics are our own,
but anybody may write to a topic: a record that is not what its topic carries is left out and told as `Malformed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain, product
from typing import Final, TypeVar
from uuid import UUID

import numpy as np

from schemas import topics
from schemas.absences import Absences
from schemas.actions import AlarmAction, SeenEvent
from schemas.charging_sessions import ChargingSession
from schemas.device_requests import DeviceRequest
from schemas.events import Aggregate, Alarm, ControlOutcome, DeviceStatus, StreamEvent
from schemas.notices import Notice
from schemas.quantities import BY_NAME, DEVICE_KINDS, QUANTITIES
from schemas.records import Records
from schemas.registry import LIMITS_KEY, ChangeNumber, DeviceEntry, LimitsEntry
from schemas.rejects import RejectEvent, gateway_of, original_headers
from schemas.report_fields import Marks
from schemas.report_rules import Reason
from schemas.reports import Ragged, decode
from sinks.columns import Column, Labels, columns_of, constant, uuids
from sinks.contract import Block, Malformed

T = TypeVar("T")

TABLES: Final[Mapping[str, str]] = {
    topics.TELEMETRY.name: "telemetry",
    topics.ALARMS.name: "alarm_events",
    topics.AGGREGATES.name: "aggregates_1m",
    topics.DEVICE_STATUS.name: "device_status_events",
    topics.REJECTS.name: "rejects",
    topics.CONTROL_OUTCOMES.name: "control_records",
    topics.DEVICE_REQUESTS.name: "device_requests",
    topics.CHARGING_SESSIONS.name: "charging_sessions",
    topics.REGISTRY.name: "registry_history",
    topics.ALARM_ACTIONS.name: "alarm_actions",
    topics.NOTICES.name: "notice_records",
}
"""The table each topic's records go to."""
KEPT_FOR_EVER: Final = frozenset({"control_records", "registry_history"})
"""Tables without retention: who ordered what is asked after longer, and detecting again needs it; what is registered
holds until it is changed."""

STATISTICS: Final = ("count", "min", "max", "mean", "last")
_REGISTERED: Final = (
    *("device_id", "kind", "removed", "state", "name", "model", "unit_id", "unit_name", "organisation_id"),
    *("organisation_name", "area", "place_kind", "address", "nominal_voltage_v", "rated_current_a", "phases"),
    *("interval_s", "supply_area"),
)
_OF_COMPONENT: Final = ("quantity", "number", "id", "name", "role", "circuit", "phase")
"""Fields of an entry and of its components that have columns; all others are in its body."""
_ACTED: Final = ("device_id", "alarm_id", "kind", "by", "ts", "version", "test", "why", "until_ts", "to")
_NOTHING_SEEN: Final = SeenEvent("", 0, 0, 0, 0)
MAX_SOURCE: Final = 64
"""Letters of the name of what fills a topic, as of a device's id [ours]."""
_KIND_NAMES: Final = (*(kind.name for kind in DEVICE_KINDS), "unknown")


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


def events_block(topic: str, kind: type[StreamEvent], records: Records, topic_id: UUID) -> Block:
    """One row a record: the event's own fields, but for the version; and when it was published, where it does not say
    itself when what it follows from arrived."""
    events, numbers, malformed = _read(records, lambda n: kind.from_json(records.values[n]))
    columns = columns_of(kind, events)
    columns.setdefault("ingest_ts", records.timestamps[numbers])
    return _one_a_record(TABLES[topic], records, topic_id, columns, numbers, malformed)


def registry_block(records: Records, topic_id: UUID) -> Block:
    """One row a record: what people ask entries by, the entry as it came, and which change it is. Limits of many
    devices are a row of no device, and in its body."""
    entries, numbers, malformed = _read(records, lambda n: (_entry(records, n), _change(records, n)))
    of_entry = columns_of(DeviceEntry, [entry for entry, _ in entries])
    of_change = _changes([change for _, change in entries])
    columns: dict[str, Column] = {name: of_entry[name] for name in _REGISTERED}
    for which, what in product(("household", "main"), ("due", "installed", "operating")):
        counts = [getattr(entry.protectors, f"{which}_{what}") for entry, _ in entries]
        columns[f"{which}_protectors_{what}"] = np.array(counts, dtype=np.float64)
    columns |= {
        f"components.{name}": [[getattr(one, name) for one in entry.components] for entry, _ in entries]
        for name in _OF_COMPONENT
    }
    columns |= {"body": [records.values[number] for number in numbers], **of_change}
    columns["ingest_ts"] = records.timestamps[numbers]
    return _one_a_record("registry_history", records, topic_id, columns, numbers, malformed)


def _entry(records: Records, number: int) -> DeviceEntry:
    """The entry of a device; of none where it is the limits of many. Raises ValueError where it is neither."""
    if records.keys[number] != LIMITS_KEY:
        return DeviceEntry.from_json(records.values[number])
    return DeviceEntry(LimitsEntry.from_json(records.values[number]).v, "")


def actions_block(records: Records, topic_id: UUID) -> Block:
    """One row a record: the action's own fields, but for the version, what was seen, and which action it is."""
    actions, numbers, malformed = _read(
        records, lambda n: (AlarmAction.from_json(records.values[n]), _change(records, n))
    )
    of_action = columns_of(AlarmAction, [action for action, _ in actions])
    columns: dict[str, Column] = {name: of_action[name] for name in _ACTED}
    columns["verdict"] = [action.verdict or "" for action, _ in actions]
    seen = [action.seen or _NOTHING_SEEN for action, _ in actions]
    of_seen = columns_of(SeenEvent, seen)
    columns |= {f"seen_{name.removeprefix('source_')}": of_seen[name] for name in SeenEvent.__struct_fields__}
    columns |= _changes([change for _, change in actions])
    columns["ingest_ts"] = records.timestamps[numbers]
    return _one_a_record("alarm_actions", records, topic_id, columns, numbers, malformed)


def _change(records: Records, number: int) -> ChangeNumber:
    """Which change a record is. Raises ValueError where it does not say so, or says what no column holds."""
    change = ChangeNumber.from_headers(records.headers[number])
    if not (0 <= change.epoch < 2**63 and 0 <= change.number < 2**63 and len(change.source) <= MAX_SOURCE):
        raise ValueError("it does not say which change of which source it is")
    return change


def _changes(changes: Sequence[ChangeNumber]) -> dict[str, Column]:
    """Source, epoch and number of each."""
    return {
        "source": [change.source for change in changes],
        "epoch": np.array([change.epoch for change in changes], dtype=np.int64),
        "number": np.array([change.number for change in changes], dtype=np.int64),
    }


def rejects_block(records: Records, topic_id: UUID) -> Block:
    """One row a record: why it was rejected and whence and through which gateway it came, its bytes, its headers."""
    events, numbers, malformed = _read(records, lambda n: RejectEvent.from_headers(records.headers[n]))
    columns: dict[str, Column] = columns_of(RejectEvent, events) | {
        "gateway": [gateway_of(records.headers[number]) for number in numbers],
        "key": [records.keys[number] for number in numbers],
        "value": [records.values[number] for number in numbers],
        "headers": [original_headers(records.headers[number]) for number in numbers],
    }
    return _one_a_record("rejects", records, topic_id, columns, numbers, malformed)


def aggregates_block(records: Records, topic_id: UUID) -> Block:
    """One row a quantity and component of each record, in the order of the record."""
    events, numbers, malformed = _read(records, lambda n: _even(Aggregate.from_json(records.values[n])))
    shapes = [[(name, len(of["count"])) for name, of in event.quantities.items()] for event in events]
    components = np.array([sum(count for _, count in shape) for shape in shapes], dtype=np.int64)
    row_event = np.repeat(np.arange(len(events)), components)
    of_event = columns_of(Aggregate, events)
    columns: dict[str, Column] = {
        "device_id": [events[number].device_id for number in row_event.tolist()],
        "device_kind": [events[number].device_kind for number in row_event.tolist()],
        "test": np.asarray(of_event["test"])[row_event],
        "quantity": [name for shape in shapes for name, count in shape for _ in range(count)],
        "component": _ramp(count for shape in shapes for _, count in shape),
        "minute_ts": np.asarray(of_event["minute_ts"])[row_event] // 1000,
        "ingest_ts": records.timestamps[numbers][row_event],
        **{
            name: _statistic(name, (of[name] for event in events for of in event.quantities.values()))
            for name in STATISTICS
        },
        "source_offset": np.asarray(of_event["source_offset"])[row_event],
        "source_ordinal": np.asarray(of_event["source_ordinal"])[row_event],
        "generation": np.asarray(of_event["generation"])[row_event],
        "source_topic_id": [events[number].source_topic_id for number in row_event.tolist()],
    }
    columns |= _whence(records, topic_id, records.offsets[numbers][row_event], _ramp(components))
    return Block("aggregates_1m", columns, len(row_event), malformed)


_EVENTS: Final[Mapping[str, type[StreamEvent]]] = {
    topics.ALARMS.name: Alarm,
    topics.DEVICE_STATUS.name: DeviceStatus,
    topics.CONTROL_OUTCOMES.name: ControlOutcome,
    topics.DEVICE_REQUESTS.name: DeviceRequest,
    topics.CHARGING_SESSIONS.name: ChargingSession,
    topics.NOTICES.name: Notice,
}
BLOCKS: Final[Mapping[str, Callable[[Records, UUID], Block]]] = {
    topics.TELEMETRY.name: telemetry_block,
    topics.AGGREGATES.name: aggregates_block,
    topics.REJECTS.name: rejects_block,
    topics.REGISTRY.name: registry_block,
    topics.ALARM_ACTIONS.name: actions_block,
    **{topic: partial(events_block, topic, kind) for topic, kind in _EVENTS.items()},
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
        except (ValueError, RecursionError) as error:  # the latter where it is nested too deeply
            malformed.append(Malformed(int(records.offsets[number]), f"{type(error).__name__}: {error}"[:200]))
    return events, np.array(numbers, dtype=np.int64), malformed


def _statistic(name: str, found: Iterable[Sequence[float | None]]) -> np.ndarray:
    return np.array([*chain.from_iterable(found)], dtype=np.int64 if name == "count" else np.float64)


def _ramp(counts: Iterable[int]) -> np.ndarray:
    """0, 1, … count - 1 for each count, one after the other."""
    each = np.fromiter(counts, np.int64)
    return np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)


def _even(event: Aggregate) -> Aggregate:
    """The aggregate, if its statistics are of quantities that we know and each has the same components."""
    for name, of in event.quantities.items():
        if name not in BY_NAME:
            raise ValueError(f"unknown quantity {name[:64]!r}")
        if len({len(of[statistic]) for statistic in STATISTICS}) > 1:
            raise ValueError(f"{name}: arrays differ in length")
    return event
