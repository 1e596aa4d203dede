"""Reports of devices whose clocks and deliveries are anything but even, told as one log; by hand and in short."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import orjson

from detectors.limits import load_limits
from detectors.state import PartitionState
from detectors.twin.oracle import Record
from schemas.events import Alarm
from tests.detectors.given_reports import T0, report, slowly, told

LIMITS = load_limits()
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
Arriving = tuple[int, dict[str, Any]]
"""When a report arrives, counted from T0, and what it is."""
Clock = Callable[[int], Any]
"""What a device's clock shows at a time counted from T0."""


def right(arrival: int) -> int:
    """A clock that is right."""
    return T0 + arrival


def behind(ms: int) -> Clock:
    """A clock that is wrong by so much."""
    return lambda arrival: T0 + arrival - ms


def series(
    *values: Any,
    every_ms: int = 1_000,
    at: int = 0,
    clock: Clock = right,
    of: str = "residual_current_ma",
    **fields: Any,
) -> list[Arriving]:
    """Reports of one value each, at an even pace from `at` on."""
    times = [at + number * every_ms for number in range(len(values))]
    return [(one, report(clock(one), **fields) | {of: [value]}) for one, value in zip(times, values, strict=True)]


def numbered(sent: Iterable[Arriving], first: int = 1) -> list[Arriving]:
    """The same with sequence numbers."""
    return [(at, one | {"seq": first + number}) for number, (at, one) in enumerate(sent)]


def handed_in(sent: Iterable[Arriving], at: int, every_ms: int = 0) -> list[Arriving]:
    """The same reports, kept and handed in from `at` on."""
    return [(at + number * every_ms, one) for number, (_, one) in enumerate(sent)]


def log(*sent: Iterable[Arriving]) -> list[Record]:
    """All of them as records in the order of their arrival."""
    ordered = sorted((one for part in sent for one in part), key=lambda one: one[0])
    return [(offset, T0 + at, orjson.dumps(one)) for offset, (at, one) in enumerate(ordered)]


def alarms(*sent: Iterable[Arriving], kind: str = "residual_current") -> list[Alarm]:
    """The alarms of one kind, of which the twin must say the same."""
    records = log(*sent)
    found = told([records], PartitionState(), LIMITS)
    assert found == slowly(records, LIMITS)
    return [alarm for alarm in found.alarms if alarm.kind == kind]


def seen(found: Sequence[Alarm]) -> list[tuple[str, int]]:
    """What happened, and when it was told, counted from T0."""
    return [(str(alarm.event), alarm.ingest_ts - T0) for alarm in found]


BEGINS: Final = ("opened", "confirmed")
"""The events by which an alarm begins to be open."""


def begun(found: Iterable[Alarm]) -> list[Alarm]:
    """Those by which alarms begin to be open."""
    return [alarm for alarm in found if alarm.event in BEGINS]


def events(found: Iterable[Alarm]) -> list[str]:
    """What happened, in turn."""
    return [str(alarm.event) for alarm in found]
