"""Reading the state of a partition back from the compacted checkpoint topic."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition

from detectors.checkpoint import CheckpointError, restore
from detectors.state import PartitionState
from schemas.topics import CHECKPOINTS
from streams.errors import OperatorError


async def read_checkpoint(kafka: str, partition: int) -> PartitionState:
    """The state that the newest rows of this partition hold; empty where there are none."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, fetch_max_wait_ms=50)
    await consumer.start()
    try:
        newest = await _newest_rows(consumer, TopicPartition(CHECKPOINTS.name, partition))
    finally:
        await consumer.stop()
    state = PartitionState()
    try:
        for key, value in newest.items():
            restore(state, key, value)
    except CheckpointError as error:
        raise OperatorError(str(error)) from error
    return state


async def _newest_rows(consumer: AIOKafkaConsumer, tp: TopicPartition) -> dict[bytes, bytes]:
    consumer.assign([tp])
    end = (await consumer.end_offsets([tp]))[tp]
    await consumer.seek_to_beginning(tp)
    newest: dict[bytes, bytes] = {}
    while await consumer.position(tp) < end:
        for records in (await consumer.getmany(tp, timeout_ms=1_000)).values():
            newest.update((record.key, record.value) for record in records if record.key and record.value)
    return newest
