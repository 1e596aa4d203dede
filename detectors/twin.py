"""The slow, obvious twin of `detectors.process`: one report at a time, floats and dicts, no numpy.

It is the oracle: the vectorised detectors must say exactly what it says, to the last bit of every float, whatever the
chunks, crashes and rebalances in between. It is written from the rules, not from the arrays; a rule that changes is
changed here and there. Tests and the demo hold the one against the other; nothing else uses it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import orjson

from detectors.device_status import OFFLINE_AFTER_MS, OFFLINE_MOST_MS, OVERDUE_AFTER_MS
from detectors.limits import LimitTable
from detectors.messages import alarm_message
from detectors.twin_latches import Finding, Level, Rate, Rise, Value
from schemas.events import VERSION, Aggregate, Alarm, AlarmKind, DeviceStatus, Status, alarm_id
from schemas.quantities import BY_NAME, DEVICE_KINDS, QUANTITIES
from schemas.rejects import NOT_JUDGED
from schemas.report_json import device_of, loads
from schemas.report_rules import MAX_RECORD_BYTES, MAX_REPORTS_PER_RECORD, Fault, Reading, Reason, read
from schemas.reports import Headers, Records, decode

MINUTE_MS: Final = 60_000
LATENESS_MS: Final = 30_000
REMEMBERED: Final = 16
SET_BACK_REPORTS: Final = 3
SEQ_AHEAD: Final = 1_000
STUCK_REPORTS: Final = 3
POINTS: Final = 8
FLOOD_REPORTS: Final = 3_000
HOLD_MS: Final = 600_000
MAX_NOTES: Final = 32
HOUR_MS: Final = 3_600_000

WATCHED: Final = {
    "residual_current_ma": (AlarmKind.RESIDUAL_CURRENT, AlarmKind.RESIDUAL_CURRENT_RISE),
    "temperature_c": (AlarmKind.TEMPERATURE, AlarmKind.TEMPERATURE_RISE),
    "arc_half_cycles": (AlarmKind.ARC_FAULT,),
}
NUMBERS: Final = {kind: number for number, kind in enumerate(kind for kinds in WATCHED.values() for kind in kinds)}

Record = tuple[int, int, bytes | None]
"""Offset, time of arrival, value."""
Twin = Level | Rise | Rate

TWINS: Final[dict[AlarmKind, type[Twin]]] = {
    AlarmKind.RESIDUAL_CURRENT: Level,
    AlarmKind.RESIDUAL_CURRENT_RISE: Rise,
    AlarmKind.TEMPERATURE: Level,
    AlarmKind.TEMPERATURE_RISE: Rate,
    AlarmKind.ARC_FAULT: Level,
}


@dataclass
class Channel:
    """One component in its time."""

    ts: int = 0
    own_ts: int = 0
    ingest_ts: int = 0
    interval_ms: int = 0
    filled_ms: int = 0
    equal: int = 0
    power_on: bool = False
    points: list[tuple[int, float]] = field(default_factory=list)
    twins: dict[AlarmKind, Twin] = field(default_factory=dict)

    def advance(self, place: Place, value: float) -> Value:
        """Take a live value on, and say what time has passed."""
        own, arrived = place.reading.event_ts - self.own_ts, max(place.ingest_ts - self.ingest_ts, 0)
        first, usable = self.ingest_ts == 0, _usable(own, self.filled_ms + arrived)
        elapsed = max(own - self.filled_ms, 0) if usable else arrived
        each = own // (self.equal + 1) if usable else arrived
        if first:
            elapsed = each = 0
        known = self.interval_ms > 0
        gap = known and each > max(3 * self.interval_ms, 30_000)
        most = 2 * self.interval_ms * (self.equal + 1 if usable else 1) if known else elapsed
        credit = 0 if gap else min(each, self.interval_ms) if known else each
        passed = Value(
            value, place.ts, place.ingest_ts, self.ts, elapsed, 0 if gap else min(elapsed, most), credit, gap
        )
        stands = own == 0 and not first
        self.filled_ms = min(self.filled_ms + arrived, 2**31 - 1) if stands else 0
        self.equal = min(self.equal + 1, 65_535) if stands else 0
        if not (stands and self.filled_ms <= MINUTE_MS):
            self.interval_ms -= self.interval_ms // 4
        self.interval_ms = min(max(each, self.interval_ms), 2**31 - 1)
        self.ts, self.own_ts, self.ingest_ts = place.ts, place.reading.event_ts, place.ingest_ts
        return passed


@dataclass
class Device:
    """Everything known of one device; its test data are another device."""

    device_id: str
    kind: int
    test: bool
    place: tuple[int, int] = (-1, -1)
    heard_ts: int = 0
    valued_ts: int = 0
    newest_ts: int = 0
    own_ts: int = 0
    interval_ms: int = 0
    silence_ms: int = 0
    seq: int | None = None
    window: int = -1
    in_window: int = 0
    seen: list[Any] = field(default_factory=list)
    equal_count: int = 0
    equal_ms: int = 0
    behind: list[tuple[int, int]] = field(default_factory=list)
    status: Status | None = None
    since_ts: int = 0
    words: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    judged_ts: dict[str, int] = field(default_factory=dict)
    judged_every_ms: dict[str, int] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)
    minutes: dict[int, dict[tuple[str, int], list[tuple[int, float]]]] = field(default_factory=dict)
    channels: dict[tuple[str, int], Channel] = field(default_factory=dict)

    @property
    def kind_name(self) -> str:
        """The name of its kind."""
        return DEVICE_KINDS[self.kind].name

    @property
    def faults(self) -> list[str]:
        """As a status tells them."""
        return [*self.words, *sorted(self.notes)]

    @property
    def alarmed(self) -> bool:
        """Whether any latch holds something."""
        return any(not twin.latch.rests for channel in self.channels.values() for twin in channel.twins.values())


@dataclass(frozen=True)
class Place:
    """One report, where it stands, and how long its device was silent before."""

    reading: Reading
    offset: int
    index: int
    ingest_ts: int
    silent_ms: int = 0

    @property
    def ts(self) -> int:
        """The moment it is judged by."""
        return self.reading.ts


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
        self.rejects.sort()


class Oracle:
    """Feed it the records of one partition in order; `told` holds what they meant so far."""

    def __init__(self, limits: LimitTable, devices_most: int = 250_000) -> None:
        self.limits = limits
        self.devices: dict[tuple[str, bool], Device] = {}
        self.devices_most = devices_most
        self.told = Told()

    def feed(
        self,
        offset: int,
        ingest_ts: int,
        value: bytes | None,
        key: bytes | None = b"",
        headers: Headers = (),
        sent_bytes: int | None = None,
    ) -> Told:
        """Take one record in and return what it meant by itself."""
        now = Told()
        parsed, reason = _parsed(value, key)
        if reason:
            now.rejects.append((offset, -1, reason))
            self._talks(device_of(key), offset, -1, ingest_ts, now)
        else:
            for index, report in enumerate(parsed if type(parsed) is list else [parsed]):
                self._take(report, offset, index, ingest_ts, now)
            sent = None if sent_bytes is None else np.array([sent_bytes])
            _fold(now, Records("", 0, np.array([offset]), np.array([ingest_ts]), [key], [value], [headers], sent))
        now.sort()
        self.told.alarms += now.alarms
        self.told.aggregates += now.aggregates
        self.told.statuses += now.statuses
        self.told.rejects += now.rejects
        return now

    def tick(self, now: int) -> list[DeviceStatus]:
        """Put silent devices offline."""
        return [event for device in self.devices.values() if (event := _silenced(device, now))]

    def _take(self, report: Any, offset: int, index: int, ingest_ts: int, now: Told) -> None:
        reading = read(report, ingest_ts, self.limits.absences)
        if isinstance(reading, Fault):
            now.rejects.append((offset, index, reading.reason))
            device_id = report.get("device_id") if type(report) is dict else None
            self._talks(
                device_of(device_id.encode(errors="replace")) if type(device_id) is str else None,
                offset,
                index,
                ingest_ts,
                now,
            )
            return
        device = self._device(reading, ingest_ts)
        if device is None:
            now.rejects.append((offset, index, "too_many_devices"))
        elif not _within_flood(device, ingest_ts):
            now.rejects.append((offset, index, "device_floods"))
            device.place = (offset, index)
        else:
            silent_ms = max(ingest_ts - device.heard_ts, 0) if device.heard_ts else 0
            self._process(device, Place(reading, offset, index, ingest_ts, silent_ms), now)

    def _talks(self, device_id: str | None, offset: int, index: int, ingest_ts: int, now: Told) -> None:
        """A report that is rejected tells that its device talks."""
        device = self.devices.get((device_id, False)) if device_id else None
        if device is not None and _within_flood(device, ingest_ts):
            returned = _put_online(device, ingest_ts)
            device.place = (offset, index)
            notes = ["rejected", *_not_judged(device, ingest_ts)]
            now.statuses += _tell(device, None, notes, ingest_ts, returned, None, max(index, 0))

    def _device(self, reading: Reading, ingest_ts: int) -> Device | None:
        key = reading.device_id, reading.test
        if key in self.devices:
            return self.devices[key]
        if len(self.devices) >= self.devices_most:
            for known, device in list(self.devices.items()):
                silent_ms = 30 * 24 * HOUR_MS if device.interval_ms else 26 * HOUR_MS
                if device.heard_ts + silent_ms <= ingest_ts - ingest_ts % MINUTE_MS and not device.alarmed:
                    del self.devices[known]
            if len(self.devices) >= self.devices_most:
                return None
        self.devices[key] = Device(reading.device_id, max(reading.device_kind, 0), reading.test)
        return self.devices[key]

    def _process(self, device: Device, place: Place, now: Told) -> None:
        reading, ingest_ts = place.reading, place.ingest_ts
        returned = _put_online(device, ingest_ts)
        device.place = place.offset, place.index
        newest, lost = False, _lost(device, reading)
        if not _repeated(device, place):
            newest = self._take_on(device, place, now)
            lost = _lost(device, reading)
        valued = any(not math.isnan(value) for values in reading.quantities.values() for value in values)
        notes = [*reading.notes, *_sensor_faults(reading), *lost, *_not_judged(device, ingest_ts)]
        if not valued and (device.valued_ts == 0 or ingest_ts - device.valued_ts > _offline_after(device)):
            notes.append("no_values")
        if valued:
            device.valued_ts = ingest_ts
        words = list(reading.faults) if newest else None
        now.statuses += _tell(device, words, notes, ingest_ts, returned, reading, place.index)

    def _take_on(self, device: Device, place: Place, now: Told) -> bool:
        """Count and judge the values of a new report, and say whether it is its device's newest."""
        reading, ts = place.reading, place.ts
        values = _values(reading)
        for quantity, component in values:
            device.widths[quantity] = max(device.widths.get(quantity, 0), component + 1)
        watched = {where: value for where, value in values.items() if where[0] in WATCHED}
        live = {where for where in watched if ts >= device.channels.setdefault(where, Channel()).ts}
        newest = bool(live) if watched else ts >= device.newest_ts
        if _set_back(device, place, not newest):
            now.aggregates += _closed(device, place, everything=True)
            device.newest_ts = ts
            for channel in device.channels.values():
                channel.ts = min(channel.ts, ts)
            live, newest = set(watched), True
        if newest:
            _note_newest(device, place)
        device.newest_ts = max(device.newest_ts, ts)
        now.aggregates += _closed(device, place)
        for where in _hidden(device, reading, watched, live):
            del values[where]
            watched.pop(where)
        _count(device, place, values)
        for quantity in dict.fromkeys(quantity for quantity, _ in watched):
            device.judged_ts.setdefault(quantity, place.ingest_ts)
            if any(where[0] == quantity and where in live for where in watched):
                elapsed = max(place.ingest_ts - device.judged_ts[quantity], 0)
                every = device.judged_every_ms.get(quantity, 0)
                device.judged_every_ms[quantity] = min(max(elapsed, every - every // 16), 2**31 - 1)
                device.judged_ts[quantity] = place.ingest_ts
        for where, value in watched.items():
            now.alarms += self._watch(device, place, where, value, where in live)
        return newest

    def _watch(self, device: Device, place: Place, where: tuple[str, int], value: float, live: bool) -> Iterable[Alarm]:
        channel, (quantity, component) = device.channels[where], where
        if live:
            one = channel.advance(place, value)
        else:
            one = Value(value, place.ts, place.ingest_ts)
            if (place.ts, value) in channel.points:
                return
            channel.points = [*channel.points, (place.ts, value)][-POINTS:]
        profile = self.limits.profile(device.device_id, device.kind)
        for kind in WATCHED[quantity]:
            held = self.limits.of(kind)[profile]
            limits = dict(zip(held.dtype.names, held.item(), strict=True))
            twin = channel.twins.setdefault(kind, TWINS[kind]())
            found = [twin.step(one, limits)] if live else list(twin.late(one, channel.points, limits))
            for turn, finding in enumerate(one for one in found if one is not None):
                source = self.limits.source(kind, profile, finding.level)
                yield _alarm(device, place, kind, quantity, component, finding, source, turn)


def oracle_events(records: Iterable[Record], limits: LimitTable, keys: bytes = b"key") -> Told:
    """What the records of one partition, in order, mean."""
    oracle = Oracle(limits)
    for offset, ingest_ts, value in records:
        oracle.feed(offset, ingest_ts, value, keys)
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
        parsed = loads(value)
    except orjson.JSONDecodeError:
        return None, "not_json"
    if type(parsed) is dict:
        return parsed, None
    if type(parsed) is not list:
        return None, "not_a_report"
    if not parsed:
        return None, "empty_record"
    return parsed, "too_many_reports" if len(parsed) > MAX_REPORTS_PER_RECORD else None


def _within_flood(device: Device, ingest_ts: int) -> bool:
    if device.window != ingest_ts // MINUTE_MS:
        device.window, device.in_window = ingest_ts // MINUTE_MS, 0
    device.in_window += 1
    return device.in_window <= FLOOD_REPORTS


def _put_online(device: Device, ingest_ts: int) -> bool:
    """Note that a device was heard. Whether it was not online."""
    device.heard_ts = max(device.heard_ts, ingest_ts)
    if device.status is Status.ONLINE:
        return False
    device.status, device.since_ts = Status.ONLINE, ingest_ts
    return True


def _repeated(device: Device, place: Place) -> bool:
    """Whether the report equals one of the last ones, and is not one of a clock that is stuck."""
    reading = place.reading
    print_ = (reading.event_ts, reading.seq, reading.device_kind, reading.faults, sorted(_values(reading).items()))
    again = print_ in device.seen
    if again:
        usual = device.interval_ms or device.equal_ms
        if 2 * place.silent_ms >= usual:  # else it came together with the one before
            in_pace = 0 < place.silent_ms <= 2 * usual
            device.equal_count = device.equal_count + 1 if in_pace or usual == 0 else 0
            device.equal_ms = min(place.silent_ms, 2**31 - 1)
        if device.equal_count < STUCK_REPORTS:
            return True
    else:
        device.equal_count = 0
    device.seen = [*device.seen, print_][-REMEMBERED:]
    return False


def _set_back(device: Device, place: Place, behind: bool) -> bool:
    """Whether the device's clock was set back: its sequence number goes on, it is the third in a row in pace, or it
    stands still since."""
    if not behind:
        device.behind = []
        return False
    if device.behind:
        before_ts, before_ingest_ts = device.behind[-1]
        dated, arrived = place.ts - before_ts, place.ingest_ts - before_ingest_ts
        if not (dated > 0 and dated <= 2 * arrived and arrived <= 2 * dated):
            device.behind = []
    device.behind.append((place.ts, place.ingest_ts))
    seq, newest = place.reading.seq, device.seq
    goes_on = seq is not None and newest is not None and 1 <= (seq - newest) % 2**64 <= SEQ_AHEAD
    stuck = device.equal_count >= STUCK_REPORTS
    if not goes_on and not stuck and len(device.behind) < SET_BACK_REPORTS:
        return False
    device.behind = []
    return True


def _usable(own: int, arrived: int) -> bool:
    """Whether a device's own time tells how much has passed."""
    return 0 < own <= 6 * HOUR_MS and 8 * own >= arrived


def _note_interval(device: Device, elapsed: int) -> None:
    """Note how far apart the reports are. A silence that is much longer is an interval only when it comes again."""
    interval, silence = device.interval_ms, device.silence_ms
    if interval and elapsed > 4 * interval:
        device.silence_ms = min(elapsed, 2**31 - 1)
        if elapsed > 2 * silence or silence > 2 * elapsed:
            return
    device.interval_ms = min(max(elapsed, interval - interval // 16), 2**31 - 1)


def _note_newest(device: Device, place: Place) -> None:
    reading = place.reading
    if device.own_ts:
        own = reading.event_ts - device.own_ts
        _note_interval(device, own if _usable(own, place.silent_ms) else place.silent_ms)
    device.own_ts = reading.event_ts
    device.seq = reading.seq
    if reading.device_kind >= 0:
        device.kind = reading.device_kind


def _sensor_faults(reading: Reading) -> list[str]:
    return [
        f"sensor_fault:{QUANTITIES[mark.quantity].name}[{mark.component}]:{mark.reason.label}"
        for mark in reading.marks
        if mark.reason not in (Reason.NOT_FITTED, Reason.POWER_ON)
    ]


def _lost(device: Device, reading: Reading) -> list[str]:
    """Watched components that say they are not fitted though they have measured."""
    fitted = [
        (QUANTITIES[mark.quantity].name, mark.component) for mark in reading.marks if mark.reason is Reason.NOT_FITTED
    ]
    known = (where for where in fitted if where in device.channels and device.channels[where].ingest_ts)
    return [f"sensor_fault:{quantity}[{component}]:not_fitted" for quantity, component in known]


def _not_judged(device: Device, ingest_ts: int) -> list[str]:
    """Watched quantities that have not been judged for longer than their device may be silent."""
    default = OFFLINE_AFTER_MS[device.kind_name]
    found = []
    for quantity, judged_ts in device.judged_ts.items():
        every = device.judged_every_ms.get(quantity, 0) or OFFLINE_MOST_MS
        bound = min(max(default, every * 5 // 2), max(OFFLINE_MOST_MS, default))
        if ingest_ts - judged_ts > bound:
            found.append(f"not_judged:{quantity}")
    return found


def _tell(
    device: Device,
    words: list[str] | None,
    notes: list[str],
    ingest_ts: int,
    returned: bool,
    reading: Reading | None,
    ordinal: int,
) -> Iterable[DeviceStatus]:
    before = device.faults
    if words is not None and reading is not None:
        device.words = words
        for note, held_ts in list(device.notes.items()):
            if ingest_ts - held_ts >= HOLD_MS and _may_end(note, reading):
                del device.notes[note]
    for note in sorted(set(notes)):
        if note in device.notes or len(device.notes) < MAX_NOTES:
            device.notes[note] = ingest_ts
    if device.faults != before:
        device.since_ts = ingest_ts
    if returned or device.faults != before:
        yield _status(device, ordinal)


def _may_end(note: str, reading: Reading) -> bool:
    """A sensor's fault ends with a value of it."""
    if not note.startswith("sensor_fault:"):
        return True
    _, where, _ = note.split(":")
    quantity, component = where[:-1].split("[")
    values = reading.quantities.get(quantity, [])
    return int(component) < len(values) and not math.isnan(values[int(component)])


def _offline_after(device: Device) -> int:
    default = OFFLINE_AFTER_MS[device.kind_name]
    return min(max(default, device.interval_ms * 5 // 2), max(OFFLINE_MOST_MS, default))


def _silenced(device: Device, now: int) -> DeviceStatus | None:
    offline_after = _offline_after(device)
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
        device_kind=device.kind_name,
        test=device.test,
        status=device.status or Status.ONLINE,
        faults=device.faults,
        since_ts=device.since_ts,
        source_offset=device.place[0],
        source_ordinal=ordinal,
    )


def _values(reading: Reading) -> dict[tuple[str, int], float]:
    """Every value that is there."""
    return {
        (quantity, component): value
        for quantity, values in reading.quantities.items()
        for component, value in enumerate(values)
        if not math.isnan(value)
    }


def _hidden(
    device: Device, reading: Reading, watched: dict[tuple[str, int], float], live: set[tuple[str, int]]
) -> list[tuple[str, int]]:
    """The values that are what a sensor shows at power-on, and no second ones."""
    shown = {
        (QUANTITIES[mark.quantity].name, mark.component) for mark in reading.marks if mark.reason is Reason.POWER_ON
    }
    hidden = [where for where in watched if where in shown and not (where in live and device.channels[where].power_on)]
    for where in live:
        device.channels[where].power_on = where in shown
    return hidden


def _count(device: Device, place: Place, values: dict[tuple[str, int], float]) -> None:
    """Count the values in their minute, unless that has closed."""
    minute_ts = place.ts - place.ts % MINUTE_MS
    if minute_ts + MINUTE_MS + LATENESS_MS <= device.newest_ts:
        return
    minute = device.minutes.setdefault(minute_ts, {})
    for where, value in values.items():
        minute.setdefault(where, []).append((place.ts, value))


def _closed(device: Device, place: Place, everything: bool = False) -> list[Aggregate]:
    """The minutes that the device's newest time has left behind by more than the lateness, or all."""
    found = []
    for minute_ts in sorted(device.minutes):
        if not everything and minute_ts + MINUTE_MS + LATENESS_MS > device.newest_ts:
            continue
        if minute := device.minutes.pop(minute_ts):
            found.append(
                Aggregate(
                    v=VERSION,
                    device_id=device.device_id,
                    device_kind=device.kind_name,
                    test=device.test,
                    minute_ts=minute_ts,
                    quantities=_statistics(device, minute),
                    source_offset=place.offset,
                    source_ordinal=place.index * 2 + minute_ts // MINUTE_MS % 2,
                )
            )
    return found


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
    device: Device,
    place: Place,
    kind: AlarmKind,
    quantity: str,
    component: int,
    finding: Finding,
    source: str,
    turn: int,
) -> Alarm:
    return Alarm(
        v=VERSION,
        alarm_id=alarm_id(device.device_id, component, kind, finding.episode, device.test),
        event=finding.event,
        severity=finding.severity,
        severity_label=finding.severity.label,
        kind=kind,
        device_id=device.device_id,
        device_kind=device.kind_name,
        quantity=quantity,
        component=component,
        episode=finding.episode,
        event_ts=finding.ts,
        onset_ts=finding.onset_ts,
        ingest_ts=place.ingest_ts,
        detected_ts=0,
        by_arrival=place.reading.by_arrival,
        late=finding.late,
        value=finding.value,
        limit=finding.limit,
        peak=finding.peak,
        baseline=finding.baseline,
        limit_from=source,
        test=device.test,
        message=alarm_message(
            kind,
            finding.event,
            finding.severity,
            device.device_id,
            component,
            BY_NAME[quantity],
            finding.value,
            finding.limit,
            finding.baseline,
            device.test,
            finding.late,
        ),
        source_offset=place.offset,
        source_ordinal=place.index * 65_536 + NUMBERS[kind] * 256 + component * 2 + turn,
    )


def _fold(now: Told, record: Records) -> None:
    """Where a record has too many rejects to tell each, keep those that decoding tells."""
    if sum(reason not in NOT_JUDGED for _, _, reason in now.rejects) < 2:
        return
    told = [(reject.offset, reject.index, reject.fault.reason) for reject in decode(record)[1]]
    now.rejects = [one for one in now.rejects if one[2] in NOT_JUDGED] + told
