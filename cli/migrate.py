"""`emberline migrate`."""

from __future__ import annotations

import click

from cli.command import read_settings
from cli.output import say
from streams.storage import run_migrations


@click.command()
def migrate() -> None:
    """Make or update the tables in ClickHouse. Safe to run twice."""
    settings = read_settings()
    applied = run_migrations(settings)
    for name in applied:
        say(f"applied {name}")
    say(f"{settings.clickhouse_database} at {settings.clickhouse} is up to date")
