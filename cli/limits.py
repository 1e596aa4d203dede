"""`emberline limits`: show, diff, apply. Limits that hold at once and without a restart, and who set them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from cli.asking import confirm
from cli.output import columns, say, say_json
from cli.people import JSON, given, given_by, refuse, registry_database, who
from services.registry.database import reading, writing
from services.registry.limits.changing import SectionChange, WantedSections, set_limits
from services.registry.limits.files import sections_of
from services.registry.limits.rows import ScopeKind
from services.registry.limits.showing import (
    HEADER,
    ShownPlace,
    ShownSetting,
    change_as_json,
    change_told,
    places_of,
    shown_limits,
)
from services.registry.refusals import RefusedError

FILE: Final = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
REPLACE: Final = click.option(
    "--replace", is_flag=True, help="What FILE does not name is no longer in force; else it stays as it is."
)


@click.group()
def limits() -> None:
    """Limits by which detection judges, kept in the registry's database and published from there.

    FILE is TOML, with sections as in schemas/limits.toml: [default.KIND], [DEVICE_KIND.KIND], [place_kind.NAME.KIND],
    [model."NAME".KIND], [unit."ID".KIND], [device."ID".KIND] and [device."ID".component.QUANTITY.N.KIND], N from 1.
    A section takes the place of the one that is in force for its scope; an empty one ends it.
    """


@limits.command()
@click.option("--device", metavar="ID", help="Of one device and its components.")
@click.option("--unit", metavar="ID", help="Of devices of a unit, but for what is their own.")
@click.option("--place-kind", metavar="CODE", help="Of devices in places of a kind.")
@click.option("--model", metavar="NAME", help="Of devices of a model.")
@click.option("--kind", metavar="CODE", help="Of devices of a kind.")
@JSON
def show(as_json: bool, **asked: str | None) -> None:
    """Show what is in force: from which scope and document, set by whom and since when. Without an option, for devices
    of which nothing else is known."""
    named = [(ScopeKind(name), subject) for name, subject in asked.items() if subject is not None]
    if len(named) > 1:
        raise click.UsageError("--device, --unit, --place-kind, --model and --kind are five questions: ask one")
    kind, subject = named[0] if named else (ScopeKind.DEFAULT, "")
    try:
        with registry_database() as engine, reading(engine) as session:
            found = [(place, shown_limits(session, place)) for place in places_of(session, kind, subject)]
    except RefusedError as error:
        refuse(error.reasons, as_json)
    if as_json:
        say_json({"places": [_as_json(place, settings) for place, settings in found]})
    for place, settings in found if not as_json else ():
        say(f"{place.label}：")
        for line in columns([HEADER, *(one.cells for one in settings)]):
            say(f"  {line}")


def _as_json(place: ShownPlace, settings: Sequence[ShownSetting]) -> dict[str, Any]:
    last = place.scopes[-1]
    told = last._asdict() | {"scope": last.kind, "device_kind": place.device_kind}
    del told["kind"]
    return told | {"settings": [one.as_json() for one in settings]}


@limits.command()
@FILE
@REPLACE
@JSON
def diff(file: Path, replace: bool, as_json: bool) -> None:
    """Say what FILE would change, or why it would be refused. Changes nothing."""
    try:
        changes = _tried(sections_of(file), replace)
    except RefusedError as error:
        refuse(error.reasons, as_json)
    _say(changes, as_json)


@limits.command()
@FILE
@REPLACE
@given(why=True)
def apply(file: Path, replace: bool, **options: Any) -> None:
    """Put the limits of FILE into force, all of them or none; what they change is shown and asked about first."""
    by = given_by(options)
    try:
        wanted = sections_of(file)
        shown = _tried(wanted, replace, by.by, by.why)
        if shown and not by.yes:
            _say(shown, as_json=False, err=True)
            confirm(
                "是否使这些限值生效？",
                unasked="there is no terminal to ask at whether that is meant; give --yes if it is",
                declined="nothing was done",
            )
        with registry_database() as engine, writing(engine) as session:
            changes = set_limits(session, wanted, by.by, by.why, replace)
            if [list(change_as_json(one)) for one in changes] != [list(change_as_json(one)) for one in shown]:
                raise RefusedError("其间有人更改了限值，与显示的不同；请重新执行")
    except RefusedError as error:
        refuse(error.reasons, by.as_json)
    _say(changes, by.as_json)
    if changes and not by.as_json:
        say("已生效，正在发布")


class _NotMeantError(Exception):
    """Undoes what was done to see what it would be."""


def _tried(wanted: WantedSections, replace: bool, by: str = "", why: str = "") -> list[SectionChange]:
    """What would change. Raises RefusedError."""
    changes: list[SectionChange] = []
    try:
        with registry_database() as engine, writing(engine) as session:
            changes = set_limits(session, wanted, by or who(), why or "-", replace)
            raise _NotMeantError
    except _NotMeantError:
        return changes


def _say(changes: Sequence[SectionChange], as_json: bool, err: bool = False) -> None:
    if as_json:
        say_json({"changes": [told for one in changes for told in change_as_json(one)]})
        return
    for one in changes:
        for line in change_told(one):
            say(line, err=err)
    if not changes:
        say("没有变化", err=err)
