"""One partition of telemetry while a detect worker holds it, and what is kept of it as a whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson
from msgspec import Struct

from detectors.checkpoints.encode import encode, tombstones
from detectors.control.applied import Applied
from detectors.log_time import LogTime
from detectors.state import PartitionState
from streams.generations import Generation, SentEvents
from streams.ledger import Ledger
from streams.partitioner import Widths
from streams.pieces import Piece
from streams.transport import Chunk

RECORD: Final = b"partition"
"""The key of the partition's own record among its checkpoints."""

RECORDS_TOGETHER: Final = 5_000
"""Chunks that wait are processed together up to so many records: small ones are dear each by itself [ours]."""
SIGNED_MS: Final = 8 * 86_400_000
"""A key is named in the checkpoint for so long after it signed: a day longer than telemetry is kept."""
ROWS_AT_ONCE: Final = 2_000
"""Rows of a checkpoint made without a pause: some 20 ms [measured]."""


class Parting(Struct, frozen=True):
    """How it was told at one offset of a partition that a device is silent which may have gone: it is gone, or it is
    offline. Whoever processes that offset again is to find the same."""

    offset: int
    gone: bool


@dataclass(slots=True)
class Partition:
    """One partition while this worker holds it: its devices' state, the chunks that wait, and those that a checkpoint
    has yet to cover.

    `since` are the pieces that were processed since the last checkpoint, `uncovered` the chunks. `moved_at` is when the
    log's time was last known to move, or when a record of time was last sent; `beating` are such records, until they
    are acknowledged. `careful` says that a detector has raised since the last checkpoint, `leaving` that processing
    ends with the piece in hand. `ledger` is None until something comes of it. `generation` is that of its events,
    `sent` what is on the output topics of records that no checkpoint of these rules covers; `recorded` is what the
    checkpoint says of both, of the log and of `widths`. `parted` is what was told of devices that may have gone, by the
    keys of their rows. `signers` are the ids of keys that may have signed control records which are read yet, each with
    the log's time at which it last may have.
    """

    state: PartitionState
    ledger: Ledger | None
    restored: bool = False
    waiting: asyncio.Queue[Chunk | None] = field(default_factory=asyncio.Queue)
    waiting_bytes: int = 0
    leaving: bool = False
    sending: list[asyncio.Future[Any]] = field(default_factory=list)
    since: list[Piece] = field(default_factory=list)
    uncovered: list[Chunk] = field(default_factory=list)
    careful: bool = False
    next_offset: int = 0
    moved_at: float = field(default_factory=time.monotonic)
    beating: Sequence[asyncio.Future[Any]] = ()
    begun_at: float = field(default_factory=time.monotonic)
    checkpointed_at: float = field(default_factory=time.monotonic)
    looked_after_at: float = field(default_factory=time.monotonic)
    generation: Generation = field(default_factory=Generation)
    sent: SentEvents | None = None
    recorded: tuple[bytes, bytes] | None = None
    widths: Widths = field(default_factory=Widths)
    parted: dict[bytes, Parting] = field(default_factory=dict)
    signers: dict[str, int] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def next_chunks(self) -> list[Chunk]:
        """Chunks that wait, as many as are well processed together; none where the partition is to be let go of."""
        chunk, found, count = await self.waiting.get(), list[Chunk](), 0
        while chunk is not None:
            found.append(chunk)
            count += len(chunk.records.offsets)
            if count >= RECORDS_TOGETHER or self.waiting.empty():
                return found
            chunk = self.waiting.get_nowait()
        if found:
            self.waiting.put_nowait(None)
        return found

    def go_on_from(self, before: Partition) -> None:
        """Have what this worker had of the partition. Chunks that were not committed come again on another ledger, and
        the state skips of them what it reflects."""
        self.state, self.generation, self.recorded = before.state, before.generation, before.recorded
        self.sent, self.sending, self.since = before.sent, before.sending, before.since
        self.careful, self.next_offset, self.moved_at = before.careful, before.next_offset, before.moved_at
        self.widths, self.parted, self.signers = before.widths, before.parted, before.signers
        self.restored = True


def record_of(partition: Partition, generation: Generation) -> tuple[bytes, bytes]:
    """The partition's own record, key and value."""
    told = {
        "log_ts": partition.state.log.ts,
        "awake_ts": partition.state.log.awake_ts,
        "generation": generation,
        "widths": partition.widths.counts,
        "applied": partition.state.applied.to_json(),
        "signers": {key_id: ts for key_id, ts in partition.signers.items() if ts + SIGNED_MS >= partition.state.log.ts},
    }
    return RECORD, orjson.dumps(told)


class Kept(NamedTuple):
    """What the partition's own record says. `generation` is None where there is none."""

    log: LogTime
    generation: Generation | None = None
    widths: Widths = Widths()
    applied: Applied | None = None
    signers: Mapping[str, int] = MappingProxyType({})

    @classmethod
    def of(cls, record: bytes) -> Kept | None:
        """Read it back; None where the release that wrote it had none, or it is unreadable."""
        try:
            told: Any = orjson.loads(record)
        except orjson.JSONDecodeError:
            return None
        match told:
            case {"log_ts": int(ts), "awake_ts": int(awake_ts), "generation": generation}:
                widths = Widths.from_json(told.get("widths"))
                applied, signers = Applied.from_json(told.get("applied")), told.get("signers")
                signers = signers if isinstance(signers, dict) else {}
                return cls(LogTime(ts, awake_ts), Generation.from_json(generation), widths, applied, signers)
        return None


def kept_in(records: Mapping[bytes, bytes], state: PartitionState) -> Kept:
    """What the partition's own record says. Where there is none, the log is as far as its devices were heard: nobody's
    silence counts anew."""
    kept = Kept.of(records.get(RECORD, b""))
    return kept or Kept(LogTime(int(state.rows["heard_ts"][state.held()].max(initial=0))))


async def changed_rows(state: PartitionState) -> list[tuple[bytes, bytes | None]]:
    """What is to be written, some rows at a time so that other partitions have their turn. No longer dirty."""
    rows = state.dirty_rows()
    encoded: list[tuple[bytes, bytes | None]] = tombstones(state)
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        encoded += encode(state, rows[begin : begin + ROWS_AT_ONCE].tolist())
        await asyncio.sleep(0)
    state.devices.dirty[rows] = False
    return encoded + list(state.registered.changed())


async def left(state: PartitionState) -> None:
    """Give back what a state holds among those of others. It is used no more."""
    for _ in state.leave():
        await asyncio.sleep(0)


async def let_go(partitions: Collection[Partition]) -> None:
    """Have the partitions' tasks end with the pieces they have in hand."""
    for partition in partitions:
        partition.leaving = True
        partition.waiting.put_nowait(None)
    await ended(partitions)


async def ended(partitions: Collection[Partition]) -> None:
    """Return once the partitions' tasks have ended."""
    for partition in partitions:
        await partition.ended.wait()
