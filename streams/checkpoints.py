"""The state of a partition in the compacted checkpoint topic: written by its one holder, read by the next.

Where the broker has transactions, the rows of each partition are written under a transactional id of its own. Whoever
takes the partition over claims the id first. From then on a predecessor that was only paused can write no more rows,
and no reader sees the checkpoint that it left half-written.

Beside the rows of devices (`detectors.checkpoints`) a partition has records of its own, under keys that begin with
neither 0 nor 1, and the layouts of its rows. A record that cannot be used is set aside and told. Its device loses what
was kept of it; nobody else loses anything.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, starmap
from typing import Final, NamedTuple, Self
from uuid import UUID

from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from common.errors import OperatorError
from common.kafka import clients
from common.kafka.reading import Readers, batches, end_of
from common.kafka.transactions import whole
from common.settings import Settings
from detectors.checkpoints.encode import is_row
from detectors.checkpoints.layout import KNOWN, LAYOUT, OWN, TEXT, Layout, LayoutError, beginning_of, key_of, parsed
from detectors.checkpoints.restore import Aside, Restored, put, read
from detectors.checkpoints.restore import batches as batches_of
from detectors.checkpoints.rows import DAMAGED
from detectors.state import PartitionState
from schemas.topics import CHECKPOINTS, TELEMETRY
from streams.batches import MAX_BATCH_BYTES, Outgoing, send_all
from streams.seals import EPOCH_MOST, Opened, SealError, opened, sealed

log = logging.getLogger("emberline.checkpoints")

TOPIC_IDS: Final = "topic_ids"
"""The header of a row that says which incarnations of the checkpoints and the telemetry topic it is of."""
_OTHER_TELEMETRY: Final = (
    f"{CHECKPOINTS.name} reflects another {TELEMETRY.name}, deleted since; offsets of that mean nothing in the one "
    "that is here: stop the workers, delete all topics of emberline, and make them with `emberline topics`"
)
STRANGER: Final = "stranger"
OLDER_WRITER: Final = "older_writer"
LINES: Final = 10
"""Records that were set aside are told one by one up to so many of a partition, then by their number [ours]."""


class Incarnation(NamedTuple):
    """Which checkpoints topic and which telemetry topic."""

    checkpoints: UUID
    telemetry: UUID

    @classmethod
    def of(cls, topic_ids: Mapping[str, UUID]) -> Self:
        """Those that are there now."""
        return cls(topic_ids[CHECKPOINTS.name], topic_ids[TELEMETRY.name])

    def __bytes__(self) -> bytes:
        return self.checkpoints.bytes + self.telemetry.bytes


class CheckpointWriter:
    """Writes the checkpoints of one partition, whole or not at all where the broker has transactions.

    `epoch` is to be one above that of the checkpoint it goes on from (`streams.seals`)."""

    def __init__(self, producer: AIOKafkaProducer, partition: int, incarnation: Incarnation, fencing: bool) -> None:
        self._producer = producer
        self._partition = partition
        self._topic_ids = bytes(incarnation)
        self._fencing = fencing
        self._layout_is_told = False
        self._is_fenced = False
        self._writing = asyncio.Lock()
        self.epoch = 1

    @classmethod
    async def start(cls, settings: Settings, partition: int, incarnation: Incarnation) -> Self:
        """Claim the partition's checkpoints."""
        transactional_id = f"{settings.group}-checkpoint-{partition}" if settings.fencing else None
        producer = clients.producer(
            settings,
            acks="all",
            max_batch_size=MAX_BATCH_BYTES,
            transactional_id=transactional_id,
        )
        try:
            await producer.start()
        except KafkaError:
            await producer.stop()
            raise
        return cls(producer, partition, incarnation, settings.fencing)

    async def write(self, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Write rows of devices and records of the partition (key, value), in this order; they are there when this
        returns. Raises OperatorError if another took over."""
        if not rows:
            return
        taken_over = f"partition {self._partition} is another worker's now; this one was away"
        async with self._writing:
            if self._is_fenced:
                # The client would begin no transaction, and say so in another way.
                raise OperatorError(taken_over)
            try:
                async with whole(self._producer, self._fencing, taken_over):
                    await self._send(rows)
            except OperatorError:
                self._is_fenced = True
                raise
        self._layout_is_told = True

    def _layout(self) -> Iterator[Outgoing]:
        """What the rows are to be read by, before the first of them. It is of no one topic, so it bears no ids."""
        if not self._layout_is_told:
            yield Outgoing(key_of(OWN.beginning), TEXT)

    def _sealed(self, key: bytes, value: bytes | None) -> Outgoing:
        told = None if value is None else sealed(key, value, self._topic_ids, self.epoch)
        return Outgoing(key, told, [(TOPIC_IDS, self._topic_ids)])

    async def _send(self, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        records = chain(self._layout(), starmap(self._sealed, rows))
        await asyncio.gather(*await send_all(self._producer, CHECKPOINTS.name, self._partition, records))

    async def stop(self) -> None:
        """Let go of the partition."""
        await self._producer.stop()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is kept of a partition: the state of its devices, its own records by key, the highest epoch that wrote any
    of it, and how many records were set aside, by why."""

    state: PartitionState
    records: Mapping[bytes, bytes]
    epoch: int
    aside: Mapping[str, int]

    @property
    def next_epoch(self) -> int:
        """That of the writer who goes on from here."""
        return min(self.epoch + 1, EPOCH_MOST)


async def read_checkpoint(
    readers: Readers, partition: int, incarnation: Incarnation, state: PartitionState
) -> Checkpoint:
    """The checkpoint of this partition, its devices put into `state`, which is empty.

    What cannot be used is set aside and told; the newest row before it of the device is used, if that can be. Raises
    OperatorError where all there is reflects a telemetry topic that is gone: what lies below its offsets in the one
    that came after it would be taken for seen.
    """
    found = CheckpointLog(bytes(incarnation))
    async with readers.reader("read_committed") as consumer:
        async for records in batches(consumer, TopicPartition(CHECKPOINTS.name, partition)):
            for record in records:
                found.add(record)
    if found.other_telemetry and not found.newest:
        raise OperatorError(_OTHER_TELEMETRY)
    # The end of what rows can reflect; None where a broker may tell one that lies before it, as the embedded one.
    end = None
    if readers.settings.fencing:
        async with readers.reader() as consumer:
            end = await end_of(consumer, TopicPartition(TELEMETRY.name, partition))
    restored = await _restored(state, found, end)
    _tell(partition, found, restored)
    own = {key: one.value for key, one in found.newest.items() if not is_row(key)}
    return Checkpoint(state, own, found.epoch, Counter(aside.reason for _, aside in found.aside))


@dataclass(slots=True)
class CheckpointLog:
    """What a partition of the topic holds, as far as each record tells by itself.

    By key the newest, and the one before it in case that the newest is no row; by how rows begin the text of their
    layout; what was set aside; whether any is whole but of another telemetry topic. Layouts apart, only records are
    looked at whose keys `matters` says yes to.
    """

    topic_ids: bytes
    matters: Callable[[bytes], bool] = lambda key: True
    newest: dict[bytes, Opened] = field(default_factory=dict)
    before: dict[bytes, Opened] = field(default_factory=dict)
    layouts: dict[bytes, bytes] = field(default_factory=dict)
    aside: list[tuple[bytes, Aside]] = field(default_factory=list)
    other_telemetry: bool = False
    epoch: int = 0

    def add(self, record: ConsumerRecord) -> None:
        """Take the next record of the log."""
        key, value = record.key or b"", record.value
        if key.startswith(LAYOUT):
            self._add_layout(key, value or b"")
        elif not self.matters(key):
            return
        elif not value:
            # Whoever wrote it: compaction takes what was before it away as well.
            self.newest.pop(key, None)
            self.before.pop(key, None)
        else:
            self._add(key, value, dict(record.headers).get(TOPIC_IDS) or b"")

    def _add(self, key: bytes, value: bytes, topic_ids: bytes) -> None:
        try:
            one = opened(key, value, topic_ids)
        except SealError as error:
            self.aside.append((key, Aside(DAMAGED if topic_ids == self.topic_ids else STRANGER, str(error))))
            return
        held = self.newest.get(key)
        if topic_ids != self.topic_ids:
            self.other_telemetry |= len(topic_ids) == len(self.topic_ids) and topic_ids[:16] == self.topic_ids[:16]
            self.aside.append((key, Aside(STRANGER, "it is of other topics than are here now, or nobody's")))
        elif held and one.epoch < held.epoch:
            why = f"its writer, of epoch {one.epoch}, had lost the partition to one of epoch {held.epoch}"
            self.aside.append((key, Aside(OLDER_WRITER, why)))
        else:
            if held:
                self.before[key] = held
            self.newest[key] = one
            self.epoch = max(self.epoch, one.epoch)

    def _add_layout(self, key: bytes, text: bytes) -> None:
        beginning = beginning_of(text)
        if key == key_of(beginning):
            self.layouts[beginning] = text
        elif text:
            self.aside.append((key, Aside(DAMAGED, "it is not the layout that its key says")))

    def all_layouts(self) -> dict[bytes, Layout]:
        """By how rows begin, the layouts that are known and those that are here, those apart that are none."""
        return {**dict(self._readable()), **KNOWN}

    def _readable(self) -> Iterator[tuple[bytes, Layout]]:
        for beginning, text in self.layouts.items():
            try:
                yield beginning, parsed(beginning, text)
            except LayoutError as error:
                self.aside.append((key_of(beginning), Aside(DAMAGED, str(error))))


async def _restored(state: PartitionState, found: CheckpointLog, end: int | None) -> Restored:
    """Put the newest rows into the state; where one cannot be, the one before it."""
    layouts = found.all_layouts()
    rows = {key: one.value for key, one in found.newest.items() if is_row(key)}
    restored = await _restored_of(state, rows, layouts, end)
    before = {key: found.before[key].value for key in restored.aside if key in found.before}
    found.aside += restored.aside.items()
    await _restored_of(state, before, layouts, end)
    return restored


async def _restored_of(
    state: PartitionState, rows: Mapping[bytes, bytes], layouts: Mapping[bytes, Layout], end: int | None
) -> Restored:
    """`restore_all`, batch by batch: it takes seconds at a hundred thousand devices, and other partitions go on. Only
    the reading is for a thread, for the state lies among those of others."""
    found = Restored()
    for layout, keys in batches_of(rows, layouts, found):
        put(state, await asyncio.to_thread(read, layout, keys, rows, found, end))
    return found


def _tell(partition: int, found: CheckpointLog, restored: Restored) -> None:
    for beginning, differences in restored.layouts.items():
        if differences:
            log.warning("partition %d: rows of layout %s: %s", partition, beginning[1:].hex(), differences)
    for key, (_, why) in found.aside[:LINES]:
        log.warning("partition %d: a checkpoint record is set aside, %s: %s", partition, _shown(key), why)
    if len(found.aside) > LINES:
        log.warning("partition %d: %d more checkpoint records are set aside", partition, len(found.aside) - LINES)


def _shown(key: bytes) -> str:
    return repr(key[:80].decode(errors="replace"))
