"""`emberline acls`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from cli.command import read_settings
from cli.output import say
from schemas.rights import ROLES, Right, rights


@click.command()
def acls() -> None:
    """Print the commands that give every role its rights at Kafka. Nothing is asked or changed."""
    settings = read_settings()
    for role, what in ROLES.items():
        say(f"# {role}: {what}")
        for right in rights(settings.group):
            if right.role == role:
                say(" ".join(_command(right, settings.kafka, f"{settings.group}-{role}")))


def _command(right: Right, kafka: str, user: str) -> Iterator[str]:
    """As Kafka's `kafka-acls.sh` takes it; `admin.properties` says how its caller logs in."""
    yield f"kafka-acls.sh --bootstrap-server {kafka} --command-config admin.properties --add"
    yield f"--allow-principal User:{user}"
    yield from (f"--operation {operation}" for operation in right.operations)
    yield from (f"--{right.resource} {name}" for name in right.names)
    if right.prefixed:
        yield "--resource-pattern-type prefixed"
