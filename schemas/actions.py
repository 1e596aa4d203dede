"""What people do about alarms, on `emberline.alarm-actions`: they acknowledge, mute, assign, comment and judge them.

None of it changes detection. An action is a row of the registry's database first, where one of two at once wins; it is
known by the source, epoch and number in its record's headers (`schemas.registry.ChangeNumber`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from schemas.events import Natural, Offset, Ts
from schemas.published import MAX_NAME, MAX_TEXT, PublishedRecord

VERSION: Final = 1
MUTED_MOST_MS: Final = 24 * 3_600_000
"""A mute ends by itself within a day, so that nobody forgets it [ours]."""

AlarmId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]


class ActionKind(StrEnum):
    """What is done about an alarm."""

    ACKNOWLEDGE = "acknowledge"
    """It was seen, up to the event `seen`: one that comes later makes it unacknowledged again."""
    MUTE = "mute"
    """It makes no sound until `until_ts`. It is judged and told as before."""
    UNMUTE = "unmute"
    ASSIGN = "assign"
    """It is the task of `to` from now on."""
    COMMENT = "comment"
    VERDICT = "verdict"
    """What it was, as somebody found who looked."""

    @property
    def label(self) -> str:
        """The word users see."""
        return _LABELS[self]


_LABELS: Final = {
    ActionKind.ACKNOWLEDGE: "确认",
    ActionKind.MUTE: "静音",
    ActionKind.UNMUTE: "取消静音",
    ActionKind.ASSIGN: "指派",
    ActionKind.COMMENT: "备注",
    ActionKind.VERDICT: "研判",
}


class AlarmVerdict(StrEnum):
    """What an alarm was. Precision is made of these."""

    TRUE = "true"
    FALSE = "false"
    TEST = "test"
    UNKNOWN = "unknown"

    @property
    def label(self) -> str:
        """The word users see."""
        return _VERDICT_LABELS[self]


_VERDICT_LABELS: Final = {
    AlarmVerdict.TRUE: "真实",
    AlarmVerdict.FALSE: "误报",
    AlarmVerdict.TEST: "测试",
    AlarmVerdict.UNKNOWN: "未知",
}


class SeenEvent(Struct, frozen=True):
    """The last event of the alarm that was seen, by its position (`schemas.positions`) and partition."""

    source_topic_id: Annotated[str, Meta(max_length=36)]
    partition: Natural
    generation: Natural
    source_offset: Offset
    source_ordinal: Natural

    def reaches(self, other: SeenEvent) -> bool:
        """Whether this event is `other` or a later one. Between partitions, and between topics, nobody can say."""
        here = (self.source_topic_id, self.partition)
        mine = (self.generation, self.source_offset, self.source_ordinal)
        theirs = (other.generation, other.source_offset, other.source_ordinal)
        return here == (other.source_topic_id, other.partition) and mine >= theirs


class AlarmAction(PublishedRecord, frozen=True, omit_defaults=True):
    """One act of a person: who (`by`), why or what they say of it (`why`), and when (`ts`, epoch ms).

    `version` counts the actions of an alarm from 1. `seen` is there for an acknowledgement, `until_ts` for a mute, `to`
    for an assignment and `verdict` for a verdict.
    """

    READS = VERSION

    alarm_id: AlarmId
    device_id: Annotated[str, Meta(min_length=1, max_length=64)]
    kind: ActionKind
    by: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    ts: Ts
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    test: bool = False
    why: Annotated[str, Meta(max_length=MAX_TEXT)] = ""
    seen: SeenEvent | None = None
    until_ts: Ts = 0
    to: Annotated[str, Meta(max_length=MAX_NAME)] = ""
    verdict: AlarmVerdict | None = None
