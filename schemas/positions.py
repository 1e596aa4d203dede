"""Which events of the output topics are repeats: the rule for everybody who reads them.

Skip an event that is not above the highest position so far of its telemetry topic and partition. A position is
(generation, offset, ordinal). Events follow from telemetry in the order of its offsets. A worker that begins with other
rules than its predecessor, that is other limits or another release, begins another generation, whose positions are all
above.
"""

from __future__ import annotations

from typing import NamedTuple

from schemas.charging_sessions import ChargingSession
from schemas.device_requests import DeviceRequest
from schemas.events import Aggregate, Alarm, ControlOutcome, DeviceStatus
from schemas.rejects import RejectEvent

Event = Alarm | Aggregate | DeviceStatus | RejectEvent | ControlOutcome | DeviceRequest | ChargingSession
NO_POSITION = -1
"""The ordinal of statuses of silence in releases that gave them no position: such an event is never a repeat."""


class Position(NamedTuple):
    """Where an event stands among those of its telemetry topic and partition."""

    generation: int
    offset: int
    ordinal: int

    @classmethod
    def of(cls, event: Event) -> Position:
        """That of an event; of a reject the ordinal is its index."""
        ordinal = event.source_index if isinstance(event, RejectEvent) else event.source_ordinal
        return cls(event.generation, event.source_offset, ordinal)


class Repeats:
    """What was seen of one output topic, so as to know what comes again. Give it every event, partition by partition in
    their order."""

    def __init__(self) -> None:
        self._highest: dict[tuple[int, str], Position] = {}

    def is_new(self, partition: int, event: Event) -> bool:
        """Whether the event is none that was seen; from now on it is."""
        position, where = Position.of(event), (partition, event.source_topic_id)
        if isinstance(event, DeviceStatus) and position.ordinal == NO_POSITION:
            return True
        if where in self._highest and position <= self._highest[where]:
            return False
        self._highest[where] = position
        return True
