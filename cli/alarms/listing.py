"""`emberline alarms list` and `show`: what ClickHouse knows of alarms."""

from __future__ import annotations

from typing import Any, Final

import click

from cli.alarms import provisional, stored, told
from cli.alarms.filters import AlarmFilter, filtered
from cli.command import read_settings
from cli.output import say, say_json
from streams.storage import asking

LIST_MOST: Final = 10_000
"""Alarms that one list shows at the most; each takes some 3 kB of memory [ours]."""


@click.command("list")
@filtered("--until", "--before")
@click.option("--provisional", "is_provisional", is_flag=True, help="No alarms, but single values over a limit.")
@click.option("--limit", type=click.IntRange(1, LIST_MOST), default=50, show_default=True, help="How many, the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print each alarm as a JSON object on a line.")
def list_(is_provisional: bool, limit: int, as_json: bool, **options: Any) -> None:
    """List alarms, the newest first: those that are open, or with --all every one.

    With --provisional: those that wait for their component's next value, or with --all every one, how it ended.

    TIME is ISO 8601 (Asia/Shanghai unless it says otherwise), epoch seconds or milliseconds, or `now`.
    """
    wanted = AlarmFilter.of(options)
    with asking(read_settings()) as service:
        if is_provisional:
            ones, there = provisional.newest(service, wanted, limit)
            found = [(one, provisional.line(one)) for one in ones]
        else:
            there = stored.count(service, wanted)
            found = [(told.as_json(one), told.line(one)) for one in stored.newest(service, wanted, limit)]
    what = "单次超限" if is_provisional else "告警"
    if as_json:
        for fields, _ in found:
            say_json(fields)
    elif found:
        for text in (told.heading(), *(text for _, text in found)):
            say(text)
    else:
        say(f"没有符合条件的{what}")
    # On standard error where lines of JSON are read by a program.
    if there.wanted > len(found):
        say(f"还有{there.wanted - len(found)}条较早的{what}未列出；--limit可列出更多", err=as_json)
    if there.others and not as_json:
        say(f"另有{there.others}条{'真实' if wanted.test else '测试'}{what}未列出")


@click.command()
@click.argument("alarm_id", metavar="ALARM_ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(alarm_id: str, as_json: bool) -> None:
    """Show all of one alarm: its life, what was done about it, its limit, its unit and place."""
    with asking(read_settings()) as service:
        (one,) = stored.alarms_by_id(service, [alarm_id])
        alarm = stored.whole(service, one)
        events, actions = stored.events_of(service, one.subject), stored.actions_of(service, one.subject)
        if alarm is None:
            fields = provisional.whole(service, one)
            text = provisional.lines(fields, events, actions)
        else:
            fields, text = told.as_json(alarm), told.lines(alarm, events, actions)
    if as_json:
        say_json(fields | {"events": events, "actions": actions})
        return
    for line in text:
        say(line)
