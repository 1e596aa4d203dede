"""The detection rules as a good team would write them in plain Python: one class a device, floats, lists, no arrays.

Every peer runs this code, so that they differ only in what carries it. `detectors.twin` defines what it must say: the
twin is written to be read, this to be fast. State is held in lists that JSON can hold as they are, so that a peer which
stores it after every report pays for the encoding and nothing else.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson

from benchmarks.peers.latches import Finding, Latch, Limit, Limits, limits_by_profile
from detectors.limits import LimitTable
from detectors.messages import alarm_message
from schemas.events import VERSION, Aggregate, Alarm, AlarmKind, alarm_id
from schemas.quantities import BY_NAME, KIND_CODES, QUANTITIES

MINUTE_MS: Final = 60_000
OPEN_MS: Final = 90_000
"""A minute and the lateness that is waited for."""
REMEMBERED: Final = 16
SET_BACK_REPORTS: Final = 3
AHEAD_MS: Final = 300_000

ABSENT: Final = [(quantity.name, quantity.absent) for quantity in QUANTITIES]
KINDS: Final = tuple(AlarmKind)
RESIDUAL_CURRENT, RESIDUAL_CURRENT_RISE, TEMPERATURE, TEMPERATURE_RISE, ARC_FAULT = range(5)
QUANTITY_OF: Final = ("residual_current_ma",) * 2 + ("temperature_c",) * 2 + ("arc_half_cycles",)

Event = Alarm | Aggregate
Report = dict[str, Any]
NOTHING: Final[Sequence[Event]] = ()
NO_TEMPERATURE: Final = BY_NAME["temperature_c"].absent


class Place(NamedTuple):
    """A report and its place in its record; `ts` is the time that counts, `gap_ms` since the newest before it."""

    report: Report
    offset: int
    place: int
    ingest_ts: int
    ts: int
    gap_ms: int


class Device:
    """What is known of one device; its test data are another device.

    `minutes` are the open ones, oldest first: (minute, {quantity: one [count, min, max, total, last_ts, last] a
    component}). `learned` has [baseline, samples, first_ts, last_ts] a component, `windows` [ts, value] or nothing.
    """

    __slots__ = (
        "behind",
        "device_id",
        "identities",
        "kind",
        "latches",
        "learned",
        "limits",
        "minutes",
        "newest_ts",
        "place",
        "test",
        "widths",
        "windows",
    )

    def __init__(self, device_id: str, kind: str, test: bool, limits: Limits) -> None:
        self.device_id = device_id
        self.kind = kind
        self.test = test
        self.limits = limits
        self.place = -1
        self.newest_ts = 0
        self.identities: list[int] = []
        self.behind: list[list[int]] = []
        self.widths: dict[str, int] = {}
        self.minutes: list[Any] = []
        self.latches: dict[int, Latch] = {}
        self.learned: list[list[Any]] = []
        self.windows: list[list[Any]] = []

    def dump(self) -> bytes:
        """Its state as JSON."""
        latches = [[where, latch.dump()] for where, latch in self.latches.items()]
        return orjson.dumps(
            (
                self.device_id,
                self.kind,
                self.test,
                self.place,
                self.newest_ts,
                self.identities,
                self.behind,
                self.widths,
                self.minutes,
                latches,
                self.learned,
                self.windows,
            )
        )

    def take(self, report: Report, offset: int, index: int, ingest_ts: int) -> Sequence[Event]:
        """Take a good report in; the alarms and the minutes that follow from it.

        A record that comes again, after a crash or a rebalance, changes nothing: its place is not new.
        """
        place = offset << 10 | index
        if place <= self.place:
            return NOTHING
        self.place = place
        event_ts = report["event_ts"]
        ts = ingest_ts if event_ts > ingest_ts + AHEAD_MS else event_ts
        newest = self._arrived(report, ts, ingest_ts)
        if newest is None:
            return NOTHING
        newest_ts = self.newest_ts
        gap_ms = ts - newest_ts if newest_ts and ts > newest_ts else 0
        if ts > newest_ts:
            self.newest_ts = newest_ts = ts
        minutes = self.minutes
        closed = minutes and minutes[0][0] + OPEN_MS <= newest_ts
        events: list[Event] = self._close(offset, index) if closed else []
        self._count(report, ts)
        if newest:
            self._watch(Place(report, offset, index, ingest_ts, ts, gap_ms), events)
        return events

    def _arrived(self, report: Report, ts: int, ingest_ts: int) -> bool | None:
        """Whether it is the device's newest report; None if it was here before, or is too old to tell."""
        seq = report.get("seq")
        identity = ts << 16 | (report["event_ts"] if seq is None else seq) & 0xFFFF
        seen = self.identities
        if not seen or identity > seen[-1]:
            if self.behind:
                self.behind = []
            seen.append(identity)
            if len(seen) > REMEMBERED:
                del seen[0]
            return True
        if identity in seen:
            return None
        if self._set_back(ts, ingest_ts):
            self.identities = [identity]
            return True
        if len(seen) == REMEMBERED and identity < seen[0]:
            return None
        insort(seen, identity)
        del seen[:-REMEMBERED]
        return False

    def _set_back(self, ts: int, ingest_ts: int) -> bool:
        """Whether the third report in a row now comes behind the newest, as far apart as they are dated."""
        behind = self.behind
        if behind:
            dated, arrived = ts - behind[-1][0], ingest_ts - behind[-1][1]
            if not (0 < dated <= 2 * arrived <= 4 * dated):
                behind.clear()
        behind.append([ts, ingest_ts])
        if len(behind) < SET_BACK_REPORTS:
            return False
        behind.clear()
        return True

    def _close(self, offset: int, index: int) -> list[Event]:
        """The minutes that the newest time has left behind."""
        events: list[Event] = []
        while self.minutes and self.minutes[0][0] + OPEN_MS <= self.newest_ts:
            minute_ts, held = self.minutes.pop(0)
            if held:
                ordinal = index * 2 + minute_ts // MINUTE_MS % 2
                quantities = {name: _statistics(held[name], self.widths[name]) for name in BY_NAME if name in held}
                events.append(
                    Aggregate(VERSION, self.device_id, self.kind, self.test, minute_ts, quantities, offset, ordinal)
                )
        return events

    def _count(self, report: Report, ts: int) -> None:
        """Count the values in their minute, unless that has closed."""
        minute_ts = ts - ts % MINUTE_MS
        held = self._minute(minute_ts) if minute_ts + OPEN_MS > self.newest_ts else None
        get, widths = report.get, self.widths
        for name, absent in ABSENT:
            values = get(name)
            if not values:
                continue
            width = len(values) if values[-1] != absent else _width(values, absent)
            if widths.get(name, 0) < width:
                widths[name] = width
            if held is None or not width:
                continue
            slots = held.get(name)
            if slots is None or len(slots) < width:
                slots = held[name] = _widened(slots or [], width)
            _add(slots, values, absent, ts)

    def _minute(self, minute_ts: int) -> dict[str, list[Any]]:
        minutes = self.minutes
        for held_ts, held in minutes:
            if held_ts == minute_ts:
                found: dict[str, list[Any]] = held
                return found
        fresh: dict[str, list[Any]] = {}
        insort(minutes, [minute_ts, fresh], key=_first)
        return fresh

    def _watch(self, place: Place, events: list[Event]) -> None:
        """Show the values to the detectors; nearly all are normal and meet no latch, which is seen here."""
        report, limits, latches = place.report, self.limits, self.latches
        lowest = limits.residual_current.lowest
        for component, value in enumerate(report.get("residual_current_ma") or ()):
            if latches or value >= lowest:
                self._step(place, RESIDUAL_CURRENT, component, value, limits.residual_current, events)
            self._rise(place, component, value, events)
        lowest = limits.temperature.lowest
        for component, value in enumerate(report.get("temperature_c") or ()):
            if value == NO_TEMPERATURE:
                continue
            if latches or value >= lowest:
                self._step(place, TEMPERATURE, component, value, limits.temperature, events)
            self._rate(place, component, value, events)
        lowest = limits.arc_fault.lowest
        for component, value in enumerate(report.get("arc_half_cycles") or ()):
            if latches or value >= lowest:
                self._step(place, ARC_FAULT, component, value, limits.arc_fault, events)

    def _step(
        self,
        place: Place,
        number: int,
        component: int,
        value: float,
        limit: Limit,
        events: list[Event],
        baseline: float | None = None,
    ) -> None:
        """Show a value to its latch, which is made when the value reaches a level and forgotten when at rest."""
        where = number << 8 | component
        latch = self.latches.get(where)
        if latch is None:
            if value < limit.lowest:
                return
            latch = self.latches[where] = Latch()
        # Two windows of a rate confirm, however seldom a device reports.
        gap_ms = 0 if number == TEMPERATURE_RISE else place.gap_ms
        finding = latch.step(place.ts, float(value), gap_ms, limit)
        if finding is not None:
            events.append(self._alarm(place, number, component, finding, baseline))
        elif latch.at_rest:
            del self.latches[where]

    def _rise(self, place: Place, component: int, value: float, events: list[Event]) -> None:
        """What a value lies above its own learned baseline."""
        limit, learned, ts = self.limits.residual_current_rise, self.learned, place.ts
        while len(learned) <= component:
            learned.append([0.0, 0, 0, 0])
        known = learned[component]
        baseline, samples, first_ts, _ = known
        if samples < limit.learn_samples or ts - first_ts < limit.learn_ms:
            _learn(known, ts, value, limit.memory_ms)
            return
        rise = value - baseline
        if rise < limit.warning:
            _learn(known, ts, value, limit.memory_ms)
        if self.latches or rise >= limit.lowest:
            self._step(place, RESIDUAL_CURRENT_RISE, component, rise, limit, events, baseline)

    def _rate(self, place: Place, component: int, value: float, events: list[Event]) -> None:
        """How fast a value rises, per minute, over windows of at least `window_ms`."""
        windows, ts = self.windows, place.ts
        while len(windows) <= component:
            windows.append([])
        begin = windows[component]
        if not begin or begin[0] > ts:
            windows[component] = [ts, value]
            return
        limit = self.limits.temperature_rise
        elapsed = ts - begin[0]
        if elapsed < limit.window_ms:
            return
        rate = (value - begin[1]) * 60_000 / (elapsed or 1)
        windows[component] = [ts, value]
        if self.latches or rate >= limit.lowest:
            self._step(place, TEMPERATURE_RISE, component, rate, limit, events)

    def _alarm(self, place: Place, number: int, component: int, finding: Finding, baseline: float | None) -> Alarm:
        event, severity, value, limit, source, onset_ts, peak = finding
        kind, quantity = KINDS[number], BY_NAME[QUANTITY_OF[number]]
        return Alarm(
            v=VERSION,
            alarm_id=alarm_id(self.device_id, component, kind, onset_ts, self.test),
            event=event,
            severity=severity,
            severity_label=severity.label,
            kind=kind,
            device_id=self.device_id,
            device_kind=self.kind,
            quantity=quantity.name,
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
            test=self.test,
            message=alarm_message(
                kind, event, severity, self.device_id, component, quantity, value, limit, baseline, self.test
            ),
            source_offset=place.offset,
            source_ordinal=place.place << 16 | number << 8 | component,
        )


class Devices:
    """Makes devices with their limits, and makes them again from what they dumped."""

    def __init__(self, table: LimitTable) -> None:
        self._table = table
        self._limits = limits_by_profile(table)

    def make(self, report: Report) -> Device:
        """The device of its first report."""
        return self._make(report["device_id"], report["device_kind"], report.get("test") is True)

    def restored(self, state: bytes) -> Device:
        """The device that was dumped."""
        device_id, kind, test, *held = orjson.loads(state)
        device = self._make(device_id, kind, test)
        device.place, device.newest_ts, device.identities, device.behind, *held = held
        device.widths, device.minutes, latches, device.learned, device.windows = held
        if latches:
            device.latches = {where: Latch.load(latch) for where, latch in latches}
        return device

    def _make(self, device_id: str, kind: str, test: bool) -> Device:
        return Device(device_id, kind, test, self._limits[self._table.profile(device_id, KIND_CODES[kind])])


def key_of(report: Report) -> str:
    """By what a device's state is kept; a line break is in no device's name."""
    name: str = report["device_id"]
    return f"{name}\ntest" if report.get("test") else name


def _first(minute: list[Any]) -> int:
    minute_ts: int = minute[0]
    return minute_ts


def _width(values: list[float], absent: float | None) -> int:
    """Components up to the last one that is there."""
    width = len(values)
    while width and values[width - 1] == absent:
        width -= 1
    return width


def _widened(slots: list[list[Any]], width: int) -> list[list[Any]]:
    return slots + [[0, None, None, 0.0, 0, None] for _ in range(width - len(slots))]


def _add(slots: list[list[Any]], values: list[float], absent: float | None, ts: int) -> None:
    """The innermost loop of all."""
    for slot, value in zip(slots, values, strict=False):
        if value == absent:
            continue
        if not slot[0]:
            slot[:] = 1, value, value, 0.0 + value, ts, value
            continue
        slot[0] += 1
        slot[3] += value
        if value < slot[1]:
            slot[1] = value
        elif value > slot[2]:
            slot[2] = value
        if ts >= slot[4]:
            slot[4], slot[5] = ts, value


def _statistics(slots: list[list[Any]], width: int) -> dict[str, list[Any]]:
    slots = _widened(slots, width)
    return {
        "count": [slot[0] for slot in slots],
        "min": [slot[1] for slot in slots],
        "max": [slot[2] for slot in slots],
        "mean": [slot[3] / slot[0] if slot[0] else None for slot in slots],
        "last": [slot[5] for slot in slots],
    }


def _learn(known: list[Any], ts: int, value: float, memory_ms: int) -> None:
    baseline, samples, first_ts, last_ts = known
    samples = min(samples + 1, 1_000_000)
    if samples == 1:
        known[:] = value, 1, ts, ts
        return
    elapsed = max(0, ts - last_ts)
    weight = max(1.0 / samples, elapsed / max(memory_ms + elapsed, 1))
    known[:] = baseline + weight * (value - baseline), samples, first_ts, ts
