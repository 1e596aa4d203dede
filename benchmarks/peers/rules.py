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

from benchmarks.peers.latches import (
    KINDS,
    NEVER,
    Limit,
    PeerFinding,
    PeerLatch,
    PeerLimits,
    Time,
    limits_by_profile,
    profiles_of_devices,
)
from detectors.limits import LimitTable
from detectors.messages import alarm_message
from schemas.events import VERSION, Aggregate, Alarm, Statistics, alarm_id
from schemas.quantities import BY_NAME, KIND_CODES, QUANTITIES

MINUTE_MS: Final = 60_000
OPEN_MS: Final = 90_000
"""A minute and the lateness that is waited for."""
OWN_MOST_MS: Final = 6 * 3_600_000
GAP_LEAST_MS: Final = 30_000
OF_DEVICE_LEAST_MS: Final = 120_000
"""While the interval of a component is not known it is taken for its device's, and for no less than this."""
MOST_MS: Final = 2**31 - 1
PARTS: Final = 6
"""Of the window in which a rise is judged."""

ABSENT: Final = [(quantity.name, quantity.absent) for quantity in QUANTITIES]
RESIDUAL_CURRENT, RESIDUAL_CURRENT_RISE, TEMPERATURE, TEMPERATURE_RISE, ARC_FAULT = range(5)
QUANTITY_OF: Final = ("residual_current_ma",) * 2 + ("temperature_c",) * 2 + ("arc_half_cycles",)

Report = dict[str, Any]
PeerEvent = Alarm | Aggregate
NOTHING: Final[Sequence[PeerEvent]] = ()
NO_TEMPERATURE: Final = BY_NAME["temperature_c"].absent


class PeerReport(NamedTuple):
    """A report and its number in its record; `ts` is the moment it is judged by."""

    report: Report
    offset: int
    number: int
    ingest_ts: int
    ts: int


class PeerDevice:
    """What is known of one device; its test data are another device.

    `minutes` are the open ones, oldest first: (minute, {quantity: one [count, min, max, total, last_ts, last] a
    component}). `channels` has by quantity [own_ts, ingest_ts, interval_ms] a component, `usual` has
    [clock_ms, total, count, means, level] a component: of the part of the window that runs, of the six before, and what
    was usual in these. `means` are the running means of temperatures. `pace` is [ingest_ts, interval_ms, silence_ms]
    of its reports.
    """

    __slots__ = (
        "channels",
        "device_id",
        "kind",
        "latches",
        "limits",
        "means",
        "minutes",
        "newest_ts",
        "pace",
        "reflects",
        "test",
        "usual",
    )

    def __init__(self, device_id: str, kind: str, test: bool, limits: PeerLimits) -> None:
        self.device_id = device_id
        self.kind = kind
        self.test = test
        self.limits = limits
        self.reflects = -1
        self.newest_ts = 0
        self.pace = [0, 0, 0]
        self.channels: dict[str, list[list[int]]] = {name: [] for name in dict.fromkeys(QUANTITY_OF)}
        self.minutes: list[Any] = []
        self.latches: dict[int, PeerLatch] = {}
        self.usual: list[list[Any]] = []
        self.means: list[float | None] = []

    def dump(self) -> bytes:
        """Its state as JSON."""
        latches = [[where, latch.dump()] for where, latch in self.latches.items()]
        return orjson.dumps(
            (
                self.device_id,
                self.kind,
                self.test,
                self.reflects,
                self.newest_ts,
                self.pace,
                self.channels,
                self.minutes,
                latches,
                self.usual,
                self.means,
            )
        )

    def take(self, report: Report, offset: int, index: int, ingest_ts: int) -> Sequence[PeerEvent]:
        """Take a good report in; the alarms and the minutes that follow from it.

        A record that comes again, after a crash or a rebalance, changes nothing: the device reflects it already.
        """
        last = offset << 10 | index
        if last <= self.reflects:
            return NOTHING
        self.reflects = last
        ts = min(report["event_ts"], ingest_ts)
        newest_ts = self.newest_ts = max(self.newest_ts, ts)
        self._note_pace(ingest_ts)
        minutes = self.minutes
        closed = minutes and minutes[0][0] + OPEN_MS <= newest_ts
        events: list[PeerEvent] = self._close(offset, index) if closed else []
        self._count(report, ts)
        self._watch(PeerReport(report, offset, index, ingest_ts, ts), events)
        return events

    def _note_pace(self, ingest_ts: int) -> None:
        """Note how far apart its reports arrive. A silence that is much longer is usual only when it comes again before
        the device was heard for some of that time."""
        heard_ts, interval, silence = self.pace
        arrived = max(ingest_ts - heard_ts, 0) if heard_ts else 0
        far = interval > 0 and arrived > 4 * interval
        if not far or silence <= 2 * arrived <= 4 * silence:
            interval = max(arrived, interval - min(interval // 16, arrived // 2))
        silence = arrived if far else max(silence - 8 * arrived, 0)
        self.pace = [ingest_ts, min(interval, MOST_MS), min(silence, MOST_MS)]

    def _close(self, offset: int, index: int) -> list[PeerEvent]:
        """The minutes that the newest time has left behind."""
        events: list[PeerEvent] = []
        while self.minutes and self.minutes[0][0] + OPEN_MS <= self.newest_ts:
            minute_ts, held = self.minutes.pop(0)
            if held:
                ordinal = index * 2 + minute_ts // MINUTE_MS % 2
                quantities = {name: _statistics(held[name]) for name in BY_NAME if name in held}
                events.append(
                    Aggregate(VERSION, self.device_id, self.kind, self.test, minute_ts, quantities, offset, ordinal)
                )
        return events

    def _count(self, report: Report, ts: int) -> None:
        """Count the values in their minute, unless that has closed."""
        minute_ts = ts - ts % MINUTE_MS
        held = self._minute(minute_ts) if minute_ts + OPEN_MS > self.newest_ts else None
        get = report.get
        for name, absent in ABSENT:
            values = get(name)
            if not values:
                continue
            width = len(values) if values[-1] != absent else _width(values, absent)
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

    def _watch(self, one: PeerReport, events: list[PeerEvent]) -> None:
        """Show the values to the detectors; nearly all are normal and meet no latch, which is seen here."""
        report, limits, latches = one.report, self.limits, self.latches
        lowest = limits.residual_current.lowest
        for component, value in enumerate(report.get("residual_current_ma") or ()):
            time = self._advance(one, "residual_current_ma", component)
            if latches or value >= lowest:
                self._step(one, RESIDUAL_CURRENT, component, time, value, limits.residual_current, events)
            self._rise(one, component, time, value, events)
        lowest = limits.temperature.lowest
        for component, value in enumerate(report.get("temperature_c") or ()):
            if value == NO_TEMPERATURE:
                continue
            time = self._advance(one, "temperature_c", component)
            if latches or value >= lowest:
                self._step(one, TEMPERATURE, component, time, value, limits.temperature, events)
            self._warming(one, component, time, value, events)
        lowest = limits.arc_fault.lowest
        for component, value in enumerate(report.get("arc_half_cycles") or ()):
            time = self._advance(one, "arc_half_cycles", component)
            if latches or value >= lowest:
                self._step(one, ARC_FAULT, component, time, value, limits.arc_fault, events)

    def _advance(self, one: PeerReport, quantity: str, component: int) -> Time:
        """Take a value of a component on, and say what time has passed: see `detectors.channels`. The device's own time
        goes on, as of all that is plain."""
        known, own_ts, ingest_ts = self.channels[quantity], one.report["event_ts"], one.ingest_ts
        while len(known) <= component:
            known.append([0, 0, 0])
        channel = known[component]
        before_ts, heard_ts, interval = channel
        if not heard_ts:
            channel[:] = own_ts, ingest_ts, 0
            return Time(one.ts, ingest_ts, 0, 0, 0, False)
        arrived, own = max(ingest_ts - heard_ts, 0), own_ts - before_ts
        usable = own <= OWN_MOST_MS and 8 * own >= arrived
        kept = not usable and 4 * arrived < interval
        elapsed = own if usable else interval if kept else arrived
        usual = interval or max(self.pace[1], OF_DEVICE_LEAST_MS)
        gap = elapsed > max(3 * usual, GAP_LEAST_MS)
        step = 0 if gap else min(elapsed, 2 * interval) if interval else elapsed
        grown = min(elapsed, 4 * interval) if gap and interval else elapsed
        usual = interval - interval // 256 if kept else max(grown, interval - interval // 4)
        channel[:] = own_ts, ingest_ts, min(usual, MOST_MS)
        return Time(one.ts, ingest_ts, elapsed, step, interval, gap)

    def _step(
        self,
        one: PeerReport,
        number: int,
        component: int,
        time: Time,
        value: float,
        limit: Limit,
        events: list[PeerEvent],
        baseline: float | None = None,
    ) -> None:
        """Show a value to its latch, which is made when the value reaches a level and forgotten when at rest."""
        where = number << 8 | component
        latch = self.latches.get(where)
        if latch is None:
            if value < limit.lowest:
                return
            latch = self.latches[where] = PeerLatch()
        for turn, finding in enumerate(latch.step(time, float(value), limit)):
            events.append(self._alarm(one, number, component, turn, finding, baseline))
        if latch.at_rest:
            del self.latches[where]

    def _rise(self, one: PeerReport, component: int, time: Time, value: float, events: list[PeerEvent]) -> None:
        """What a value lies above its own level, which stays while an alarm is on its way or active."""
        limit, usual = self.limits.residual_current_rise, self.usual
        while len(usual) <= component:
            usual.append([0, 0.0, 0, [None] * PARTS, None])
        known = usual[component]
        latch = self.latches.get(RESIDUAL_CURRENT_RISE << 8 | component)
        learns = latch is None or latch.quiet
        if learns:
            _let_pass(known, time.elapsed_ms, max(limit.window_ms // PARTS, 1))
        level = known[4]
        rise = None if level is None else value - level
        if learns and (rise is None or rise < limit.lowest):
            known[1] += value
            known[2] += 1
        if rise is not None and (self.latches or rise >= limit.lowest):
            self._step(one, RESIDUAL_CURRENT_RISE, component, time, rise, limit, events, level)

    def _warming(self, one: PeerReport, component: int, time: Time, value: float, events: list[PeerEvent]) -> None:
        """What a value lies above its own running mean, which waits while a value waits to be confirmed, and follows by
        no more than twice the limit, and by as much more as the value comes later."""
        means, limit, elapsed = self.means, self.limits.temperature_rise, time.elapsed_ms
        while len(means) <= component:
            means.append(None)
        mean = means[component]
        if mean is None:
            mean = float(value)
        latch = self.latches.get(TEMPERATURE_RISE << 8 | component) if self.latches else None
        if latch is None or latch.severity != NEVER:
            memory = max(limit.memory_ms, 1)
            most = 2 * limit.lowest * (1 + elapsed / memory)
            mean += max(-most, min(value - mean, most)) * (elapsed / (memory + elapsed))
        means[component] = mean
        if self.latches or value - mean >= limit.lowest:
            self._step(one, TEMPERATURE_RISE, component, time, value - mean, limit, events, mean)

    def _alarm(
        self, one: PeerReport, number: int, component: int, turn: int, finding: PeerFinding, baseline: float | None
    ) -> Alarm:
        event, severity, highest, active, untold, value, limit, source, ts, onset_ts, episode, peak = finding
        kind, quantity = KINDS[number], BY_NAME[QUANTITY_OF[number]]
        return Alarm(
            v=VERSION,
            alarm_id=alarm_id(self.device_id, component, kind, episode, self.test),
            event=event,
            severity=severity,
            severity_label=severity.label,
            severity_highest=highest,
            active=active,
            repeats_untold=untold,
            kind=kind,
            device_id=self.device_id,
            device_kind=self.kind,
            quantity=quantity.name,
            component=component,
            episode=episode,
            event_ts=ts,
            onset_ts=onset_ts,
            ingest_ts=one.ingest_ts,
            detected_ts=0,
            by_arrival=False,
            late=False,
            value=value,
            limit=limit,
            peak=peak,
            baseline=baseline,
            limit_from=source,
            test=self.test,
            message=alarm_message(
                kind, event, severity, self.device_id, component, value, limit, baseline, self.test, False
            ),
            source_offset=one.offset,
            source_ordinal=one.number << 16 | number << 8 | component << 2 | turn,
        )


class PeerDevices:
    """Makes devices with their limits, and makes them again from what they dumped."""

    def __init__(self, table: LimitTable) -> None:
        self._limits, self._own = limits_by_profile(table), profiles_of_devices(table)

    def make(self, report: Report) -> PeerDevice:
        """The device of its first report."""
        return self._make(report["device_id"], report["device_kind"], report.get("test") is True)

    def restored(self, state: bytes) -> PeerDevice:
        """The device that was dumped."""
        device_id, kind, test, *held = orjson.loads(state)
        device = self._make(device_id, kind, test)
        device.reflects, device.newest_ts, device.pace, device.channels, *held = held
        device.minutes, latches, device.usual, device.means = held
        if latches:
            device.latches = {where: PeerLatch.load(latch) for where, latch in latches}
        return device

    def _make(self, device_id: str, kind: str, test: bool) -> PeerDevice:
        return PeerDevice(device_id, kind, test, self._limits[self._own.get(device_id, 0) + KIND_CODES[kind]])


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


def _statistics(slots: list[list[Any]]) -> Statistics:
    return {
        "count": [slot[0] for slot in slots],
        "min": [slot[1] for slot in slots],
        "max": [slot[2] for slot in slots],
        "mean": [slot[3] / slot[0] if slot[0] else None for slot in slots],
        "last": [slot[5] for slot in slots],
    }


def _let_pass(known: list[Any], elapsed_ms: int, part_ms: int) -> None:
    """Let a window go on. What was usual in it is the second lowest mean of its parts."""
    clock_ms, total, count, means, _ = known
    before, now = clock_ms // part_ms, (clock_ms + elapsed_ms) // part_ms
    known[0] += elapsed_ms
    if now == before:
        return
    means[before % PARTS] = total / count if count else None
    for part in range(before + 1, min(now, before + 1 + PARTS)):
        means[part % PARTS] = None
    found = sorted(mean for mean in means if mean is not None)
    known[1:] = 0.0, 0, means, found[1] if len(found) > 1 else None
