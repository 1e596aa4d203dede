"""Alarms as ClickHouse holds them: what each is about, and its last event."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from common.errors import OperatorError
from schemas.actions import SeenEvent
from schemas.events import AlarmKind
from services.registry.actions import AlarmSubject
from sinks.clickhouse.service import Service

_ID: Final = re.compile(r"[0-9a-f]{32}")
_LAST_EVENTS: Final = """
    SELECT alarm_id, device_id, component, kind, test,
        source_topic_id, `partition`, generation, source_offset, source_ordinal
    FROM alarm_events
    WHERE alarm_id IN %(ids)s
    ORDER BY ingest_ts DESC, generation DESC, source_offset DESC, source_ordinal DESC
    LIMIT 1 BY alarm_id
"""


class StoredAlarm(NamedTuple):
    """An alarm, and the position of its last event."""

    subject: AlarmSubject
    seen: SeenEvent

    def __str__(self) -> str:
        subject = self.subject
        known = subject.kind in list(AlarmKind)
        kind = AlarmKind(subject.kind).label if known else subject.kind
        return f"{subject.alarm_id}  {subject.device_id} 第{subject.component + 1}路 {kind}{'（测试）' * subject.test}"


def alarms_by_id(service: Service, ids: Sequence[str]) -> list[StoredAlarm]:
    """The alarms, in the order of their ids. Raises OperatorError where one is not there."""
    for text in ids:
        if not _ID.fullmatch(text):
            raise OperatorError(f"{text!r} is no id of an alarm: 32 digits, as `alarm_id` in `emberline alarms --json`")
    found = {row[0]: _stored(row) for row in service.query(_LAST_EVENTS, {"ids": tuple(ids)})}
    for text in ids:
        if text not in found:
            raise OperatorError(
                f"ClickHouse holds no alarm {text}; look for it in the view alarms, or wait a second if it is new"
            )
    return [found[text] for text in ids]


def _stored(row: Sequence[object]) -> StoredAlarm:
    alarm_id, device_id, component, kind, test, *seen = row
    subject = AlarmSubject(str(alarm_id), str(device_id), int(str(component)), str(kind), bool(test))
    return StoredAlarm(subject, SeenEvent(*seen))  # type: ignore[arg-type]
