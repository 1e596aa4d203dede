"""`emberline topics`."""

from __future__ import annotations

import click

from cli.command import read_settings, run_to_end
from schemas.topics import TOPICS
from streams.topics import make_topics


@click.command()
def topics() -> None:
    """Make the topics in Kafka that are not there yet."""
    settings = read_settings()
    made = run_to_end(make_topics(settings), settings)
    for topic in TOPICS:
        click.echo(f"{'made ' if topic.name in made else 'there'}  {topic.name:<26}{topic.what}")
