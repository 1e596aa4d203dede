"""`emberline alarms list` and `show`: what ClickHouse knows of alarms."""

from __future__ import annotations

from typing import Any, Final

import click

from cli.alarms import stored, told
from cli.alarms.filters import AlarmFilter, filtered
from cli.command import read_settings
from cli.output import say, say_json
from streams.storage import asking

LIST_MOST: Final = 10_000
"""Alarms that one list shows at the most; each takes some 3 kB of memory [ours]."""


@click.command("list")
@filtered("--until", "--before")
@click.option("--limit", type=click.IntRange(1, LIST_MOST), default=50, show_default=True, help="How many, the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print each alarm as a JSON object on a line.")
def list_(limit: int, as_json: bool, **options: Any) -> None:
    """List alarms, the newest first: those that are open, or with --all every one.

    TIME is ISO 8601 (Asia/Shanghai unless it says otherwise), epoch seconds or milliseconds, or `now`.
    """
    wanted = AlarmFilter.of(options)
    with asking(read_settings()) as service:
        found = stored.newest(service, wanted, limit)
        there = stored.count(service, wanted)
    if as_json:
        for one in found:
            say_json(told.as_json(one))
    elif found:
        for text in (told.heading(), *map(told.line, found)):
            say(text)
    else:
        say("没有符合条件的告警")
    # On standard error where lines of JSON are read by a program.
    if there.wanted > len(found):
        say(f"还有{there.wanted - len(found)}条较早的告警未列出；--limit可列出更多", err=as_json)
    if there.others and not as_json:
        say(f"另有{there.others}条{'真实' if wanted.test else '测试'}告警未列出")


@click.command()
@click.argument("alarm_id", metavar="ALARM_ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(alarm_id: str, as_json: bool) -> None:
    """Show all of one alarm: its life, what was done about it, its limit, its unit and place."""
    with asking(read_settings()) as service:
        found = stored.whole(service, alarm_id)
        events, actions = stored.events_of(service, found), stored.actions_of(service, found)
    if as_json:
        say_json(told.as_json(found) | {"events": events, "actions": actions})
        return
    for text in told.lines(found, events, actions):
        say(text)
