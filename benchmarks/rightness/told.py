"""Scripted devices through the pure core, in virtual time, and what it told of each; how results are put down."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from detectors.limits import load_limits
from detectors.trial import Arrival, Trial
from schemas.events import Alarm, DeviceStatus
from schemas.registry import DeviceEntry

T0: Final = 1_790_000_040_000
"""The beginning of a minute, on a Monday."""
SHOWN: Final = 12
"""Failures of a line that are printed and kept with a result; the others are counted [ours]."""
_GROUP: Final = 200
"""Devices of one trial: as many as a partition has of 3000 over 16, about."""


class DeviceScript(NamedTuple):
    """What one device sends: records as they arrive, and what is registered of it."""

    device_id: str
    arrivals: Sequence[Arrival]
    entry: DeviceEntry | None = None


@dataclass(slots=True)
class DeviceTold:
    """What the core told of one device, in the order of its telling."""

    alarms: list[Alarm] = field(default_factory=list)
    statuses: list[DeviceStatus] = field(default_factory=list)

    def of(self, kind: str) -> list[Alarm]:
        """The events of a kind of alarm."""
        return [one for one in self.alarms if one.kind == kind]

    def first(self, kind: str, severity: int) -> Alarm | None:
        """The first event of a kind that is as bad, or worse; a provisional is none."""
        found = (one for one in self.of(kind) if one.severity >= severity and one.event != "provisional")
        return next(found, None)


@dataclass(slots=True)
class Line:
    """One thing that was measured: what, how often, how often it was not as it must be, and how that is seen again."""

    part: str
    what: str
    target: str
    checked: int = 0
    failed: int = 0
    measured: str = ""
    failures: list[str] = field(default_factory=list)
    counted_only: bool = False
    """It has no target of its own, or detection does not know it yet."""

    def check(self, good: bool, failure: str) -> None:
        """Count one, and keep how it failed."""
        self.checked += 1
        if not good:
            self.failed += 1
            self.failures.append(failure)

    @property
    def good(self) -> bool:
        return self.counted_only or not self.failed


def tell(scripts: Iterable[DeviceScript]) -> Mapping[str, DeviceTold]:
    """What the core makes of the devices, by their ids; some of them share a partition."""
    held = list(scripts)
    found: dict[str, DeviceTold] = defaultdict(DeviceTold)
    for first in range(0, len(held), _GROUP):
        _tell(held[first : first + _GROUP], found)
    return found


def _tell(scripts: Sequence[DeviceScript], found: dict[str, DeviceTold]) -> None:
    trial = Trial(load_limits())
    for one in scripts:
        if one.entry is not None and (why := trial.register(one.entry)):
            raise ValueError(f"{one.device_id} cannot be registered: {why}")
    arrivals = sorted((arrival for one in scripts for arrival in one.arrivals), key=lambda one: one.ingest_ts)
    for event in trial.events(arrivals):
        if isinstance(event.value, Alarm):
            found[event.value.device_id].alarms.append(event.value)
        elif isinstance(event.value, DeviceStatus):
            found[event.value.device_id].statuses.append(event.value)


def report(device_id: str, event_ts: int, **fields: Any) -> dict[str, Any]:
    """One report of a monitor, unless its fields say another kind."""
    return {"v": 1, "device_id": device_id, "device_kind": "electrical_monitor", "event_ts": event_ts, **fields}


def arrival(ingest_ts: int, *reports: Mapping[str, Any]) -> Arrival:
    """One record, an object for one report and an array for several."""
    value = orjson.dumps(reports[0] if len(reports) == 1 else list(reports))
    return Arrival(ingest_ts, str(reports[0]["device_id"]).encode(), value)


def as_case(script: DeviceScript) -> list[str]:
    """A script as lines that `emberline try` reads."""
    return [f'{{"ingest_ts":{one.ingest_ts},"report":{one.value.decode()}}}' for one in script.arrivals]


def summed(alarms: Iterable[Alarm]) -> str:
    """Alarm events in a line, for a failure."""
    told = [f"{_clock(one.ingest_ts)} {one.kind} {one.event} {one.severity_label} {one.value:g}" for one in alarms]
    return "; ".join(told[:8]) + (f"; and {len(told) - 8} more" if len(told) > 8 else "") if told else "nothing"


def _clock(ts: int) -> str:
    return datetime.fromtimestamp(ts / 1_000, UTC).strftime("%m-%dT%H:%M:%S")


def clock(ts: float) -> str:
    """A moment as failures show it, UTC."""
    return _clock(int(ts))
