"""Provisionals: single values over a limit, each of which waits for the next value or was confirmed or withdrawn by it.

They are no alarms, so they have no severity that changes, no recovery and nothing that is due.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from cli.alarms import told
from cli.alarms.filters import AlarmFilter
from cli.alarms.stored import Matching, StoredAlarm, unknown
from cli.output import label_of
from common.times import local
from schemas.events import AlarmEvent, Severity
from sinks.clickhouse.service import Service

_NAMES: Final = (
    *("alarm_id", "device_id", "device_name", "device_kind", "kind", "quantity", "area", "unit_id", "unit_name"),
    *("place_kind", "organisation_id", "organisation_name", "address", "state", "ended_by", "ended_why", "limit_from"),
    *("message", "component", "value", "limit"),
)
_FLAGS: Final = ("test", "maintenance", "late")
_TIMES: Final = ("episode", "onset_ts", "ended_ts")
_SELECTED: Final = ", ".join(
    (
        *(f"`{name}`" for name in _NAMES),
        *(f"toBool({name})" for name in _FLAGS),
        *(f"toUnixTimestamp64Milli({name})" for name in _TIMES),
    )
)
_SQL: Final = f"SELECT {_SELECTED} FROM provisional_alarms WHERE "  # noqa: S608
_COUNTS: Final = "SELECT countIf(test = %(test)s), countIf(test != %(test)s) FROM provisional_alarms WHERE "


def newest(service: Service, wanted: AlarmFilter, limit: int) -> tuple[list[dict[str, Any]], Matching]:
    """The newest of the wanted provisionals by column, newest first, and how many there are; times are epoch ms. Raises
    OperatorError."""
    where, asked = wanted.where_provisional()
    sql = f"{_SQL}{where} AND test = %(test)s ORDER BY episode DESC, alarm_id LIMIT {limit}"
    found = [_fields(one) for one in service.query(sql, asked)]
    return found, Matching(*map(int, service.query(_COUNTS + where, asked)[0]))


def whole(service: Service, stored: StoredAlarm) -> dict[str, Any]:
    """One provisional, and the position of its last event. Raises OperatorError where it is not there."""
    asked = stored.subject._asdict()
    rows = service.query(f"{_SQL}device_id = %(device_id)s AND alarm_id = %(alarm_id)s", asked)
    if not rows:
        raise unknown(stored.subject.alarm_id)
    return _fields(rows[0]) | {"seen": msgspec.to_builtins(stored.seen)}


def line(one: dict[str, Any]) -> str:
    """One line of the list, below the heading of alarms."""
    return told.row((local(one["episode"]), Severity.WARNING.label, _state(one), *told.about(one, one["value"])))


def lines(one: dict[str, Any], events: Sequence[dict[str, Any]], actions: Sequence[dict[str, Any]]) -> Iterator[str]:
    """All of one provisional."""
    yield from told.beginning(one, _state(one))
    yield f"  限值：{told.measured(one, one['limit'])}（{one['limit_from']}），最高{told.measured(one, one['value'])}"
    yield from told.history(one, events, actions)


def _state(one: dict[str, Any]) -> str:
    """Whether it waits or how it ended, and what else holds of it."""
    ended = f"已{label_of(AlarmEvent, one['state'])}{'为告警' * (one['state'] == AlarmEvent.CONFIRMED)}"
    words = [
        AlarmEvent.PROVISIONAL.label if one["state"] == "waiting" else ended,
        "维护" if one["maintenance"] else "",
        "测试" if one["test"] else "",
        "补报" if one["late"] else "",
    ]
    return " ".join(word for word in words if word)


def _fields(row: Sequence[Any]) -> dict[str, Any]:
    return dict(zip((*_NAMES, *_FLAGS, *_TIMES), row, strict=True))
