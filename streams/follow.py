"""Following the alarm topic, as any downstream service would: without a group, from now on or from its beginning."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import click
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.events import Alarm
from schemas.topics import ALARMS
from streams.settings import Settings
from streams.topics import topic_ids

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")


async def follow_alarms(settings: Settings, from_beginning: bool, as_json: bool) -> None:
    """Print every alarm event as it comes, until cancelled."""
    await topic_ids(settings.kafka, [ALARMS.name])
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, enable_auto_commit=False, fetch_max_wait_ms=50)
    await consumer.start()
    try:
        await consumer._client.force_metadata_update()
        partitions = consumer.partitions_for_topic(ALARMS.name) or await _partitions(consumer)
        tps = [TopicPartition(ALARMS.name, number) for number in sorted(partitions)]
        consumer.assign(tps)
        await (consumer.seek_to_beginning(*tps) if from_beginning else consumer.seek_to_end(*tps))
        async for record in consumer:
            click.echo(record.value.decode() if as_json else told(Alarm.from_json(record.value)))
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer) -> set[int]:
    consumer.subscribe([ALARMS.name])
    await consumer._client.force_metadata_update()
    found = consumer.partitions_for_topic(ALARMS.name) or set()
    consumer.unsubscribe()
    return found


def told(alarm: Alarm) -> str:
    """One line for a person: when, in Shanghai, and what."""
    when = datetime.fromtimestamp(alarm.event_ts / 1000, SHANGHAI)
    return f"{when:%Y-%m-%d %H:%M:%S}  {alarm.message}"
