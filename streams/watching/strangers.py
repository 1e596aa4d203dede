"""Which events on the output topics nobody of ours can have sent.

An event of ours follows from a record of the telemetry that is here. So it names that topic's id and an offset below
its end, and its generation is in the partition's checkpoint before the first event of it is sent. One event that lies
beyond would make all that follow look like repeats, for good (`schemas.positions`). What a stranger sends within these
bounds is not noticed: only ACLs keep others from the topics. And where Kafka itself loses the end of telemetry, in an
unclean election, events of what is lost are taken for a stranger's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar, cast

import numpy as np
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from common.closing import closed
from common.kafka import clients
from common.kafka.reading import batches, end_of, reader
from common.settings import Settings
from schemas.topics import CHECKPOINTS, TELEMETRY
from sinks.blocks import keep_rows
from sinks.contract import Block, Malformed, SinkUnavailable
from streams.checkpoints import TOPIC_IDS
from streams.partitions import RECORD, Kept
from streams.seals import SealError, opened
from streams.worker import WorkerApp

T = TypeVar("T")

PATIENCE_S: Final = 5.0
"""Until then a leader that is new knows all that the one before it had handed out, and a transaction that was
acknowledged is seen [ours]."""
ANSWER_S: Final = 2.0
AGAIN_S: Final = 0.25
NOT_NAMED: Final = 100_000
"""Records that a broker may hold beyond the end that it names, as the embedded one does: more than a batch [ours]."""
FAR: Final = 10_000_000
"""No partition gets so many records while its leader does not answer, nor so many generations [ours]."""
_ELSEWHERE: Final = "a stranger's: it follows from another telemetry topic than the one that is here"
_BEYOND: Final = "a stranger's: it follows from a record that telemetry has not, or is of a generation that none began"


class Strangers:
    """Looks at events before they are stored. Make it on the worker's loop; `without` is called by other threads."""

    def __init__(self, app: WorkerApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._telemetry_id = app.topic_ids[TELEMETRY.name]
        self._ends: dict[int, int] = {}
        self._generations: dict[int, int] = {}
        self._read_to: dict[int, int] = {}
        self._loop = asyncio.get_running_loop()
        self._connecting, self._reading = asyncio.Lock(), asyncio.Lock()
        self._consumer: AIOKafkaConsumer | None = None

    async def stop(self) -> None:
        """Let go."""
        if self._consumer is not None:
            await closed(self._consumer.stop())

    async def _connected(self) -> AIOKafkaConsumer:
        async with self._connecting:
            if self._consumer is None:
                consumer = clients.consumer(self._settings, enable_auto_commit=False)
                try:
                    await consumer.start()
                except KafkaError:
                    await closed(consumer.stop())
                    raise
                self._consumer = consumer
        return self._consumer

    def without(self, block: Block, partition: int) -> Block:
        """The events of a partition without those of strangers, which are malformed. Waits for brokers that are asked.

        Raises SinkUnavailable where the worker ends meanwhile."""
        elsewhere = self._elsewhere(block)
        beyond = self._wait(block, partition, ~elsewhere)
        if not (refused := elsewhere | beyond).any():
            return block
        why = dict.fromkeys(np.asarray(block.columns["offset"])[elsewhere].tolist(), _ELSEWHERE)
        why |= dict.fromkeys(np.asarray(block.columns["offset"])[beyond].tolist(), _BEYOND)
        malformed = (Malformed(offset, reason) for offset, reason in sorted(why.items()))
        return keep_rows(block, ~refused)._replace(malformed=(*block.malformed, *malformed))

    def _elsewhere(self, block: Block) -> np.ndarray:
        """Which rows are of events of another telemetry topic, bool[rows]. Releases before named none."""
        names, ours = cast("Sequence[str]", block.columns["source_topic_id"]), ("", str(self._telemetry_id))
        return np.array([name not in ours for name in names], np.bool_)

    def _wait(self, block: Block, partition: int, judged: np.ndarray) -> np.ndarray:
        """Which of the rows that are `judged` lie beyond what there is of the partition, bool[rows], once it is known.

        Where nobody answers for long, only those that lie far beyond what was known: the others may be ours."""
        deadline = time.monotonic() + PATIENCE_S
        beyond: np.ndarray = judged & self._beyond(block, partition)
        while beyond.any():
            latest = int(np.asarray(block.columns["generation"])[beyond].max())
            try:
                self._call(self._look(partition, latest))
                answered = True
            except (KafkaError, TimeoutError) as error:
                if isinstance(error, TopicAuthorizationFailedError):
                    raise
                answered = False
            beyond = judged & self._beyond(block, partition)
            if not beyond.any():
                break
            if time.monotonic() > deadline:
                return beyond if answered else beyond & self._far_beyond(block, partition)
            if self._app.should_stop:
                raise SinkUnavailable("the worker ends, and it is not known yet whether events are emberline's")
            time.sleep(AGAIN_S)
        return beyond

    def _beyond(self, block: Block, partition: int, more: int = 0) -> np.ndarray:
        """Which rows are of events beyond what is known of their partition, and `more`, bool[rows]."""
        end, generation = self._ends.get(partition, 0) + more, self._generations.get(partition, 0) + more
        later = np.asarray(block.columns["generation"]) > generation
        beyond: np.ndarray = later | (np.asarray(block.columns["source_offset"]) >= end)
        return beyond

    def _far_beyond(self, block: Block, partition: int) -> np.ndarray:
        known = partition in self._ends
        return self._beyond(block, partition, FAR) if known else np.zeros(block.rows, np.bool_)

    async def _look(self, partition: int, generation: int) -> None:
        """Ask where telemetry ends, and, where it is asked for a later generation than is known, the checkpoint."""
        consumer, telemetry = await self._connected(), TopicPartition(TELEMETRY.name, partition)
        async with asyncio.timeout(ANSWER_S):
            end = await end_of(consumer, telemetry)
        self._ends[partition] = end + (0 if self._settings.fencing else NOT_NAMED)
        if generation > self._generations.get(partition, 0):
            async with self._reading:
                self._generations[partition] = await self._generation(partition)

    async def _generation(self, partition: int) -> int:
        """That of the checkpoint, as far as it was not read before."""
        found = self._generations.get(partition, 0)
        async with reader(self._settings, "read_committed") as consumer:
            begin = self._read_to.get(partition)
            async for records in batches(consumer, TopicPartition(CHECKPOINTS.name, partition), begin):
                for record in records:
                    self._read_to[partition] = record.offset + 1
                    if record.key == RECORD and (kept := self._kept(record)) and kept.generation:
                        found = max(found, kept.generation.number)
        return found

    def _kept(self, record: ConsumerRecord) -> Kept | None:
        topic_ids = dict(record.headers).get(TOPIC_IDS) or b""
        if topic_ids[16:] != self._telemetry_id.bytes:
            return None
        try:
            return Kept.of(opened(record.key, record.value or b"", topic_ids).value)
        except SealError:
            return None

    def _call(self, asking: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(asking, self._loop).result()
