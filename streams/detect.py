"""The detect job: chunks of telemetry in; alarms, aggregates, device status and rejects out; state checkpointed.

What may be committed is what a checkpoint covers, and a checkpoint is written only after everything it reflects has
been acknowledged by the broker (ARCHITECTURE.md, delivery). Between two checkpoints outputs are only in flight, so that
alarms wait for nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from aiokafka import AIOKafkaProducer
from faust.types import TP

from detectors.checkpoint import encode
from detectors.limits import LimitTable
from detectors.process import Result, process, tick
from detectors.sift import sift
from detectors.state import PartitionState
from schemas.events import Alarm, DeviceStatus, Severity
from schemas.rejects import DETECTOR_FAILED, event_of
from schemas.report_rules import Fault
from schemas.reports import Reject, Reports, decode, reject_record
from schemas.topics import AGGREGATES, ALARMS, CHECKPOINTS, DEVICE_STATUS, MAX_REJECT_BYTES, REJECTS, TELEMETRY
from streams.batches import MAX_BATCH_BYTES, Outgoing, send_all
from streams.checkpoints import CheckpointWriter, Incarnation, read_checkpoint
from streams.errors import OperatorError
from streams.ledger import Ledger
from streams.reject_share import RejectShare
from streams.settings import Settings
from streams.transport import Chunk, Fetch
from streams.worker import WorkerApp

log = logging.getLogger("emberline.detect")

TICK_INTERVAL_S: Final = 1.0


@dataclass(slots=True)
class Partition:
    """One partition while this worker holds it: its devices' state, and the chunks a checkpoint has yet to cover.

    `careful` is whether a detector has raised since the last checkpoint.
    """

    ledger: Ledger
    state: PartitionState
    sending: list[asyncio.Future[Any]] = field(default_factory=list)
    uncovered: list[Chunk] = field(default_factory=list)
    careful: bool = False
    next_offset: int = 0
    checkpointed_at: float = field(default_factory=time.monotonic)
    looked_after_at: float = field(default_factory=time.monotonic)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class DetectJob:
    """See the module. One agent feeds it, one chunk at a time; the checkpoints run beside it."""

    topics: Sequence[str] = (TELEMETRY.name,)
    relies_on: Sequence[str] = (CHECKPOINTS.name,)
    # What is there is fetched at once; the wait only spares the broker empty answers.
    fetch = Fetch(wait_ms=50, bytes_least=1)
    niceness = 0

    def __init__(self, settings: Settings, limits: LimitTable) -> None:
        self._settings = settings
        self._limits = limits
        self._partitions: dict[TP, Partition] = {}
        self._writers: dict[int, CheckpointWriter] = {}
        self._checkpointing = asyncio.Lock()
        self._share = RejectShare(settings.reject_share)

    async def start(self, app: WorkerApp) -> None:
        """Connect the producer of the output topics and start the checkpoints."""
        self._app = app
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka,
            acks="all",
            # Without it a batch may fail and the next one go through: events would be missing between two places.
            enable_idempotence=self._settings.fencing,
            linger_ms=0,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=2 * MAX_REJECT_BYTES,
        )
        await self._producer.start()
        app.spawn(self._run_checkpoints())

    async def handle(self, chunk: Chunk) -> None:
        """Decode, detect, send."""
        partition = await self._partition_of(chunk)
        began = time.perf_counter()
        reports, rejects = decode(chunk.records)
        decoded = time.perf_counter()
        async with partition.lock:
            result, failed = await self._detect(reports, partition, chunk.tp.partition)
            rejects = _with_failed(rejects, failed, chunk)
            detected = time.perf_counter()
            self._app.check_not_paused()
            partition.next_offset = chunk.range.last + 1
            partition.uncovered.append(chunk)
            await self._send_rejects(rejects, chunk, partition)
            await self._send(result, partition, chunk.tp.partition)
        self._app.progressed()
        self._note(result, rejects, chunk, (decoded - began, detected - decoded, time.perf_counter() - detected))
        self._share.note(len(reports), rejects)
        self._check_size()

    async def _detect(self, reports: Reports, partition: Partition, number: int) -> tuple[Result, dict[int, Exception]]:
        """What the reports mean; by offset, what was raised on records that a detector cannot stand."""
        if not partition.careful:
            try:
                return process(reports, partition.state, self._limits, _now_ms()), {}
            except Exception:
                log.exception("partition %d: a detector failed; looking for the records it failed on", number)
                partition.state = await self._state_before(partition, number)
                partition.careful = True
        partition.state, result, failed = sift(reports, partition.state, self._limits, _now_ms())
        return result, failed

    async def _state_before(self, partition: Partition, number: int) -> PartitionState:
        """The state before the chunk at hand, which has left it half changed: what a successor would come to."""
        state = await read_checkpoint(self._settings.kafka, number, Incarnation.of(self._app.topic_ids))
        for chunk in partition.uncovered:
            reports, _ = decode(chunk.records)
            state = sift(reports, state, self._limits, _now_ms()).state
        return state

    def make_room(self) -> None:
        """Nothing waits for room here."""

    async def release(self, revoked: set[TP]) -> None:
        """Drop the state: whoever has the partition next begins at our last checkpoint."""
        async with self._checkpointing:
            self._partitions.clear()
            await self._stop_writers()

    async def stop(self) -> None:
        """A last checkpoint of everything, so that the next worker has nothing to do again. None after a crash."""
        async with self._checkpointing:
            for tp, partition in self._partitions.items():
                await self._checkpoint(tp, partition)
            self._partitions.clear()
            await self._stop_writers()
        await self._producer.stop()

    async def _stop_writers(self) -> None:
        writers, self._writers = self._writers, {}
        await asyncio.gather(*(writer.stop() for writer in writers.values()))

    async def _partition_of(self, chunk: Chunk) -> Partition:
        """The partition's state, restored from its checkpoint when this worker has newly got it."""
        partition = self._partitions.get(chunk.tp)
        if partition is not None and partition.ledger is chunk.ledger:
            return partition
        began = time.monotonic()
        number, incarnation = chunk.tp.partition, Incarnation.of(self._app.topic_ids)
        if number not in self._writers:
            # Before reading: from here on nobody else writes this partition's checkpoints.
            self._writers[number] = await CheckpointWriter.start(self._settings, number, incarnation)
        state = await read_checkpoint(self._settings.kafka, number, incarnation)
        log.info(
            "partition %d: %d devices restored in %.1f s", chunk.tp.partition, len(state), time.monotonic() - began
        )
        partition = self._partitions[chunk.tp] = Partition(chunk.ledger, state)
        return partition

    async def _send_rejects(self, rejects: list[Reject], chunk: Chunk, partition: Partition) -> None:
        topic, number = chunk.tp.topic, chunk.tp.partition
        partition.sending += await send_all(
            self._producer,
            REJECTS.name,
            number,
            (
                Outgoing(reject.key, reject.value, event_of(reject, topic, number).to_headers(reject.headers))
                for reject in rejects
            ),
        )

    async def _send(self, result: Result, partition: Partition, number: int) -> None:
        """Fire first (domain.md, rule 4): alarms before status before aggregates."""
        for topic, events in (
            (ALARMS, result.alarms),
            (DEVICE_STATUS, result.statuses),
            (AGGREGATES, result.aggregates),
        ):
            records = (Outgoing(event.device_id.encode(), event.to_json()) for event in events)
            partition.sending += await send_all(self._producer, topic.name, number, records)

    async def _run_checkpoints(self) -> None:
        while True:
            await asyncio.sleep(TICK_INTERVAL_S / max(1, len(self._partitions)))
            # One partition at a time, so that checkpoints never make alarms wait for long.
            async with self._checkpointing:
                if self._partitions:
                    await self._look_after(min(self._partitions.items(), key=lambda item: item[1].looked_after_at))

    async def _look_after(self, item: tuple[TP, Partition]) -> None:
        tp, partition = item
        partition.looked_after_at = time.monotonic()
        await self._tick(tp, partition)
        if time.monotonic() - partition.checkpointed_at >= self._settings.checkpoint_interval_s:
            await self._checkpoint(tp, partition)

    async def _tick(self, tp: TP, partition: Partition) -> None:
        if partition.next_offset < partition.ledger.end or not self._app.consumer.all_handed_over(tp):
            return
        async with partition.lock:
            statuses = tick(partition.state, _now_ms())
            await self._send(Result(statuses=statuses), partition, tp.partition)
        self._note_statuses(statuses)

    async def _checkpoint(self, tp: TP, partition: Partition) -> None:
        """Write the rows that changed, then let the chunks they reflect be committed.

        The lock makes rows and outputs of one chunk appear together; the waiting happens outside it.
        """
        began = time.monotonic()
        async with partition.lock:
            if self._app.crashed:
                # The state may reflect what was not sent, or not reflect what came before.
                return
            state = partition.state
            rows = state.dirty.nonzero()[0]
            encoded = list(encode(state, rows.tolist()))
            state.dirty[rows] = False
            covered = list(partition.uncovered)
            sending, partition.sending = partition.sending, []
        await asyncio.gather(*sending)
        self._app.check_not_paused()
        await self._writers[tp.partition].write(encoded)
        # Only now: whoever restores the state meanwhile works them off once more.
        del partition.uncovered[: len(covered)]
        partition.careful = False
        for chunk in covered:
            chunk.finish()
        partition.checkpointed_at = time.monotonic()
        if covered:
            self._app.progressed()
        self._app.metrics.add("emberline_checkpoint_rows_total", len(encoded))
        self._app.metrics.observe("emberline_checkpoint_seconds", partition.checkpointed_at - began)
        self._app.metrics.set("emberline_devices", len(state), partition=str(tp.partition))

    def _check_size(self) -> None:
        devices = sum(len(partition.state) for partition in self._partitions.values())
        if devices > self._settings.devices_most:
            raise OperatorError(
                f"{devices} devices are more than EMBERLINE_DEVICES_MOST allows one worker "
                f"({self._settings.devices_most}); start another worker or raise it"
            )

    def _note(self, result: Result, rejects: list[Reject], chunk: Chunk, seconds: tuple[float, float, float]) -> None:
        metrics = self._app.metrics
        for stage, taken in zip(("decode", "detect", "send"), seconds, strict=True):
            metrics.observe("emberline_chunk_seconds", taken, stage=stage)
        metrics.add("emberline_reports_total", result.reports)
        metrics.add("emberline_repeated_reports_total", result.repeated)
        metrics.add("emberline_late_reports_total", result.late)
        metrics.add("emberline_skipped_reports_total", result.skipped)
        metrics.add("emberline_clock_ahead_reports_total", result.clock_ahead)
        metrics.add("emberline_aggregates_total", len(result.aggregates))
        for reject in rejects:
            metrics.add("emberline_rejects_total", reason=reject.fault.reason)
            log.debug("%s %d: %s: %s", chunk.tp, reject.offset, *reject.fault)
        for alarm in result.alarms:
            self._note_alarm(alarm)
        self._note_statuses(result.statuses)

    def _note_alarm(self, alarm: Alarm) -> None:
        severity = Severity(alarm.severity).name.lower()
        self._app.metrics.add("emberline_alarms_total", kind=alarm.kind, event=alarm.event, severity=severity)
        self._app.metrics.observe("emberline_alarm_delay_seconds", (alarm.detected_ts - alarm.ingest_ts) / 1000)

    def _note_statuses(self, statuses: list[DeviceStatus]) -> None:
        for status in statuses:
            self._app.metrics.add("emberline_status_changes_total", status=status.status)


def _with_failed(rejects: list[Reject], failed: Mapping[int, Exception], chunk: Chunk) -> list[Reject]:
    """The rejects, and the records on which a detector failed, in the order of their places."""
    for offset, error in failed.items():
        number = int(np.searchsorted(chunk.records.offsets, offset))
        why = f"{type(error).__name__}: {error}"[:200]
        fault = Fault(DETECTOR_FAILED, f"{why}; its readings are stored. Please report this defect of emberline")
        rejects.append(reject_record(chunk.records, number, fault))
    return sorted(rejects, key=lambda reject: (reject.offset, reject.index))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
