"""Giving commands and saying which: for `emberline device` and `emberline alarms reset`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cli.output import say, say_json
from cli.people import refuse, registry_database
from schemas.commands import Command
from services.registry.commands import Ordered, order
from services.registry.database import writing
from services.registry.refusals import RefusedError


def ordered(wanted: Sequence[Command], as_json: bool, unregistered: bool) -> None:
    """Give all of the commands, or none, and say so."""
    try:
        with registry_database() as engine, writing(engine) as session:
            done = order(session, wanted, unregistered)
    except RefusedError as error:
        refuse(error.reasons, as_json)
    if as_json:
        say_json({"done": [as_object(one) for one in done], "refused": []})
        return
    for one in done:
        say(f"{one.command.device_id}：已下达“{one.command.kind.label}”命令，编号{one.change.number}")


def as_object(one: Ordered) -> dict[str, object]:
    """A command with the number by which its outcome is found."""
    told: dict[str, object] = msgspec.to_builtins(one.command)
    return one.change._asdict() | told
