"""What detect workers say: alarms, aggregates, device status. (Rejects are `schemas.rejects.RejectEvent`.)

Every event knows the telemetry record it follows from: `source_offset` in the telemetry partition of the same number,
and `source_ordinal`, its number among the events of that record. Detection is deterministic, so after a crash the same
events come again at the same positions, and in a partition of an output topic positions only ever rise but for such
repeats. After a change of rules other events may follow from the same records; they are of a higher `generation`. So a
consumer skips what is not above the highest (generation, offset, ordinal) of its `source_topic_id` and partition:
`schemas.positions`. Events of releases before have no generation, which is 0, and no topic id.

What a field may be is said by its type, once, and checked wherever an event is read, not where it is made: anybody may
write to a topic.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from hashlib import blake2b
from typing import Annotated, Final, Self, TypedDict

import msgspec
from msgspec import Meta, Struct

from schemas.alarm_kinds import WHOLE
from schemas.quantities import MAX_COMPONENTS

VERSION: Final = 1
Ts = Annotated[int, Meta(ge=0, le=4_102_444_800_000)]
"""Epoch ms, UTC, 1970 to 2100: a time outside is a mistake, and would open a table partition of its own [ours]."""
Offset = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Component = Annotated[int, Meta(ge=0, le=WHOLE)]
"""Of an alarm: the number of a component, from 0, or `alarm_kinds.WHOLE`."""
Natural = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""What a column of Int32 holds."""


class Severity(IntEnum):
    """How bad. WARNING is the field's 预警, ALARM its 报警; NOTICE is for what only informs."""

    NOTICE = 0
    WARNING = 1
    ALARM = 2

    @property
    def label(self) -> str:
        """The word users see (domain.md, rule 10)."""
        return ("提示", "警告", "紧急")[self]


class AlarmEvent(StrEnum):
    """What happened to an alarm. Once opened or confirmed it stays open (latched) until a person resets it, whatever
    its value does."""

    OPENED = "opened"
    PROVISIONAL = "provisional"
    """A single value of a component that speaks seldom lies over a limit; its next value tells whether that is so.
    Until then it is no alarm: it is not latched, and not among the open ones."""
    CONFIRMED = "confirmed"
    """The next value shows it too: from now on it is an open alarm, as if this event were its opening."""
    WITHDRAWN = "withdrawn"
    """The next value shows that there is nothing."""
    ESCALATED = "escalated"
    RECOVERED = "recovered"
    REACTIVATED = "reactivated"
    AMENDED = "amended"
    """What came in late shows that it began earlier than was told."""
    WORSENED = "worsened"
    """It has half again the value that it was told with."""
    SUPERSEDED = "superseded"
    """The same happens again after a day of normal values: that is another alarm, and nobody has reset this one."""
    RESET = "reset"
    """A person has reset it."""
    CLOSED = "closed"
    """A person has done what it is over by: accepted a rise, or replaced the device."""

    @property
    def label(self) -> str:
        return _EVENT_LABELS[self]


_EVENT_LABELS: Final = {
    AlarmEvent.OPENED: "发生",
    AlarmEvent.PROVISIONAL: "待核实",
    AlarmEvent.CONFIRMED: "证实",
    AlarmEvent.WITHDRAWN: "撤回",
    AlarmEvent.ESCALATED: "升级",
    AlarmEvent.RECOVERED: "恢复正常",
    AlarmEvent.REACTIVATED: "再次发生",
    AlarmEvent.AMENDED: "起始时间更正",
    AlarmEvent.WORSENED: "持续恶化",
    AlarmEvent.SUPERSEDED: "被新告警取代",
    AlarmEvent.RESET: "复位",
    AlarmEvent.CLOSED: "关闭",
}


class StreamEvent(Struct, frozen=True):
    """What all events have: a version, and JSON in and out."""

    v: int

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, value: bytes | None) -> Self:
        """Read an event back; fields that it does not know are left out.

        Raises ValueError if it is not one of this version, and says which field may be what.
        """
        if value is None:
            raise ValueError("it has no value")
        try:
            version = msgspec.json.decode(value, type=StreamEvent).v
            if version == VERSION:
                return msgspec.json.decode(value, type=cls)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        raise ValueError(f"version {version}; this program reads version {VERSION}")


def alarm_id(device_id: str, component: int, kind: str, episode: int, test: bool) -> str:
    """The id of an alarm, 32 hexadecimal digits computed from what it is about, so that a repeat is recognisable.

    `episode` tells the alarms of one component and kind apart: no two of them open by reports that arrive at one time.
    """
    about = f"{device_id}\n{component}\n{kind}\n{episode}\n{int(test)}"
    return blake2b(about.encode(), digest_size=16).hexdigest()


class Alarm(StreamEvent, frozen=True):
    """One event in the life of an alarm, on `emberline.alarms`.

    `severity` is how bad that is of which this event tells, 0 where the alarm is normal again or over;
    `severity_highest` is the highest that it has reached. `active` says whether the condition holds, as far as has been
    told: recoveries and reactivations of an alarm are told six times a day at most, and a recovery only where a
    reactivation could be told as well; `repeats_untold` counts those that were not. (Events of releases before have
    none of these: there `severity` is the highest, and what is recovered is not active.)

    `component` counts from 0; 255 is the device as a whole, of which its own words are. `episode` is the arrival of the
    report that opened the alarm, and stays. `onset_ts` is when the value first went over the limit that opened it, as
    far as is known now; `event_ts` when that happened which this event tells. Both are the device's own time where its
    clock is credible, else (`by_arrival`) that of arrival. `late` says that a report tells of it which was measured
    before others that are known already (补报).

    `value` is what was compared with `limit`, in the unit of the quantity (of rises what lies over `baseline`); 0 is
    the limit of a level that was switched off while the alarm was open. `peak` is the worst so far, `baseline` the own
    normal of the device, where one is compared. `limit_from` names the standard and edition the limit comes from.
    `detected_ts` is the worker's clock. `maintenance` says that people are at work at the device. Of what a person did,
    `by` and `why` say who and why. `limit_by` set the limit and `limit_since_ts` says since when, empty and 0 where it
    is the release's. Unit, place and area are as they are registered.
    """

    alarm_id: str
    event: str
    severity: Annotated[int, Meta(ge=0, le=2)]
    severity_label: str
    kind: str
    device_id: str
    device_kind: str
    quantity: str
    component: Component
    episode: Ts
    event_ts: Ts
    onset_ts: Ts
    ingest_ts: Ts
    detected_ts: Ts
    by_arrival: bool
    late: bool
    value: float
    limit: float
    peak: float
    baseline: float | None
    limit_from: str
    test: bool
    message: str
    source_offset: Offset
    source_ordinal: Natural
    generation: Natural = 0
    source_topic_id: str = ""
    severity_highest: Annotated[int, Meta(ge=0, le=2)] = 0
    active: bool = True
    repeats_untold: Natural = 0
    maintenance: bool = False
    by: str = ""
    why: str = ""
    limit_by: str = ""
    limit_since_ts: Ts = 0
    unit_id: str = ""
    unit_name: str = ""
    place: str = ""
    area: str = ""


_Numbers = Annotated[list[float | None], Meta(max_length=MAX_COMPONENTS)]


class Statistics(TypedDict):
    """One minute of one quantity, a number a component, up to the last component with a value in the minute: one before
    it without has count 0 and None elsewhere."""

    count: Annotated[list[Annotated[int, Meta(ge=0, le=2**32 - 1)]], Meta(max_length=MAX_COMPONENTS)]
    min: _Numbers
    max: _Numbers
    mean: _Numbers
    last: _Numbers


class Aggregate(StreamEvent, frozen=True):
    """One minute of one device, on `emberline.aggregates`, by quantity. `minute_ts` is the minute's beginning."""

    device_id: str
    device_kind: str
    test: bool
    minute_ts: Ts
    quantities: dict[str, Statistics]
    source_offset: Offset
    source_ordinal: Natural
    generation: Natural = 0
    source_topic_id: str = ""


class Status(StrEnum):
    """Whether a device is heard (requirement A2) and whether it reports faults of its own."""

    ONLINE = "online"
    OFFLINE = "offline"
    OVERDUE_OFFLINE = "overdue_offline"

    @property
    def label(self) -> str:
        """The word users see."""
        return _STATUS_LABELS[self]


_STATUS_LABELS: Final = {Status.ONLINE: "在线", Status.OFFLINE: "离线", Status.OVERDUE_OFFLINE: "超时离线"}


class DeviceStatus(StreamEvent, frozen=True):
    """A change of a device's state, on `emberline.device-status`. `since_ts` is when the state began.

    `faults` are the device's own words, then what emberline finds about it: `sensor_fault:temperature_c[2]:sentinel`,
    `not_judged:temperature_c`, `clock_ahead` and others (`detectors.device_status`).

    Until `maintained_until_ts` people are at work at it; 0 where nobody is.

    A device that falls silent sends no record to take a position from. Its status has the offset of the record whose
    arrival shows the silence, and an ordinal below -1: before all else that follows from that record
    (`detectors.log_time`). Releases before gave an ordinal of -1 and the offset of its last report, no position.
    """

    device_id: str
    device_kind: str
    test: bool
    status: str
    faults: list[str]
    since_ts: Ts
    source_offset: Offset
    source_ordinal: Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
    generation: Natural = 0
    source_topic_id: str = ""
    maintained_until_ts: Ts = 0


class Outcome(StrEnum):
    """What became of an order."""

    APPLIED = "applied"
    REFUSED = "refused"
    REPEATED = "repeated"
    """It had been dealt with before, and changed nothing."""


class ControlOutcome(StreamEvent, frozen=True):
    """What became of one order of a control record (`schemas.control`), on `emberline.control-outcomes`.

    Each control record has one at least; one that only says that time has passed has one of the kind `time`. `reason`
    says why an order was refused, in Chinese, and is empty otherwise. Of an order that cannot be read, `kind`,
    `device_id`, `by` and `why` are what can be. `body` is the order as it came, JSON. `ingest_ts` is when it reached
    the log; `source_ordinal` its number in the control record.
    """

    kind: str
    device_id: str
    test: bool
    outcome: str
    reason: str
    by: str
    why: str
    source: str
    epoch: Offset
    number: Offset
    body: str
    ingest_ts: Ts
    source_offset: Offset
    source_ordinal: Natural
    generation: Natural = 0
    source_topic_id: str = ""
