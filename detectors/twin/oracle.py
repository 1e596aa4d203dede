"""The slow, obvious twin of `detectors.process`: one report at a time, floats and dicts, no numpy.

It is the oracle: the vectorised detectors must say exactly what it says, to the last bit of every float, whatever
chunks, crashes and rebalances lie in between. It is written from the rules, not from the arrays. A rule that changes is
changed in both. Tests and the demo hold one against the other; nothing else uses it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import numpy as np
import orjson
from msgspec import structs

from detectors.device_status import MISPLACED
from detectors.kinds import DETECTORS
from detectors.limits import LimitOrigin, LimitTable
from detectors.messages import alarm_message, named
from detectors.registered import KnownDevice
from detectors.twin.charging import TwinFacts
from detectors.twin.control import TwinControl, time_passed
from detectors.twin.devices import (
    HOUR_MS,
    MINUTE_MS,
    NUMBERS,
    WATCHED,
    Channel,
    Device,
    TwinReport,
    dated,
    first_not_judged,
    flapping,
    floods,
    hidden,
    lost_sensors,
    not_judged,
    note_newest,
    put_online,
    repeated,
    sensor_faults,
    set_back,
    silence_allowed,
    silenced,
    status,
    tell,
    values_of,
    within_flood,
)
from detectors.twin.inputs import seen, seen_late
from detectors.twin.latches import TwinFinding
from detectors.twin.minutes import closed, count
from detectors.twin.own_words import OwnWord, own_event
from detectors.twin.ports import charges, port_fault
from detectors.twin.registry import TwinRegistry
from detectors.twin.requests import read_back
from detectors.twin.stretches import Value
from schemas.alarm_kinds import AlarmKind
from schemas.charging_sessions import ChargingSession
from schemas.control import is_control, opened_control
from schemas.control_keys import NO_KEYS, ControlKeys
from schemas.device_requests import DeviceRequest
from schemas.events import VERSION, Aggregate, Alarm, AlarmEvent, ControlOutcome, DeviceStatus, alarm_id
from schemas.own_words import kinds_said
from schemas.records import Headers, Records
from schemas.rejects import NOT_JUDGED
from schemas.report_json import device_of, loads
from schemas.report_rules import MAX_RECORD_BYTES, MAX_REPORTS_PER_RECORD, Fault, Reading, read
from schemas.reports import decode

CHECK_MS: Final = 5_000
HOLE_MS: Final = 60_000
POINTS: Final = 8
SAME_FOR_A_DAY: Final = ("residual_current_ma", "temperature_c", "voltage_v")

Record = tuple[int, int, bytes | None]
"""Offset, time of arrival, value."""
E = TypeVar("E", Alarm, Aggregate, ChargingSession, DeviceStatus, ControlOutcome, DeviceRequest)


@dataclass
class Told:
    """What the records meant: events in the order of their positions, rejects as (offset, index, reason)."""

    alarms: list[Alarm] = field(default_factory=list)
    aggregates: list[Aggregate] = field(default_factory=list)
    statuses: list[DeviceStatus] = field(default_factory=list)
    rejects: list[tuple[int, int, str]] = field(default_factory=list)
    outcomes: list[ControlOutcome] = field(default_factory=list)
    requests: list[DeviceRequest] = field(default_factory=list)
    sessions: list[ChargingSession] = field(default_factory=list)

    def sort(self) -> None:
        for events in (self.alarms, self.requests, self.aggregates, self.sessions, self.statuses, self.outcomes):
            events.sort(key=lambda event: (event.source_offset, event.source_ordinal))
        self.rejects.sort()


class ControlSettings(NamedTuple):
    """By which control records are known as ours: the workers' keys, the id of telemetry and the partition; and whether
    the key of a device belongs to another partition, by how many there are."""

    keys: ControlKeys
    telemetry_id: UUID
    partition: int
    misplaced: Callable[[bytes, int], bool]


class Oracle:
    """Feed it the records of one partition in order; `told` holds what they meant so far."""

    def __init__(
        self,
        limits: LimitTable,
        devices_most: int = 250_000,
        misplaced: Callable[[bytes | None], bool] = lambda key: False,
        gone: Callable[[tuple[str, bool], int], bool] = lambda device, offset: False,
        control: ControlSettings | None = None,
    ) -> None:
        """`gone` says of a device that is silent at an offset whether another partition has taken it over. Without
        `control` no control record is ours but those of time."""
        self.limits = limits
        self.devices: dict[tuple[str, bool], Device] = {}
        self.devices_most = devices_most
        self.misplaced = misplaced
        self.gone = gone
        self._record_notes: list[str] = []
        self._shown: list[str] = []
        self._ports: dict[int, TwinFacts] = {}
        self._control_settings = control or ControlSettings(NO_KEYS, UUID(int=0), 0, lambda key, partitions: False)
        self.registry = TwinRegistry(limits)
        self.control = TwinControl(self.registry, self._control_settings.misplaced)
        self.told = Told()
        self.log_ts = self.awake_ts = 0

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
        self.pass_time(offset, ingest_ts, now)
        parsed, reason = _parsed(value, key)
        self._record_notes = [MISPLACED] if self.misplaced(key) else []
        if is_control(value, headers):
            self._take_control(offset, ingest_ts, value, key, headers, now)
        elif reason:
            now.rejects.append((offset, -1, reason))
            self._talks(device_of(key), offset, -1, ingest_ts, now)
        else:
            for index, report in enumerate(parsed if type(parsed) is list else [parsed]):
                self._take(report, offset, index, ingest_ts, now)
            sent = None if sent_bytes is None else np.array([sent_bytes])
            _fold(now, Records("", 0, np.array([offset]), np.array([ingest_ts]), [key], [value], [headers], sent))
        now.sort()
        self.told.alarms += now.alarms
        self.told.requests += now.requests
        self.told.aggregates += now.aggregates
        self.told.sessions += now.sessions
        self.told.statuses += now.statuses
        self.told.outcomes += now.outcomes
        self.told.rejects += now.rejects
        return now

    def _take_control(
        self, offset: int, ingest_ts: int, value: bytes | None, key: bytes | None, headers: Headers, now: Told
    ) -> None:
        if not value:
            now.outcomes.append(time_passed(offset, ingest_ts))
            return
        keys, telemetry_id, partition, _ = self._control_settings
        records = Records("", partition, np.array([offset]), np.array([ingest_ts]), [key], [value], [headers])
        found = opened_control(records, 0, telemetry_id, keys)
        if isinstance(found, Fault):
            now.rejects.append((offset, -1, found.reason))
            return
        for outcome, obeyed in self.control.take(found, self.devices):
            now.outcomes.append(outcome)
            now.alarms += obeyed.alarms
            now.requests += obeyed.requests
            now.aggregates += obeyed.aggregates
            now.statuses += obeyed.statuses

    def pass_time(self, offset: int, ingest_ts: int, now: Told) -> None:
        """Let the log's time go on to a record's arrival, and put devices offline that are silent by then."""
        before = self.log_ts
        if ingest_ts - before > HOLE_MS:
            self.awake_ts = ingest_ts
        self.log_ts = max(before, ingest_ts)
        if self.log_ts // CHECK_MS > before // CHECK_MS:
            ordered = sorted(self.devices.items())
            silent = [device for _, device in ordered if silenced(device, self.log_ts, self.awake_ts)]
            for number, device in enumerate(silent):
                if self.gone(key := (device.device_id, device.test), offset):
                    del self.devices[key]
                else:
                    now.statuses.append(status(device, offset, number - len(silent) - 1))

    def take_over(self, device: Device) -> None:
        """Have a device as another partition had it, to go on with its first report here. What is registered of it is
        what this partition knows."""
        taken = replace(deepcopy(device), reflects=(-1, -1), status=None)
        self.devices[device.device_id, device.test] = taken
        self.registry.tell(taken)

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
        elif not within_flood(device, ingest_ts):
            if first_not_judged(device):
                now.rejects.append((offset, index, "device_floods"))
            device.reflects = (offset, index)
        else:
            silent_ms = max(ingest_ts - device.heard_ts, 0) if device.heard_ts else 0
            self._process(device, TwinReport(reading, offset, index, ingest_ts, silent_ms), now)

    def _talks(self, device_id: str | None, offset: int, index: int, ingest_ts: int, now: Told) -> None:
        """A report that is rejected tells that its device talks."""
        device = self.devices.get((device_id, False)) if device_id else None
        if device is not None and within_flood(device, ingest_ts):
            returned = put_online(device, ingest_ts)
            device.reflects = (offset, index)
            notes = ["rejected", *not_judged(device, ingest_ts), *flapping(device, ingest_ts), *floods(device)]
            now.statuses += tell(device, None, notes, ingest_ts, returned, None, max(index, 0))

    def _device(self, reading: Reading, ingest_ts: int) -> Device | None:
        key = reading.device_id, reading.test
        if key in self.devices:
            return self.devices[key]
        if len(self.devices) >= self.devices_most and reading.device_id not in self.registry.known:
            for known, device in list(self.devices.items()):
                silent_ms = 30 * 24 * HOUR_MS if device.interval_ms else 26 * HOUR_MS
                if device.heard_ts + silent_ms <= ingest_ts - ingest_ts % MINUTE_MS and not device.alarmed:
                    del self.devices[known]
            if len(self.devices) >= self.devices_most:
                return None
        self.devices[key] = Device(reading.device_id, max(reading.device_kind, 0), reading.test)
        self.registry.tell(self.devices[key])
        return self.devices[key]

    def _process(self, device: Device, report: TwinReport, now: Told) -> None:
        reading, ingest_ts = report.reading, report.ingest_ts
        returned = put_online(device, ingest_ts)
        device.reflects = report.offset, report.index
        newest, lost = False, lost_sensors(device, reading)
        self._shown = []
        if not repeated(device, report):
            report = replace(report, dated_ts=dated(device, report))
            before = len(now.alarms)
            newest = self._take_on(device, report, now)
            now.requests += read_back(device, report, now.alarms[before:])
            lost = lost_sensors(device, reading)
            now.alarms += self._own_words(device, report, newest)
        valued = any(not math.isnan(value) for values in reading.quantities.values() for value in values)
        notes = [
            *reading.notes,
            *self._record_notes,
            *sensor_faults(reading),
            *lost,
            *self._shown,
            *not_judged(device, ingest_ts),
            *flapping(device, ingest_ts),
            *floods(device),
        ]
        if not valued and (device.valued_ts == 0 or ingest_ts - device.valued_ts > silence_allowed(device)):
            notes.append("no_values")
        if valued:
            device.valued_ts = ingest_ts
        words = list(reading.faults) if newest else None
        now.statuses += tell(device, words, notes, ingest_ts, returned, reading, report.index)

    def _take_on(self, device: Device, report: TwinReport, now: Told) -> bool:
        """Count and judge the values of a new report, and say whether it is its device's newest."""
        reading, ts = report.reading, report.ts
        values = values_of(reading)
        watched = {where: value for where, value in values.items() if where[0] in WATCHED}
        live = {where for where in watched if ts >= device.channels.setdefault(where, Channel()).ts}
        newest = bool(live) if watched else ts >= device.newest_ts
        if set_back(device, report, not newest):
            if reading.by_arrival:
                report, ts = replace(report, dated_ts=report.ingest_ts), report.ingest_ts
                device.clock_ms = report.ingest_ts - reading.event_ts
            now.aggregates += closed(device, report.offset, report.index, everything=True)
            device.newest_ts = ts
            for channel in device.channels.values():
                channel.ts = min(channel.ts, ts)
            for port in device.ports.values():
                port.back_to(ts)
            live, newest = set(watched), True
        if newest:
            note_newest(device, report)
        device.newest_ts = max(device.newest_ts, ts)
        now.aggregates += closed(device, report.offset, report.index)
        for where in hidden(device, reading, watched, live):
            del values[where]
            watched.pop(where)
        count(device, report, values)
        for quantity in dict.fromkeys(quantity for quantity, _ in watched):
            device.judged_ts.setdefault(quantity, report.ingest_ts)
            if any(where[0] == quantity and where in live for where in watched):
                elapsed = max(report.ingest_ts - device.judged_ts[quantity], 0)
                every = device.judged_every_ms.get(quantity, 0)
                device.judged_every_ms[quantity] = min(max(elapsed, every - every // 16), 2**31 - 1)
                device.judged_ts[quantity] = report.ingest_ts
        sessions, self._ports = charges(device, report, values, live)
        now.sessions += sessions
        for where, value in watched.items():
            now.alarms += self._watch(device, report, where, value, watched, where in live)
        return newest

    def _own_words(self, device: Device, report: TwinReport, newest: bool) -> Iterable[Alarm]:
        """What the device's words say that are alarms."""
        said, ts, ingest_ts = kinds_said(report.reading.faults), report.ts, report.ingest_ts
        for kind in AlarmKind:
            held, events = device.own.get(kind), list[tuple[AlarmEvent, OwnWord]]()
            if kind in said and (held is None or (newest and held.is_over(ingest_ts))):
                events += [(AlarmEvent.SUPERSEDED, replace(held, told_active=False))] if held else []
                device.own[kind] = OwnWord(ingest_ts, ts)
                events.append((AlarmEvent.OPENED, device.own[kind]))
            elif kind in said and held is not None:
                events += [(event, held) for event in held.comes(newest, ingest_ts)]
            elif held is not None and newest:
                events += [(event, held) for event in held.stays_away(ingest_ts)]
            for turn, (event, one) in enumerate(events):
                yield own_event(
                    kind, event, one, device, self.registry.known.get(device.device_id), word=said.get(kind, ""), ts=ts,
                    ingest_ts=ingest_ts, offset=report.offset, index=report.index, turn=turn,
                    by_arrival=report.reading.by_arrival, late=not newest,
                )  # fmt: skip

    def _watch(
        self,
        device: Device,
        report: TwinReport,
        where: tuple[str, int],
        value: float,
        beside: Mapping[tuple[str, int], float],
        live: bool,
    ) -> Iterable[Alarm]:
        channel, (quantity, component) = device.channels[where], where
        if live:
            one = channel.advance(report, value, device.interval_ms)
            self._shown += port_fault(quantity, component, value)
            if quantity in SAME_FOR_A_DAY and (word := channel.sensor_word(quantity, one.interval_ms)):
                self._shown.append(f"sensor_fault:{quantity}[{component}]:{word}")
        else:
            one = Value(value, report.ts, report.ingest_ts)
            if (report.ts, value) in channel.points:
                return
            channel.points = [*channel.points, (report.ts, value)][-POINTS:]
        profile, known = self.registry.profile(device, quantity, component), self.registry.known.get(device.device_id)
        facts = self._ports.get(component)
        for kind in WATCHED[quantity]:
            detector = DETECTORS[NUMBERS[kind]]
            if detector.piles_only and device.kind_name != "charging_pile":
                continue
            held = self.registry.limits.of(kind)[profile]
            limits = dict(zip(held.dtype.names, held.item(), strict=True))
            twin = channel.twins.setdefault(kind, detector.twin())
            if live:
                found = seen(detector, one, where, beside, facts, twin, limits)
            else:
                found = seen_late(detector, one, channel.points, twin, limits)
            for turn, finding in enumerate(found):
                origin = self.registry.limits.origin(kind, profile, finding.level)
                yield _alarm(device, report, kind, component, finding, origin, turn, known)


def oracle_events(records: Iterable[Record], limits: LimitTable, keys: bytes = b"key") -> Told:
    """What the records of one partition, in order, mean."""
    oracle = Oracle(limits)
    for offset, ingest_ts, value in records:
        oracle.feed(offset, ingest_ts, value, keys)
    return oracle.told


def timeless(alarms: Iterable[Alarm]) -> list[Alarm]:
    """The alarms less the one thing in which runs may differ: when they were detected."""
    return [structs.replace(bare(alarm), detected_ts=0) for alarm in alarms]


def bare(event: E) -> E:
    """An event less who sent it: its generation and the id of the topic it follows from."""
    return structs.replace(event, generation=0, source_topic_id="")


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


def _alarm(
    device: Device,
    report: TwinReport,
    kind: AlarmKind,
    component: int,
    finding: TwinFinding,
    origin: LimitOrigin,
    turn: int,
    known: KnownDevice | None,
) -> Alarm:
    sign = -1 if kind.about.below else 1
    return Alarm(
        v=VERSION,
        alarm_id=alarm_id(device.device_id, component, kind, finding.episode, device.test),
        event=finding.event,
        severity=finding.severity,
        severity_label=finding.severity.label,
        severity_highest=finding.highest,
        active=finding.active,
        repeats_untold=finding.untold,
        maintenance=report.ingest_ts < device.maintained_until_ts,
        kind=kind,
        device_id=device.device_id,
        device_kind=device.kind_name,
        quantity=kind.quantity,
        component=component,
        episode=finding.episode,
        event_ts=finding.ts,
        onset_ts=finding.onset_ts,
        ingest_ts=report.ingest_ts,
        detected_ts=0,
        by_arrival=report.reading.by_arrival,
        late=finding.late,
        value=sign * finding.value,
        limit=sign * finding.limit,
        peak=sign * finding.peak,
        baseline=finding.baseline,
        limit_from=origin.document,
        limit_by=origin.by,
        limit_since_ts=origin.since_ts,
        unit_id=known.unit_id if known else "",
        unit_name=known.unit_name if known else "",
        place=known.place if known else "",
        area=known.area if known else "",
        test=device.test,
        message=alarm_message(
            kind,
            finding.event,
            finding.severity,
            named(device.device_id, known),
            component,
            sign * finding.value,
            sign * finding.limit,
            finding.baseline,
            device.test,
            finding.late,
        ),
        source_offset=report.offset,
        source_ordinal=report.index * 65_536 + NUMBERS[kind] * 256 + component * 4 + turn,
    )


def _fold(now: Told, record: Records) -> None:
    """Where a record has too many rejects to tell each, keep those that decoding tells."""
    if sum(reason not in NOT_JUDGED for _, _, reason in now.rejects) < 2:
        return
    told = [(reject.offset, reject.index, reject.fault.reason) for reject in decode(record)[1]]
    now.rejects = [one for one in now.rejects if one[2] in NOT_JUDGED] + told
