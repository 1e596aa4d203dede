"""Reads what workers keep of their state as they keep it: afterwards compaction has removed most of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from msgspec.json import decode

from common.settings import Settings
from detectors.checkpoints.encode import is_row
from detectors.checkpoints.layout import KNOWN, LAYOUT, Layout, beginning_of, parsed
from detectors.checkpoints.restore import restore_all
from detectors.checkpoints.rows import device_of
from detectors.state import PartitionState
from schemas.topics import CHECKPOINTS
from streams.checkpoints import TOPIC_IDS
from streams.moves import MOVED, PARTED, Move
from streams.partitions import Parting
from streams.seals import opened
from tests.faults.beside import Beside
from tests.support.kafka_outside import rows_of

Device = tuple[str, bool]
T = TypeVar("T", Move, Parting)
POLL_MS: Final = 250


class Row(NamedTuple):
    """One checkpoint of one device: where it is on the topic, and the telemetry offset it reflects."""

    offset: int
    device: Device
    reflects: int


class CheckpointReader(Beside):
    """Reads committed rows for as long as the block lasts, from the beginning on, and knows where reading stood."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("checkpoints")
        self._kafka = settings.kafka
        self._rows: list[list[Row]] = []
        self._moves: list[dict[Device, Move]] = []
        self._gone: list[set[tuple[Device, int]]] = []
        self._layouts = dict(KNOWN)
        self._positions: dict[TopicPartition, int] = {}
        self.widen(settings.partitions)

    def widen(self, partitions: int) -> None:
        """Read so many partitions from now on, new ones from their beginning."""
        with self.changed:
            for number in range(len(self._rows), partitions):
                self._rows.append([])
                self._moves.append({})
                self._gone.append(set())
                self._positions[TopicPartition(CHECKPOINTS.name, number)] = 0

    def rows(self, ends: Mapping[int, int], seconds: float = 60.0) -> list[list[Row]]:
        """All rows below these offsets, by partition, as soon as they are read; fails if that takes longer."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while any(position < ends[tp.partition] for tp, position in self._positions.items()):
                left = deadline - time.monotonic()
                assert left > 0, f"checkpoints read only to {self._positions}, not {ends}"
                self.changed.wait(left)
            return [[row for row in rows if row.offset < ends[number]] for number, rows in enumerate(self._rows)]

    def moves(self) -> list[dict[Device, Move]]:
        """Of each partition, the devices that came to it, as far as was read."""
        with self.changed:
            return [dict(moves) for moves in self._moves]

    def gone(self) -> list[set[tuple[Device, int]]]:
        """Of each partition, the devices that it let go instead of telling their silence, and at which offset."""
        with self.changed:
            return [set(gone) for gone in self._gone]

    async def work(self) -> None:
        """Read on."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="none",
        )
        await consumer.start()
        try:
            while not self.stopping.is_set():
                if len(consumer.assignment()) < len(self._positions):
                    consumer.assign(list(self._positions))
                    for tp, position in self._positions.items():
                        consumer.seek(tp, position)
                found = await consumer.getmany(timeout_ms=POLL_MS)
                rows = {tp: list(_rows_of(records, self._layouts)) for tp, records in found.items()}
                # Past the markers of transactions too, which are no records.
                positions = {tp: await consumer.position(tp) for tp in consumer.assignment()}
                with self.changed:
                    for tp, read in rows.items():
                        self._rows[tp.partition] += read
                        self._moves[tp.partition] |= dict(_told(found[tp], MOVED, Move))
                        parted = _told(found[tp], PARTED, Parting)
                        self._gone[tp.partition] |= {(device, one.offset) for device, one in parted if one.gone}
                    self._positions |= positions
                    self.changed.notify_all()
        finally:
            await consumer.stop()


def _rows_of(records: Sequence[ConsumerRecord], layouts: dict[bytes, Layout]) -> Iterator[Row]:
    """Many at once: one by one takes 4 ms each, and whoever reads later than compaction comes finds rows gone. Layouts,
    which come before rows that are by them, are noted."""
    waiting: dict[bytes, ConsumerRecord] = {}
    for record in records:
        if record.key.startswith(LAYOUT) and record.value:
            beginning = beginning_of(record.value)
            layouts.setdefault(beginning, parsed(beginning, record.value))
        if not is_row(record.key) or not record.value:
            continue
        if record.key in waiting:
            yield from _restored(waiting, layouts)
            waiting = {}
        waiting[record.key] = record
    yield from _restored(waiting, layouts)


def _told(records: Sequence[ConsumerRecord], begins: bytes, kind: type[T]) -> Iterator[tuple[Device, T]]:
    """What records whose keys begin so say of devices."""
    for one in records:
        if one.key.startswith(begins):
            value = opened(one.key, one.value, dict(one.headers)[TOPIC_IDS]).value
            yield device_of(one.key.removeprefix(begins)), decode(value, type=kind)


def _restored(records: Mapping[bytes, ConsumerRecord], layouts: Mapping[bytes, Layout]) -> Iterator[Row]:
    state = PartitionState()
    restored = restore_all(state, rows_of(records.values()), layouts)
    assert not restored.aside, restored.aside
    held = state.rows["test"].tolist(), state.rows["offset"].tolist()
    for record, device, test, reflects in zip(records.values(), state.device_ids, *held, strict=False):
        yield Row(record.offset, (device, bool(test)), reflects)
