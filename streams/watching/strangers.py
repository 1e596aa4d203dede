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
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.topics import CHECKPOINTS, TELEMETRY
from sinks.blocks import keep_rows
from sinks.contract import Block, Malformed, SinkUnavailable
from streams.checkpoints import TOPIC_IDS
from streams.closing import closed
from streams.kafka import clients
from streams.kafka.reading import batches, reader
from streams.partitions import RECORD, Kept
from streams.seals import SealError, opened
from streams.worker import WorkerApp

T = TypeVar("T")

PATIENCE_S: Final = 5.0
"""Until then a leader that is new knows all that the one before it had handed out, and a transaction that was
acknowledged is seen [ours]."""
AGAIN_S: Final = 0.25
NOT_NAMED: Final = 100_000
"""Records that a broker may hold beyond the end that it names, as the embedded one does: more than a batch [ours]."""
_ELSEWHERE: Final = "a stranger's: it follows from another telemetry topic than the one that is here"
_BEYOND: Final = (
    "a stranger's: it follows from a record that telemetry has not, or is of a generation that nobody began"
)


class Strangers:
    """Looks at events before they are stored. `start` it on the worker's loop; `without` is called by other threads."""

    def __init__(self, app: WorkerApp) -> None:
        self._app = app
        self._settings = app.emberline
        self._telemetry_id = app.topic_ids[TELEMETRY.name]
        self._ends: dict[int, int] = {}
        self._generations: dict[int, int] = {}

    async def start(self) -> None:
        """Connect."""
        self._loop = asyncio.get_running_loop()
        self._consumer = clients.consumer(self._settings, enable_auto_commit=False)
        await self._consumer.start()

    async def stop(self) -> None:
        """Let go."""
        await closed(self._consumer.stop())

    def without(self, block: Block, partition: int) -> Block:
        """The events of a partition without those of strangers, which are malformed. Waits for brokers that are asked.

        Raises SinkUnavailable where the worker ends meanwhile."""
        elsewhere, beyond = self._elsewhere(block), self._wait(block, partition)
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

    def _wait(self, block: Block, partition: int) -> np.ndarray:
        """Which rows lie beyond what there is of the partition, bool[rows], once that is known."""
        deadline = time.monotonic() + PATIENCE_S
        while (beyond := self._beyond(block, partition)).any():
            try:
                self._call(self._look(partition, int(np.asarray(block.columns["generation"]).max())))
            except KafkaError as error:
                if not error.retriable:
                    raise
                # Nothing is judged by what nobody answers.
                deadline = time.monotonic() + PATIENCE_S
            if not (beyond := self._beyond(block, partition)).any() or time.monotonic() > deadline:
                break
            if self._app.should_stop:
                raise SinkUnavailable("the worker ends, and it is not known yet whether events are emberline's")
            time.sleep(AGAIN_S)
        return beyond

    def _beyond(self, block: Block, partition: int) -> np.ndarray:
        """Which rows are of events beyond what is known of their partition, bool[rows]."""
        end, generation = self._ends.get(partition, 0), self._generations.get(partition, 0)
        later: np.ndarray = np.asarray(block.columns["generation"]) > generation
        return later | (np.asarray(block.columns["source_offset"]) >= end)

    async def _look(self, partition: int, generation: int) -> None:
        """Ask where telemetry ends, and, where it is asked for a later generation than is known, the checkpoint."""
        telemetry = [TopicPartition(TELEMETRY.name, number) for number in {partition, *self._ends}]
        ends = await self._consumer.end_offsets(telemetry)
        more = 0 if self._settings.fencing else NOT_NAMED
        self._ends |= {tp.partition: end + more for tp, end in ends.items()}
        if generation > self._generations.get(partition, 0):
            self._generations[partition] = await self._generation(partition)

    async def _generation(self, partition: int) -> int:
        """That of the checkpoint."""
        found = 0
        async with reader(self._settings, "read_committed") as consumer:
            async for records in batches(consumer, TopicPartition(CHECKPOINTS.name, partition)):
                for record in (one for one in records if one.key == RECORD and one.value):
                    topic_ids = dict(record.headers).get(TOPIC_IDS) or b""
                    try:
                        kept = Kept.of(opened(record.key, record.value, topic_ids).value)
                    except SealError:
                        continue
                    if topic_ids[16:] == self._telemetry_id.bytes and kept and kept.generation:
                        found = max(found, kept.generation.number)
        return found

    def _call(self, asking: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(asking, self._loop).result()
