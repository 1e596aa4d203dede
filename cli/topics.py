"""`emberline topics`."""

from __future__ import annotations

import click

from cli.command import read_settings, with_kafka
from cli.output import say
from schemas.topics import TOPICS
from streams.topics import make_topics


@click.command()
def topics() -> None:
    """Make the topics in Kafka that are not there yet."""
    settings = read_settings()
    made = with_kafka(make_topics, settings)
    for topic in TOPICS:
        say(f"{'made ' if topic.name in made else 'there'}  {topic.name:<26}{topic.what}")
