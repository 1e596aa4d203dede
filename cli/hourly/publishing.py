"""Telling notices: on `emberline.notices`, keyed by device, acknowledged by the broker before this returns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cli.command import run_to_end
from common.closing import closed
from common.kafka import clients
from common.settings import Settings
from schemas.notices import Notice
from schemas.topics import NOTICES


def publish(settings: Settings, notices: Sequence[Notice]) -> None:
    """Publish notices in their order. Raises OperatorError where Kafka does not take them all; what it took comes again
    with the next run, under the same ids."""
    if notices:
        run_to_end(_send(settings, notices), settings)


async def _send(settings: Settings, notices: Sequence[Notice]) -> None:
    # A client for each slice that has something to say: a city has some 20 notices an hour.
    producer = clients.producer(settings, acks="all", enable_idempotence=settings.fencing, linger_ms=5)
    try:
        await producer.start()
        sends = [await producer.send(NOTICES.name, one.to_json(), one.device_id.encode()) for one in notices]
        await asyncio.gather(*sends)
    finally:
        await closed(producer.stop())
