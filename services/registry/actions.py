"""What people do about alarms: acknowledge, mute, assign, comment, judge. Of two at once one wins, the other is told.

Whoever writes has their turn (`services.registry.database.writing`), so what is looked at here is what is there when it
is committed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from msgspec import structs
from sqlalchemy import select
from sqlalchemy.orm import Session

from common.times import local
from schemas.actions import MUTED_MOST_MS, VERSION, ActionKind, AlarmAction, AlarmVerdict, SeenEvent
from schemas.events import AlarmEvent
from schemas.topics import ALARM_ACTIONS
from services.registry.models import ActedAlarm, AlarmActionRow
from services.registry.outbox import clock, put
from services.registry.refusals import RefusedError, name_of, words_of

HISTORY_MOST: Final = 1_000
"""Actions of one alarm: people write them, so more are a program gone wrong [ours]."""
_SAME: Final[dict[ActionKind, Collection[ActionKind]]] = {
    ActionKind.MUTE: (ActionKind.MUTE, ActionKind.UNMUTE),
    ActionKind.UNMUTE: (ActionKind.MUTE, ActionKind.UNMUTE),
    ActionKind.COMMENT: (),
}
"""Actions of which a later one undoes an earlier one, where that is not the kind itself. Comments undo nothing."""

_OF_ALARMS_ALONE: Final = (ActionKind.MUTE, ActionKind.VERDICT)
"""What is refused of a provisional, for it would still hold once that is confirmed: the alarm would be silent, or
judged before it is one. (An acknowledgement does not reach the confirmation; an assignment and a comment may hold.)"""
_NO_ALARM: Final = (AlarmEvent.PROVISIONAL, AlarmEvent.WITHDRAWN)


class AlarmSubject(NamedTuple):
    """What an alarm is about. `component` counts from 0, `kind` is a `schemas.events.AlarmKind`."""

    alarm_id: str
    device_id: str
    component: int
    kind: str
    test: bool


class WantedAction(NamedTuple):
    """What somebody wants to do. `version` is that of the alarm on which they decided, if they say so; `last_event` is
    what happened to it last as far as they know, a `schemas.events.AlarmEvent`, or empty."""

    kind: ActionKind
    by: str
    why: str = ""
    seen: SeenEvent | None = None
    until_ts: int = 0
    to: str = ""
    verdict: AlarmVerdict | None = None
    version: int | None = None
    last_event: str = ""


class ActionTaken(NamedTuple):
    """The action as it is recorded: one of now, or (`is_new` is false) the one before that had done it already."""

    action: AlarmAction
    is_new: bool


def act(session: Session, subject: AlarmSubject, wanted: WantedAction) -> ActionTaken:
    """Record an action and put it into the outbox. Raises RefusedError, and has then changed nothing."""
    now = clock(session)
    made = _checked(subject, wanted, now)
    alarm = session.get(ActedAlarm, subject.alarm_id)
    version = alarm.version if alarm else 0
    if version >= HISTORY_MOST:
        raise RefusedError(f"该告警已有{version}条处置记录，不能再增加；请联系管理员")
    before = _last(session, subject.alarm_id, _SAME.get(made.kind, (made.kind,)))
    _refuse_conflict(wanted, version, before)
    if before is not None and _is_done(made, before):
        return ActionTaken(before, False)
    if made.kind is ActionKind.UNMUTE and not _is_muted(before, now):
        raise RefusedError("该告警没有静音，无需取消")
    made = structs.replace(made, version=version + 1)
    if alarm is None:
        alarm = ActedAlarm(id=subject.alarm_id, **_about(subject))
        session.add(alarm)
    alarm.version = made.version
    session.flush()
    (number,) = put(session, ALARM_ACTIONS, [(made.device_id, made.to_json())], made.by)
    session.add(_row(number, made))
    session.flush()
    return ActionTaken(made, True)


def _about(subject: AlarmSubject) -> dict[str, str | int | bool]:
    return {name: value for name, value in subject._asdict().items() if name != "alarm_id"}


def _checked(subject: AlarmSubject, wanted: WantedAction, now: int) -> AlarmAction:
    """The action as it would be the alarm's first."""
    kind = wanted.kind
    if kind in _OF_ALARMS_ALONE and wanted.last_event in _NO_ALARM:
        label = AlarmEvent(wanted.last_event).label
        raise RefusedError(f"最近的事件是“{label}”，还不是告警，不能{kind.label}；可以确认已看到、指派或备注")
    needs_why = kind in (ActionKind.MUTE, ActionKind.COMMENT) or wanted.verdict is AlarmVerdict.FALSE
    if kind is ActionKind.ACKNOWLEDGE and wanted.seen is None:
        raise RefusedError("确认没有说明看到了告警的哪个事件；请刷新后再确认")
    if kind is ActionKind.MUTE and not now < wanted.until_ts <= now + MUTED_MOST_MS:
        raise RefusedError(f"静音的结束时间必须在今后{MUTED_MOST_MS // 3_600_000}小时以内；请重新选择")
    if kind is ActionKind.VERDICT and wanted.verdict is None:
        raise RefusedError(f"没有选择研判结果；请选择{'、'.join(one.label for one in AlarmVerdict)}之一")
    return AlarmAction(
        v=VERSION,
        alarm_id=subject.alarm_id,
        device_id=subject.device_id,
        kind=kind,
        by=name_of(wanted.by, "操作人"),
        ts=now,
        version=1,
        test=subject.test,
        why=words_of(wanted.why, "内容" if kind is ActionKind.COMMENT else "原因", needs_why),
        seen=wanted.seen if kind is ActionKind.ACKNOWLEDGE else None,
        until_ts=wanted.until_ts if kind is ActionKind.MUTE else 0,
        to=name_of(wanted.to, "负责人") if kind is ActionKind.ASSIGN else "",
        verdict=wanted.verdict if kind is ActionKind.VERDICT else None,
    )


def _refuse_conflict(wanted: WantedAction, version: int, before: AlarmAction | None) -> None:
    if wanted.version is not None and not 0 <= wanted.version <= version:
        raise RefusedError(f"该告警没有版本{wanted.version}，现在是{version}；请刷新后重试")
    if before is None:
        return
    if wanted.version is not None and before.version > wanted.version:
        raise RefusedError(f"{told_done(before)}，在您看到的版本之后；请刷新后再决定")
    if wanted.kind is ActionKind.VERDICT and wanted.version is None:
        raise RefusedError(f"{told_done(before)}；要更改，请给出所依据的版本（现在是{version}）")


def _is_done(made: AlarmAction, before: AlarmAction) -> bool:
    """Whether what is wanted was done already, so that there is nothing to record."""
    if made.kind is ActionKind.ASSIGN:
        return made.to == before.to
    return made.seen is not None and before.seen is not None and before.seen.reaches(made.seen)


def _is_muted(before: AlarmAction | None, now: int) -> bool:
    return before is not None and before.kind is ActionKind.MUTE and before.until_ts > now


def told_done(action: AlarmAction) -> str:
    """Who did what and when, as people read it."""
    details = {
        ActionKind.VERDICT: f"为“{action.verdict.label if action.verdict else ''}”",
        ActionKind.ASSIGN: f"给{action.to}",
        ActionKind.MUTE: f"到{local(action.until_ts)}",
    }
    return f"{action.by}已于{local(action.ts)}{action.kind.label}{details.get(action.kind, '')}"


def version_of(session: Session, alarm_id: str) -> int:
    """How many actions there are of an alarm."""
    alarm = session.get(ActedAlarm, alarm_id)
    return alarm.version if alarm else 0


def actions_of(session: Session, alarm_id: str) -> list[AlarmAction]:
    """What was done about an alarm, in its order."""
    alarm = session.get(ActedAlarm, alarm_id)
    rows = select(AlarmActionRow).where(AlarmActionRow.alarm_id == alarm_id).order_by(AlarmActionRow.version)
    return [_read(alarm, row) for row in session.scalars(rows)] if alarm else []


def _last(session: Session, alarm_id: str, kinds: Collection[ActionKind]) -> AlarmAction | None:
    alarm = session.get(ActedAlarm, alarm_id)
    asked = select(AlarmActionRow).where(AlarmActionRow.alarm_id == alarm_id, AlarmActionRow.kind.in_(kinds))
    row = session.scalar(asked.order_by(AlarmActionRow.version.desc()).limit(1))
    return _read(alarm, row) if alarm and row else None


def _row(number: int, made: AlarmAction) -> AlarmActionRow:
    seen = made.seen
    return AlarmActionRow(
        number=number,
        alarm_id=made.alarm_id,
        version=made.version,
        kind=made.kind,
        made_by=made.by,
        why=made.why,
        ts=made.ts,
        seen_topic_id=seen and seen.source_topic_id,
        seen_partition=seen and seen.partition,
        seen_generation=seen and seen.generation,
        seen_offset=seen and seen.source_offset,
        seen_ordinal=seen and seen.source_ordinal,
        until_ts=made.until_ts or None,
        assignee=made.to or None,
        verdict=made.verdict,
    )


def _read(alarm: ActedAlarm, row: AlarmActionRow) -> AlarmAction:
    return AlarmAction(
        v=VERSION,
        alarm_id=row.alarm_id,
        device_id=alarm.device_id,
        kind=ActionKind(row.kind),
        by=row.made_by,
        ts=row.ts,
        version=row.version,
        test=alarm.test,
        why=row.why,
        seen=_seen(row),
        until_ts=row.until_ts or 0,
        to=row.assignee or "",
        verdict=AlarmVerdict(row.verdict) if row.verdict else None,
    )


def _seen(row: AlarmActionRow) -> SeenEvent | None:
    if row.seen_topic_id is None:
        return None
    return SeenEvent(
        row.seen_topic_id,
        row.seen_partition or 0,
        row.seen_generation or 0,
        row.seen_offset or 0,
        row.seen_ordinal or 0,
    )
