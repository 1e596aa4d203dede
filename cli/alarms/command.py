"""`emberline alarms`: follows alarms, or, with a command, does something about some of them."""

from __future__ import annotations

from typing import Final

import click

from cli.alarms.following import Follower
from cli.command import read_settings, with_kafka
from cli.groups import Commands

COMMANDS: Final = {
    name: f"cli.alarms.acting:{name}"
    for name in ("ack", "assign", "comment", "history", "mute", "reset", "unmute", "verdict")
} | {"list": "cli.alarms.listing:list_", "show": "cli.alarms.listing:show"}


@click.group(cls=Commands, where=COMMANDS, invoke_without_command=True)
@click.option("--from-beginning", is_flag=True, help="Show what the topic still holds, then go on.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a JSON object on a line.")
@click.pass_context
def alarms(context: click.Context, from_beginning: bool, as_json: bool) -> None:
    """Follow the alarms as they are raised, until Ctrl-C. What is no alarm is told and passed over.

    With a command: list them, show one, or do something about alarms that ClickHouse knows, by their ids (`alarm_id`,
    with --json) or by a filter. What is done is written to the registry's database, and published from there. All of it
    is done, or nothing.
    """
    if context.invoked_subcommand is None:
        with_kafka(lambda settings: Follower(settings, as_json).follow(from_beginning), read_settings())
    elif from_beginning or as_json:
        raise click.UsageError(f"give --json after {context.invoked_subcommand}; --from-beginning is for following")
