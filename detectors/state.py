"""The state of devices, as arrays: a row a device, a slot a component.

The devices of all partitions of a worker lie together, so that reports of several partitions are processed at once; a
row knows its partition.

A device's test data have a row of their own, so that a test never masks, latches or teaches anything that is real
(domain.md, rule 5). Every row carries the offset and index of the last report that it reflects, and `process` skips
reports up to that one. This makes the state exact after a crash, without transactions.

The devices of a partition are limited. One beyond the limit is refused, unless others have been silent for so long, by
the log's time, that they may be forgotten. A device with an open alarm is never forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, repeat
from typing import Final

import numpy as np

from detectors import aggregates, channels, device_status, late
from detectors.charging.ports import PORT
from detectors.control.applied import Applied
from detectors.device_status import DeviceFaults
from detectors.kinds import DETECTORS
from detectors.latch import Watched
from detectors.limits import LimitTable
from detectors.log_time import LogTime
from detectors.order import REMEMBERED
from detectors.registered import KnownDevice, Registered
from detectors.table import Pool, Room, Table, grown, runs
from schemas.quantities import CODES, DEVICE_KINDS, KIND_CODES, QUANTITIES
from schemas.registry import LimitsEntry
from schemas.reports import Reports

WATCHING: Final = {
    CODES[name]: tuple(number for number, detector in enumerate(DETECTORS) if detector.quantity == name)
    for name in dict.fromkeys(detector.quantity for detector in DETECTORS)
}
"""By code the quantities that are watched, and the numbers in `DETECTORS` of those that watch each."""
COLUMN: Final = {code: column for column, code in enumerate(WATCHING)}
PORTS: Final = CODES["port_state"]
"""The quantity whose slots the ports of charging piles have (`detectors.charging`)."""

INDICES: Final = np.dtype(
    [
        ("partition", "i4"),
        ("profile", "i4"),
        ("first", "i4", (len(WATCHING),)),
        ("interval_ms", "i4"),
        ("registered", "i1"),
        ("registered_kind", "i1"),
        ("split", "i1"),
    ]
)
"""What is at hand of a device in this process alone: the number of its partition among `Devices.partitions`, -1 for
nobody's row; its profile in the `LimitTable`, -1 until looked up; its first
slot of each watched quantity, by `COLUMN`; whether it is registered, -1 until looked up, and if so its kind, -1 for
none (`kinds`), and its interval, 0 for none; and whether components have profiles of their own (`own_profiles`)."""


ROW: Final = np.dtype(
    [
        ("offset", "i8"),
        ("newest_ts", "i8"),
        ("remembered", "u8", (REMEMBERED,)),
        ("latest_own_ts", "i8"),
        ("own_ts", "i8"),
        ("seq", "u8"),
        ("back_ts", "i8"),
        ("back_ingest_ts", "i8"),
        ("heard_ts", "i8"),
        ("valued_ts", "i8"),
        ("since_ts", "i8"),
        ("maintained_until_ts", "i8"),
        ("returns_ts", "i8"),
        ("clock_ms", "i8"),
        ("judged_ts", "i8", (len(WATCHING),)),
        ("judged_every_ms", "i4", (len(WATCHING),)),
        ("interval_ms", "i4"),
        ("silence_ms", "i4"),
        ("equal_ms", "i4"),
        ("window", "i4"),
        ("index", "i2"),
        ("in_window", "u2"),
        ("width", "u1", (len(QUANTITIES),)),
        ("next", "u1"),
        ("back_count", "u1"),
        ("equal_count", "u1"),
        ("seq_wait", "u1"),
        ("returns", "u1"),
        ("has_seq", "i1"),
        ("has_clock", "i1"),
        ("told", "i1"),
        ("status", "i1"),
        ("device_kind", "i1"),
        ("test", "i1"),
    ]
)
"""One device. `offset` and `index` are of the last report or order reflected, -1 for none; `newest_ts` is the newest
moment, `own_ts` and `seq` (meant where `has_seq`) are of its newest report; `heard_ts` is the newest arrival,
`valued_ts` that of the newest report with a value, `since_ts` when `status` began, `maintained_until_ts` until when
people are at work at it, 0 for never. It came back from silence `returns` times since `returns_ts`. By `COLUMN`,
`judged_ts` is the arrival of what detectors last saw of a watched quantity, or of its first report while they saw none,
and `judged_every_ms` how far apart that usually is. `interval_ms` is how far apart its reports usually arrive,
`silence_ms` the last silence that was much longer, less what was heard since. `in_window` reports came in the minute
`window` of arrival. `remembered`, `next`, `latest_own_ts`, `equal_...`, `seq_wait`, `back_...`, `clock_ms` and
`has_clock` are of `detectors.order`; `width` is how many components it has of each quantity; `told` whether
`Devices.told` says anything of it. To change the meaning of a field, give it another name: by its name other releases
read it from checkpoints."""
ROW_AT_REST: Final = {"offset": -1, "index": -1, "status": device_status.UNKNOWN}
"""What a new row holds where that is not 0."""
ROW_AXES: Final = {"width": "quantities", "judged_ts": "watched", "judged_every_ms": "watched"}
"""By what the entries go of fields that have one for each quantity, or for each that is watched."""

DEVICES_MOST: Final = 250_000
"""Devices a partition may have: a million on four partitions, at a kilobyte each (design.md, scale) [ours]."""
FORGOTTEN_MS: Final = 30 * 86_400_000
FORGOTTEN_ONCE_MS: Final = 26 * 3_600_000
"""A device may be forgotten that has been silent for a month; one that was heard only once after a day and its grace,
so that a flood of ids nobody has makes room again, but no smoke detector that speaks once a day is lost [ours]."""
NOBODY: Final = -1
"""The number of no partition."""
_MINUTE_MS: Final = 60_000
_LEAVE_AT_ONCE: Final = 5_000
"""Rows that become nobody's without a pause: some 20 ms [measured]."""
_TABLES_KEPT: Final = 4
"""Partitions are told of other limits one soon after the other: those before are soon asked for no more [ours]."""


class Devices:
    """The devices of all partitions of a worker.

    `rows` and `indices` have an entry a device. `watched[n]` is the state of `DETECTORS[n]`, a slot a component; the
    detectors of a quantity have the same slots, and so have `channels[code]`, by the code of the quantity, and of that
    of `PORTS` also `ports`. `late[code]` are what is kept of late values. `dirty`, bool[rows], marks the rows that
    changed since they were last checkpointed. `partitions` are those that have devices here, by number."""

    def __init__(self) -> None:
        self.device_ids: list[str] = []
        self.told: dict[int, DeviceFaults] = {}
        self.dirty = np.zeros(0, np.bool_)
        self.rows = Table(ROW)
        self.indices = Table(INDICES)
        self.minutes = aggregates.Minutes()
        self.watched = [Watched(detector.state) for detector in DETECTORS]
        self.channels = {code: Table(channels.CHANNEL) for code in WATCHING}
        self.late = {code: Pool(late.LATE) for code in WATCHING}
        self.ports = Table(PORT)
        self.own_profiles: dict[int, dict[tuple[int, int], int]] = {}
        """By row, and by code of the quantity and component, the profiles of components with limits of their own."""
        self.partitions: dict[int, PartitionState] = {}
        self._rooms = {code: Room() for code in WATCHING}
        self._free: list[int] = []
        self._tables: list[tuple[LimitTable, LimitsEntry, LimitTable]] = []

    @property
    def size(self) -> int:
        """How many rows there are, those included that are nobody's now."""
        return len(self.device_ids)

    def in_force(self, limits: LimitTable, over: LimitsEntry | None) -> LimitTable:
        """These limits with those of the registry over them: one table for all partitions that are told the same."""
        if over is None:
            return limits
        for base, entry, table in self._tables:
            if base is limits and entry == over:
                return table
        table = limits.over(over)
        self._tables = [*self._tables[1 - _TABLES_KEPT :], (limits, over, table)]
        return table

    def look_up(self, rows: np.ndarray) -> None:
        """Find what is registered of the devices of these rows, where that is still to be done."""
        rows = rows[self.indices["registered"][rows] < 0]
        if not len(rows):
            return
        rows = np.unique(rows)
        known = self.registered(rows)
        kinds = np.array([-1 if one is None else KIND_CODES.get(one.kind, -1) for one in known])
        self.indices["registered"][rows] = [one is not None for one in known]
        self.indices["registered_kind"][rows] = kinds
        self.indices["interval_ms"][rows] = [0 if one is None else 1000 * one.interval_s for one in known]

    def registered(self, rows: np.ndarray) -> list[KnownDevice | None]:
        """What is registered of the devices of these rows, by their partitions."""
        found: list[KnownDevice | None] = [None] * len(rows)
        partition = self.indices["partition"][rows]
        for number in np.unique(partition).tolist():
            # All of one at once, for each page that has one of them is unpacked.
            which = (partition == number).nonzero()[0].tolist()
            ids = [self.device_ids[rows[one]] for one in which]
            for one, known in zip(which, self.partitions[number].registered.find(ids), strict=True):
                found[one] = known
        return found

    def kinds(self, rows: np.ndarray) -> np.ndarray:
        """The codes of the kinds as which devices are judged, int64[k]: the registry's where it says one, else that of
        their newest report (domain.md, Confirming)."""
        self.look_up(rows)
        registered = self.indices["registered_kind"][rows].astype(np.int64)
        kinds: np.ndarray = np.where(registered >= 0, registered, self.rows["device_kind"][rows])
        return kinds

    def kind_name(self, row: int) -> str:
        """The name of the kind as which a device is judged."""
        (kind,) = self.kinds(np.array([row])).tolist()
        return DEVICE_KINDS[kind].name

    def known(self, row: int) -> KnownDevice | None:
        """What is registered of a row's device."""
        return self.registered(np.array([row]))[0] if self.indices["registered"][row] else None

    def without_profiles(self, rows: np.ndarray) -> None:
        """Have the profiles of these rows looked up anew."""
        self.indices["profile"][rows] = -1
        self.indices["split"][rows] = 0
        for row in rows.tolist() if self.own_profiles else ():
            self.own_profiles.pop(row, None)

    def slots(self, code: int, rows: np.ndarray) -> np.ndarray:
        """The slots of all components of a watched quantity of some devices, row by row."""
        first = self.indices["first"][rows, COLUMN[code]].astype(np.int64)
        return runs(first, self.rows["width"][rows, code].astype(np.int64))

    def make_room(self, rows: np.ndarray, width: np.ndarray) -> None:
        """Let the distinct `rows` have `width` components of each quantity, int64[k, quantities], or more if they do.

        What they have moves to where there is room for all.
        """
        before = self.rows["width"][rows].astype(np.int64)
        after = np.maximum(before, width)
        aggregates.widen(self.minutes, rows, before, after)
        for code in WATCHING:
            wider = after[:, code] > before[:, code]
            if wider.any():
                self._widen(code, rows[wider], before[wider, code], after[wider, code])
        self.rows["width"][rows] = after

    def _widen(self, code: int, rows: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        room, firsts = self._rooms[code], self.indices["first"][:, COLUMN[code]]
        first, held = room.allot(after), before > 0
        old, new = runs(firsts[rows][held].astype(np.int64), before[held]), runs(first[held], before[held])
        tables = [self.channels[code], *(self.watched[number] for number in WATCHING[code])]
        if code == PORTS:
            tables.append(self.ports)
        for table in tables:
            table.grow(room.used)
            table.clear(runs(first, after))
            table.copy(old, new)
        room.release(firsts[rows][held], before[held])
        firsts[rows] = first

    def clear(self, rows: np.ndarray) -> None:
        """Let the distinct `rows` have no component and nothing told of them. What was kept of them goes to others."""
        width = self.rows["width"][rows].astype(np.int64)
        aggregates.drop(self.minutes, rows, width.sum(axis=1))
        for code, numbers in WATCHING.items():
            slots, there = self.slots(code, rows), width[:, code] > 0
            for number in numbers:
                watched = self.watched[number]
                watched.let_rest(slots[watched["latch"][slots] != 0])
            kept = self.channels[code]["late"][slots]
            self.late[code].room.release(kept[kept > 0], np.ones(np.count_nonzero(kept), np.int64))
            self._rooms[code].release(
                self.indices["first"][rows, COLUMN[code]].astype(np.int64)[there], width[there, code]
            )
        self.rows["width"][rows] = 0
        for row in rows.tolist():
            self.told.pop(row, None)

    def is_alarmed(self, rows: np.ndarray) -> np.ndarray:
        """Which of the rows have an open alarm, bool[k]."""
        found = np.zeros(len(rows), np.int64)
        for code, numbers in WATCHING.items():
            width = self.rows["width"][rows, code].astype(np.int64)
            slots, owner = self.slots(code, rows), np.repeat(np.arange(len(rows)), width)
            for number in numbers:
                watched = self.watched[number]
                is_open = (watched["latch"][slots] != 0) & (watched.latches["severity"][watched.entries(slots)] > 0)
                found += np.bincount(owner, is_open, len(rows)).astype(np.int64)
        for number in (self.rows["told"][rows] == 1).nonzero()[0].tolist():
            found[number] += len(self.told[int(rows[number])].own)
        return found > 0

    def join(self, partition: PartitionState) -> int:
        """Have a partition's devices here from now on; its number."""
        number = next(number for number in count() if number not in self.partitions)
        self.partitions[number] = partition
        return number

    def make(self, partition: int, device_id: str, test: bool, device_kind: int) -> int:
        """A row at rest for a device of a partition, by number."""
        if self._free:
            row = self._free.pop()
            self.device_ids[row] = device_id
        else:
            row = len(self.device_ids)
            self.device_ids.append(device_id)
            if row >= len(self.dirty):
                self._grow(row + 1)
        for name, value in ROW_AT_REST.items():
            self.rows[name][row] = value
        self.indices["profile"][row] = self.indices["registered"][row] = -1
        self.indices["partition"][row] = partition
        self.rows["device_kind"][row], self.rows["test"][row] = max(device_kind, 0), test
        return row

    def _grow(self, size: int) -> None:
        self.dirty = grown(self.dirty, size)
        # As many everywhere: each table grows by a rule of its own, and the cells, two a row, fell behind.
        self.rows.grow(len(self.dirty))
        self.indices.grow(len(self.dirty))
        self.minutes.cells.grow(2 * len(self.dirty))

    def remove(self, rows: np.ndarray) -> None:
        """Let the distinct `rows` be nobody's."""
        self.clear(rows)
        self.without_profiles(rows)
        self.rows.clear(rows)
        self.rows["status"][rows] = device_status.UNKNOWN
        self.indices["partition"][rows] = NOBODY
        self.dirty[rows] = False
        for row in rows.tolist():
            self.device_ids[row] = ""
        self._free += rows.tolist()


class PartitionState:
    """The state of one partition: its devices, which lie among the `Devices` of its worker, and what holds for all of
    them. Empty when made; `admit` makes a row for each device it first sees.

    `log` is how far the partition's log is, `applied` how far orders are, `registered` what the registry says of
    devices. `forgotten` are the keys of devices that were forgotten since the last checkpoint. `rows`, `indices` and
    all else that `Devices` has are those of all partitions."""

    def __init__(self, devices_most: int = DEVICES_MOST, devices: Devices | None = None) -> None:
        self.devices = devices or Devices()
        self.forgotten: list[tuple[str, bool]] = []
        self.log = LogTime()
        self.applied = Applied()
        self.registered = Registered()
        self._row_of: dict[bool, dict[str, int]] = {False: {}, True: {}}
        self._devices_most = devices_most
        self._full_until = 0
        self._in_force: tuple[LimitTable, LimitTable] | None = None
        self._number = NOBODY
        self.rows, self.indices, self.minutes = self.devices.rows, self.devices.indices, self.devices.minutes
        self.watched, self.channels, self.late = self.devices.watched, self.devices.channels, self.devices.late
        self.device_ids, self.told, self.ports = self.devices.device_ids, self.devices.told, self.devices.ports

    def __len__(self) -> int:
        """How many devices there are."""
        return len(self._row_of[False]) + len(self._row_of[True])

    def dirty_rows(self) -> np.ndarray:
        """The rows of the partition that changed since they were last checkpointed, int64[k]."""
        of_all = self.devices.dirty.nonzero()[0]
        rows: np.ndarray = of_all[self.indices["partition"][of_all] == self._number]
        return rows

    def in_force(self, limits: LimitTable) -> LimitTable:
        """These limits, with those of the registry over them."""
        if self._in_force is None or self._in_force[0] is not limits:
            self._in_force = limits, self.devices.in_force(limits, self.registered.limits)
            self.devices.without_profiles(self.held())
        return self._in_force[1]

    def set_limits(self, entry: LimitsEntry) -> None:
        """Have these limits of many devices from now on."""
        self.registered.set_limits(entry)
        self._in_force = None

    def register(self, device_id: str, device: KnownDevice | None) -> bool:
        """Know this of a device from now on, or nothing any more. False where there is no room for it."""
        if device is None:
            self.registered.drop(device_id)
        elif not self.registered.put(device):
            return False
        found = [row for of in self._row_of.values() if (row := of.get(device_id)) is not None]
        rows = np.array(found, np.int64)
        self.indices["registered"][rows] = -1
        self.devices.without_profiles(rows)
        return True

    def held(self) -> np.ndarray:
        """The rows that are somebody's, int64[devices], in the order in which they were made."""
        return np.array([row for of in self._row_of.values() for row in of.values()], np.int64)

    def names(self, rows: np.ndarray) -> list[tuple[str, bool]]:
        """The id of each row's device, and whether the row is of test data."""
        return list(zip((self.device_ids[row] for row in rows.tolist()), self.tests(rows), strict=True))

    def forget(self, rows: np.ndarray) -> None:
        """Let the distinct `rows` be nobody's, and have checkpoints say so."""
        self.forgotten += self.names(rows)
        self.remove(rows)

    def remove(self, rows: np.ndarray) -> None:
        """Let the distinct `rows` be nobody's."""
        for device_id, test in self.names(rows):
            del self._row_of[test][device_id]
        self.devices.remove(rows)

    def leave(self) -> Iterator[None]:
        """Let the rows of all devices go to others, some at each step so that other partitions have their turn between.
        The state is used no more."""
        rows, self._row_of = self.held(), {False: {}, True: {}}
        for begin in range(0, len(rows), _LEAVE_AT_ONCE):
            self.devices.remove(rows[begin : begin + _LEAVE_AT_ONCE])
            yield
        self.devices.partitions.pop(self._number, None)

    def tests(self, rows: np.ndarray) -> list[bool]:
        """Whether the rows are of test data: by where they are known, for a row that is cleared says nothing."""
        known = self._row_of[True]
        return [known.get(self.device_ids[row]) == row for row in rows.tolist()]

    def find(self, device_ids: Sequence[str], test: np.ndarray) -> np.ndarray:
        """The row of each device, int64[n], -1 where there is none."""
        held: Iterator[int] = map(self._row_of[False].get, device_ids, repeat(-1))
        if test.any():
            held = (self._row_of[one].get(key, -1) for key, one in zip(device_ids, test.tolist(), strict=True))
        return np.fromiter(held, np.int64, len(device_ids))

    def admit(self, reports: Reports) -> np.ndarray:
        """The row of each report's device, int64[n], made where it is new: -1 where it is refused.

        Of as many reports, from the first on, as can be told by now: where a new device may take the place of silent
        ones, who is silent shows only once all before are processed. A rejected report makes no row; it only tells of a
        device that is known.
        """
        found = self.find(reports.device_id, reports.test)
        if not np.count_nonzero((found < 0) & ~reports.rejected):
            return found
        for report in (found < 0).nonzero()[0].tolist():
            device_id, test = reports.device_id[report], bool(reports.test[report])
            found[report] = self._row_of[test].get(device_id, -1)
            if found[report] >= 0 or reports.rejected[report]:
                continue
            # Registered devices always have room.
            has_room = len(self) < self._devices_most or self.registered.get(device_id) is not None
            if not has_room and (now := int(reports.ingest_ts[report])) >= self._full_until:
                if report:
                    return found[:report]
                self._forget(now)
                return self.admit(reports)
            if has_room:
                found[report] = self._make(device_id, test, int(reports.device_kind[report]))
        return found

    def row(self, device_id: str, test: bool, device_kind: int) -> int:
        """The row of a device, made if it has none."""
        held = self._row_of[test].get(device_id)
        return self._make(device_id, test, device_kind) if held is None else held

    def _make(self, device_id: str, test: bool, device_kind: int) -> int:
        if self._number == NOBODY:
            self._number = self.devices.join(self)
        row = self._row_of[test][device_id] = self.devices.make(self._number, device_id, test, device_kind)
        return row

    def _forget(self, now: int) -> None:
        """Forget whoever had been silent for long enough when the minute of `now` began, or note when one may be.

        Once a minute is enough, and to look at all devices at each report would delay them."""
        held = self.held()
        silent_ms = np.where(self.rows["interval_ms"][held] > 0, FORGOTTEN_MS, FORGOTTEN_ONCE_MS)
        due_ts, alarmed = self.rows["heard_ts"][held] + silent_ms, self.devices.is_alarmed(held)
        gone = held[(due_ts <= now - now % _MINUTE_MS) & ~alarmed]
        if len(gone):
            self.forget(gone)
            return
        earliest = int(np.where(alarmed, now + FORGOTTEN_ONCE_MS, due_ts).min())
        self._full_until = earliest + -earliest % _MINUTE_MS
