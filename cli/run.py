"""`emberline run`."""

from __future__ import annotations

import asyncio

import click

from cli.brokers import BROKER, BROKERS, kafka_brokers
from cli.command import read_settings, run_to_end
from cli.stack import running_stack


@click.command()
@BROKER
@BROKERS
def run(broker: str, brokers: str) -> None:
    """Run the same stack as `demo`, without a fleet, until Ctrl-C. Send it reports, or `emberline simulate`."""
    settings = read_settings()

    async def stay() -> None:
        async with running_stack(settings, click.echo, kafka=kafka_brokers(broker, brokers)) as stack:
            click.echo("running; Ctrl-C stops. Try `emberline simulate` and `emberline alarms` in other terminals.")
            while True:
                stack.check()
                await asyncio.sleep(1)

    run_to_end(stay())
