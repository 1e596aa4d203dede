"""Which rejects were sent again, on the compacted topic `emberline.replays`, partition by partition like telemetry.

Before a reject is sent it is noted as `sending`, with the end of its telemetry partition; afterwards as `sent`, with
the offset it got. Whoever finds `sending` looks for the record in telemetry from that offset on, by the header that
names its reject, and so knows whether it went out before its sender died.

Why not one Kafka transaction over both topics: workers read telemetry uncommitted, since an open transaction would hold
up every alarm behind it. So they would act on a record whose transaction is aborted later, and the next replay would
send it a second time. And the marker of a commit takes an offset that no record will ever finish: lag that never ends.

Where the broker has transactions the notes are written under a transactional id, one a partition. Claiming it fences
off whoever replays at the same time: it can note nothing any more, and it sends only within `SEND_MOST_S` of a note.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, Self

import msgspec
from aiokafka import TopicPartition
from msgspec import Struct

import streams.unpacking  # noqa: F401 - telemetry is anybody's
from cli.rejects.stored import REPLAY_OF
from common.errors import OperatorError
from common.kafka import clients
from common.kafka.reading import batches, reader
from common.kafka.transactions import whole
from common.settings import Settings
from schemas.events import Offset, Ts
from schemas.topics import REPLAYS, TELEMETRY

SEND_MOST_S: Final = 15.0
"""From the note to the last acknowledgement of a batch; 16 MiB take a second [ours]."""
SETTLE_S: Final = 20.0
"""How long after claiming a partition something may still come from a predecessor: `SEND_MOST_S` and some air."""
SENDING: Final = "sending"
SENT: Final = "sent"
VERSION: Final = 1


class ReplayNote(Struct, frozen=True):
    """What is known of a reject that was sent again, or was about to be.

    `offset` is where in telemetry it is when `state` is sent, and from where to look for it when it is sending.
    """

    v: Literal[1]
    state: Literal["sending", "sent"]
    offset: Offset
    at: Ts

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, value: bytes) -> Self:
        """Read it back. Raises OperatorError if it is none of this version."""
        try:
            return msgspec.json.decode(value, type=cls)
        except (ValueError, RecursionError):
            message = f"{REPLAYS.name} holds what this version cannot read: {value[:100]!r}; is it newer?"
            raise OperatorError(message) from None


class Notebook:
    """The notes of one partition, in the hands of one replay. Use it as an async context manager."""

    def __init__(self, settings: Settings, partition: int) -> None:
        self._settings = settings
        self._partition = partition

    async def __aenter__(self) -> Self:
        settings = self._settings
        self._producer = clients.producer(
            settings,
            acks="all",
            transactional_id=f"{settings.group}-replay-{self._partition}" if settings.fencing else None,
        )
        await self._producer.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._producer.stop()

    async def write(self, notes: Mapping[str, ReplayNote]) -> None:
        """Write notes by full id; they are there when this returns. Raises OperatorError if another took over."""
        if not notes:
            return
        taken_over = f"another replay has taken over partition {self._partition}; it goes on where this one was"
        async with whole(self._producer, self._settings.fencing, taken_over):
            await self._send(notes)

    async def _send(self, notes: Mapping[str, ReplayNote]) -> None:
        sent = [
            await self._producer.send(REPLAYS.name, note.to_json(), full.encode(), partition=self._partition)
            for full, note in notes.items()
        ]
        await asyncio.gather(*sent)


async def read_notes(settings: Settings, partitions: list[int]) -> dict[str, ReplayNote]:
    """The newest note of every reject of these partitions, by full id."""
    notes: dict[str, ReplayNote] = {}
    async with reader(settings, "read_committed") as consumer:
        for number in partitions:
            async for records in batches(consumer, TopicPartition(REPLAYS.name, number)):
                notes |= {one.key.decode(): ReplayNote.from_json(one.value) for one in records if one.key and one.value}
    return notes


class Looked(NamedTuple):
    """What looking through telemetry came to: offsets of what is there, by full id, and where telemetry began."""

    found: dict[str, int]
    beginning: int


async def look_for(settings: Settings, partition: int, doubtful: Mapping[str, ReplayNote]) -> Looked:
    """Look in telemetry for records that were about to be sent, from the earliest offset noted to the end."""
    tp, found = TopicPartition(TELEMETRY.name, partition), dict[str, int]()
    async with reader(settings) as consumer:
        beginning = int((await consumer.beginning_offsets([tp]))[tp])
        earliest = max(beginning, min(note.offset for note in doubtful.values()))
        async for records in batches(consumer, tp, earliest):
            for record in records:
                full = (dict(record.headers).get(REPLAY_OF) or b"").decode(errors="replace")
                if full in doubtful:
                    found.setdefault(full, record.offset)
    return Looked(found, beginning)
