"""Devices that come to another partition, because topics were widened: what was kept of them comes along.

Senders hear of new partitions one after the other, so there is no one moment at which devices move. A device comes with
its first report here: its row in the checkpoint of the partition that it belonged to before becomes a row of this
partition, and that is written to the checkpoint before the report is processed. So a successor finds what this worker
found, and no record in the log needs to say it. Beside the row a `Move` is written, which never changes: a replay needs
it, and so does the partition from which the device went, which forgets the device where it would be told silent.

Before it is taken the row is to reflect all that came of the device: it reflects a report of about an interval ago, or
the other partition's checkpoint all that had arrived. The partition waits for that, but for no longer than alarms may
be late.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Final

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from detectors.checkpoints.encode import ROW_OF, encode, is_row, key_of
from detectors.checkpoints.restore import adopt, restore_all
from detectors.state import PartitionState
from detectors.statuses import silent_at
from schemas.reports import Reports
from schemas.topics import CHECKPOINTS, TELEMETRY
from streams.checkpoints import CheckpointLog, Incarnation
from streams.kafka.reading import batches, end_of, reader
from streams.partitioner import Widths, home_of, partition_of
from streams.partitions import RECORD, Kept, Partition
from streams.pieces import Piece
from streams.times import now_ms
from streams.worker import WorkerApp

log = logging.getLogger("emberline.detect")

MOVED: Final = b"moved/"
"""How the key of a `Move` begins; the key of the device's row follows."""
WAIT_S: Final = 3.0
"""Alarms are not to be late for longer because a device may have left something behind [ours]."""
LOOK_S: Final = 0.05
FOLLOWED_S: Final = 60.0
"""Another partition's checkpoint is followed for so long after it was last asked for [ours]."""


class Move(msgspec.Struct, frozen=True):
    """That a device came to a partition: from which, the offset and index there of the last report that its row
    reflected; before which offset here, and the arrival of its first report here, epoch ms."""

    source: int
    offset: int
    index: int
    before: int
    ts: int


class Neighbour:
    """Another partition's checkpoint, as far as it was read: the rows of devices that belong elsewhere by now, and the
    moves of those that came to it. `is_fresh` says that it is being followed, and was read to its end."""

    def __init__(self, number: int, partitions: int, incarnation: Incarnation) -> None:
        self.number = number
        self.partitions = partitions
        self.tp = TopicPartition(CHECKPOINTS.name, number)
        self.is_fresh = False
        self.next = -1
        """The offset to read on from; -1 where nothing was read."""
        self._log = CheckpointLog(bytes(incarnation), self._matters)
        self._asked_at = time.monotonic()

    def _matters(self, key: bytes) -> bool:
        if is_row(key):
            return home_of(key[1:], self.partitions) not in (None, self.number)
        return key == RECORD or key.startswith(MOVED)

    @property
    def is_wanted(self) -> bool:
        """Whether it was asked for within the last minute."""
        return time.monotonic() - self._asked_at <= FOLLOWED_S

    def ask(self) -> None:
        """Have it followed from now on."""
        self._asked_at = time.monotonic()

    def take(self, records: Sequence[ConsumerRecord]) -> None:
        """Take in what was read next."""
        for record in records:
            self._log.add(record)
            self.next = record.offset + 1
        self._log.before.clear()

    @property
    def kept(self) -> Kept | None:
        """What it says of itself."""
        held = self._log.newest.get(RECORD)
        return None if held is None else Kept.of(held.value)

    def covers(self, ts: int, end: float) -> bool:
        """Whether its rows reflect all that arrived before a time, or all below the offset `end` of telemetry."""
        if (kept := self.kept) is None:
            return False
        return kept.log.ts >= ts or (kept.generation is not None and kept.generation.covered >= end)

    def is_up_to_date(self, first_ts: Mapping[bytes, int]) -> bool:
        """Whether of devices, by keys and by when they were first heard elsewhere, all rows reflect a report that came
        about an interval before: then hardly anything came after it."""
        state = PartitionState()
        restore_all(state, self._rows(first_ts), self._log.all_layouts())
        rows, devices = state.held(), state.devices(state.held())
        silent_ms = np.array([first_ts[key_of(*device)] for device in devices]) - state.rows["heard_ts"][rows]
        return bool((silent_ms <= state.rows["interval_ms"][rows] * 1.5).all())

    def has(self, key: bytes) -> bool:
        """Whether it has a row of this key."""
        return key in self._log.newest

    def _rows(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        return {key: self._log.newest[key].value for key in keys if self.has(key)}

    def give(self, keys: Iterable[bytes], state: PartitionState) -> dict[bytes, tuple[int, int]]:
        """Put those rows that it has into a state; by key the offset and index that each reflected here."""
        rows = self._rows(keys)
        reflects, restored = adopt(state, rows, self._log.all_layouts())
        for key in rows:
            del self._log.newest[key]
        for key, aside in restored.aside.items():
            log.warning("partition %d: the row %r cannot be taken along: %s", self.number, key, aside.why)
        return reflects

    def had_come(self, key: bytes, source: int, ts: int) -> bool:
        """Whether the device of a row had come to it from the partition `source` by a time of the log."""
        if (held := self._log.newest.get(MOVED + key)) is None:
            return False
        try:
            move = msgspec.json.decode(held.value, type=Move)
        except msgspec.MsgspecError:
            return False
        return move.source == source and move.ts <= ts


class Moves:
    """Brings devices to the partitions that one worker has, and lets go of those that went."""

    def __init__(self, app: WorkerApp, incarnation: Callable[[], Incarnation]) -> None:
        self._app = app
        self._settings = app.emberline
        self._incarnation = incarnation
        self._neighbours: dict[int, Neighbour] = {}
        self._is_following = False

    def look(self, tp: TP, partition: Partition) -> None:
        """Note whether topics were widened."""
        partition.widths = partition.widths.widened(self._partitions_of(tp), partition.state.log.ts)

    def _partitions_of(self, tp: TP) -> int:
        # The worker's watch may not have seen all yet.
        count: int = max(self._app.kafka.partitions(tp.topic), tp.partition + 1)
        return count

    async def widths_of_new(self, tp: TP) -> Widths:
        """How many partitions there were, for one of which no checkpoint says it: as partition 0 has it."""
        if not tp.partition:
            return Widths()
        first = Neighbour(0, self._partitions_of(tp), self._incarnation())
        async with reader(self._settings, "read_committed") as consumer:
            async for records in batches(consumer, TopicPartition(CHECKPOINTS.name, 0)):
                first.take(records)
        return Widths() if first.kept is None else first.kept.widths.widened(first.partitions, first.kept.log.ts)

    async def arrive(self, piece: Piece, partition: Partition, number: int) -> list[tuple[bytes, bytes | None]]:
        """Put what other partitions have kept of the devices of a piece into the state. The records that are to be
        written to the checkpoint before the piece is processed."""
        widths, state = partition.widths, partition.state
        if not (former := widths.former(piece.log_ts)):
            return []
        first_ts = _unknown(piece.reports, state)
        at_home = [key for key in first_ts if home_of(key[1:], widths.now) == number]
        sources = {key: [partition_of(key[1:], count) for count in former] for key in at_home}
        asked = {source: self._neighbour(source, widths) for of_key in sources.values() for source in of_key}
        asked.pop(number, None)
        if not (hurry := widths.hurry(piece.log_ts)):
            # By now whoever may come was there when it was read first, and what they left has long been checkpointed.
            asked = {source: one for source, one in asked.items() if one.next < 0 or any(map(one.has, sources))}
        await asyncio.gather(*(self._until_fresh(one, partition) for one in asked.values()))
        coming = defaultdict[int, dict[bytes, int]](dict)
        for key, of_key in sources.items():
            if (source := next((one for one in of_key if one in asked and asked[one].has(key)), None)) is not None:
                coming[source][key] = first_ts[key]
        if not coming:
            return []
        if hurry:
            began_ts = int(piece.reports.ingest_ts[0])
            waits = (self._until_all_there(asked[source], keys, began_ts, partition) for source, keys in coming.items())
            await asyncio.gather(*waits)
        if partition.leaving:
            return []
        async with partition.lock:
            before, moves = _first_offset(piece), dict[bytes, Move]()
            for source, keys in coming.items():
                for key, place in asked[source].give(keys, state).items():
                    moves[key] = Move(source, *place, before, first_ts[key])
        self._app.metrics.add("emberline_moved_devices_total", len(moves))
        log.info("partition %d: %d devices come from partitions %s", number, len(moves), sorted(coming))
        device_ids, tests = [key[1:].decode() for key in moves], [key[:1] == ROW_OF[True] for key in moves]
        rows = encode(state, state.find(device_ids, np.array(tests, np.bool_)).tolist())
        # Rows first, where they are not written as one: who finds a move finds the row.
        return [*rows, *((MOVED + key, msgspec.json.encode(move)) for key, move in moves.items())]

    async def depart(self, piece: Piece, partition: Partition, number: int) -> Piece:
        """The piece; its check for silence says which devices are silent because they report elsewhere by now."""
        if (check := piece.check) is None or not (former := partition.widths.former(check.ts)):
            return piece
        by_home = defaultdict[int, list[tuple[str, bool]]](list)
        for device in silent_at(partition.state, check.before_ts, check.ts):
            key = device[0].encode()
            if number in {partition_of(key, count) for count in former}:
                by_home[partition_of(key, partition.widths.now)].append(device)
        by_home.pop(number, None)
        gone = set[tuple[str, bool]]()
        for home, devices in by_home.items():
            neighbour = self._neighbour(home, partition.widths)
            await self._until_fresh(neighbour, partition)
            gone |= {one for one in devices if neighbour.had_come(key_of(*one), number, check.ts)}
        return piece._replace(check=check._replace(gone=frozenset(gone)))

    def _neighbour(self, number: int, widths: Widths) -> Neighbour:
        held = self._neighbours.get(number)
        if held is None or held.partitions < widths.now:
            # Others are strangers there once there are more partitions.
            held = self._neighbours[number] = Neighbour(number, widths.now, self._incarnation())
        return held

    async def _until_fresh(self, neighbour: Neighbour, partition: Partition) -> None:
        """Return once all is read that the neighbour had written before, or if that takes too long."""
        neighbour.ask()
        if not self._is_following:
            self._is_following = True
            self._app.spawn(self._follow())
        deadline = time.monotonic() + WAIT_S
        while not (neighbour.is_fresh or partition.leaving):
            if time.monotonic() > deadline:
                log.warning("partition %d: its checkpoint cannot be read just now", neighbour.number)
                return
            await asyncio.sleep(LOOK_S)

    async def _until_all_there(
        self, neighbour: Neighbour, first_ts: Mapping[bytes, int], began_ts: int, partition: Partition
    ) -> None:
        """Return once the neighbour's rows of these keys reflect what came of their devices, as far as can be told. A
        piece that has waited already, since `began_ts`, does not wait for long."""
        age_s, end = (now_ms() - began_ts) / 1_000, inf
        deadline, looked_at = time.monotonic() + WAIT_S - max(age_s, 0.0), -1
        while not neighbour.covers(max(first_ts.values()), end):
            if looked_at != neighbour.next and neighbour.is_up_to_date(first_ts):
                return
            looked_at = neighbour.next
            if partition.leaving or time.monotonic() > deadline:
                return
            if end == inf:
                end = await end_of(self._settings, TopicPartition(TELEMETRY.name, neighbour.number))
            await asyncio.sleep(LOOK_S)

    async def _follow(self) -> None:
        """Read on in the checkpoints of neighbours for as long as they are wanted."""
        while any(one.is_wanted for one in self._neighbours.values()):
            try:
                async with reader(self._settings, "read_committed") as consumer:
                    await self._read_on(consumer)
            except KafkaError as error:
                if not error.retriable:
                    raise
                log.warning("checkpoints of other partitions cannot be read: %s", error)
                await asyncio.sleep(1.0)
            finally:
                for one in self._neighbours.values():
                    one.is_fresh = False
        self._is_following = False

    async def _read_on(self, consumer: AIOKafkaConsumer) -> None:
        followed, ends = list[Neighbour](), dict[TopicPartition, int]()
        while wanted := [one for one in self._neighbours.values() if one.is_wanted]:
            if wanted != followed:
                ends, followed = await self._assign(consumer, wanted), wanted
            found = await consumer.getmany(timeout_ms=100)
            for one in followed:
                one.take(found.get(one.tp, ()))
            for one in followed:
                one.is_fresh = one.is_fresh or await consumer.position(one.tp) >= ends[one.tp]

    async def _assign(self, consumer: AIOKafkaConsumer, wanted: Sequence[Neighbour]) -> dict[TopicPartition, int]:
        """Read these from where they were read to. Where each of them ends just now."""
        consumer.assign([one.tp for one in wanted])
        for one in wanted:
            if one.next < 0:
                await consumer.seek_to_beginning(one.tp)
            else:
                consumer.seek(one.tp, one.next)
        for one in self._neighbours.values():
            one.is_fresh = one.is_fresh and one in wanted
        ends: dict[TopicPartition, int] = await consumer.end_offsets([one.tp for one in wanted])
        return ends


def _first_offset(piece: Piece) -> int:
    rejects = [reject.offset for reject in piece.rejects[:1]]
    return min([int(piece.reports.offset[0]), *rejects])


def _unknown(reports: Reports, state: PartitionState) -> dict[bytes, int]:
    """The devices of good reports that have no row: by what its key would be, when the first of the reports arrived."""
    rows = state.find(reports.device_id, reports.test)
    first_ts: dict[bytes, int] = {}
    for report in ((rows < 0) & ~reports.rejected).nonzero()[0].tolist():
        key = key_of(reports.device_id[report], bool(reports.test[report]))
        first_ts.setdefault(key, int(reports.ingest_ts[report]))
    return first_ts
