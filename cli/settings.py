"""`emberline settings`."""

from __future__ import annotations

import click

from cli.output import say, say_json
from common.settings import described


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print them as one JSON object.")
def settings(as_json: bool) -> None:
    """List every setting, its default and what it means."""
    rows = described()
    if as_json:
        say_json({name: {"default": default, "what": what} for name, default, what in rows})
        return
    for name, default, what in rows:
        say(f"{name:<36}{default or '-':<18}{what}")
