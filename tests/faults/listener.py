"""Somebody downstream who hears alarms, and notes when the report of each arrived."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from common.settings import Settings
from schemas.events import Alarm
from schemas.positions import Repeats
from schemas.topics import ALARMS
from tests.support.processes import until

ENOUGH: Final = 5
"""As many show that alarms go on."""


class Listener:
    """Hears from a thread of its own for as long as the block lasts; repeats are left out."""

    def __init__(self, settings: Settings) -> None:
        self._arrivals_ms: list[int] = []
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30), "nobody listens"
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join()

    def until_alarms(self) -> None:
        """Return once alarms are heard whose reports have arrived since."""
        now_ms = time.time_ns() // 1_000_000
        until(lambda: sum(arrival >= now_ms for arrival in self._arrivals_ms) >= ENOUGH, f"{ENOUGH} alarms")

    def _run(self) -> None:
        try:
            self._task = self._loop.create_task(self._hear())
            self._loop.run_until_complete(self._task)
        except (asyncio.CancelledError, KafkaError):
            pass
        finally:
            self._loop.close()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _hear(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        async with consumer:
            consumer.assign([TopicPartition(ALARMS.name, number) for number in range(self._settings.partitions)])
            self._ready.set()
            repeats = Repeats()
            async for record in consumer:
                alarm = Alarm.from_json(record.value)
                if repeats.is_new(record.partition, alarm):
                    self._arrivals_ms.append(alarm.ingest_ts)
