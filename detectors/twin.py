"""The slow, obvious twin of `detectors.process`: one report at a time, floats and dicts, no numpy.

It is the oracle: the vectorised detectors must say exactly what it says, to the last bit of every float, whatever the
chunks, crashes and rebalances in between. It is written from the rules, not from the arrays; a rule that changes is
changed here and there. Tests and the demo hold the one against the other; nothing else uses it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from detectors.device_status import OFFLINE_AFTER_MS, OVERDUE_AFTER_MS
from detectors.limits import LimitTable
from detectors.messages import alarm_message
from detectors.twin_latches import Finding, Latch, Rate, Rise
from schemas.events import VERSION, Aggregate, Alarm, AlarmKind, DeviceStatus, Status, alarm_id
from schemas.quantities import BY_NAME, KIND_CODES, QUANTITIES
from schemas.report_rules import MAX_RECORD_BYTES, MAX_REPORTS_PER_RECORD, fault_of

MINUTE_MS: Final = 60_000
LATENESS_MS: Final = 30_000
REMEMBERED: Final = 16
SET_BACK_REPORTS: Final = 3
AHEAD_MS: Final = 300_000

WATCHED: Final = {
    "residual_current_ma": (AlarmKind.RESIDUAL_CURRENT, AlarmKind.RESIDUAL_CURRENT_RISE),
    "temperature_c": (AlarmKind.TEMPERATURE, AlarmKind.TEMPERATURE_RISE),
    "arc_half_cycles": (AlarmKind.ARC_FAULT,),
}
NUMBERS: Final = {kind: number for number, kind in enumerate(kind for kinds in WATCHED.values() for kind in kinds)}

Record = tuple[int, int, bytes | None]
"""Offset, time of arrival, value."""


TWINS: Final[dict[AlarmKind, type[Latch] | type[Rise] | type[Rate]]] = {
    AlarmKind.RESIDUAL_CURRENT: Latch,
    AlarmKind.RESIDUAL_CURRENT_RISE: Rise,
    AlarmKind.TEMPERATURE: Latch,
    AlarmKind.TEMPERATURE_RISE: Rate,
    AlarmKind.ARC_FAULT: Latch,
}


@dataclass
class Device:
    """Everything known of one device; its test data are another device."""

    device_id: str
    kind: str
    test: bool
    profile: int
    offset: int = -1
    heard_ts: int = 0
    newest_ts: int = 0
    identities: list[tuple[int, int]] = field(default_factory=list)
    behind: list[tuple[int, int]] = field(default_factory=list)
    status: Status | None = None
    since_ts: int = 0
    faults: list[str] = field(default_factory=list)
    widths: dict[str, int] = field(default_factory=dict)
    minutes: dict[int, dict[tuple[str, int], list[tuple[int, float]]]] = field(default_factory=dict)
    latches: dict[tuple[AlarmKind, int], Latch | Rise | Rate] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """One report and where it stands."""

    report: dict[str, Any]
    offset: int
    index: int
    ingest_ts: int
    ts: int


@dataclass
class Told:
    """What the records meant: events in the order of their places, rejects as (offset, index, reason)."""

    alarms: list[Alarm] = field(default_factory=list)
    aggregates: list[Aggregate] = field(default_factory=list)
    statuses: list[DeviceStatus] = field(default_factory=list)
    rejects: list[tuple[int, int, str]] = field(default_factory=list)

    def sort(self) -> None:
        for events in (self.alarms, self.aggregates, self.statuses):
            events.sort(key=lambda event: (event.source_offset, event.source_ordinal))


class Oracle:
    """Feed it the records of one partition in order; `told` holds what they meant so far."""

    def __init__(self, limits: LimitTable) -> None:
        self.limits = limits
        self.devices: dict[tuple[str, bool], Device] = {}
        self.told = Told()

    def feed(self, offset: int, ingest_ts: int, value: bytes | None, key: bytes | None = b"") -> Told:
        """Take one record in and return what it meant by itself."""
        now = Told()
        for index, report in self._reports(offset, value, key, now):
            if fault := fault_of(report, ingest_ts):
                now.rejects.append((offset, index, fault.reason))
            else:
                ahead = report["event_ts"] > ingest_ts + AHEAD_MS
                place = Place(report, offset, index, ingest_ts, ingest_ts if ahead else report["event_ts"])
                self._take(self._device(report), place, now)
        now.sort()
        self.told.alarms += now.alarms
        self.told.aggregates += now.aggregates
        self.told.statuses += now.statuses
        self.told.rejects += now.rejects
        return now

    def tick(self, now: int) -> list[DeviceStatus]:
        """Put silent devices offline."""
        return [event for device in self.devices.values() if (event := _silenced(device, now))]

    def _reports(self, offset: int, value: bytes | None, key: bytes | None, now: Told) -> Iterable[tuple[int, Any]]:
        parsed, reason = _parsed(value, key)
        if reason:
            now.rejects.append((offset, -1, reason))
            return ()
        return enumerate(parsed if type(parsed) is list else [parsed])

    def _device(self, report: dict[str, Any]) -> Device:
        name = report["device_id"], report.get("test") is True
        if name not in self.devices:
            profile = self.limits.profile(name[0], KIND_CODES[report["device_kind"]])
            self.devices[name] = Device(*name[:1], report["device_kind"], name[1], profile)
        return self.devices[name]

    def _take(self, device: Device, place: Place, now: Told) -> None:
        device.offset = place.offset
        repeated, newest = _arrived(device, place)
        now.statuses += _heard(device, place, newest)
        if repeated:
            return
        gap_ms = max(0, place.ts - device.newest_ts) if device.newest_ts else 0
        device.newest_ts = max(device.newest_ts, place.ts)
        now.aggregates += _closed(device, place)
        values = _values(place.report)
        _count(device, place, values)
        if newest:
            for (quantity, component), value in values.items():
                now.alarms += self._watch(device, place, gap_ms, quantity, component, value)

    def _watch(
        self, device: Device, place: Place, gap_ms: int, quantity: str, component: int, value: float
    ) -> Iterable[Alarm]:
        for kind in WATCHED.get(quantity, ()):
            held = self.limits.of(kind)[device.profile]
            limits = dict(zip(held.dtype.names, held.item(), strict=True))
            latch = device.latches.setdefault((kind, component), TWINS[kind]())
            if finding := latch.step(place.ts, value, gap_ms, limits):
                source = self.limits.source(kind, device.profile, finding.level)
                yield _alarm(device, place, kind, quantity, component, finding, source)


def oracle_events(records: Iterable[Record], limits: LimitTable) -> Told:
    """What the records of one partition, in order, mean."""
    oracle = Oracle(limits)
    for offset, ingest_ts, value in records:
        oracle.feed(offset, ingest_ts, value)
    return oracle.told


def timeless(alarms: Iterable[Alarm]) -> list[Alarm]:
    """The alarms less the one thing in which runs may differ: when they were detected."""
    return [replace(alarm, detected_ts=0) for alarm in alarms]


def _parsed(value: bytes | None, key: bytes | None) -> tuple[Any, str | None]:
    if not value:
        return None, "empty_record"
    if len(value) > MAX_RECORD_BYTES:
        return None, "record_too_large"
    if key is None:
        return None, "null_key"
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None, _not_json(value)
    if type(parsed) is dict:
        return parsed, None
    if type(parsed) is not list:
        return None, "not_a_report"
    if not parsed:
        return None, "empty_record"
    return parsed, "too_many_reports" if len(parsed) > MAX_REPORTS_PER_RECORD else None


def _not_json(value: bytes) -> str:
    constants: list[str] = []
    with contextlib.suppress(ValueError, RecursionError):
        json.loads(value, parse_constant=constants.append)
    return "not_finite" if constants else "not_json"


def _arrived(device: Device, place: Place) -> tuple[bool, bool]:
    """Whether the report was here before (or is too old to tell), and whether it is the device's newest."""
    seq = place.report.get("seq")
    identity = place.ts, (place.report["event_ts"] if seq is None else seq) % 65_536
    seen = device.identities
    if identity in seen:
        return True, False
    if not seen or identity > max(seen):
        device.behind = []
        device.identities = sorted([*seen, identity])[-REMEMBERED:]
        return False, True
    if _set_back(device, place):
        device.identities = [identity]
        return False, True
    if len(seen) == REMEMBERED and identity < min(seen):
        return True, False
    device.identities = sorted([*seen, identity])[-REMEMBERED:]
    return False, False


def _set_back(device: Device, place: Place) -> bool:
    """Whether the third report in a row now comes behind the newest, as far apart as they are dated."""
    if device.behind:
        before_ts, before_ingest_ts = device.behind[-1]
        dated, arrived = place.ts - before_ts, place.ingest_ts - before_ingest_ts
        if not (dated > 0 and dated <= 2 * arrived and arrived <= 2 * dated):
            device.behind = []
    device.behind.append((place.ts, place.ingest_ts))
    if len(device.behind) < SET_BACK_REPORTS:
        return False
    device.behind = []
    return True


def _heard(device: Device, place: Place, newest: bool) -> Iterable[DeviceStatus]:
    device.heard_ts = max(device.heard_ts, place.ingest_ts)
    faults = list(place.report.get("faults") or ())
    returned, changed = device.status is not Status.ONLINE, newest and faults != device.faults
    device.status = Status.ONLINE
    if changed:
        device.faults = faults
    if returned or changed:
        device.since_ts = place.ingest_ts
        yield _status(device, place.index)


def _silenced(device: Device, now: int) -> DeviceStatus | None:
    offline_after = OFFLINE_AFTER_MS[device.kind]
    overdue_after = max(OVERDUE_AFTER_MS, offline_after)
    silent = now - device.heard_ts
    if silent >= overdue_after and device.status is not Status.OVERDUE_OFFLINE:
        device.status, device.since_ts = Status.OVERDUE_OFFLINE, device.heard_ts + overdue_after
    elif offline_after <= silent < overdue_after and device.status is Status.ONLINE:
        device.status, device.since_ts = Status.OFFLINE, device.heard_ts + offline_after
    else:
        return None
    return _status(device, -1)


def _status(device: Device, ordinal: int) -> DeviceStatus:
    return DeviceStatus(
        v=VERSION,
        device_id=device.device_id,
        device_kind=device.kind,
        test=device.test,
        status=device.status or Status.ONLINE,
        faults=list(device.faults),
        since_ts=device.since_ts,
        source_offset=device.offset,
        source_ordinal=ordinal,
    )


def _values(report: dict[str, Any]) -> dict[tuple[str, int], float]:
    """Every value that is there: no sentinels."""
    return {
        (quantity.name, component): float(value)
        for quantity in QUANTITIES
        for component, value in enumerate(report.get(quantity.name) or ())
        if value != quantity.absent
    }


def _count(device: Device, place: Place, values: dict[tuple[str, int], float]) -> None:
    """Count the values in their minute, unless that has closed."""
    for quantity, component in values:
        device.widths[quantity] = max(device.widths.get(quantity, 0), component + 1)
    minute_ts = place.ts - place.ts % MINUTE_MS
    if minute_ts + MINUTE_MS + LATENESS_MS <= device.newest_ts:
        return
    minute = device.minutes.setdefault(minute_ts, {})
    for where, value in values.items():
        minute.setdefault(where, []).append((place.ts, value))


def _closed(device: Device, place: Place) -> Iterable[Aggregate]:
    """The minutes that the device's newest time has left behind by more than the lateness."""
    for minute_ts in sorted(device.minutes):
        if minute_ts + MINUTE_MS + LATENESS_MS > device.newest_ts:
            continue
        if minute := device.minutes.pop(minute_ts):
            yield Aggregate(
                v=VERSION,
                device_id=device.device_id,
                device_kind=device.kind,
                test=device.test,
                minute_ts=minute_ts,
                quantities=_statistics(device, minute),
                source_offset=place.offset,
                source_ordinal=place.index * 2 + minute_ts // MINUTE_MS % 2,
            )


def _statistics(
    device: Device, minute: dict[tuple[str, int], list[tuple[int, float]]]
) -> dict[str, dict[str, list[Any]]]:
    counted = {quantity for quantity, _ in minute}
    quantities: dict[str, dict[str, list[Any]]] = {}
    for name in (quantity.name for quantity in QUANTITIES if quantity.name in counted):
        columns = [_statistic(minute.get((name, component), [])) for component in range(device.widths[name])]
        quantities[name] = {key: [column[key] for column in columns] for key in columns[0]}
    return quantities


def _statistic(held: list[tuple[int, float]]) -> dict[str, Any]:
    if not held:
        return {"count": 0, "min": None, "max": None, "mean": None, "last": None}
    values, total = [value for _, value in held], 0.0
    for value in values:
        total += value  # sum() would compensate, the arrays do not
    newest_ts = max(ts for ts, _ in held)
    last = [value for ts, value in held if ts == newest_ts][-1]
    mean = total / len(held)
    return {"count": len(held), "min": min(values), "max": max(values), "mean": mean, "last": last}


def _alarm(
    device: Device, place: Place, kind: AlarmKind, quantity: str, component: int, finding: Finding, source: str
) -> Alarm:
    event, severity, _, value, limit, onset_ts, peak, baseline = finding
    return Alarm(
        v=VERSION,
        alarm_id=alarm_id(device.device_id, component, kind, onset_ts, device.test),
        event=event,
        severity=severity,
        severity_label=severity.label,
        kind=kind,
        device_id=device.device_id,
        device_kind=device.kind,
        quantity=quantity,
        component=component,
        event_ts=place.report["event_ts"],
        onset_ts=onset_ts,
        ingest_ts=place.ingest_ts,
        detected_ts=0,
        value=value,
        limit=limit,
        peak=peak,
        baseline=baseline,
        limit_from=source,
        test=device.test,
        message=alarm_message(
            kind,
            event,
            severity,
            device.device_id,
            component,
            BY_NAME[quantity],
            value,
            limit,
            baseline,
            device.test,
        ),
        source_offset=place.offset,
        source_ordinal=place.index * 65_536 + NUMBERS[kind] * 256 + component,
    )
