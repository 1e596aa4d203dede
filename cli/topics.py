"""`emberline topics`."""

from __future__ import annotations

import sys
from typing import Final

import click

from cli.command import read_settings, with_kafka
from cli.output import say, say_json
from common.settings import Settings
from schemas.topics import TOPICS
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
        done = with_kafka(lambda suited: repair_topics(suited, suited.partitions if widen else 0), settings)
        say("\n".join(done or ["nothing to do"]), keep="\n")
    else:
        made = with_kafka(make_topics, settings)
        for topic in TOPICS:
            say(f"{'made ' if topic.name in made else 'there'}  {topic.name:<28}{topic.what}")


def _check(settings: Settings, as_json: bool) -> None:
    told = with_kafka(check_topics, settings)
    if as_json:
        say_json({"differences": [_as_json(one) for one in told]})
    else:
        lines = [f"{_WORDS[one.weight]:<8}{one.text}" for one in told] or ["the topics are as they should be"]
        say("\n".join(lines), keep="\n")
    if any(one.weight > Weight.NOT_SEEN for one in told):
        sys.exit(1)


def _as_json(one: Difference) -> dict[str, str]:
    return {"weight": one.weight.name.lower(), "topic": one.topic, "text": one.text}
