"""Sending telemetry as a gateway would: for the fleet simulator and for replay."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from aiokafka.errors import KafkaError

from common.errors import OperatorError
from common.kafka import clients
from common.settings import Settings
from common.times import now_ms
from schemas.topics import TELEMETRY
from streams.partitioner import partition_of

BATCH_BYTES: Final = 900_000
"""Under the 1 MiB that brokers take in one batch by default; a single record may be larger."""
BATCHES_MOST: Final = 64
"""Batches on their way at once: 60 MB at the most."""


class Sender:
    """Sends records and knows when one was not taken. Use it as an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._failure: BaseException | None = None
        self._partition_of: dict[bytes | None, int] = {}
        self._unanswered: set[asyncio.Future[Any]] = set()

    async def __aenter__(self) -> Sender:
        self._producer = clients.producer(self._settings, acks="all", linger_ms=0, max_batch_size=BATCH_BYTES)
        try:
            await self._producer.start()
            self._partitions = sorted(await self._producer.partitions_for(TELEMETRY.name))
        except KafkaError:
            await self._producer.stop()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._producer.stop()

    async def send(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Hand records (key, value) over, a batch a partition. Raises OperatorError if earlier ones were not taken."""
        now = now_ms()
        batches: dict[int, Any] = {}
        for key, value in records:
            partition = self._partition(key)
            batch = batches.get(partition)
            if batch is None or batch.append(key=key, value=value, timestamp=now) is None:
                if batch is not None:
                    await self._send_batch(batch, partition)
                batch = batches[partition] = self._producer.create_batch()
                batch.append(key=key, value=value, timestamp=now)
        for partition, batch in batches.items():
            await self._send_batch(batch, partition)

    def _partition(self, key: bytes | None) -> int:
        """The partition that every Kafka client would choose for the key; a record without one goes to the first."""
        known = self._partition_of.get(key)
        if known is None:
            number = 0 if key is None else partition_of(key, len(self._partitions))
            known = self._partition_of[key] = self._partitions[number]
        return known

    async def _send_batch(self, batch: Any, partition: int) -> None:
        self._raise_failure()
        while len(self._unanswered) >= BATCHES_MOST:
            await asyncio.wait(self._unanswered, return_when=asyncio.FIRST_COMPLETED)
        try:
            future = await self._producer.send_batch(batch, TELEMETRY.name, partition=partition)
        except KafkaError as error:
            raise OperatorError(f"Kafka did not take a record: {error}") from error
        self._unanswered.add(future)
        future.add_done_callback(self._answered)

    def _answered(self, future: asyncio.Future[Any]) -> None:
        self._unanswered.discard(future)
        if not future.cancelled():
            self._failure = future.exception() or self._failure

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise OperatorError(f"Kafka did not take a record: {self._failure}") from self._failure

    async def flush(self) -> None:
        """Wait until everything sent is acknowledged. Raises OperatorError if something was not."""
        await self._producer.flush()
        await asyncio.sleep(0)  # lets the last acknowledgements be counted
        self._raise_failure()
