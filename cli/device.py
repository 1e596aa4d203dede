"""`emberline device`: show, maintain, replace, accept-rise, cut-off, orders. What people see and order of devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from cli import device_shown
from cli.command import read_settings
from cli.ordering import NOT_YET, WAIT, as_objects, awaited, ordered
from cli.output import say, say_json
from cli.people import FOR, JSON, UNTIL, ask_about, each_once, given, given_by, refuse, registry_database, until_of
from common.errors import OperatorError
from common.times import local, now_ms
from schemas.alarm_kinds import WHOLE, AlarmPart
from schemas.commands import Command, CommandKind
from schemas.quantities import MAX_COMPONENTS
from services.registry.commands import command, devices_of_unit, ordered_of
from services.registry.database import reading
from services.registry.entries import entries_of
from services.registry.refusals import RefusedError
from streams.storage import asking

SHOWN_MOST: Final = 100
"""Orders of one device that are shown: those of months [ours]."""
DEVICES: Final = click.argument("device_ids", nargs=-1, required=True, metavar="DEVICE_ID...")
UNREGISTERED: Final = click.option("--unregistered", is_flag=True, help="Also devices that the registry does not know.")


@click.group()
def device() -> None:
    """See devices, and order something of them. That is written to the registry's database and published from there;
    detection applies or refuses it, and says so on emberline.control-outcomes. All of it is ordered, or nothing."""


@device.command()
@click.argument("device_id", metavar="DEVICE_ID")
@JSON
def show(device_id: str, as_json: bool) -> None:
    """Show what is registered of a device, how it is, what it measured last, and its open alarms."""
    with registry_database() as engine, reading(engine) as session:
        entry = next(entries_of(session, [device_id]), None)
    with asking(read_settings()) as service:
        shown = device_shown.look_up(service, device_id, entry)
    if entry is None and not shown.statuses:
        raise OperatorError(f"device {device_id!r} is not registered and has never reported; check its id")
    if as_json:
        say_json(shown.as_json())
        return
    for line in device_shown.lines(shown, now_ms()):
        say(line)


@device.command()
@click.argument("device_ids", nargs=-1, metavar="[DEVICE_ID]...")
@click.option("--unit", metavar="UNIT_ID", help="All devices of a unit that are not removed.")
@FOR
@UNTIL
@click.option("--end", is_flag=True, help="End it now.")
@UNREGISTERED
@WAIT
@given(why=True)
def maintain(
    device_ids: Sequence[str],
    unit: str | None,
    for_: str | None,
    until: str | None,
    end: bool,
    unregistered: bool,
    **options: Any,
) -> None:
    """Say that people work at devices, for 72 h at most: alarms go on, and say so."""
    if bool(device_ids) == bool(unit):
        raise click.UsageError("give DEVICE_IDs or --unit")
    if end and (for_ or until):
        raise click.UsageError("give --end, or when it ends")
    until_ts = 0 if end else until_of(for_, until)
    found = _of_unit(unit, options["as_json"]) if unit else each_once(device_ids)
    _order(found, CommandKind.MAINTENANCE, unregistered, options, until_ts=until_ts)


@device.command()
@DEVICES
@UNREGISTERED
@WAIT
@given(why=True)
def replace(device_ids: Sequence[str], unregistered: bool, **options: Any) -> None:
    """Say that other devices have these ids now: what was learned of those before is forgotten."""
    _order(each_once(device_ids), CommandKind.REPLACE, unregistered, options)


@device.command("accept-rise")
@DEVICES
@click.option("--component", type=click.IntRange(1, MAX_COMPONENTS), help="This one alone, counted from 1.")
@UNREGISTERED
@WAIT
@given(why=True)
def accept_rise(device_ids: Sequence[str], component: int | None, unregistered: bool, **options: Any) -> None:
    """Say that the leakage is lawful as it is now: its baseline is learned anew."""
    number = None if component is None else component - 1
    _order(each_once(device_ids), CommandKind.ACCEPT_RISE, unregistered, options, component=number)


@device.command("cut-off")
@click.argument("device_id", metavar="DEVICE_ID")
@click.option("--port", type=click.IntRange(1, MAX_COMPONENTS), help="This charging port alone, counted from 1.")
@WAIT
@given(why=True)
def cut_off(device_id: str, port: int | None, **options: Any) -> None:
    """Have the gateway of a charging pile or circuit breaker switch it off, where its registration allows that. It is
    always asked about first. That it was ordered is no sign that power is off: the device's next reports tell."""
    by, wait_s = given_by(options), options.pop("wait_s")
    component = WHOLE if port is None else port - 1
    ask_about("将请求切断以下电源", [f"{device_id} {AlarmPart.PORT.told(component)}"], by, always=True)
    wanted = command(CommandKind.CUT_OFF, device_id, by.by, by.why, component=component)
    ordered([wanted], by.as_json, False, wait_s)


@device.command()
@click.argument("device_id", metavar="DEVICE_ID")
@JSON
def orders(device_id: str, as_json: bool) -> None:
    """Show what was ordered of a device, the newest first: who, why and when, and what became of it."""
    with registry_database() as engine, reading(engine) as session:
        found = list(ordered_of(session, device_id, SHOWN_MOST))
    became = awaited(found) if found else {}
    if as_json:
        say_json(as_objects(found, became))
        return
    for one in found:
        change, made = one
        say(f"{change.number}  {made.by}于{local(made.made_ts)}下达“{made.kind.label}”{_details(made)}：{made.why}")
        if became is not None:
            say(f"    {became[change].told() if change in became else NOT_YET}")
    if not found:
        say("没有下达过命令")


def _details(made: Command) -> str:
    """What else a command says."""
    if made.kind is CommandKind.CUT_OFF and made.component is not None:
        return f"，{AlarmPart.PORT.told(made.component)}"
    return f"，到{local(made.until_ts)}" if made.until_ts else ""


def _of_unit(unit: str, as_json: bool) -> list[str]:
    try:
        with registry_database() as engine, reading(engine) as session:
            return devices_of_unit(session, unit)
    except RefusedError as error:
        refuse(error.reasons, as_json)


def _order(
    device_ids: Sequence[str], kind: CommandKind, unregistered: bool, options: dict[str, Any], **details: Any
) -> None:
    by, wait_s = given_by(options), options.pop("wait_s")
    ask_about(f"将对以下设备下达“{kind.label}”命令", device_ids, by)
    ordered([command(kind, one, by.by, by.why, **details) for one in device_ids], by.as_json, unregistered, wait_s)
