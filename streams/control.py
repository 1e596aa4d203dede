"""Copies what is ordered into the log: from topics of commands into partitions of telemetry, as control records.

One consumer a worker, without a group, reads partition p of each source topic for every partition p of telemetry that
the worker holds, from behind what the state has applied. What it reads is appended to telemetry in order, signed, and
applied once it is read back like every other record (`schemas.control`, `detectors.control`). Till then nothing more of
that source partition is sent: orders wait while reports do, and a flood of them delays no alarm.

Nothing here needs to be exact. Whoever copies begins at or before the first order that is not applied, and copies all
that follow in their order; so first copies are in order whoever copies, and others are recognised. A source that is
missing, or that may not be read, is said, and detection goes on without it. A copy that cannot be sent ends the worker:
the producer is that of alarms.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from common.errors import OperatorError
from common.kafka.reading import end_of, reader
from common.settings import Settings
from common.times import now_ms
from detectors.control.applied import Applied
from schemas.commands import EXPIRES_MS
from schemas.control import CHANGE, COMMAND, ControlRecord, order_of, packed, signed, sorted_out
from schemas.control_keys import NO_KEYS, ControlKeys
from schemas.topics import COMMANDS, REGISTRY, TELEMETRY
from streams.batches import Outgoing, send_all
from streams.partitions import Partition
from streams.pieces import Signers
from streams.watching.described import Described, described_by_any
from streams.worker import WorkerApp

log = logging.getLogger("emberline.detect")

FETCH_S: Final = 0.1
"""A source partition from which more may be copied, or that is new, is asked for within that time."""
LOOK_S: Final = 3.0
"""Between two looks whether source topics are there, and the same: as often as a worker looks at the others."""
AGAIN_S: Final = 1.0
"""A source that could not be read is tried again after so long [ours]."""


class SourceTopic(NamedTuple):
    """A topic that is copied, and the kind of the control records. Where nothing of it was applied yet, records are
    copied that arrived in the last `lookback_ms`; all of them where that is None. A worker copies so many orders a
    second of it at most, over all partitions."""

    name: str
    kind: bytes
    lookback_ms: int | None
    orders_a_second: int


SOURCES: Final = (
    SourceTopic(COMMANDS.name, COMMAND, EXPIRES_MS, 10_000),
    # An entry costs some 0.4 ms, its outcome included [measured]: a city that is imported takes half of a core for two
    # minutes, and alarms keep their time.
    SourceTopic(REGISTRY.name, CHANGE, None, 1_000),
)


def keys_of(settings: Settings) -> ControlKeys:
    """The keys of the settings' file; none where none is set. Raises OperatorError."""
    if not (file := settings.control_keys_file):
        return NO_KEYS
    try:
        return ControlKeys.of(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise OperatorError(f"EMBERLINE_CONTROL_KEYS_FILE: cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise OperatorError(f"EMBERLINE_CONTROL_KEYS_FILE: {file} is no text in UTF-8") from None
    except ValueError as error:
        raise OperatorError(f"EMBERLINE_CONTROL_KEYS_FILE: {file}: {error}") from None


async def begin_of(
    tp: TopicPartition, topic_id: UUID, applied: Applied, source: SourceTopic, consumer: AIOKafkaConsumer
) -> int:
    """The offset from which a partition of a source topic is to be copied, by what of it was applied."""
    last = applied.topics.get(source.name)
    if last is not None and last.topic_id == topic_id:
        return last.offset + 1
    if last is None and source.lookback_ms is not None:
        # The end first: an order that arrives between the two answers lies behind it, or is found.
        end = await end_of(consumer, tp)
        found = (await consumer.offsets_for_times({tp: max(now_ms() - source.lookback_ms, 0)}))[tp]
        return int(end if found is None else found.offset)
    return int((await consumer.beginning_offsets([tp]))[tp])


@dataclass(slots=True, eq=False)
class _Copying:
    """One partition of a source topic while the telemetry partition of its number is held. `next` is the offset to read
    from, -1 while that is not known. `sent` is the offset of the last order that is on its way, `moved` is set when it
    was read back, or nothing more is to be copied."""

    source: SourceTopic
    topic_id: UUID
    tp: TopicPartition
    partition: Partition
    next: int = -1
    sent: int = -1
    is_busy: bool = False
    is_over: bool = False
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        """Send no more."""
        self.is_over = True
        self.moved.set()

    def read_back(self, record: ControlRecord) -> None:
        """A control record came back out of the log."""
        held = record.held
        if (held.topic, held.topic_id) == (self.source.name, self.topic_id) and held.orders[-1].offset >= self.sent:
            self.moved.set()


class Copier:
    """Copies for the partitions that one worker holds. A worker without keys copies nothing."""

    def __init__(self, app: WorkerApp, producer: AIOKafkaProducer) -> None:
        self._app = app
        self._settings = app.emberline
        self._producer = producer
        self._keys = keys_of(app.emberline)
        self._telemetry_id = app.topic_ids[TELEMETRY.name]
        self.signers: Signers = partial(sorted_out, telemetry_id=self._telemetry_id, keys=self._keys)
        self._held: dict[int, Partition] = {}
        self._copying: dict[TopicPartition, _Copying] = {}
        self._found: dict[str, Described] = {}
        self._failures: dict[str, str] = {}
        self._looked_at = -LOOK_S
        self._next_at = dict.fromkeys((source.name for source in SOURCES), 0.0)
        """By source, when the next orders may be sent, monotonic seconds."""
        self._changed = asyncio.Event()

    @property
    def remark(self) -> str | None:
        """Why orders are not taken, or not all, if so."""
        if not self._keys:
            return "no orders are taken, for EMBERLINE_CONTROL_KEYS_FILE is not set"
        return "; ".join(self._failures.values()) or None

    def check_signers(self, signers: Mapping[str, int], number: int) -> None:
        """Raises OperatorError where a partition may have control records of a key that is not here: they would be
        taken for forged, and other alarms found than by those who have it."""
        missing = sorted(key_id for key_id in signers if key_id not in self._keys)
        if missing:
            raise OperatorError(
                f"the checkpoint of partition {number} names the key {missing[0]}, which signed orders that are still "
                "to be read: put it into the file of EMBERLINE_CONTROL_KEYS_FILE"
            )

    def name_signer(self, partition: Partition) -> bool:
        """Have the partition's own record name the key that signs from now on. Whether it did not."""
        if not self._keys or self._keys.first in partition.signers:
            return False
        # By our clock: before the first record the log has no time.
        partition.signers[self._keys.first] = now_ms()
        return True

    def begin(self, number: int, partition: Partition) -> None:
        """Copy for a partition from now on: it is claimed, restored, and its checkpoint names the key."""
        if self._keys and partition.restored and not partition.leaving:
            self._held[number] = partition
            self._changed.set()

    def end(self, number: int) -> None:
        """Send nothing more for a partition."""
        self._held.pop(number, None)
        for tp in [tp for tp in self._copying if tp.partition == number]:
            self._copying.pop(tp).end()
        self._changed.set()

    def read_back(self, record: ControlRecord | None, number: int, partition: Partition) -> None:
        """A control record was applied."""
        if record is None:
            return
        self._note_signer(record.key_id, partition)
        copying = self._copying.get(TopicPartition(record.held.topic, number))
        if copying is not None:
            copying.read_back(record)

    def _note_signer(self, key_id: str, partition: Partition) -> None:
        partition.signers[key_id] = max(partition.signers.get(key_id, 0), partition.state.log.ts)

    async def run(self) -> None:
        """Copy for as long as the worker runs."""
        if not self._keys:
            log.warning(self.remark)
            return
        while True:
            await self._changed.wait()
            try:
                async with reader(self._settings, "read_committed") as consumer:
                    await self._read_on(consumer)
            except KafkaError as error:
                self._say("reading", f"orders cannot be read just now: {error or type(error).__name__}")
                await asyncio.sleep(AGAIN_S)

    async def _read_on(self, consumer: AIOKafkaConsumer) -> None:
        assigned: set[_Copying] = set()
        while True:
            self._changed.clear()
            await self._look()
            if set(self._copying.values()) != assigned:
                assigned = await self._assign(consumer)
            idle = {tp: one for tp, one in self._copying.items() if not one.is_busy}
            if not idle:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), LOOK_S)
                continue
            found = await consumer.getmany(*idle, timeout_ms=int(FETCH_S * 1_000))
            self._say("reading", "")
            for tp, records in found.items():
                if (copying := self._copying.get(tp)) is idle[tp]:
                    copying.next, copying.is_busy = records[-1].offset + 1, True
                    self._app.spawn(self._copy(copying, records))

    async def _look(self) -> None:
        """Find which source partitions there are to copy from."""
        if time.monotonic() - self._looked_at >= LOOK_S:
            self._looked_at = time.monotonic()
            for partition in self._held.values():
                self._note_signer(self._keys.first, partition)
            for source in SOURCES:
                await self._look_at(source)
        wanted = dict(self._wanted())
        for tp in [tp for tp, one in self._copying.items() if tp not in wanted or wanted[tp].topic_id != one.topic_id]:
            self._copying.pop(tp).end()
        for tp, one in wanted.items():
            self._copying.setdefault(tp, one)

    async def _look_at(self, source: SourceTopic) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                found = await described_by_any(self._producer.client, [source.name])
        except (KafkaError, TimeoutError) as error:
            # What is known of it holds till then.
            self._say(source.name, f"orders on {source.name} cannot be read just now: {error or type(error).__name__}")
            return
        self._found.pop(source.name, None)
        self._found |= found
        self._say(source.name, self._why_not_all(source.name))

    def _why_not_all(self, name: str) -> str:
        if name not in self._found:
            return f"no orders are taken, for the topic {name} does not exist; make it with `emberline topics`"
        beyond = [number for number in self._held if number >= self._found[name].partitions]
        if beyond:
            return f"no orders are taken of partitions {beyond}, which {name} lacks; run `emberline topics --repair`"
        return ""

    def _wanted(self) -> Iterator[tuple[TopicPartition, _Copying]]:
        for source in SOURCES:
            if (found := self._found.get(source.name)) is not None:
                for number, partition in self._held.items():
                    if number < found.partitions:
                        tp = TopicPartition(source.name, number)
                        yield tp, _Copying(source, found.topic_id, tp, partition)

    def _say(self, about: str, failure: str) -> None:
        """Say once why orders are not taken, and in the remark for as long as it is so."""
        if failure and self._failures.get(about) != failure:
            log.warning(failure)
        if failure:
            self._failures[about] = failure
        else:
            self._failures.pop(about, None)

    async def _assign(self, consumer: AIOKafkaConsumer) -> set[_Copying]:
        """Read these, each from where it was read to, or from where its state begins."""
        for one in list(self._copying.values()):
            if one.next < 0:
                one.next = await begin_of(one.tp, one.topic_id, one.partition.state.applied, one.source, consumer)
        assigned = [one for one in self._copying.values() if one.next >= 0]
        if assigned:
            # Nothing is awaited between this and the rest: the client would begin elsewhere.
            consumer.assign([one.tp for one in assigned])
        for one in assigned:
            consumer.seek(one.tp, one.next)
        return set(assigned)

    async def _in_turn(self, source: SourceTopic, count: int) -> None:
        """Wait until so many orders more may be sent."""
        now = time.monotonic()
        at = max(self._next_at[source.name], now)
        self._next_at[source.name] = at + count / source.orders_a_second
        await asyncio.sleep(at - now)

    async def _copy(self, copying: _Copying, records: Sequence[ConsumerRecord]) -> None:
        """Append records of a source partition to the log, one control record after the other."""
        number, source = copying.tp.partition, copying.source
        orders = (order_of(record.offset, record.value, record.headers) for record in records)
        for held in packed(source.name, copying.topic_id, copying.partition.widths.now, orders):
            await self._in_turn(source, len(held.orders))
            if copying.is_over or copying.partition.leaving or self._app.crashed:
                return
            self._app.check_not_paused()
            copying.sent = held.orders[-1].offset
            copying.moved.clear()
            record = signed(held, source.kind, self._telemetry_id, number, self._keys)
            sending = await send_all(self._producer, TELEMETRY.name, number, [Outgoing(*record)])
            await asyncio.gather(*sending)
            await copying.moved.wait()
        copying.is_busy = False
        self._changed.set()
