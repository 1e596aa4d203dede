"""`emberline topics`."""

from __future__ import annotations

import json
import sys
from typing import Final

import click

from cli.command import read_settings, run_to_end
from schemas.topics import TOPICS
from streams.settings import Settings
from streams.topics import check_topics, make_topics, repair_topics
from streams.watching.differences import Difference, Weight

_WORDS: Final = {Weight.WRONG: "wrong", Weight.PARTLY: "partly", Weight.RISK: "risk", Weight.NOT_SEEN: "?"}


@click.command()
@click.option("--check", is_flag=True, help="Make nothing, say what differs; exit status 1 where anything does.")
@click.option("--repair", is_flag=True, help="Mend settings, and give all topics as many partitions as the widest has.")
@click.option("--widen", is_flag=True, help="Give all topics EMBERLINE_PARTITIONS partitions, telemetry last.")
@click.option("--json", "as_json", is_flag=True, help="With --check: one JSON object.")
def topics(check: bool, repair: bool, widen: bool, as_json: bool) -> None:
    """Make the topics in Kafka that are not there yet."""
    if sum((check, repair, widen)) > 1:
        raise click.UsageError("--check, --repair and --widen are three things: choose one")
    if as_json and not check:
        raise click.UsageError("--json goes with --check")
    settings = read_settings()
    if check:
        _check(settings, as_json)
    elif repair or widen:
        done = run_to_end(repair_topics(settings, settings.partitions if widen else 0), settings)
        click.echo("\n".join(done or ["nothing to do"]))
    else:
        made = run_to_end(make_topics(settings), settings)
        for topic in TOPICS:
            click.echo(f"{'made ' if topic.name in made else 'there'}  {topic.name:<26}{topic.what}")


def _check(settings: Settings, as_json: bool) -> None:
    told = run_to_end(check_topics(settings), settings)
    if as_json:
        click.echo(json.dumps({"differences": [_as_json(one) for one in told]}))
    else:
        click.echo(
            "\n".join(f"{_WORDS[one.weight]:<8}{one.text}" for one in told) or "the topics are as they should be"
        )
    if any(one.weight > Weight.NOT_SEEN for one in told):
        sys.exit(1)


def _as_json(one: Difference) -> dict[str, str]:
    return {"weight": one.weight.name.lower(), "topic": one.topic, "text": one.text}
