"""The detect job: chunks of telemetry in; alarms, aggregates, device status and rejects out; state checkpointed.

An offset is committed only if a checkpoint covers it. A checkpoint is written only after the broker has acknowledged
all events that it reflects (ARCHITECTURE.md, delivery). Between two checkpoints events are in flight, so that no alarm
waits for anything.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final

from aiokafka.errors import KafkaError
from faust.types import TP

from common.closing import closed
from common.errors import OperatorError
from common.kafka import clients
from common.kafka.reading import Readers
from common.settings import Settings
from detectors.control.applied import Applied
from detectors.limits import LimitTable
from detectors.rounds import Result
from detectors.rules import rules_of
from detectors.sift import fault_of
from detectors.state import Devices, PartitionState
from detectors.statuses import is_due
from schemas.control import TIME_HEADERS, TIME_KEY
from schemas.records import Records
from schemas.report_rules import Fault
from schemas.topics import CHECKPOINTS, MAX_REJECT_BYTES, OUTPUTS, TELEMETRY
from streams.batches import MAX_BATCH_BYTES, Outgoing, send_all
from streams.checkpoints import Checkpoint, CheckpointWriter, Incarnation, read_checkpoint
from streams.control import Copier
from streams.generations import Generation, begun, covered_to, sent_since
from streams.ledger import Ledger
from streams.moves import Moves, parted_in
from streams.partitions import RECORD, Kept, Partition, changed_rows, ended, kept_in, left, let_go, record_of
from streams.pieces import Piece, pieces_of, sifted, with_unjudged
from streams.reject_share import RejectShare
from streams.results import note_result
from streams.sending import EventSender
from streams.together import Together
from streams.transport import Chunk, Fetch
from streams.worker import WorkerApp

log = logging.getLogger("emberline.detect")

LOOK_AFTER_S: Final = 1.0
WAITING_BYTES: Final = 4 * 1_048_576
"""Once so much of a partition waits, no more of it is fetched [ours]: four ordinary fetches, or one large one more."""
RESTORED_AT_ONCE: Final = 16
"""Partitions that are restored at the same time, each by readers of its own. With four at once a worker of 64 that was
behind caught up at two thirds of the pace, for the few that were there had small pieces [measured]."""
BEAT_DUE_S: Final = 5.0
BEAT_S: Final = 20.0
"""A partition of which nothing has come for so long gets a record of time: after the first where somebody may be silent
for too long by then; the second lets two be missed before there is a hole (`detectors.log_time`)."""
TIME: Final = Outgoing(TIME_KEY, b"", TIME_HEADERS)
MOVES_INTERVAL_S: Final = 0.5
"""Between checkpoints after topics were widened: partitions that devices move to wait for them (`streams.moves`)."""
RESTORED_AGAIN_S: Final = 1.0
"""Brokers that are away are asked again after so long [ours]."""
TURN_S: Final = 0.03
"""Pieces of one chunk follow each other without a pause for so long. One more piece takes 60 ms at most, so no other
partition waits for over 100 ms (design.md, 4)."""
PAUSE_S: Final = 0.001
"""Between turns. A neighbour's record needs some twenty turns of the event loop until its alarm is sent. If others had
one turn between two pieces, it would wait for twenty pieces."""
FINISH_S: Final = 2.5
"""A worker told to stop processes what it has taken on for so long; then the last checkpoint must be written."""


class DetectJob:
    """See the module. Each partition has a task of its own; the checkpoints run beside them."""

    topics: Sequence[str] = (TELEMETRY.name,)
    relies_on: Sequence[str] = (CHECKPOINTS.name, *(topic.name for topic in OUTPUTS))
    # What is there is fetched at once; the wait only spares the broker empty answers.
    fetch = Fetch(wait_ms=50, bytes_least=1)
    niceness = 0

    def __init__(self, settings: Settings, limits: LimitTable) -> None:
        self._settings = settings
        self._limits = limits
        self._rules = rules_of(limits)
        self._devices = Devices()
        self._together = Together(limits)
        self.finishes_every_s = settings.checkpoint_interval_s
        self._partitions: dict[TP, Partition] = {}
        self._kept: dict[TP, Partition] = {}
        """Partitions as they were when a rebalance began."""
        self._writers: dict[int, CheckpointWriter] = {}
        self._checkpointing = asyncio.Lock()
        self._restoring = asyncio.Semaphore(RESTORED_AT_ONCE)
        self._readers = Readers(settings)

    async def start(self, app: WorkerApp) -> None:
        """Connect the producer of the output topics and start the checkpoints."""
        self._app = app
        self._moves = Moves(app, self._readers, self._incarnation)
        self._share = RejectShare(self._settings.reject_share, app.metrics)
        self._producer = clients.producer(
            self._settings,
            acks="all",
            # Without it a batch may fail and the next one go through: events would be missing between two positions.
            enable_idempotence=self._settings.fencing,
            linger_ms=0,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=2 * MAX_REJECT_BYTES,
        )
        await self._producer.start()
        self._sender = EventSender(self._producer, str(app.topic_ids[TELEMETRY.name]))
        self._copier = Copier(app, self._producer)
        app.spawn(self._copier.run())
        app.spawn(self._run_checkpoints())

    @property
    def remark(self) -> str | None:
        """What the operator should know though the worker is ready."""
        return "; ".join(filter(None, (self._share.remark, self._copier.remark))) or None

    def begin(self, offsets: Mapping[TP, int]) -> None:
        """Stop the writers of what others have now. Ours begins once the group has settled, or with its first chunk."""
        for tp in self._kept.keys() - offsets.keys():
            self._let_leave(self._kept.pop(tp))
        others = self._writers.keys() - {tp.partition for tp in offsets}
        self._app.spawn(_stop([self._writers.pop(number) for number in others]))

    def wants(self, tp: TP) -> bool:
        """Whether little enough of the partition waits."""
        partition = self._partitions.get(tp)
        return partition is None or partition.waiting_bytes < WAITING_BYTES

    def handle(self, chunk: Chunk) -> None:
        """Hand the chunk to its partition's task."""
        partition = self._partitions.get(chunk.tp)
        if partition is not None and partition.ledger is None:
            partition.ledger = chunk.ledger
        if partition is None or partition.ledger is not chunk.ledger:
            partition = self._begin(chunk.tp, chunk.ledger)
        partition.waiting.put_nowait(chunk)
        partition.waiting_bytes += chunk.size

    def _begin(self, tp: TP, ledger: Ledger | None = None) -> Partition:
        """Restore a partition and process its chunks. What was begun of it before ends."""
        before, partition = self._partitions.get(tp), Partition(self._empty(), ledger)
        self._partitions[tp] = partition
        self._app.spawn(self._work(tp, partition, before))
        return partition

    def _begin_assigned(self) -> None:
        """Begin the partitions that are assigned and of which nothing has come: their devices may be silent."""
        if self._app.rebalancing or self._app.should_stop or not self._app.consumer.flow_active:
            return
        for tp in filter(self._app.kafka.may_be_worked_on, self._app.assignment() - self._partitions.keys()):
            self._begin(tp)

    async def _work(self, tp: TP, partition: Partition, before: Partition | None) -> None:
        """Process the partition's chunks, one after the other, until told to leave."""
        try:
            if before is not None:
                await let_go([before])
                self._keep(tp, before)
            await self._restore(tp, partition)
            self._copier.begin(tp.partition, partition)
            while chunks := await partition.next_chunks():
                if not await self._process_chunks(tp, chunks, partition):
                    return
                partition.waiting_bytes -= sum(chunk.size for chunk in chunks)
        finally:
            self._copier.end(tp.partition)
            partition.ended.set()

    async def _process_chunks(self, tp: TP, chunks: Sequence[Chunk], partition: Partition) -> bool:
        """Decode, detect and send piece by piece, others' pieces in between. False where it is left unfinished."""
        seconds, records = [0.0, 0.0, 0.0], Records.joined([chunk.records for chunk in chunks])
        # The one before may have been the only thing that the loop had to do.
        await asyncio.sleep(0)
        paused_at = time.perf_counter()
        self._moves.look(tp, partition)
        signers, log_time = self._copier.signers, partition.state.log
        for read in pieces_of(records, self._limits.absences, log_time, partition.widths.now, signers):
            if time.perf_counter() - paused_at >= TURN_S:
                await asyncio.sleep(PAUSE_S)
                paused_at = time.perf_counter()
            piece = await self._with_moves(read, tp, partition)
            if piece is None:
                return False
            async with partition.lock:
                taken = await self._process_piece(piece, records, tp, partition)
                self._copier.read_back(piece.control, tp.partition, partition)
                partition.since.append(piece._replace(rejects=[]))
            seconds = [sum(both) for both in zip(seconds, (piece.seconds, *taken), strict=True)]
        async with partition.lock:
            partition.state.log.reach(int(records.timestamps.max()))
            partition.moved_at = time.monotonic()
            partition.next_offset = chunks[-1].range.last + 1
            partition.uncovered += chunks
        self._app.metrics.add("emberline_records_total", len(records.offsets), topic=tp.topic)
        for stage, took in zip(("decode", "detect", "send"), seconds, strict=True):
            self._app.metrics.observe("emberline_chunk_seconds", took, stage=stage)
        return True

    async def _with_moves(self, piece: Piece, tp: TP, partition: Partition) -> Piece | None:
        """The piece, once what its devices bring along is in the checkpoint. None where the partition is let go of, or
        something before the piece has failed."""
        if not (partition.leaving or self._app.crashed):
            piece, parted = await self._moves.depart(piece, tp, partition)
            written = parted + await self._moves.arrive(piece, tp, partition)
            if written and not await self._write(tp, partition, written):
                return None
        return None if partition.leaving or self._app.crashed else piece

    async def _process_piece(self, piece: Piece, records: Records, tp: TP, partition: Partition) -> tuple[float, float]:
        began = time.perf_counter()
        result, failed = await self._detect(piece, partition, tp.partition)
        rejects = with_unjudged(piece.rejects, result.refused | failed, records)
        detected = time.perf_counter()
        self._app.check_not_paused()
        await self._sender.send_rejects(rejects, tp, partition)
        await self._send(result, partition, tp.partition)
        self._share.note(records, piece.reports.good, rejects)
        note_result(self._app.metrics, result)
        return detected - began, time.perf_counter() - detected

    async def _detect(
        self, piece: Piece, partition: Partition, number: int
    ) -> tuple[Result, dict[tuple[int, int], Fault]]:
        """What the reports mean; and by offset and index, why a report is rejected on which a detector raises."""
        if not partition.careful:
            try:
                return await self._together.process(piece, partition.state), {}
            except Exception:
                log.exception("partition %d: a detector failed; looking for the reports it failed on", number)
                broken, partition.state = partition.state, await self._state_before(partition, number)
                await left(broken)
                partition.careful = True
        result, failed = sifted(piece, partition.state, self._limits)
        return result, {at: fault_of(error) for at, error in failed.items()}

    async def _state_before(self, partition: Partition, number: int) -> PartitionState:
        """The state before this piece, which has left it half changed: the state that a successor would restore."""
        # Before reading: a checkpoint that is being written takes from these what it covers, and may not be read.
        since = list(partition.since)
        checkpoint, _ = await self._read(number)
        for piece in since:
            await asyncio.sleep(0)
            sifted(piece, checkpoint.state, self._limits)
        return checkpoint.state

    def _empty(self) -> PartitionState:
        return PartitionState(self._settings.devices_most, self._devices)

    def _incarnation(self) -> Incarnation:
        return Incarnation.of(self._app.topic_ids)

    async def _read(self, number: int) -> tuple[Checkpoint, Kept]:
        """A partition's checkpoint, its log's time in the state, and what else it says of the partition."""
        checkpoint = await read_checkpoint(self._readers, number, self._incarnation(), self._empty())
        for reason, count in checkpoint.aside.items():
            self._app.metrics.add("emberline_bad_checkpoint_records_total", count, reason=reason)
        kept = kept_in(checkpoint.records, checkpoint.state)
        try:
            checkpoint.state.registered.restore(checkpoint.records)
        except ValueError as error:
            raise OperatorError(
                f"what the checkpoint of partition {number} holds of registered devices cannot be read: {error}; run "
                "the release that wrote it"
            ) from error
        checkpoint.state.log, checkpoint.state.applied = kept.log, kept.applied or Applied()
        return checkpoint, kept

    async def release(self, revoked: set[TP]) -> None:
        """Process no more: who is next begins at our last checkpoint or, if it is us, where we were."""
        async with self._checkpointing:
            await let_go(list(self._partitions.values()))
            for tp, partition in self._partitions.items():
                self._keep(tp, partition)
            self._partitions.clear()

    def _keep(self, tp: TP, partition: Partition) -> None:
        if not partition.restored:
            self._let_leave(partition)
            return
        if tp in self._kept:
            self._let_leave(self._kept[tp])
        self._kept[tp] = partition

    def _let_leave(self, partition: Partition) -> None:
        """Let the devices of a partition go that nobody goes on with."""
        self._app.spawn(left(partition.state))

    async def stop(self) -> None:
        """A last checkpoint of everything, so that the next worker has nothing to do again. None after a crash."""
        held = list(self._partitions.values())
        for partition in held:
            partition.waiting.put_nowait(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH_S):
                await ended(held)
        await let_go(held)
        async with self._checkpointing:
            for tp, partition in self._partitions.items():
                await self._checkpoint(tp, partition)
            self._partitions.clear()
            await _stop(list(self._writers.values()))
        await self._readers.close()
        await self._producer.stop()

    async def _restore(self, tp: TP, partition: Partition) -> None:
        """The partition's state from its checkpoint, now that this worker has newly got it."""
        while not (partition.leaving or self._app.crashed or partition.restored):
            try:
                async with self._restoring:
                    await self._restore_now(tp, partition)
            except KafkaError as error:
                if not error.retriable:
                    raise
                log.warning("partition %d: not restored yet: %s", tp.partition, error)
                # A claim that is half done is made anew.
                await self._drop_writer(tp.partition)
                await asyncio.sleep(RESTORED_AGAIN_S)
        if all(one.restored for one in self._partitions.values()):
            await self._readers.close()

    async def _drop_writer(self, number: int) -> None:
        if number in self._writers:
            await _stop([self._writers.pop(number)])

    async def _restore_now(self, tp: TP, partition: Partition) -> None:
        if partition.leaving or self._app.crashed:
            return
        self._app.check_not_paused()  # whoever slept through a takeover would fence the one who has it now
        number, began = tp.partition, time.monotonic()
        if await self._goes_on(tp, partition):
            return
        if number not in self._writers:
            # Before reading: from here on nobody else writes this partition's checkpoints.
            self._writers[number] = await CheckpointWriter.start(self._settings, number, self._incarnation())
        checkpoint, kept = await self._read(number)
        self._copier.check_signers(kept.signers, number)
        self._writers[number].epoch = checkpoint.next_epoch
        self._let_leave(partition)
        partition.state = checkpoint.state
        if RECORD in checkpoint.records:
            partition.recorded = RECORD, checkpoint.records[RECORD]
            partition.widths = kept.widths
        partition.parted, partition.signers = parted_in(checkpoint.records), dict(kept.signers)
        await self._moves.begin(tp, partition)
        await self._begin_generation(tp, partition, kept.generation)
        if self._copier.name_signer(partition):
            partition.recorded = record_of(partition, partition.generation)
            await self._writers[number].write([partition.recorded])
        partition.restored = True
        # Others wait for their turn.
        self._app.progressed()
        log.info("partition %d: %d devices restored in %.1f s", number, len(partition.state), time.monotonic() - began)

    async def _goes_on(self, tp: TP, partition: Partition) -> bool:
        """Go on from what this worker had of the partition before a rebalance, if nobody has had it since: whoever has
        fences the writer, who asks by writing once more what the checkpoint says of the partition."""
        kept = self._kept.pop(tp, None)
        if kept is None:
            return False
        if not (kept.recorded and self._settings.fencing):
            self._let_leave(kept)
            return False
        try:
            await self._writers[tp.partition].write([kept.recorded])
        except (KafkaError, OperatorError) as error:
            log.debug("partition %d: restored, not kept: %s", tp.partition, error)
            self._let_leave(kept)
            await self._drop_writer(tp.partition)
            return False
        self._let_leave(partition)
        partition.go_on_from(kept)
        self._app.progressed()
        log.info("partition %d: %d devices kept", tp.partition, len(partition.state))
        return True

    async def _begin_generation(self, tp: TP, partition: Partition, kept: Generation | None) -> None:
        """Go on with the events of the checkpoint, or begin with those of other rules (`streams.generations`)."""
        if kept is not None and kept.rules == self._rules and kept.sent_from is None:
            partition.generation = kept
            return
        number = tp.partition
        async with self._readers.reader() as outputs:
            covered = self._app.consumer.begins_at(tp)
            partition.generation = await begun(kept, self._rules, covered, number, outputs)
            partition.sent = await sent_since(partition.generation, number, outputs)
        if partition.generation != kept:
            log.info("partition %d: events of generation %d", number, partition.generation.number)
            partition.recorded = record_of(partition, partition.generation)
            await self._writers[number].write([partition.recorded])

    async def _send(self, result: Result, partition: Partition, number: int) -> None:
        await self._sender.send(result, partition, number)

    async def _run_checkpoints(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AFTER_S / max(1, len(self._partitions)))
            self._begin_assigned()
            # One partition at a time, so that checkpoints never make alarms wait for long.
            async with self._checkpointing:
                if restored := [item for item in self._partitions.items() if item[1].restored]:
                    await self._look_after(min(restored, key=lambda item: item[1].looked_after_at))

    async def _look_after(self, item: tuple[TP, Partition]) -> None:
        tp, partition = item
        partition.looked_after_at = time.monotonic()
        await self._beat(tp, partition)
        interval_s = self._settings.checkpoint_interval_s
        if partition.widths.hurry(partition.state.log.ts):
            interval_s = min(interval_s, MOVES_INTERVAL_S)
        if time.monotonic() - partition.checkpointed_at >= interval_s:
            await self._checkpoint(tp, partition)

    async def _beat(self, tp: TP, partition: Partition) -> None:
        """Have the log say that time passes, where nothing else does and somebody may be silent."""
        ends = 0 if partition.ledger is None else partition.ledger.end
        if partition.next_offset < ends or not self._app.consumer.all_handed_over(tp):
            return
        state, quiet_s = partition.state, time.monotonic() - partition.moved_at
        if not len(state) or partition.beating or quiet_s < BEAT_DUE_S:
            return
        if quiet_s < BEAT_S and not is_due(state, state.log.ts + quiet_s * 1_000):
            return
        partition.beating = await send_all(self._producer, tp.topic, tp.partition, [TIME])
        partition.moved_at = time.monotonic()
        self._app.spawn(_beaten(partition))

    async def _checkpoint(self, tp: TP, partition: Partition) -> None:
        """Write the rows that changed, then let the chunks they reflect be committed.

        The lock makes rows and outputs of one chunk appear together; the waiting happens outside it.
        """
        began = time.monotonic()
        async with partition.lock:
            if self._app.crashed or not partition.restored:
                # The state may reflect what was not sent, or not reflect what came before.
                return
            encoded = await changed_rows(partition.state)
            reached = max(partition.next_offset, partition.generation.covered)
            generation = covered_to(partition.generation, reached, partition.sent)
            record = record_of(partition, generation)
            if record != partition.recorded:
                # Last: without transactions rows may be newer than it, never older.
                encoded.append(record)
            covered, pieces = len(partition.uncovered), len(partition.since)
            sending, partition.sending = partition.sending, []
        await asyncio.gather(*sending)
        self._app.check_not_paused()
        if not await self._write(tp, partition, encoded):
            return
        partition.recorded, partition.generation = record, generation
        if generation.sent_from is None:
            partition.sent = None
        # Only now: whoever restores the state meanwhile works them off once more.
        del partition.since[:pieces]
        partition.careful = False
        for chunk in partition.uncovered[:covered]:
            chunk.finish()
        del partition.uncovered[:covered]
        partition.checkpointed_at = time.monotonic()
        if covered or pieces:
            self._app.progressed(tp)
        self._app.metrics.add("emberline_checkpoint_rows_total", len(encoded))
        self._app.metrics.observe("emberline_checkpoint_seconds", partition.checkpointed_at - began)
        self._app.metrics.set("emberline_devices", len(partition.state), partition=str(tp.partition))

    async def _write(self, tp: TP, partition: Partition, rows: Sequence[tuple[bytes, bytes | None]]) -> bool:
        """Write to the checkpoint. False where the partition has become another's, and is let go of."""
        writer = self._writers.get(tp.partition)
        if writer is None or not partition.restored:
            return False
        try:
            await writer.write(rows)
        except OperatorError:
            if not self._app.rebalancing:
                raise
            # It waited for a broker through a rebalance, and the partition is another's: nobody was away.
            partition.restored, partition.leaving = False, True
            await self._drop_writer(tp.partition)
            return False
        return True


async def _stop(writers: Collection[CheckpointWriter]) -> None:
    await asyncio.gather(*(closed(writer.stop()) for writer in writers))


async def _beaten(partition: Partition) -> None:
    await asyncio.gather(*partition.beating)
    partition.beating = ()
