"""`emberline alarms ack`, `mute` and the others: what people do about alarms, from a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click
import msgspec

from cli.alarms.filters import AlarmFilter, filtered
from cli.alarms.stored import StoredAlarm, alarms_by_id, newest
from cli.command import read_settings
from cli.ordering import WAIT, ordered
from cli.output import say, say_json
from cli.people import (
    AT_ONCE_MOST,
    FOR,
    JSON,
    UNTIL,
    GivenBy,
    ask_about,
    each_once,
    given,
    given_by,
    refuse,
    registry_database,
    until_of,
)
from common.errors import OperatorError
from schemas.actions import ActionKind, AlarmAction, AlarmVerdict
from schemas.commands import CommandKind
from services.registry.actions import ActionTaken, WantedAction, act, actions_of, told_done
from services.registry.commands import command
from services.registry.database import reading, writing
from services.registry.refusals import RefusedError
from streams.storage import asking

_IDS: Final = click.argument("alarm_ids", nargs=-1, metavar="[ALARM_ID]...")
F = TypeVar("F", bound=Callable[..., Any])
VERSION: Final = click.option(
    "--version", type=click.IntRange(min=0), help="Refuse if somebody did the same since the alarm had this version."
)


def named(command: F) -> F:
    """The alarms of a command: their ids, or a filter."""
    return _IDS(filtered("--before")(command))


@click.command()
@named
@VERSION
@given(why=False)
def ack(alarm_ids: Sequence[str], **options: Any) -> None:
    """Acknowledge alarms: they were seen, up to their last event."""
    _act(alarm_ids, ActionKind.ACKNOWLEDGE, options)


@click.command()
@named
@FOR
@UNTIL
@VERSION
@given(why=True)
def mute(alarm_ids: Sequence[str], for_: str | None, until: str | None, **options: Any) -> None:
    """Mute alarms for 24 h at most. They are judged and told as before."""
    _act(alarm_ids, ActionKind.MUTE, options, until_ts=until_of(for_, until))


@click.command()
@named
@VERSION
@given(why=False)
def unmute(alarm_ids: Sequence[str], **options: Any) -> None:
    """Let muted alarms sound again."""
    _act(alarm_ids, ActionKind.UNMUTE, options)


@click.command()
@named
@click.option("--to", required=True, metavar="NAME", help="Whose task they are from now on.")
@VERSION
@given(why=False)
def assign(alarm_ids: Sequence[str], to: str, **options: Any) -> None:
    """Assign alarms to somebody."""
    _act(alarm_ids, ActionKind.ASSIGN, options, to=to)


@click.command()
@named
@given(why="What there is to say.")
def comment(alarm_ids: Sequence[str], **options: Any) -> None:
    """Say something of alarms."""
    _act(alarm_ids, ActionKind.COMMENT, options)


@click.command()
@named
@click.option(
    *("--is", "verdict_"),
    type=click.Choice([one.value for one in AlarmVerdict]),
    required=True,
    help="真实, 误报, 测试 or 未知. A false one needs --why.",
)
@VERSION
@given(why=False)
def verdict(alarm_ids: Sequence[str], verdict_: str, **options: Any) -> None:
    """Say what alarms were. Another verdict needs the version that it is about."""
    _act(alarm_ids, ActionKind.VERDICT, options, verdict=AlarmVerdict(verdict_))


@click.command()
@named
@click.option("--force", is_flag=True, help="Also those that are still active.")
@WAIT
@given(why=True)
def reset(alarm_ids: Sequence[str], force: bool, wait_s: float, **options: Any) -> None:
    """Order that alarms are over. Detection applies or refuses it, and says so on emberline.control-outcomes."""
    by = given_by(options)
    found = _found(alarm_ids, options, by, "复位")
    wanted = [
        command(
            *(CommandKind.RESET, one.subject.device_id, by.by, by.why),
            component=one.subject.component,
            alarm_kind=one.subject.kind,
            alarm_id=one.subject.alarm_id,
            test=one.subject.test,
            force=force,
        )
        for one in found
    ]
    # That there is an alarm says that there is the device.
    ordered(wanted, by.as_json, unregistered=True, wait_s=wait_s)


@click.command()
@click.argument("alarm_id", metavar="ALARM_ID")
@JSON
def history(alarm_id: str, as_json: bool) -> None:
    """Show what was done about an alarm, each with the version it made."""
    with registry_database() as engine, reading(engine) as session:
        found = actions_of(session, alarm_id)
    if as_json:
        say_json([_as_json(one) for one in found])
        return
    for one in found:
        says = f"：{one.why}" if one.why else ""
        say(f"{one.version}  {told_done(one)}{says}")
    if not found:
        say("没有处置记录")


def _found(alarm_ids: Sequence[str], options: dict[str, Any], by: GivenBy, label: str) -> list[StoredAlarm]:
    """The alarms that are named or that a filter means, once a person agrees. Each has the last event as it is shown.

    Raises OperatorError, or UsageError."""
    wanted = AlarmFilter.of(options)
    if bool(alarm_ids) == (wanted != AlarmFilter()):
        raise click.UsageError("give ALARM_IDs or filters" + (", not both" if alarm_ids else ""))
    with asking(read_settings()) as service:
        if alarm_ids:
            found = alarms_by_id(service, each_once(alarm_ids))
        else:
            found = [one.stored for one in newest(service, wanted, AT_ONCE_MOST + 1)]
    if not found:
        raise OperatorError("没有符合条件的告警")
    if len(found) > AT_ONCE_MOST:
        raise OperatorError(
            f"these are more than {AT_ONCE_MOST} alarms; narrow it down, {AT_ONCE_MOST} at most at once"
        )
    ask_about(f"将{label}以下告警", found, by, of_filter=not alarm_ids)
    return found


def _act(alarm_ids: Sequence[str], kind: ActionKind, options: dict[str, Any], **details: Any) -> None:
    by = given_by(options)
    version = options.get("version")
    if version is not None and len(set(alarm_ids)) != 1:
        raise click.UsageError("--version is of one alarm: give one ALARM_ID")
    found = _found(alarm_ids, options, by, kind.label)
    taken = _taken(found, WantedAction(kind, by.by, by.why, version=version, **details), by)
    if by.as_json:
        done = [_as_json(one.action) | {"is_new": one.is_new} for one in taken]
        say_json({"done": done, "refused": []})
        return
    for alarm, one in zip(found, taken, strict=True):
        say(f"{alarm}：{told_done(one.action)}{f'（版本{one.action.version}）' if one.is_new else '，无需重复'}")


def _taken(found: Sequence[StoredAlarm], wanted: WantedAction, by: GivenBy) -> list[ActionTaken]:
    """Act on all of them, or on none."""
    taken, reasons = [], []
    try:
        with registry_database() as engine, writing(engine) as session:
            for one in found:
                try:
                    taken.append(act(session, one.subject, wanted._replace(seen=one.seen, last_event=one.last_event)))
                except RefusedError as error:
                    reasons.append(f"{one}：{error}")
            if reasons:
                raise RefusedError(*reasons)
    except RefusedError as error:
        refuse(error.reasons, by.as_json)
    return taken


def _as_json(action: AlarmAction) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(action)
    return fields
