"""What a sink is: it takes blocks of rows that know their offset, and can say how far it is.

The delivery argument, from the sink's side. Every row carries topic, topic_id, partition, offset and index. A block
holds whole records, in the order of their offsets, and `write` stores it as a sequence of atomic pieces in that order,
each cut between records. So what is stored of a partition is always a prefix, `stored_offsets` tells its last offset,
and a worker that takes the partition over goes on behind it, whatever its predecessor died of. If it did not die but
stood still, it finds when it wakes that the partition is another's: `stored_offsets` takes it away from whoever had it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

from schemas.positions import Position
from sinks.columns import Column


class Malformed(NamedTuple):
    """A record of an output topic that is not what that topic carries: not ours, so left out, counted and told."""

    offset: int
    reason: str


class Block(NamedTuple):
    """Rows of one table as columns, ready to insert, and the records that gave none because they are malformed."""

    table: str
    columns: Mapping[str, Column]
    rows: int
    malformed: Sequence[Malformed] = ()


class SinkError(Exception):
    """The sink did not take a block. The message says what to do, and holds no secret."""


class SinkUnavailable(SinkError):  # noqa: N818
    """Not now: the deadline passed. Nothing was lost; who asks for the stored offsets anew may write it again."""


class SinkRefused(SinkError):  # noqa: N818
    """Not ever: a table is missing, a password is wrong, a value does not fit. A person must act."""


class SinkTakenOver(SinkError):  # noqa: N818
    """Not you: another has asked for the stored offsets since. Ask for them anew, if the partition is yours, or end."""


class Sink(Protocol):
    """Called from worker threads: every method may block, up to the sink's deadline, and raises nothing but SinkError.
    What it waits for it says in the log.

    One sink may be used by several threads at once, one partition by one thread at a time.
    """

    def stored_offsets(self, topic: str, topic_id: UUID, partitions: Collection[int]) -> dict[int, int]:
        """The highest offset stored of each partition; one of which nothing is stored is left out. Ask it when taking
        partitions over, before writing to them, and of all at once: it takes as long for one as for many.

        From then on this sink may write the partitions and no other, until that other asks.
        """
        ...

    def stored_positions(self, topic: str, topic_id: UUID, partitions: Collection[int]) -> dict[int, Position]:
        """The highest position stored of each partition of an output topic; one of which nothing is stored is left
        out. Ask it after `stored_offsets`.

        See `sinks.blocks`.
        """
        ...

    def write(self, block: Block) -> None:
        """Store the block, but for records that are stored already; takes over what nobody asked the stored offset of.

        Returns only when it is durable; if it raises, a prefix of it may be stored.
        """
        ...

    def close(self) -> None:
        """Let go of the connections; a `write` that waits to try again gives up. May be called from any thread."""
        ...
