"""How far orders are applied: it is part of a partition's state and kept with it, so that none is applied twice."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self
from uuid import UUID

from schemas.control import Order

SOURCES_MOST: Final = 16
"""Sources of one topic: a registry or two, and what one moves to and from [ours]."""


@dataclass(slots=True)
class AppliedTopic:
    """Of one source topic, the incarnation that was applied last, the highest offset of it, -1 for none; and by source
    the epoch and number of the last change. Numbers hold for all incarnations."""

    topic_id: UUID
    offset: int = -1
    changes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def is_repeated(self, order: Order, topic_id: UUID) -> bool:
        """Whether an order of an incarnation was dealt with before: its record was, or the change that it is. Where
        only the change was, the record is from now on."""
        if topic_id == self.topic_id and order.offset <= self.offset:
            return True
        change = order.change
        if change is None or (change.epoch, change.number) > self.changes.get(change.source, (-1, -1)):
            return False
        self._reach(order, topic_id)
        return True

    def take(self, order: Order, topic_id: UUID) -> bool:
        """Note that an order is dealt with. False where no more sources can be kept than there are."""
        self._reach(order, topic_id)
        if (change := order.change) is None:
            return True
        if change.source not in self.changes and len(self.changes) >= SOURCES_MOST:
            return False
        self.changes[change.source] = change.epoch, change.number
        return True

    def _reach(self, order: Order, topic_id: UUID) -> None:
        self.topic_id, self.offset = topic_id, order.offset


@dataclass(slots=True)
class Applied:
    """What of the log was applied: by source topic, and the offset of the last control record, -1 for none. A record at
    or below it was told already."""

    offset: int = -1
    topics: dict[str, AppliedTopic] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As the partition's own record has it."""
        topics = {name: asdict(one) | {"topic_id": str(one.topic_id)} for name, one in self.topics.items()}
        return {"offset": self.offset, "topics": topics}

    @classmethod
    def from_json(cls, kept: Any) -> Self:
        """Read it back; nothing where the release that wrote it had none, or it is none."""
        match kept:
            case {"offset": int(offset), "topics": dict(topics)}:
                with suppress(KeyError, TypeError, ValueError, AttributeError):
                    return cls(offset, {name: _topic(one) for name, one in topics.items()})
        return cls()


def _topic(kept: dict[str, Any]) -> AppliedTopic:
    changes = {source: (int(epoch), int(number)) for source, (epoch, number) in kept["changes"].items()}
    return AppliedTopic(UUID(kept["topic_id"]), int(kept["offset"]), changes)
