"""Alarms as ClickHouse holds them: what each is about, and its last event. (Provisionals: `cli.alarms.provisional`.)"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from cli.alarms.filters import AlarmFilter
from cli.output import label_of
from common.errors import OperatorError
from schemas.actions import SeenEvent
from schemas.alarm_kinds import AlarmKind, part_told
from services.registry.actions import AlarmSubject
from sinks.clickhouse.service import Service

_ID: Final = re.compile(r"[0-9a-f]{32}")
_LAST_EVENTS: Final = """
    SELECT alarm_id, device_id, component, kind, test, event,
        source_topic_id, `partition`, generation, source_offset, source_ordinal
    FROM alarm_events
    WHERE alarm_id IN %(ids)s
    ORDER BY ingest_ts DESC, generation DESC, source_offset DESC, source_ordinal DESC
    LIMIT 1 BY alarm_id
"""
_TEXTS: Final = (
    *("alarm_id", "device_id", "device_name", "device_kind", "kind", "quantity", "area", "unit_id", "unit_name"),
    *("place_kind", "organisation_id", "organisation_name", "address", "severity_label", "limit_from", "message"),
    *("ended_as", "ended_by", "ended_why", "acknowledged_by", "assignee", "verdict", "verdict_by"),
)
_NUMBERS: Final = (
    *("component", "severity", "severity_highest", "last_value", "peak", "limit", "worsenings", "reactivations"),
    *("repeats_untold", "comments", "version"),
)
_FLAGS: Final = ("test", "maintenance", "late", "active", "acknowledged", "overdue")
_TIMES: Final = (
    *("episode", "onset_ts", "provisional_ts", "opened_ts", "latched_ts", "escalated_ts", "recovered_ts", "ended_ts"),
    *("first_acknowledged_ts", "acknowledged_ts", "muted_until", "first_assigned_ts", "verdict_ts", "due_ts"),
    "handled_ts",
)
SEEN: Final = ("last_topic_id", "last_partition", "last_generation", "last_offset", "last_ordinal")
_NAMES: Final = (*_TEXTS, *_NUMBERS, *_FLAGS, *_TIMES, *SEEN)
_SELECTED: Final = ", ".join(
    (
        *(f"`{name}`" for name in (*_TEXTS, *_NUMBERS)),
        *(f"toBool({name})" for name in _FLAGS),
        *(f"toUnixTimestamp64Milli({name})" for name in _TIMES),
        *SEEN,
    )
)
HISTORY_MOST: Final = 1_000
"""Events and actions of one alarm that are shown: as many actions as one may have [ours]."""
_EVENTS: Final = """
    SELECT event, toUnixTimestamp64Milli(event_ts), severity, value, peak, `by`, why, message FROM alarm_events
    WHERE device_id = %(device_id)s AND alarm_id = %(alarm_id)s ORDER BY ingest_ts, `offset` LIMIT 1000
"""
_ACTIONS: Final = """
    SELECT version, kind, `by`, toUnixTimestamp64Milli(ts), why, toUnixTimestamp64Milli(until_ts), `to`, verdict
    FROM alarm_actions WHERE device_id = %(device_id)s AND alarm_id = %(alarm_id)s
    ORDER BY epoch, number LIMIT 1 BY source, epoch, number LIMIT 1000
"""


class StoredAlarm(NamedTuple):
    """An alarm, or what is provisional; its last event and the position of that. `more` is what else a person sees of
    it."""

    subject: AlarmSubject
    seen: SeenEvent
    more: str = ""
    last_event: str = ""

    def __str__(self) -> str:
        subject = self.subject
        about = f"{subject.device_id} {part_told(subject.kind, subject.component)} {label_of(AlarmKind, subject.kind)}"
        return f"{subject.alarm_id}  {about}{'（测试）' * subject.test}{self.more}"


class ListedAlarm(NamedTuple):
    """An alarm with all that the view has of it, by column; times are epoch ms."""

    fields: dict[str, Any]

    @property
    def seen(self) -> SeenEvent:
        """Its last event."""
        return SeenEvent(*(self.fields[name] for name in SEEN))

    @property
    def stored(self) -> StoredAlarm:
        """What it is about."""
        one = self.fields
        subject = AlarmSubject(*(one[name] for name in ("alarm_id", "device_id", "component", "kind", "test")))
        unit = f" {one['unit_name']}" if one["unit_name"] else ""
        is_new = "已确认" if one["acknowledged"] else "未确认"
        return StoredAlarm(subject, self.seen, f"{unit} {one['severity_label']} {is_new}")


class Matching(NamedTuple):
    """How many alarms a filter means, and how many others there are that differ only in being tests or not."""

    wanted: int
    others: int


def alarms_by_id(service: Service, ids: Sequence[str]) -> list[StoredAlarm]:
    """The alarms, in the order of their ids. Raises OperatorError where one is not there."""
    for text in ids:
        _check(text)
    found = {row[0]: _stored(row) for row in service.query(_LAST_EVENTS, {"ids": tuple(ids)})}
    for text in ids:
        if text not in found:
            raise unknown(text)
    return [found[text] for text in ids]


def _check(text: str) -> None:
    if not _ID.fullmatch(text):
        raise OperatorError(f"{text!r} is no id of an alarm: 32 digits, as `alarm_id` in `emberline alarms --json`")


def unknown(text: str) -> OperatorError:
    """What to tell where there is no alarm of an id."""
    return OperatorError(f"ClickHouse holds no alarm {text}; see `emberline alarms list`; a new one takes a second")


def newest(service: Service, wanted: AlarmFilter, limit: int) -> list[ListedAlarm]:
    """The newest of the wanted alarms, newest first."""
    where, asked = wanted.where()
    sql = f"SELECT {_SELECTED} FROM {wanted.view} WHERE {where} AND test = %(test)s ORDER BY latched_ts DESC, alarm_id"  # noqa: S608
    return [_listed(row) for row in service.query(f"{sql} LIMIT {limit}", asked)]


def count(service: Service, wanted: AlarmFilter) -> Matching:
    """How many there are."""
    where, asked = wanted.where()
    sql = f"SELECT countIf(test = %(test)s), countIf(test != %(test)s) FROM {wanted.view} WHERE {where}"  # noqa: S608
    return Matching(*map(int, service.query(sql, asked)[0]))


def whole(service: Service, stored: StoredAlarm) -> ListedAlarm | None:
    """One alarm; None for a provisional that was not confirmed."""
    asked = {"device": stored.subject.device_id, "alarm": stored.subject.alarm_id}
    sql = f"SELECT {_SELECTED} FROM alarms WHERE device_id = %(device)s AND alarm_id = %(alarm)s"  # noqa: S608
    rows = service.query(sql, asked)
    return _listed(rows[0]) if rows else None


def events_of(service: Service, alarm: AlarmSubject) -> list[dict[str, Any]]:
    """What happened to an alarm, in its order, `HISTORY_MOST` events at most."""
    names = ("event", "event_ts", "severity", "value", "peak", "by", "why", "message")
    return [dict(zip(names, row, strict=True)) for row in service.query(_EVENTS, alarm._asdict())]


def actions_of(service: Service, alarm: AlarmSubject) -> list[dict[str, Any]]:
    """What people did about an alarm, in its order, each once, `HISTORY_MOST` actions at most."""
    names = ("version", "kind", "by", "ts", "why", "until_ts", "to", "verdict")
    return [dict(zip(names, row, strict=True)) for row in service.query(_ACTIONS, alarm._asdict())]


def _listed(row: Sequence[Any]) -> ListedAlarm:
    return ListedAlarm(dict(zip(_NAMES, row, strict=True)))


def _stored(row: Sequence[object]) -> StoredAlarm:
    alarm_id, device_id, component, kind, test, event, *seen = row
    subject = AlarmSubject(str(alarm_id), str(device_id), int(str(component)), str(kind), bool(test))
    return StoredAlarm(subject, SeenEvent(*seen), last_event=str(event))  # type: ignore[arg-type]
