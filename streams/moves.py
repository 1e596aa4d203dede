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
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Final

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from faust.types import TP

from common.kafka.reading import Readers, batches, end_of
from common.times import now_ms
from detectors.checkpoints.encode import encode, is_row, key_of
from detectors.checkpoints.restore import adopt, restore_all
from detectors.checkpoints.rows import device_of
from detectors.state import PartitionState
from detectors.statuses import silent_at
from schemas.reports import Reports
from schemas.topics import CHECKPOINTS, TELEMETRY
from streams.checkpoints import CheckpointLog, Incarnation
from streams.partitioner import HURRY_MS, Widths, home_of, partition_of
from streams.partitions import RECORD, Kept, Parting, Partition
from streams.pieces import Piece
from streams.worker import WorkerApp

log = logging.getLogger("emberline.detect")

CheckpointRecords = list[tuple[bytes, bytes | None]]
"""Records of a checkpoint, key and value."""

MOVED: Final = b"moved/"
PARTED: Final = b"parted/"
"""How the keys of a `Move` and of a `Parting` begin; the key of the device's row follows."""
WAIT_S: Final = 3.0
"""Alarms are not to be late for longer because a device may have left something behind [ours]."""
PATIENCE_S: Final = 60.0
"""A partition that is behind itself waits so long for another in all: what floods that one is not to hold it back."""
UNREAD_S: Final = 10.0
"""After checkpoints could not be read, nobody waits for them for so long [ours]."""
END_S: Final = 1.0
COUNTED_S: Final = 1.0
"""How often the number of partitions is asked for at most, where devices are new to a partition that is not theirs."""
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


def parted_in(records: Mapping[bytes, bytes]) -> dict[bytes, Parting]:
    """What a checkpoint says of devices that may have gone, by the keys of their rows."""
    found = dict[bytes, Parting]()
    for key, value in records.items():
        if key.startswith(PARTED):
            with suppress(msgspec.MsgspecError):
                found[key.removeprefix(PARTED)] = msgspec.json.decode(value, type=Parting)
    return found


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
        self.patience_s = PATIENCE_S
        """For how long it may still be waited for by those that are behind themselves."""
        self._asked_at = self._changed_at = -inf

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
            if record.key == RECORD:
                self._changed_at = time.monotonic()
        self._log.before.clear()

    @property
    def silent_s(self) -> float:
        """For how long it has said nothing new of itself."""
        return time.monotonic() - self._changed_at

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
        rows, devices = state.held(), state.names(state.held())
        silent_ms = np.array([first_ts[key_of(*device)] for device in devices]) - state.rows["heard_ts"][rows]
        return bool((silent_ms <= state.rows["interval_ms"][rows] * 1.5).all())

    def has(self, key: bytes) -> bool:
        """Whether it has a row of this key."""
        return key in self._log.newest

    def _rows(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        return {key: self._log.newest[key].value for key in keys if self.has(key)}

    def give(self, keys: Iterable[bytes], state: PartitionState, before: int) -> dict[bytes, tuple[int, int]]:
        """Put those rows that it has into a state, to hold from an offset on; by key the offset and index that each
        reflected here."""
        rows = self._rows(keys)
        reflects, restored = adopt(state, rows, self._log.all_layouts(), before)
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

    def __init__(self, app: WorkerApp, readers: Readers, incarnation: Callable[[], Incarnation]) -> None:
        self._app = app
        self._settings = app.emberline
        self._readers = readers
        self._incarnation = incarnation
        self._neighbours: dict[int, Neighbour] = {}
        self._is_following = False
        self._consumer: AIOKafkaConsumer | None = None
        self._unread_until = self._count_asked_at = -inf
        self._count = 0

    async def begin(self, tp: TP, partition: Partition) -> None:
        """Find how many partitions there are and were, for one that was restored. Raises KafkaError where no broker
        that answers has heard of it yet."""
        if tp.partition >= self._count_of(tp) and tp.partition >= await self._ask_count(tp):
            raise UnknownTopicOrPartitionError(f"{tp.topic} {tp.partition}")
        if tp.partition and not partition.widths.counts:
            partition.widths = await self._widths_of_first(tp)
        self.look(tp, partition)

    def look(self, tp: TP, partition: Partition) -> None:
        """Note whether topics were widened."""
        partition.widths = partition.widths.widened(self._count_of(tp), partition.state.log.ts)

    def _count_of(self, tp: TP) -> int:
        count: int = max(self._app.kafka.partitions(tp.topic), self._count)
        return count

    async def _ask_count(self, tp: TP) -> int:
        """How many partitions there are just now: the worker's watch looks every few seconds."""
        self._count_asked_at = time.monotonic()
        with suppress(KafkaError, OSError, TimeoutError):
            self._count = max(self._count, await self._app.kafka.count_partitions(tp.topic))
        return self._count

    async def _widths_of_first(self, tp: TP) -> Widths:
        """How many partitions there were, as partition 0 has it: a new one has it from nowhere else."""
        first = Neighbour(0, self._count_of(tp), self._incarnation())
        async with self._readers.reader("read_committed") as consumer:
            async for records in batches(consumer, first.tp):
                first.take(records)
        return Widths() if first.kept is None else first.kept.widths.widened(first.partitions, first.kept.log.ts)

    async def arrive(self, piece: Piece, tp: TP, partition: Partition) -> CheckpointRecords:
        """Put what other partitions have kept of the devices of a piece into the state. The records that are to be
        written to the checkpoint before the piece is processed."""
        first_ts = _unknown(piece.reports, partition.state)
        if any(home_of(key[1:], partition.widths.now) != tp.partition for key in first_ts):
            # It may belong here by a number of partitions that its sender has heard of and this worker has not.
            if time.monotonic() - self._count_asked_at > COUNTED_S:
                await self._ask_count(tp)
            self.look(tp, partition)
        coming = await self._coming(first_ts, piece, tp, partition)
        began_ts = int(piece.reports.ingest_ts[0]) if coming else 0
        waits = (self._until_all_there(one, keys, began_ts, partition) for one, keys in coming.items())
        await asyncio.gather(*waits)
        if not coming or partition.leaving:
            return []
        before, moves, state = _first_offset(piece), dict[bytes, Move](), partition.state
        async with partition.lock:
            for one, keys in coming.items():
                for key, place in one.give(keys, state, before).items():
                    moves[key] = Move(one.number, *place, before, first_ts[key])
        self._app.metrics.add("emberline_moved_devices_total", len(moves))
        sources = sorted(one.number for one in coming)
        log.info("partition %d: %d devices come from partitions %s", tp.partition, len(moves), sources)
        devices = [device_of(key) for key in moves]
        found = state.find([device_id for device_id, _ in devices], np.array([test for _, test in devices], np.bool_))
        rows = encode(state, found.tolist())
        # Rows first, where they are not written as one: who finds a move finds the row.
        return [*rows, *((MOVED + key, msgspec.json.encode(move)) for key, move in moves.items())]

    async def _coming(
        self, first_ts: Mapping[bytes, int], piece: Piece, tp: TP, partition: Partition
    ) -> dict[Neighbour, dict[bytes, int]]:
        """Those of the keys that belong here and are rows of a partition that they belonged to before, by that one."""
        widths, number = partition.widths, tp.partition
        former = widths.former(piece.log_ts)
        at_home = [key for key in first_ts if former and home_of(key[1:], widths.now) == number]
        sources = {key: [partition_of(key[1:], count) for count in former] for key in at_home}
        asked = {source: self._neighbour(source, widths) for of_key in sources.values() for source in of_key}
        asked.pop(number, None)
        if not (widths.hurry(piece.log_ts) or time.monotonic() - partition.begun_at < HURRY_MS / 1_000):
            # By now whoever may come was there when it was read first.
            asked = {source: one for source, one in asked.items() if one.next < 0 or any(map(one.has, sources))}
        await self._until_fresh(asked.values(), partition)
        coming = defaultdict[Neighbour, dict[bytes, int]](dict)
        for key, of_key in sources.items():
            holding = (asked[source] for source in of_key if source in asked and asked[source].has(key))
            if (one := next(holding, None)) is not None:
                coming[one][key] = first_ts[key]
        return coming

    async def depart(self, piece: Piece, tp: TP, partition: Partition) -> tuple[Piece, CheckpointRecords]:
        """The piece; its check for silence says which devices are silent because they report elsewhere by now. And the
        records that are to be written to the checkpoint before the piece is processed."""
        number, widths = tp.partition, partition.widths
        if (check := piece.check) is None or not (former := widths.former(check.ts)):
            return piece, []
        homes = dict[tuple[str, bool], set[int]]()
        for device in silent_at(partition.state, check.before_ts, check.ts):
            of_device = {partition_of(device[0].encode(), count) for count in (*former, widths.now)}
            if number in of_device:
                homes[device] = of_device - {number}
        told = {device: partition.parted.get(key_of(*device)) for device in homes}
        known = {device: one.gone for device, one in told.items() if one is not None and one.offset == check.offset}
        open_ = {device: of_device for device, of_device in homes.items() if device not in known}
        asked = {home: self._neighbour(home, widths) for of_device in open_.values() for home in of_device}
        await self._until_fresh(asked.values(), partition)
        found = {
            device: any(asked[home].had_come(key_of(*device), number, check.ts) for home in of_device)
            for device, of_device in open_.items()
        }
        parted = {key_of(*device): Parting(check.offset, gone) for device, gone in found.items()}
        partition.parted |= parted
        gone = frozenset(device for device, is_gone in (known | found).items() if is_gone)
        written: CheckpointRecords = [(PARTED + key, msgspec.json.encode(one)) for key, one in parted.items()]
        return piece._replace(check=check._replace(gone=gone)), written

    def _neighbour(self, number: int, widths: Widths) -> Neighbour:
        held = self._neighbours.get(number)
        if held is None or held.partitions < widths.now:
            # Others are strangers there once there are more partitions.
            held = self._neighbours[number] = Neighbour(number, widths.now, self._incarnation())
        return held

    async def _until_fresh(self, neighbours: Collection[Neighbour], partition: Partition) -> None:
        """Return once all is read that the neighbours had written before, or if that takes too long."""
        for one in neighbours:
            one.ask()
        if neighbours and not self._is_following:
            self._is_following = True
            self._app.spawn(self._follow())
        deadline = time.monotonic() + WAIT_S
        while not partition.leaving and (unread := [one for one in neighbours if not one.is_fresh]):
            now = time.monotonic()
            if now > deadline or now < self._unread_until:
                if now > deadline:
                    # Who comes next does not wait for the same brokers.
                    self._unread_until = now + UNREAD_S
                    log.warning("checkpoints of partitions %s cannot be read now", [one.number for one in unread])
                return
            await asyncio.sleep(LOOK_S)

    async def _until_all_there(
        self, neighbour: Neighbour, first_ts: Mapping[bytes, int], began_ts: int, partition: Partition
    ) -> None:
        """Return once the neighbour's rows of these keys reflect what came of their devices, as far as can be told.

        A piece that has come just now, at `began_ts`, waits until it is `WAIT_S` old. One that is older is late anyway:
        it waits as long as the neighbour works off what came before the piece, and has patience left. Not for more, or
        two partitions that are both late would wait for each other."""
        began, age_s, end, looked_at = time.monotonic(), (now_ms() - began_ts) / 1_000, inf, -1
        is_late, headway_s = age_s >= WAIT_S, WAIT_S + self._settings.checkpoint_interval_s
        most_s = neighbour.patience_s if is_late else WAIT_S - max(age_s, 0.0)
        wanted_ts = began_ts if is_late else max(first_ts.values())
        while not neighbour.covers(wanted_ts, end):
            if looked_at != neighbour.next and neighbour.is_up_to_date(first_ts):
                break
            looked_at, waited_s = neighbour.next, time.monotonic() - began
            if partition.leaving or waited_s > most_s or min(neighbour.silent_s, waited_s) > headway_s:
                break
            if end == inf:
                end = await self._end_of(neighbour)
            await asyncio.sleep(LOOK_S)
        if is_late:
            neighbour.patience_s -= time.monotonic() - began

    async def _end_of(self, neighbour: Neighbour) -> float:
        """Where the neighbour's telemetry ends; nowhere, if nobody says so soon."""
        telemetry = TopicPartition(TELEMETRY.name, neighbour.number)
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(END_S):
                if self._consumer is not None:
                    return await end_of(self._consumer, telemetry)
        return inf

    async def _follow(self) -> None:
        """Read on in the checkpoints of neighbours for as long as they are wanted."""
        while any(one.is_wanted for one in self._neighbours.values()):
            try:
                async with self._readers.reader("read_committed") as self._consumer:
                    await self._read_on(self._consumer)
            except KafkaError as error:
                log.warning("checkpoints of other partitions cannot be read: %s", error)
                await asyncio.sleep(1.0)
            finally:
                self._consumer = None
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
