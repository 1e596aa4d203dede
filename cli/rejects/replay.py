"""Sending rejects to telemetry again, each once, whoever dies and whenever (see `cli.rejects.remembered`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Any, Final
from uuid import UUID

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from cli.output import Say
from cli.rejects import stored
from cli.rejects.remembered import (
    SEND_MOST_S,
    SENDING,
    SENT,
    SETTLE_S,
    VERSION,
    Notebook,
    ReplayNote,
    look_for,
    read_notes,
)
from cli.rejects.stored import (
    REPLAY_OF,
    Body,
    OffsetRange,
    RejectFilter,
    RejectId,
    StoredReject,
    batches,
    bodies,
    of_range,
)
from common.errors import OperatorError
from common.kafka import clients
from common.kafka.reading import end_of, reader
from common.settings import Settings
from common.times import now_ms
from schemas.control import BAD_CONTROL
from schemas.rejects import NOT_JUDGED
from schemas.topics import MAX_REJECT_BYTES, REJECTS, TELEMETRY
from sinks.clickhouse.service import Service
from streams.topics import count_partitions, topic_ids

LEFT_OUT_MOST: Final = 1_000
"""Rejects left out that are named one by one; beyond that they are only counted."""
_STOP_S: Final = 1.0


@dataclass(slots=True)
class RejectReplayOutcome:
    """What a replay came to. `found` are those that an earlier replay had sent and not remembered."""

    dry_run: bool
    sent: int = 0
    sent_before: int = 0
    found: int = 0
    left_out: int = 0
    reasons: list[tuple[RejectId, str]] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Rejects that need no more looking at."""
        return self.sent + self.sent_before + self.left_out

    def leave_out(self, reject: RejectId, why: str) -> None:
        """Count a reject that is not sent."""
        self.left_out += 1
        if len(self.reasons) < LEFT_OUT_MOST:
            self.reasons.append((reject, why))

    def as_json(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "dry_run": self.dry_run,
            "sent": self.sent,
            "sent_before": self.sent_before,
            "found_sent": self.found,
            "left_out": self.left_out,
            "reasons": [{"id": reject.full, "why": why} for reject, why in self.reasons],
        }


@dataclass(frozen=True, slots=True)
class RejectReplay:
    """What stays the same over all partitions of one replay."""

    settings: Settings
    service: Service
    wanted: RejectFilter
    outcome: RejectReplayOutcome
    say: Say
    partitions: int
    incarnation: UUID
    settle_s: float = SETTLE_S


async def start(
    settings: Settings, service: Service, wanted: RejectFilter, outcome: RejectReplayOutcome, say: Say
) -> RejectReplay:
    """Learn what there is to know of the topics. Raises KafkaError where one is missing."""
    partitions = await count_partitions(settings, TELEMETRY.name)
    incarnation = (await topic_ids(settings, [REJECTS.name]))[REJECTS.name]
    return RejectReplay(settings, service, wanted, outcome, say, partitions, incarnation)


async def replay_all(plan: RejectReplay) -> None:
    """Send the wanted rejects that were not sent yet, one partition after the other."""
    offset_ranges = await asyncio.to_thread(stored.offset_ranges, plan.service, plan.wanted)
    for partition, some in groupby(offset_ranges, key=lambda offset_range: offset_range.partition):
        await _replay_partition(plan, partition, list(some))


async def _replay_partition(plan: RejectReplay, partition: int, offset_ranges: Sequence[OffsetRange]) -> None:
    if plan.outcome.dry_run:
        notes = await read_notes(plan.settings, [partition])
        for batch in _batches(plan, offset_ranges):
            plan.outcome.sent += len(await _to_send(plan, batch, notes))
        return
    async with Notebook(plan.settings, partition) as notebook:
        # After claiming: from here on nobody else notes anything.
        notes = await read_notes(plan.settings, [partition])
        await settle(plan, notebook, partition, notes)
        async with reader(plan.settings) as consumer:
            end = await end_of(consumer, TopicPartition(TELEMETRY.name, partition))
        async with _telemetry(plan.settings) as producer:
            for batch in _batches(plan, offset_ranges):
                chosen = await _to_send(plan, batch, notes)
                end = await _replay_batch(plan, notebook, producer, chosen, end)


async def settle(plan: RejectReplay, notebook: Notebook, partition: int, notes: dict[str, ReplayNote]) -> None:
    """Find out of what an earlier replay was about to send whether it did; `notes` says so afterwards."""
    doubtful = {full: note for full, note in notes.items() if note.state == SENDING}
    if not doubtful:
        return
    plan.say(
        f"partition {partition}: an earlier replay broke off; looking in {plan.settle_s:.0f} s for what it may still "
        f"have sent of {len(doubtful)} rejects"
    )
    await asyncio.sleep(plan.settle_s)
    looked = await look_for(plan.settings, partition, doubtful)
    found = {full: ReplayNote(VERSION, SENT, offset, now_ms()) for full, offset in looked.found.items()}
    await notebook.write(found)
    plan.outcome.found += len(found)
    notes |= found
    for full in doubtful.keys() - found.keys():
        if doubtful[full].offset >= looked.beginning:
            del notes[full]


def _batches(plan: RejectReplay, offset_ranges: Sequence[OffsetRange]) -> Iterator[list[StoredReject]]:
    """Nothing else runs on the loop that would mind waiting for ClickHouse between two batches."""
    return batches(
        chain.from_iterable(of_range(plan.service, plan.wanted, offset_range) for offset_range in offset_ranges)
    )


async def _to_send(
    plan: RejectReplay, batch: Sequence[StoredReject], notes: dict[str, ReplayNote]
) -> list[tuple[StoredReject, Body]]:
    """Those of a batch that can and may be sent, with their bytes; the others are counted."""
    fresh = []
    for reject in batch:
        note = notes.get(reject.id.full)
        if note is not None and note.state == SENT:
            plan.outcome.sent_before += 1
        elif why := _why_not(plan, reject, note):
            plan.outcome.leave_out(reject.id, why)
        else:
            fresh.append(reject)
    found = await asyncio.to_thread(bodies, plan.service, [reject.id for reject in fresh]) if fresh else {}
    chosen = []
    for reject in fresh:
        if _is_array_in_array(reject, found[reject.id]):
            plan.outcome.leave_out(reject.id, "an array in an array cannot be sent without its neighbours")
        else:
            chosen.append((reject, found[reject.id]))
    return chosen


def _why_not(plan: RejectReplay, reject: StoredReject, note: ReplayNote | None) -> str:
    """Why a reject cannot be sent again, or an empty text."""
    if note is not None and not plan.outcome.dry_run:
        return "an earlier replay broke off and telemetry no longer holds what would tell whether it was sent"
    if reject.reason in NOT_JUDGED:
        return "it is stored with the good reports; `emberline backfill` shows what detectors say of it now"
    if reject.reason == BAD_CONTROL:
        return "it claims to be a control record, which only detect workers may send"
    if reject.cut >= 0:
        return f"its bytes are not all stored; {reject.source} has the record whole, as long as the topic keeps it"
    if reject.source_topic != TELEMETRY.name:
        return f"it does not come from {TELEMETRY.name}"
    if reject.source_partition != reject.id.partition or reject.source_partition >= plan.partitions:
        return f"{TELEMETRY.name} has no such partition {reject.source_partition}"
    if not plan.settings.fencing and reject.id.topic_id != plan.incarnation:
        return "it is older than this embedded broker, which remembers no replays from before its start"
    return ""


def _is_array_in_array(reject: StoredReject, body: Body) -> bool:
    """The decoder stands the whole record in for a report that is nested too deeply to be written anew."""
    return reject.source_index >= 0 and body.value is not None and body.value.lstrip()[:1] == b"["


async def _replay_batch(
    plan: RejectReplay,
    notebook: Notebook,
    producer: AIOKafkaProducer,
    chosen: Sequence[tuple[StoredReject, Body]],
    end: int,
) -> int:
    """Note, send, note; returns from where on to look for what is sent after this."""
    if not chosen:
        return end
    began = time.monotonic()
    await notebook.write(about_to_send(chosen, end))
    sent = await send(producer, chosen, began)
    await notebook.write(sent)
    plan.outcome.sent += len(sent)
    return max(note.offset for note in sent.values()) + 1


def about_to_send(chosen: Sequence[tuple[StoredReject, Body]], end: int) -> dict[str, ReplayNote]:
    """The notes to write before sending."""
    return {reject.id.full: ReplayNote(VERSION, SENDING, end, now_ms()) for reject, _ in chosen}


async def send(
    producer: AIOKafkaProducer, chosen: Sequence[tuple[StoredReject, Body]], began: float
) -> dict[str, ReplayNote]:
    """Send to the original partitions, within `SEND_MOST_S` of `began`; returns the notes to write afterwards."""
    left_s = SEND_MOST_S - (time.monotonic() - began)
    if left_s <= 0:
        raise OperatorError("this replay stood still for too long to know that no other has begun; run it again")
    try:
        async with asyncio.timeout(left_s):
            waiting = [
                await producer.send(
                    TELEMETRY.name,
                    body.value,
                    body.key,
                    partition=reject.source_partition,
                    timestamp_ms=now_ms(),
                    headers=headers_of(reject.id, body),
                )
                for reject, body in chosen
            ]
            answers = await asyncio.gather(*waiting)
    except (TimeoutError, KafkaError) as error:
        raise OperatorError(
            f"Kafka did not take a batch of {len(chosen)} within {SEND_MOST_S:.0f} s "
            f"({error or 'no answer'}); run it again, and it finds out which of them arrived"
        ) from error
    return {
        reject.id.full: ReplayNote(VERSION, SENT, answer.offset, now_ms())
        for (reject, _), answer in zip(chosen, answers, strict=True)
    }


def headers_of(reject: RejectId, body: Body) -> list[tuple[str, bytes | None]]:
    """The original's headers, and the one that says which reject this is a replay of."""
    return [*(one for one in body.headers if one[0] != REPLAY_OF), (REPLAY_OF, reject.full.encode())]


@asynccontextmanager
async def _telemetry(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    producer = clients.producer(
        settings,
        acks="all",
        enable_idempotence=settings.fencing,
        max_request_size=2 * MAX_REJECT_BYTES,
        request_timeout_ms=round(SEND_MOST_S * 1_000),
    )
    await producer.start()
    try:
        yield producer
    finally:
        # Stopping sends what waits; after a failure that may take for ever, and must not go on for long.
        with suppress(TimeoutError):
            await asyncio.wait_for(producer.stop(), _STOP_S)
