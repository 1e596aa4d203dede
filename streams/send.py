"""Sending telemetry as a gateway would: for the fleet simulator and for replay."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from schemas.topics import MAX_REJECT_BYTES, TELEMETRY
from streams.errors import OperatorError

LINGER_MS: Final = 5
"""Gateways send in small batches; this is part of the response time that is measured."""
UNANSWERED_MOST: Final = 100_000
"""Records on their way at once; 30 MB of small reports."""


class Sender:
    """Sends records and knows how many the broker has acknowledged. Use it as an async context manager."""

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        self.acknowledged = 0
        self._failure: BaseException | None = None
        self._room = asyncio.Semaphore(UNANSWERED_MOST)

    async def __aenter__(self) -> Sender:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka,
            acks="all",
            linger_ms=LINGER_MS,
            max_request_size=MAX_REJECT_BYTES,
        )
        try:
            await self._producer.start()
        except KafkaConnectionError as error:
            await self._producer.stop()
            raise OperatorError(no_kafka(self._kafka)) from error
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._producer.stop()

    async def send(self, key: bytes | None, value: bytes | None) -> None:
        """Hand one record over; it is acknowledged later. Raises OperatorError if an earlier one failed."""
        if self._failure is not None:
            raise OperatorError(f"Kafka did not take a record: {self._failure}") from self._failure
        await self._room.acquire()
        try:
            future = await self._producer.send(TELEMETRY.name, value, key)
        except KafkaError as error:
            raise OperatorError(f"Kafka did not take a record: {error}") from error
        future.add_done_callback(self._answered)

    def _answered(self, future: asyncio.Future[Any]) -> None:
        self._room.release()
        if future.cancelled():
            return
        self._failure = future.exception() or self._failure
        self.acknowledged += self._failure is None

    async def flush(self) -> None:
        """Wait until everything sent is acknowledged. Raises OperatorError if something was not."""
        await self._producer.flush()
        await asyncio.sleep(0)  # lets the last acknowledgements be counted
        if self._failure is not None:
            raise OperatorError(f"Kafka did not take a record: {self._failure}") from self._failure


def no_kafka(kafka: str) -> str:
    """What to tell the operator when no broker answers."""
    return f"no Kafka answers at {kafka}; is it running? `emberline run` starts one here, EMBERLINE_KAFKA names another"
