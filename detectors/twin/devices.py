"""One device as the slow twin knows it: its time, its order, and what is told of it. See `detectors.twin`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from detectors.detector import Twin
from detectors.device_status import OFFLINE_AFTER_MS, OFFLINE_MOST_MS, OVERDUE_AFTER_MS
from detectors.twin.charging import TwinPort
from detectors.twin.own_words import OwnWord
from detectors.twin.stretches import Value
from schemas.alarm_kinds import AlarmKind
from schemas.events import VERSION, DeviceStatus, Status
from schemas.quantities import DEVICE_KINDS, QUANTITIES
from schemas.report_rules import Reading, Reason

MINUTE_MS: Final = 60_000
REMEMBERED: Final = 16
SET_BACK_REPORTS: Final = 3
SEQ_AHEAD: Final = 1_000
SEQ_WAIT: Final = 8
STUCK_REPORTS: Final = 3
FLOOD_REPORTS: Final = 3_000
HOLD_MS: Final = 600_000
MAX_NOTES: Final = 32
HOUR_MS: Final = 3_600_000

WATCHED: Final = {
    quantity: tuple(kind for kind in AlarmKind if kind.quantity == quantity)
    for quantity in dict.fromkeys(kind.quantity for kind in AlarmKind if kind.quantity)
}
NUMBERS: Final = {kind: number for number, kind in enumerate(kind for kind in AlarmKind if kind.about.inputs)}


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
    same_value: np.float32 = field(default_factory=lambda: np.float32(0))
    same_ms: int = 0
    has_moved: bool = False
    has_rested: bool = False
    points: list[tuple[int, float]] = field(default_factory=list)
    twins: dict[AlarmKind, Twin] = field(default_factory=dict)

    def advance(self, report: TwinReport, value: float, device_ms: int) -> Value:
        """Take a live value on, and say what time has passed. `device_ms` is the usual interval of its device."""
        own, arrived = report.reading.event_ts - self.own_ts, max(report.ingest_ts - self.ingest_ts, 0)
        first, usable = self.ingest_ts == 0, _usable(own, self.filled_ms + arrived)
        elapsed = max(own - self.filled_ms, 0) if usable else arrived
        each = own // (self.equal + 1) if usable else arrived
        if first:
            elapsed = each = 0
        known = self.interval_ms > 0
        stands = own == 0 and not first
        coarse = stands and self.filled_ms + arrived <= MINUTE_MS
        kept = known and not usable and not coarse and 4 * arrived < self.interval_ms
        if kept:
            elapsed = each = self.interval_ms
        usual = self.interval_ms if known else max(device_ms, 120_000) if device_ms else each
        gap = each > max(3 * usual, 30_000)
        most = 2 * self.interval_ms * (self.equal + 1 if usable else 1) if known else elapsed
        step_ms = 0 if gap else min(elapsed, most)
        passed = Value(value, report.ts, report.ingest_ts, self.ts, elapsed, step_ms, self.interval_ms, gap)
        self._note_same(value, passed.step_ms)
        self.filled_ms = min(self.filled_ms + arrived, 2**31 - 1) if stands else 0
        self.equal = min(self.equal + 1, 65_535) if stands else 0
        grown = min(each, 4 * self.interval_ms) if gap and known else each
        if kept:
            self.interval_ms -= self.interval_ms // 256
        else:
            slower = self.interval_ms if coarse else 0
            usual = max(grown, slower, self.interval_ms - self.interval_ms // 4)
            self.interval_ms = min(usual, 2**31 - 1)
        self.ts, self.own_ts, self.ingest_ts = report.ts, report.reading.event_ts, report.ingest_ts
        return passed

    def _note_same(self, value: float, step_ms: int) -> None:
        """Note for how long it has had the same value, as far as 32 bits tell."""
        now = np.float32(value)
        if now == self.same_value:
            self.same_ms = min(self.same_ms + step_ms, 48 * HOUR_MS)
            return
        self.has_rested |= self.same_value == 0 and self.same_ms >= HOUR_MS
        self.same_value, self.same_ms, self.has_moved = now, 0, self.has_moved or now != 0

    def sensor_word(self, quantity: str, interval_ms: int) -> str:
        """What its sensor is, if it has said the same for a day."""
        if self.same_ms < 24 * HOUR_MS or interval_ms > 3 * HOUR_MS:
            return ""
        at_0 = self.same_value == 0
        if quantity == "residual_current_ma" and at_0:
            return "open" if self.has_moved and not self.has_rested else ""
        return "stuck" if not at_0 or quantity == "temperature_c" else ""


@dataclass
class Device:
    """Everything known of one device; its test data are another device. `reflects` is the offset and index of its last
    report."""

    device_id: str
    own_kind: int
    test: bool
    reflects: tuple[int, int] = (-1, -1)
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
    seq_wait: int = 0
    status: Status | None = None
    since_ts: int = 0
    maintained_until_ts: int = 0
    clock_ms: int | None = None
    returns: int = 0
    returns_ts: int = 0
    registered_interval_ms: int = 0
    registered_kind: int | None = None
    words: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    own: dict[AlarmKind, OwnWord] = field(default_factory=dict)
    judged_ts: dict[str, int] = field(default_factory=dict)
    judged_every_ms: dict[str, int] = field(default_factory=dict)
    minutes: dict[int, dict[tuple[str, int], list[tuple[int, float]]]] = field(default_factory=dict)
    channels: dict[tuple[str, int], Channel] = field(default_factory=dict)
    ports: dict[int, TwinPort] = field(default_factory=dict)

    @property
    def kind(self) -> int:
        """As what it is judged."""
        return self.own_kind if self.registered_kind is None else self.registered_kind

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
        """Whether any alarm is open."""
        latches = (twin.latch for channel in self.channels.values() for twin in channel.twins.values())
        return bool(self.own) or any(latch.severity is not None for latch in latches)


@dataclass(frozen=True)
class TwinReport:
    """One report, where it stands, and how long its device was silent before."""

    reading: Reading
    offset: int
    index: int
    ingest_ts: int
    silent_ms: int = 0
    dated_ts: int | None = None

    @property
    def ts(self) -> int:
        """The moment it is judged by."""
        return self.reading.ts if self.dated_ts is None else self.dated_ts


def hidden(
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


def within_flood(device: Device, ingest_ts: int) -> bool:
    if device.window != ingest_ts // MINUTE_MS:
        device.window, device.in_window = ingest_ts // MINUTE_MS, 0
    device.in_window += 1
    return device.in_window <= FLOOD_REPORTS


def first_not_judged(device: Device) -> bool:
    """Whether the newest report is the first of a minute that is not judged."""
    return device.in_window == FLOOD_REPORTS + 1


def floods(device: Device) -> list[str]:
    """The note of a device that has had all that is judged of a minute."""
    return ["floods"] if device.in_window == FLOOD_REPORTS else []


def put_online(device: Device, ingest_ts: int) -> bool:
    """Note that a device was heard. Whether it was not online."""
    device.heard_ts = max(device.heard_ts, ingest_ts)
    if device.status is Status.ONLINE:
        return False
    if device.status is not None:
        if ingest_ts - device.returns_ts >= 24 * HOUR_MS:
            device.returns_ts, device.returns = ingest_ts, 0
        device.returns = min(device.returns + 1, 255)
    device.status, device.since_ts = Status.ONLINE, ingest_ts
    return True


def repeated(device: Device, report: TwinReport) -> bool:
    """Whether the report equals one of the last ones, and is not one of a clock that is stuck."""
    reading = report.reading
    print_ = (reading.event_ts, reading.seq, reading.device_kind, reading.faults, sorted(values_of(reading).items()))
    again = print_ in device.seen
    if again:
        usual = device.interval_ms or device.equal_ms
        if 2 * report.silent_ms >= usual:  # else it came together with the one before
            in_pace = 0 < report.silent_ms <= 2 * usual
            device.equal_count = device.equal_count + 1 if in_pace or usual == 0 else 0
            device.equal_ms = min(report.silent_ms, 2**31 - 1)
        if device.equal_count < STUCK_REPORTS:
            return True
    else:
        device.equal_count = 0
    device.seen = [*device.seen, print_][-REMEMBERED:]
    return False


def dated(device: Device, report: TwinReport) -> int | None:
    """The moment of a new report whose clock is not credible, by that clock, less what it is off by, if it runs."""
    if not report.reading.by_arrival:
        device.clock_ms = None
        return None
    own, off = report.reading.event_ts - device.own_ts, report.ingest_ts - report.reading.event_ts
    runs = 0 < own <= 6 * HOUR_MS and 8 * own >= report.silent_ms
    kept = -7 * 24 * HOUR_MS <= own < 0
    if device.clock_ms is None or not (runs or kept):
        device.clock_ms = off
    elif runs:
        device.clock_ms = min(off, device.clock_ms + (off - device.clock_ms) // 1_024)
    return min(report.reading.event_ts + device.clock_ms, report.ingest_ts)


def set_back(device: Device, report: TwinReport, behind: bool) -> bool:
    """Whether the device's clock was set back: its sequence number goes on, it is the third in a row in pace, or it
    stands still since."""
    if not behind:
        device.behind = []
        device.seq_wait = max(device.seq_wait - 1, 0)
        return False
    if device.behind:
        before_ts, before_ingest_ts = device.behind[-1]
        dated, arrived = report.ts - before_ts, report.ingest_ts - before_ingest_ts
        if not (dated > 0 and dated <= 2 * arrived and arrived <= 2 * dated):
            device.behind = []
    device.behind.append((report.ts, report.ingest_ts))
    seq, newest = report.reading.seq, device.seq
    asks = seq is not None and newest is not None and 1 <= (seq - newest) % 2**64 <= SEQ_AHEAD
    goes_on = asks and device.seq_wait == 0
    if asks:
        device.seq_wait = SEQ_WAIT
    stuck = device.equal_count >= STUCK_REPORTS
    if not goes_on and not stuck and len(device.behind) < SET_BACK_REPORTS:
        return False
    device.behind = []
    return True


def _usable(own: int, arrived: int) -> bool:
    """Whether a device's own time tells how much has passed."""
    return 0 < own <= 6 * HOUR_MS and 8 * own >= arrived


def _note_interval(device: Device, arrived: int) -> None:
    """Note how far apart the reports arrive. A silence that is much longer is an interval only when it comes again
    before the device was heard for some of that time."""
    interval, silence = device.interval_ms, device.silence_ms
    if interval and arrived > 4 * interval:
        device.silence_ms = min(arrived, 2**31 - 1)
        if arrived > 2 * silence or silence > 2 * arrived:
            return
    else:
        device.silence_ms = max(silence - 8 * arrived, 0)
    device.interval_ms = min(max(arrived, interval - min(interval // 16, arrived // 2)), 2**31 - 1)


def note_newest(device: Device, report: TwinReport) -> None:
    reading = report.reading
    if device.own_ts:
        _note_interval(device, report.silent_ms)
    device.own_ts = reading.event_ts
    device.seq = reading.seq
    if reading.device_kind >= 0:
        device.own_kind = reading.device_kind


def sensor_faults(reading: Reading) -> list[str]:
    return [
        f"sensor_fault:{QUANTITIES[mark.quantity].name}[{mark.component}]:{mark.reason.label}"
        for mark in reading.marks
        if mark.reason not in (Reason.NOT_FITTED, Reason.POWER_ON)
    ]


def lost_sensors(device: Device, reading: Reading) -> list[str]:
    """Watched components that say they are not fitted though they have measured."""
    fitted = [
        (QUANTITIES[mark.quantity].name, mark.component) for mark in reading.marks if mark.reason is Reason.NOT_FITTED
    ]
    known = (where for where in fitted if where in device.channels and device.channels[where].ingest_ts)
    return [f"sensor_fault:{quantity}[{component}]:not_fitted" for quantity, component in known]


def flapping(device: Device, ingest_ts: int) -> list[str]:
    """The note of a device that comes back from silence again and again."""
    return ["flapping"] if device.returns >= 6 and ingest_ts - device.returns_ts < 24 * HOUR_MS else []


def not_judged(device: Device, ingest_ts: int) -> list[str]:
    """Watched quantities that have not been judged for longer than their device may be silent."""
    default = OFFLINE_AFTER_MS[device.kind_name]
    found = []
    for quantity, judged_ts in device.judged_ts.items():
        if quantity in DEVICE_KINDS[device.kind].at_times:
            continue
        every = device.judged_every_ms.get(quantity, 0) or OFFLINE_MOST_MS
        bound = min(max(default, every * 5 // 2), max(OFFLINE_MOST_MS, default))
        if ingest_ts - judged_ts > bound:
            found.append(f"not_judged:{quantity}")
    return found


def tell(
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
        yield status(device, device.reflects[0], ordinal)


def _may_end(note: str, reading: Reading) -> bool:
    """A sensor's fault ends with a value of it."""
    if not note.startswith("sensor_fault:"):
        return True
    _, where, _ = note.split(":")
    quantity, component = where[:-1].split("[")
    values = reading.quantities.get(quantity, [])
    return int(component) < len(values) and not math.isnan(values[int(component)])


def silence_allowed(device: Device) -> int:
    default = OFFLINE_AFTER_MS[device.kind_name]
    interval_ms = max(device.interval_ms, device.registered_interval_ms)
    return min(max(default, interval_ms * 5 // 2), max(OFFLINE_MOST_MS, default))


def silenced(device: Device, now: int, awake_ts: int) -> bool:
    """Whether silence moves the device to another status, since it was heard or all were heard again after a hole."""
    if device.status is None:
        return False
    offline_after = silence_allowed(device)
    overdue_after = max(OVERDUE_AFTER_MS, offline_after)
    heard_ts = max(device.heard_ts, awake_ts)
    silent = now - heard_ts
    if silent >= overdue_after and device.status is not Status.OVERDUE_OFFLINE:
        device.status, device.since_ts = Status.OVERDUE_OFFLINE, heard_ts + overdue_after
    elif offline_after <= silent < overdue_after and device.status is Status.ONLINE:
        device.status, device.since_ts = Status.OFFLINE, heard_ts + offline_after
    else:
        return False
    return True


def status(device: Device, offset: int, ordinal: int) -> DeviceStatus:
    return DeviceStatus(
        v=VERSION,
        device_id=device.device_id,
        device_kind=device.kind_name,
        test=device.test,
        status=device.status or Status.ONLINE,
        faults=device.faults,
        since_ts=device.since_ts,
        source_offset=offset,
        source_ordinal=ordinal,
        maintained_until_ts=device.maintained_until_ts,
    )


def values_of(reading: Reading) -> dict[tuple[str, int], float]:
    """Every value that is there."""
    return {
        (quantity, component): value
        for quantity, values in reading.quantities.items()
        for component, value in enumerate(values)
        if not math.isnan(value)
    }
