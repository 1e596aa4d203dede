"""Somebody downstream who hears alarms, and notes how long each took from its report's arrival."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import NamedTuple, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.events import Alarm
from schemas.topics import ALARMS
from streams.settings import Settings


class Heard(NamedTuple):
    """One alarm: when it was heard (epoch ms), and how long after its report reached the broker."""

    at_ms: int
    delay_ms: int


class Listener:
    """Hears from a thread of its own for as long as the block lasts; repeats are left out."""

    def __init__(self, settings: Settings) -> None:
        self.heard: list[Heard] = []
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

    def between(self, begin_ms: int, end_ms: int) -> list[Heard]:
        """Alarms whose report arrived then."""
        return [one for one in self.heard if begin_ms <= one.at_ms - one.delay_ms < end_ms]

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
            highest = dict.fromkeys(range(self._settings.partitions), (-1, -1))
            async for record in consumer:
                alarm = Alarm.from_json(record.value)
                place = alarm.source_offset, alarm.source_ordinal
                if place > highest[record.partition]:
                    highest[record.partition] = place
                    now = time.time_ns() // 1_000_000
                    self.heard.append(Heard(now, now - alarm.ingest_ts))
