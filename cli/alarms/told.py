"""Alarms for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from cli.alarms.stored import ListedAlarm
from cli.output import label_of, padded
from common.times import local
from schemas.actions import ActionKind, AlarmVerdict
from schemas.alarm_kinds import AlarmKind, part_told
from schemas.charging import code_label
from schemas.events import AlarmEvent
from services.registry.codes import KIND_LABELS, PLACE_KINDS

_WIDTHS: Final = (19, 4, 22, 16, 24)
_HEADINGS: Final = ("发生时间", "级别", "状态", "设备", "单位", "告警")


def heading() -> str:
    """The line above the list."""
    return row((*_HEADINGS, "编号"))


def line(alarm: ListedAlarm) -> str:
    """One line of the list, its id last."""
    one = alarm.fields
    return row((local(one["latched_ts"]), one["severity_label"], state(alarm), *about(one, one["peak"])))


def about(one: Mapping[str, Any], value: float) -> tuple[str, str, str, str]:
    """Device, unit, what it is about and its id, the last cells of a line."""
    what = f"{label_of(AlarmKind, one['kind'])} {measured(one, value)}"
    what = f"{part_told(one['kind'], one['component'])} {what}"
    return one["device_id"], one["unit_name"] or one["unit_id"] or "（未登记）", what, one["alarm_id"]


def state(alarm: ListedAlarm) -> str:
    """Whether it is open, active, acknowledged, and what else holds of it."""
    one = alarm.fields
    ended = AlarmEvent(one["ended_as"]).label if one["ended_as"] else ""
    words = [
        f"已{ended}" if ended else "未恢复" if one["active"] else "已恢复",
        "已确认" if one["acknowledged"] else "未确认",
        "静音" if one["muted_until"] else "",
        "维护" if one["maintenance"] else "",
        "测试" if one["test"] else "",
        "逾期" if one["overdue"] else "",
    ]
    return " ".join(word for word in words if word)


def as_json(alarm: ListedAlarm) -> dict[str, Any]:
    """All that is known of it; `seen` is its last event, as an acknowledgement names it."""
    fields = {
        name: value for name, value in alarm.fields.items() if not name.startswith("last_") or name == "last_value"
    }
    return fields | {"seen": msgspec.to_builtins(alarm.seen)}


def lines(alarm: ListedAlarm, events: Sequence[dict[str, Any]], actions: Sequence[dict[str, Any]]) -> Iterator[str]:
    """All of one alarm."""
    one = alarm.fields
    yield from beginning(one, f"{one['severity_label']} {state(alarm)}")
    last, peak = measured(one, one["last_value"]), measured(one, one["peak"])
    yield f"  限值：{measured(one, one['limit'])}（{one['limit_from']}），最近{last}，峰值{peak}"
    handled = f"，处理于{local(one['handled_ts'])}" if one["handled_ts"] else ""
    yield f"  应处理：{local(one['due_ts'])}之前{handled}{'，已逾期' if one['overdue'] else ''}"
    if one["assignee"]:
        yield f"  负责人：{one['assignee']}"
    yield from history(one, events, actions)


def beginning(one: Mapping[str, Any], how: str) -> Iterator[str]:
    """Which it is, how it is, and where."""
    yield f"告警 {one['alarm_id']}"
    yield f"  {one['message']}"
    yield f"  状态：{how}"
    kind = KIND_LABELS.get(one["device_kind"], one["device_kind"])
    yield f"  设备：{one['device_id']} {one['device_name']}（{kind}），{part_told(one['kind'], one['component'])}"
    if one["unit_id"]:
        place = PLACE_KINDS.get(one["place_kind"], one["place_kind"])
        yield f"  单位：{one['unit_name']}（{one['unit_id']}），{place}，区域{one['area']}，{one['address']}"
        yield f"  运维：{one['organisation_name']}（{one['organisation_id']}）"
    else:
        yield "  单位：设备没有登记"


def history(
    one: Mapping[str, Any], events: Sequence[dict[str, Any]], actions: Sequence[dict[str, Any]]
) -> Iterator[str]:
    """What happened, and what people did."""
    yield "经过："
    for event in events:
        label = label_of(AlarmEvent, event["event"])
        who = f"，{event['by']}：{event['why']}" if event["by"] else ""
        yield f"  {local(event['event_ts'])}  {label}  {measured(one, event['value'])}{who}"
    yield "处置：" if actions else "处置：没有"
    for action in actions:
        yield f"  {local(action['ts'])}  {action['by']}{_done(action)}"


def _done(action: dict[str, Any]) -> str:
    kind = action["kind"]
    details = {
        "assign": f"给{action['to']}",
        "mute": f"到{local(action['until_ts'])}",
        "verdict": f"为{label_of(AlarmVerdict, action['verdict'])}",
    }
    return f"{label_of(ActionKind, kind)}{details.get(kind, '')}{'：' + action['why'] if action['why'] else ''}"


def measured(one: Mapping[str, Any], value: float) -> str:
    """A value with the unit of what it is about; a code by what it means."""
    if one["kind"] in set(AlarmKind) and AlarmKind(one["kind"]).about.codes:
        return code_label(AlarmKind(one["kind"]).quantity, value)
    unit = AlarmKind(one["kind"]).unit if one["kind"] in set(AlarmKind) else ""
    return f"{value:.6g}{f' {unit}' if unit else ''}"


def row(cells: Sequence[str]) -> str:
    """A line below the heading, of as many cells."""
    return "  ".join([*map(padded, cells, _WIDTHS), *cells[len(_WIDTHS) :]])
