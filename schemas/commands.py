"""What people order of a device, on `emberline.commands`.

A command changes detection, so it takes its place in the log of its device's partition of telemetry
(`schemas.control`). It is applied or refused there, and a `schemas.events.ControlOutcome` says which and why. It is
known by the source, epoch and number in its record's headers (`schemas.registry.ChangeNumber`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from schemas.alarm_kinds import WHOLE
from schemas.events import Ts
from schemas.published import MAX_NAME, MAX_TEXT, PublishedRecord

VERSION: Final = 1
EXPIRES_MS: Final = 600_000
"""A command that reaches the log later than that after it was made is refused: what it was given for may be over
(control.md, 6)."""
AHEAD_MS: Final = 300_000
"""As far may the clock of who gives commands run ahead of the brokers' [ours]."""
MAINTENANCE_MOST_MS: Final = 72 * 3_600_000
"""Maintenance ends by itself (control.md)."""


class CommandKind(StrEnum):
    """What is ordered."""

    RESET = "reset"
    """Open alarms of the device are over. One that is still active is reset only by force."""
    ACCEPT_RISE = "accept_rise"
    """The leakage is lawful as it is now: its baseline is learned anew, and the alarm of its rise is closed."""
    REPLACE = "replace"
    """Another device has this id now: what was learned of the one before is forgotten."""
    MAINTENANCE = "maintenance"
    """People work at the device until `until_ts`; 0 ends it at once. Alarms go on, and say so."""

    @property
    def label(self) -> str:
        """The word users see."""
        return _LABELS[self]


_LABELS: Final = {
    CommandKind.RESET: "复位",
    CommandKind.ACCEPT_RISE: "确认基线",
    CommandKind.REPLACE: "更换设备",
    CommandKind.MAINTENANCE: "维护",
}


class Command(PublishedRecord, frozen=True, omit_defaults=True):
    """One order: who gives it (`by`), why, and when by the clock of who gave it (`made_ts`, epoch ms).

    It is for all components of the device, or for `component`, which counts from 0, 255 for the device as a whole. A
    reset is for alarms of all kinds, or of `alarm_kind`; with `alarm_id` for that episode alone. `force` resets what is
    active. `until_ts` is when maintenance ends.
    """

    READS = VERSION

    kind: CommandKind
    device_id: Annotated[str, Meta(min_length=1, max_length=64)]
    by: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    why: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
    made_ts: Ts
    test: bool = False
    component: Annotated[int, Meta(ge=0, le=WHOLE)] | None = None
    alarm_kind: Annotated[str, Meta(max_length=64)] = ""
    alarm_id: Annotated[str, Meta(max_length=32)] = ""
    force: bool = False
    until_ts: Ts = 0
