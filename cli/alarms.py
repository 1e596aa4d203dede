"""`emberline alarms`: follows the topic as any downstream service would, without a group."""

from __future__ import annotations

import os
import signal
import sys
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import click
from aiokafka import TopicPartition

from cli.command import read_settings, run_to_end
from schemas.events import Alarm
from schemas.topics import ALARMS
from streams.closing import closed
from streams.kafka import clients
from streams.settings import Settings
from streams.topics import count_partitions

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")


@click.command()
@click.option("--from-beginning", is_flag=True, help="Show what the topic still holds, then go on.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a JSON object on a line.")
def alarms(from_beginning: bool, as_json: bool) -> None:
    """Follow the alarms as they are raised, until Ctrl-C."""
    settings = read_settings()
    run_to_end(follow_alarms(settings, from_beginning, as_json), settings)


async def follow_alarms(settings: Settings, from_beginning: bool, as_json: bool) -> None:
    """Print every alarm event as it comes, until cancelled."""
    # Not by the loop, which does not run while a line waits for a reader that has stopped reading.
    signal.signal(signal.SIGINT, _leave)
    partitions = await count_partitions(settings, ALARMS.name)
    consumer = clients.consumer(
        settings,
        enable_auto_commit=False,
        # As we seek: the client also asks by itself where to begin, and its answer may come last.
        auto_offset_reset="earliest" if from_beginning else "latest",
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        tps = [TopicPartition(ALARMS.name, number) for number in range(partitions)]
        consumer.assign(tps)
        await (consumer.seek_to_beginning(*tps) if from_beginning else consumer.seek_to_end(*tps))
        async for record in consumer:
            click.echo(record.value.decode() if as_json else told(Alarm.from_json(record.value)))
    finally:
        await closed(consumer.stop())


def _leave(number: int, frame: object) -> None:
    """End at once: who only reads leaves nothing behind, and a client can wait 40 s for a fetch that was lost."""
    os.write(sys.stderr.fileno(), b"emberline: stopped\n")
    os._exit(130)


def told(alarm: Alarm) -> str:
    """One line for a person: when, in Shanghai, and what."""
    when = datetime.fromtimestamp(alarm.event_ts / 1000, SHANGHAI)
    return f"{when:%Y-%m-%d %H:%M:%S}  {alarm.message}"
