"""`emberline rejects`: list, show, replay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import click
from aiokafka.errors import KafkaError

from cli.asking import confirm
from cli.command import read_settings, run_to_end, suited, with_kafka
from cli.output import say, say_json
from cli.progress import progress
from cli.rejects import stored, told
from cli.rejects.remembered import read_notes
from cli.rejects.replay import RejectReplayOutcome, replay_all, start
from cli.rejects.stored import RejectFilter
from common.errors import OperatorError
from common.kafka.errors import why
from common.settings import Settings
from common.times import moment
from schemas.topics import REPLAYS
from streams.storage import asking
from streams.topics import count_partitions

LIST_MOST: Final = 100_000
"""Rows one list shows at the most; each takes about 1 kB of memory [ours]."""
F = TypeVar("F", bound=Callable[..., Any])
_FILTERS: Final = (
    click.option("--reason", help="Only this reason."),
    click.option("--topic", help="Only what was on this topic."),
    click.option("--from", "from_", metavar="TIME", help="Only what arrived at this time or later."),
    click.option("--to", metavar="TIME", help="Only what arrived before this time."),
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _filters(command: F) -> F:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.group()
def rejects() -> None:
    """Records that are not reports: list them, look at one, send them again after a fix.

    TIME is ISO 8601 (Asia/Shanghai unless it says otherwise), epoch seconds or milliseconds, or `now`.
    """


@rejects.command("list")
@_filters
@click.option("--limit", default=50, show_default=True, help="How many, the newest.")
@click.option("--all", "every", is_flag=True, help="Those too whose replay was rejected again.")
@JSON
def list_rejects(limit: int, every: bool, as_json: bool, **filters: str | None) -> None:
    """The newest rejects. One whose replay was rejected again is left out: the later one stands for it."""
    if not 1 <= limit <= LIST_MOST:
        raise OperatorError(f"--limit must lie from 1 to {LIST_MOST}")
    settings = read_settings()
    wanted = replace(wanted_of((), filters), folded=not every)
    with asking(settings) as service:
        found = stored.newest(service, wanted, limit)
        total = stored.count(service, wanted)
    notes = run_to_end(_notes(settings, sorted({one.id.partition for one in found})), settings)
    if as_json:
        say_json([told.as_json(one, notes) for one in found])
        return
    if not found:
        say("no rejects" if wanted == replace(wanted_of((), {}), folded=not every) else "no such rejects")
        return
    for line in (told.HEADING, *(told.line(one, notes) for one in found)):
        say(line)
    if total > len(found):
        say(f"{total - len(found)} older ones are not shown; --limit shows more")


@rejects.command()
@click.argument("id_", metavar="ID")
@click.option("--raw", is_flag=True, help="Write the rejected bytes to standard output and nothing else.")
@JSON
def show(id_: str, raw: bool, as_json: bool) -> None:
    """Everything about one reject, with its bytes."""
    if raw and as_json:
        raise OperatorError("give --raw or --json, not both")
    settings = read_settings()
    with asking(settings) as service:
        (found,) = stored.by_ids(service, [id_])
        body = stored.bodies(service, [found.id])[found.id]
    if raw:
        click.get_binary_stream("stdout").write(body.value or b"")
        return
    notes = run_to_end(_notes(settings, [found.id.partition]), settings)
    if as_json:
        say_json(told.as_json(found, notes) | told.body_json(body))
    else:
        say(told.whole(found, body, notes), keep="\n\t")


@rejects.command("replay")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@_filters
@click.option("--all", "every", is_flag=True, help="All there are, without being asked.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, send nothing.")
@JSON
def replay_rejects(ids: Sequence[str], every: bool, dry_run: bool, as_json: bool, **filters: str | None) -> None:
    """Send rejects to telemetry again: those named, those of the filters, or all. Each is sent once, ever."""
    settings = read_settings()
    wanted = wanted_of(ids, filters)
    unlimited = wanted == RejectFilter()
    if every and not unlimited:
        raise OperatorError("give ids or filters, or --all, not both")
    outcome = RejectReplayOutcome(dry_run)
    with asking(settings) as service:
        if ids:
            wanted = RejectFilter(tuple(one.id.full for one in stored.by_ids(service, ids)))
        total = stored.count(service, wanted)
        if total and unlimited and not (every or dry_run):
            confirm(
                f"Send all {total} rejects again?",
                unasked=f"this would send all {total} rejects again; give ids, a filter, or --all",
                declined="nothing was sent; give ids or a filter to send some",
            )

        async def send(settings: Settings) -> None:
            await replay_all(await start(settings, service, wanted, outcome, lambda text: say(text, err=True)))

        if total:
            with progress("looking" if dry_run else "sending", 0 if as_json else total, lambda: outcome.done):
                with_kafka(send, settings)
    if as_json:
        say_json(outcome.as_json())
        return
    for line in told.told(outcome) if total else ["no such rejects: nothing to send"]:
        say(line)


def wanted_of(ids: Sequence[str], filters: dict[str, str | None]) -> Any:
    """The `RejectFilter` that options and ids come to. Raises OperatorError."""
    begin, end = filters.get("from_"), filters.get("to")
    return RejectFilter.of(
        ids,
        reason=filters.get("reason"),
        topic=filters.get("topic"),
        from_ts=None if begin is None else moment(begin, "--from"),
        to_ts=None if end is None else moment(end, "--to"),
    )


async def _notes(settings: Settings, partitions: list[int]) -> Any:
    """What was sent again; None, told on standard error, where Kafka does not say."""

    if not partitions:
        return {}
    try:
        await suited(settings)
        await count_partitions(settings, REPLAYS.name)
        return await read_notes(settings, partitions)
    except (KafkaError, OperatorError) as error:
        reason = await why(error, settings) if isinstance(error, KafkaError) else error
        say(f"emberline: what was replayed is unknown: {reason}", err=True)
        return None
