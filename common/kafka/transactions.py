"""Writing several records whole or not at all, where the broker has transactions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerFenced

from common.errors import OperatorError


@asynccontextmanager
async def whole(producer: AIOKafkaProducer, fencing: bool, taken_over: str) -> AsyncIterator[None]:
    """A transaction for the block, where there is `fencing`. Raises OperatorError with the text `taken_over` if another
    has claimed the producer's transactional id since."""
    if not fencing:
        yield
        return
    try:
        async with producer.transaction():
            yield
    except ProducerFenced as error:
        raise OperatorError(taken_over) from error
