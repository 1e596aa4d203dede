"""`emberline run`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from cli.brokers import AUTO, BROKERS, EMBEDDED_LIMITS, broker_option, kafka_brokers
from cli.command import read_settings, run_to_end
from cli.output import say
from cli.stack import running_stack


@click.command()
@broker_option(AUTO)
@BROKERS
def run(broker: str, brokers: str | None) -> None:
    """Run all of emberline here until Ctrl-C. Send it reports, or `emberline simulate`."""
    settings = read_settings()
    kafka = kafka_brokers(broker, brokers, Path(settings.data_dir) / "kafka", say)

    async def stay() -> None:
        async with running_stack(settings, say, kafka=kafka) as stack:
            for line in () if kafka else EMBEDDED_LIMITS:
                say(line)
            say("running; Ctrl-C stops. Try `emberline simulate` and `emberline alarms` in other terminals.")
            while True:
                stack.check()
                await asyncio.sleep(1)

    run_to_end(stay())
