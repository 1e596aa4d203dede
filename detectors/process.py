"""The middle of emberline: one partition's reports in, what they mean out. Pure: no Kafka, no loop, no clock.

A chunk is processed in rounds. A round holds at most one report of each device, in the order of the records, so that
within a round every array operation touches each device and component once and the order of a device's reports stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Final, NamedTuple

import numpy as np

from detectors import aggregates, channels, device_status, late, order
from detectors.device_status import NOTHING_TOLD, Told
from detectors.latch import EVENTS, Elements, Found
from detectors.limits import LimitTable
from detectors.messages import alarm_message
from detectors.state import COLUMN, DETECTORS, WATCHING, PartitionState
from detectors.values import Measured, Values, measured, values_of, wanted_width
from schemas.events import VERSION, Aggregate, Alarm, DeviceStatus, Severity, alarm_id
from schemas.quantities import BY_NAME, DEVICE_KINDS, QUANTITIES
from schemas.rejects import DEVICE_FLOODS, DEVICE_REFUSED
from schemas.report_fields import Marks
from schemas.report_rules import Fault, Reason
from schemas.reports import Reports

FLOOD_REPORTS: Final = 3_000
"""Reports of one device that are judged of those that arrive within one minute. The fastest devices send one a second,
and hand in up to 600 kept ones at once, each perhaps twice (domain.md); beyond that a device floods [ours]."""
_WINDOW_MS: Final = 60_000
_OFFLINE_AFTER_MS: Final = np.array([device_status.OFFLINE_AFTER_MS[kind.name] for kind in DEVICE_KINDS])
_WATCHED_CODES: Final = np.array(list(WATCHING))
# Python 3.11 finds a member of an enumeration by a function of its own, which is slow for every round.
_NOT_FITTED: Final = int(Reason.NOT_FITTED)
_POWER_ON: Final = int(Reason.POWER_ON)
_IS_WATCHED: Final = np.isin(np.arange(len(QUANTITIES)), _WATCHED_CODES)
_FLOODS: Final = Fault(
    DEVICE_FLOODS, f"over {FLOOD_REPORTS} reports of this device within a minute; it is stored, but not judged"
)
_REFUSED: Final = Fault(
    DEVICE_REFUSED,
    "the partition has as many devices as EMBERLINE_DEVICES_MOST allows; it is stored, but not judged: find out who "
    "sends ids that are nobody's, or raise it",
)


@dataclass(slots=True)
class Result:
    """What a chunk meant: events in the order of their places, what was not judged, by offset and index, and how many
    reports were of which sort."""

    alarms: list[Alarm] = field(default_factory=list)
    aggregates: list[Aggregate] = field(default_factory=list)
    statuses: list[DeviceStatus] = field(default_factory=list)
    refused: dict[tuple[int, int], Fault] = field(default_factory=dict)
    reports: int = 0
    skipped: int = 0
    repeated: int = 0
    late: int = 0
    by_arrival: int = 0
    absent_values: int = 0

    def __add__(self, later: Result) -> Result:
        together = {one.name: getattr(self, one.name) for one in fields(self)}
        for one in fields(self):
            more = getattr(later, one.name)
            together[one.name] = together[one.name] | more if one.name == "refused" else together[one.name] + more
        return Result(**together)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What is at hand while a chunk is processed. `odd`, bool[n], marks the reports about which something is to be
    told, `unfitted` are the marks of watched components that are not fitted, `prints` the reports' fingerprints, and
    `valued` says which have a value at all."""

    reports: Reports
    values: Values
    odd: np.ndarray
    unfitted: Marks
    prints: np.ndarray
    valued: np.ndarray
    state: PartitionState
    limits: LimitTable
    now: int
    result: Result


@dataclass(frozen=True, slots=True)
class _Round:
    """k reports of k different devices: their index in the chunk, row in the state, moment, arrival; and the time since
    their devices were heard before, by arrival."""

    reports: np.ndarray
    rows: np.ndarray
    ts: np.ndarray
    ingest_ts: np.ndarray
    silent_ms: np.ndarray

    def take(self, which: np.ndarray) -> _Round:
        """Those that `which`, bool[k], selects."""
        if np.count_nonzero(which) == len(which):
            return self
        columns = (self.reports, self.rows, self.ts, self.ingest_ts, self.silent_ms)
        return _Round(*(column[which] for column in columns))


class _Shown(NamedTuple):
    """The values of one watched quantity in a round: its code and which they are among all, and of each the report
    within the round, the slot, the component and the value; whether it is its component's newest, and whether it is
    what sensors show at power-on."""

    code: int
    part: slice
    which: np.ndarray
    slots: np.ndarray
    component: np.ndarray
    value: np.ndarray
    live: np.ndarray
    power_on: np.ndarray | None

    def only(self, kept: np.ndarray) -> _Shown:
        """Those values that are `kept`, bool[m]."""
        which, slots, component, value, live = (column[kept] for column in self[2:7])
        power_on = None if self.power_on is None else self.power_on[kept]
        return _Shown(self.code, self.part, which, slots, component, value, live, power_on)


class _Seen(NamedTuple):
    """By `COLUMN`, of which watched quantities the reports of a round have any value, and a live one. bool[k, watched]
    each."""

    any: np.ndarray
    live: np.ndarray


def process(reports: Reports, state: PartitionState, limits: LimitTable, now: int) -> Result:
    """Process `reports` against `state`, in place, and say what they mean.

    `now` (epoch ms) only marks when alarms were detected; it decides nothing, so the same reports give the same
    events. Reports that a device's row already reflects are skipped.
    """
    results = []
    while len(rows := state.admit(reports)) < len(reports):
        results.append(_process(reports.between(0, len(rows)), rows, state, limits, now))
        reports = reports.between(len(rows), len(reports))
    results.append(_process(reports, rows, state, limits, now))
    return sum(results[1:], results[0])


def _process(reports: Reports, rows: np.ndarray, state: PartitionState, limits: LimitTable, now: int) -> Result:
    """`process` reports whose devices have these rows, -1 where one was refused."""
    result = Result(reports=int(np.count_nonzero(~reports.rejected)))
    known = rows >= 0
    for report in (~known & ~reports.rejected).nonzero()[0].tolist():
        result.refused[int(reports.offset[report]), int(reports.index[report])] = _REFUSED
    if not known.any():
        return result
    before, offset = state.rows["offset"][rows], reports.offset
    newer = (offset > before) | ((offset == before) & (reports.index > state.rows["index"][rows]))
    result.skipped = int(np.count_nonzero(known & ~newer & ~reports.rejected))
    taken = (known & newer).nonzero()[0]
    fresh = _without_flood(rows, taken, reports, state, result)
    faulty = _faulty(reports.marks)
    if len(faulty):
        result.absent_values = int(np.count_nonzero(np.isin(faulty, fresh)))
    values = values_of(reports)
    chunk = _Chunk(
        reports, values, _odd(reports, faulty), _unfitted(reports), order.fingerprints(reports, values),
        values.counts.sum(axis=0) > 0, state, limits, now, result,
    )  # fmt: skip
    for chosen in _rounds(rows[fresh]):
        which = fresh[chosen]
        ingest_ts, heard_ts = reports.ingest_ts[which], state.rows["heard_ts"][rows[which]]
        silent_ms = np.where(heard_ts > 0, np.maximum(ingest_ts - heard_ts, 0), 0)
        _process_round(_Round(which, rows[which], reports.ts[which], ingest_ts, silent_ms), chunk)
    state.rows["offset"][rows[taken]] = offset[taken]
    state.rows["index"][rows[taken]] = reports.index[taken]
    state.dirty[rows[taken]] = True
    for events in (result.alarms, result.aggregates, result.statuses):
        events.sort(key=_place)
    return result


def _odd(reports: Reports, faulty: np.ndarray) -> np.ndarray:
    """The reports that carry faults, notes or values that are none for want of a good sensor, bool[n]."""
    odd = reports.rejected.copy()
    odd[list(reports.faults)] = odd[list(reports.notes)] = True
    odd[faulty] = True
    return odd


def _unfitted(reports: Reports) -> Marks:
    marks = reports.marks
    which = ((marks.reason == _NOT_FITTED) & _IS_WATCHED[marks.quantity]).nonzero()[0]
    return Marks._make(column[which] for column in marks)


def _faulty(marks: Marks) -> np.ndarray:
    """The report of each value that is none for want of a good sensor."""
    faulty: np.ndarray = marks.report[(marks.reason != _NOT_FITTED) & (marks.reason != _POWER_ON)]
    return faulty


def _without_flood(
    rows: np.ndarray, fresh: np.ndarray, reports: Reports, state: PartitionState, result: Result
) -> np.ndarray:
    """Those of the reports `fresh` whose devices have not had all that is judged of a minute: quick, where many are."""
    at, window = rows[fresh], reports.ingest_ts[fresh] // _WINDOW_MS
    full = (state.rows["in_window"][at] >= FLOOD_REPORTS) & (state.rows["window"][at] == window)
    if not np.count_nonzero(full):
        return fresh
    _refuse_flood(fresh[full], reports, result)
    within: np.ndarray = fresh[~full]
    return within


def _refuse_flood(which: np.ndarray, reports: Reports, result: Result) -> None:
    for report in which[~reports.rejected[which]].tolist():
        result.refused[int(reports.offset[report]), int(reports.index[report])] = _FLOODS


def _place(event: Alarm | Aggregate | DeviceStatus) -> tuple[int, int]:
    return event.source_offset, event.source_ordinal


def _rounds(rows: np.ndarray) -> list[np.ndarray]:
    """Indices into `rows`: first every row's first occurrence, then every row's second, and so on."""
    if not len(rows):
        return []
    ordered = np.sort(rows)
    if (ordered[1:] > ordered[:-1]).all():
        return [np.arange(len(rows))]
    by_row = np.argsort(rows, kind="stable")
    begins = np.concatenate([[True], ordered[1:] > ordered[:-1]]).nonzero()[0]
    occurrence = np.arange(len(rows)) - np.repeat(begins, np.diff(begins, append=len(rows)))
    by_round = np.argsort(occurrence, kind="stable")
    ends = np.cumsum(np.bincount(occurrence))
    return np.split(by_row[by_round], ends[:-1])


def _process_round(batch: _Round, chunk: _Chunk) -> None:
    reports, rows, result = chunk.reports, chunk.state.rows, chunk.result
    batch = batch.take(_within_flood(batch, chunk))
    if not len(batch.rows):
        return
    returned = _put_online(batch, chunk)
    fresh = ~reports.rejected[batch.reports]
    taken = batch.take(fresh)
    which = taken.reports
    new = order.arrive(rows, taken.rows, chunk.prints[which], reports.event_ts[which], taken.silent_ms)
    fresh[fresh] = new
    result.repeated += len(new) - int(np.count_nonzero(new))
    newest = np.zeros(len(batch.rows), np.bool_)
    newest[fresh] = _take_on(taken.take(new), chunk)
    result.statuses += _tell(batch, newest, returned, chunk)


def _within_flood(batch: _Round, chunk: _Chunk) -> np.ndarray:
    """Which of the reports are among those of their devices and minutes that are judged, bool[k]."""
    rows, at, window = chunk.state.rows, batch.rows, batch.ingest_ts // _WINDOW_MS
    count = np.where(rows["window"][at] == window, rows["in_window"][at], 0).astype(np.int64)
    rows["window"][at], rows["in_window"][at] = window, np.minimum(count + 1, FLOOD_REPORTS)
    within: np.ndarray = count < FLOOD_REPORTS
    if np.count_nonzero(within) < len(within):
        _refuse_flood(batch.reports[~within], chunk.reports, chunk.result)
    return within


def _put_online(batch: _Round, chunk: _Chunk) -> np.ndarray:
    """Note that the devices were heard. Which of them were not online, bool[k]."""
    rows, at = chunk.state.rows, batch.rows
    rows["heard_ts"][at] = np.maximum(rows["heard_ts"][at], batch.ingest_ts)
    returned: np.ndarray = rows["status"][at] != device_status.ONLINE
    if np.count_nonzero(returned):
        rows["since_ts"][at[returned]] = batch.ingest_ts[returned]
        rows["status"][at[returned]] = device_status.ONLINE
    return returned


def _take_on(taken: _Round, chunk: _Chunk) -> np.ndarray:
    """Count and judge the values of new reports. Which of these are their devices' newest, bool[k]."""
    state, rows, reports, result = chunk.state, chunk.state.rows, chunk.reports, chunk.result
    result.by_arrival += int(np.count_nonzero(reports.by_arrival[taken.reports]))
    width = _width(taken, chunk)
    found = measured(chunk.values, taken.reports, width)
    shown = [_live(one, taken, state) for one in _shown(found, taken, chunk)]
    newest = taken.ts >= rows["newest_ts"][taken.rows]
    seen = _seen(shown, len(newest))
    newest = np.where(seen.any.any(axis=1), seen.live.any(axis=1), newest)
    anew = order.set_back(
        rows, taken.rows, taken.ts, taken.ingest_ts, reports.seq[taken.reports], reports.has_seq[taken.reports], ~newest
    )
    if np.count_nonzero(anew):
        _begin_anew(taken.take(anew), chunk)
        shown = [one._replace(live=one.live | anew[one.which]) for one in shown]
        seen = _seen(shown, len(newest))
        newest |= anew
    result.late += len(newest) - int(np.count_nonzero(newest))
    _note_newest(taken.take(newest), chunk)

    newest_ts = rows["newest_ts"][taken.rows] = np.maximum(rows["newest_ts"][taken.rows], taken.ts)
    _close_minutes(taken, newest_ts, chunk)
    hidden = _hide_power_on(shown, found, state)
    if hidden is not None:
        result.absent_values += int(np.count_nonzero(hidden))
        shown = [one.only(~hidden[one.part]) for one in shown]
        seen = _seen(shown, len(newest))
        found = found.only(~hidden)
    _count(found, taken, newest_ts, width.sum(axis=1), chunk)
    _note_judged(seen, taken, state)
    _watch(shown, taken, chunk)
    return newest


def _shown(found: Measured, taken: _Round, chunk: _Chunk) -> Iterator[_Shown]:
    """The watched quantities that occur; all of their values for new as yet."""
    for place, code in enumerate(chunk.values.codes):
        part = slice(*found.bounds[place : place + 2])
        if code in WATCHING and part.start < part.stop:
            which, component = found.which[part], found.component[part]
            slots = chunk.state.places["first"][taken.rows, COLUMN[code]][which] + component
            power_on = None if found.power_on is None else found.power_on[part]
            yield _Shown(
                code, part, which, slots, component, found.value[part], np.ones(len(which), np.bool_), power_on
            )


def _live(one: _Shown, taken: _Round, state: PartitionState) -> _Shown:
    return one._replace(live=taken.ts[one.which] >= state.channels[one.code]["ts"][one.slots])


def _seen(shown: list[_Shown], reports: int) -> _Seen:
    found = _Seen(*np.zeros((2, reports, len(WATCHING)), np.bool_))
    for one in shown:
        found.any[one.which, COLUMN[one.code]] = True
        found.live[one.which[one.live], COLUMN[one.code]] = True
    return found


def _begin_anew(taken: _Round, chunk: _Chunk) -> None:
    """The clocks of these devices were set back: their time, and that of all their components, begins anew."""
    state = chunk.state
    _close(aggregates.all_open(state.minutes, taken.rows), taken, chunk)
    state.rows["newest_ts"][taken.rows] = taken.ts
    for code in WATCHING:
        slots = state.slots(code, taken.rows)
        ts = np.repeat(taken.ts, state.rows["width"][taken.rows, code])
        state.channels[code]["ts"][slots] = np.minimum(state.channels[code]["ts"][slots], ts)


def _note_newest(taken: _Round, chunk: _Chunk) -> None:
    """Note what only the newest report of a device tells of it: its kind, clock, interval and sequence number."""
    state, rows, reports, at = chunk.state, chunk.state.rows, chunk.reports, taken.rows
    own_ts, kind = reports.event_ts[taken.reports], reports.device_kind[taken.reports]
    first = rows["own_ts"][at] == 0
    elapsed = np.where(first, 0, channels.elapsed_ms(rows["own_ts"][at], own_ts, taken.silent_ms))
    rows["interval_ms"][at], rows["silence_ms"][at] = channels.usual_interval(
        rows["interval_ms"][at], rows["silence_ms"][at], elapsed
    )
    rows["own_ts"][at] = own_ts
    has_seq = reports.has_seq[taken.reports]
    rows["has_seq"][at] = has_seq
    rows["seq"][at] = np.where(has_seq, reports.seq[taken.reports], 0)
    profile = state.places["profile"]
    other = (kind >= 0) & (kind != rows["device_kind"][at])
    rows["device_kind"][at[other]] = kind[other]
    profile[at[other]] = -1


def _note_judged(seen: _Seen, taken: _Round, state: PartitionState) -> None:
    """Note when detectors saw each watched quantity."""
    rows, ingest_ts = state.rows, taken.ingest_ts[:, None]
    judged_ts, every_ms = rows["judged_ts"][taken.rows], rows["judged_every_ms"][taken.rows]
    judged_ts = np.where(seen.any & (judged_ts == 0), ingest_ts, judged_ts)
    every = every_ms.astype(np.int64)
    longer = np.maximum(ingest_ts - judged_ts, every - every // 16)
    usual_ms = np.minimum(np.maximum(longer, 0), np.iinfo(np.int32).max)
    rows["judged_every_ms"][taken.rows] = np.where(seen.live, usual_ms, every_ms)
    rows["judged_ts"][taken.rows] = np.where(seen.live, ingest_ts, judged_ts)


def _hide_power_on(shown: list[_Shown], found: Measured, state: PartitionState) -> np.ndarray | None:
    """Which of all values count for none, being what a sensor shows at power-on and no second one, bool[m]."""
    hidden = None
    for one in shown:
        seen = state.channels[one.code]["power_on"]
        if one.power_on is None:
            seen[one.slots[one.live]] = 0
            continue
        if hidden is None:
            hidden = np.zeros(len(found.value), np.bool_)
        hide = one.power_on & ~(one.live & (seen[one.slots] == 1))
        seen[one.slots[one.live]] = one.power_on[one.live]
        hidden[one.part] = hide
    return hidden


class _Wrong(NamedTuple):
    """What is wrong with devices at the reports of a round, found for all of them at once: bool[k], and bool[k,
    watched]."""

    no_values: np.ndarray
    not_judged: np.ndarray


def _tell(batch: _Round, newest: np.ndarray, returned: np.ndarray, chunk: _Chunk) -> list[DeviceStatus]:
    """Note what is wrong with the devices, and say of which something has changed."""
    state, reports = chunk.state, chunk.reports
    wrong, lost = _wrong(batch, chunk), _lost(batch, chunk)
    looked = (
        (state.rows["told"][batch.rows] == 1)
        | chunk.odd[batch.reports]
        | wrong.no_values
        | wrong.not_judged.any(axis=1)
    )
    looked[list(lost)] = True
    changed = returned.copy()
    for number in looked.nonzero()[0].tolist():
        row, report = int(batch.rows[number]), int(batch.reports[number])
        notes = [*_notes(report, chunk), *lost.get(number, ())]
        if wrong.no_values[number]:
            notes.append("no_values")
        notes += [device_status.not_judged(int(_WATCHED_CODES[at])) for at in wrong.not_judged[number].nonzero()[0]]
        words = reports.faults.get(report, ()) if newest[number] else None
        before = state.told.get(row, NOTHING_TOLD)
        told = device_status.heard(before, words, notes, int(batch.ingest_ts[number]), _measures(report, reports))
        _put_told(row, told, state)
        if told.faults != before.faults:
            changed[number] = True
            state.rows["since_ts"][row] = batch.ingest_ts[number]
    return [
        _status_event(state, int(batch.rows[number]), int(reports.offset[report]), max(int(reports.index[report]), 0))
        for number in changed.nonzero()[0].tolist()
        for report in (batch.reports[number],)
    ]


def _put_told(row: int, told: Told, state: PartitionState) -> None:
    if told == NOTHING_TOLD:
        state.told.pop(row, None)
    else:
        state.told[row] = told
    state.rows["told"][row] = told != NOTHING_TOLD


def _measures(report: int, reports: Reports) -> Callable[[str, int], bool]:
    """Whether a report has a value of a component."""

    def measures(quantity: str, component: int) -> bool:
        ragged = reports.quantities.get(quantity)
        if ragged is None or component >= ragged.starts[report + 1] - ragged.starts[report]:
            return False
        return not np.isnan(ragged.values[ragged.starts[report] + component])

    return measures


def _notes(report: int, chunk: _Chunk) -> list[str]:
    """What is wrong with a report by itself."""
    reports = chunk.reports
    if not chunk.odd[report]:
        return []
    if reports.rejected[report]:
        return ["rejected"]
    first, last = np.searchsorted(reports.marks.report, (report, report + 1)).tolist()
    marks = zip(*(column[first:last].tolist() for column in reports.marks[1:4]), strict=True)
    faults = [
        device_status.sensor_fault(quantity, component, Reason(reason))
        for quantity, component, reason in marks
        if reason not in (_NOT_FITTED, _POWER_ON)
    ]
    return [*reports.notes.get(report, ()), *faults]


def _wrong(batch: _Round, chunk: _Chunk) -> _Wrong:
    rows, at = chunk.state.rows, batch.rows
    after_ms = _offline_after(chunk.state, at)
    read, valued = ~chunk.reports.rejected[batch.reports], chunk.valued[batch.reports]
    valued_ts = rows["valued_ts"][at]
    no_values = read & ~valued & ((valued_ts == 0) | (batch.ingest_ts - valued_ts > after_ms))
    rows["valued_ts"][at] = np.where(read & valued, batch.ingest_ts, valued_ts)
    judged_ts = rows["judged_ts"][at]
    # A quantity may come more seldom than its device's reports; one that came once may be any seldom.
    default_ms, every_ms = _OFFLINE_AFTER_MS[rows["device_kind"][at]][:, None], rows["judged_every_ms"][at]
    every_ms = np.where(every_ms > 0, every_ms, device_status.OFFLINE_MOST_MS)
    bound_ms = device_status.offline_after(default_ms, every_ms)
    return _Wrong(no_values, (judged_ts > 0) & (batch.ingest_ts[:, None] - judged_ts > bound_ms))


def _lost(batch: _Round, chunk: _Chunk) -> dict[int, list[str]]:
    """By the place in the round, notes of components that say they are not fitted though they have measured."""
    state, (report, quantity, component, *_) = chunk.state, chunk.unfitted
    if not len(report):
        return {}
    place = np.full(len(chunk.reports), -1)
    place[batch.reports] = np.arange(len(batch.reports))
    number = place[report]
    held = ((number >= 0) & (component < state.rows["width"][batch.rows[number], quantity])).nonzero()[0]
    found: dict[int, list[str]] = {}
    for at, code, one in zip(*(column[held].tolist() for column in (number, quantity, component)), strict=True):
        slot = int(state.places["first"][batch.rows[at], COLUMN[code]]) + one
        if state.channels[code]["ingest_ts"][slot] > 0:
            found.setdefault(at, []).append(device_status.sensor_fault(code, one, Reason.NOT_FITTED))
    return found


def _offline_after(state: PartitionState, rows: np.ndarray) -> np.ndarray:
    default_ms = _OFFLINE_AFTER_MS[state.rows["device_kind"][rows]]
    return device_status.offline_after(default_ms, state.rows["interval_ms"][rows])


def tick(state: PartitionState, now: int) -> list[DeviceStatus]:
    """Put devices offline that have been silent for too long at `now`. Call it only while the worker is not behind."""
    rows, everyone = state.rows, np.arange(state.size)
    offline_after = _offline_after(state, everyone)
    silent, status = device_status.silence(rows["status"][everyone], rows["heard_ts"][everyone], offline_after, now)
    waited = np.where(
        status == device_status.OVERDUE,
        np.maximum(device_status.OVERDUE_AFTER_MS, offline_after[silent]),
        offline_after[silent],
    )
    rows["status"][silent] = status
    rows["since_ts"][silent] = rows["heard_ts"][silent] + waited
    state.dirty[silent] = True
    return [_status_event(state, row, int(rows["offset"][row]), -1) for row in silent.tolist()]


def silent_until(state: PartitionState, now: int) -> int | None:
    """When `tick` next has something to say if nobody is heard until then, later than `now`; None where never."""
    rows, held = state.rows, state.held()
    if not len(held):
        return None
    offline_after = _offline_after(state, held)
    overdue_after = np.maximum(device_status.OVERDUE_AFTER_MS, offline_after)
    due = np.where(rows["status"][held] == device_status.ONLINE, offline_after, overdue_after) + rows["heard_ts"][held]
    due = due[(rows["status"][held] < device_status.OVERDUE) & (due > now)]
    return int(due.min()) if len(due) else None


def _status_event(state: PartitionState, row: int, offset: int, ordinal: int) -> DeviceStatus:
    rows = state.rows
    return DeviceStatus(
        v=VERSION,
        device_id=state.device_ids[row],
        device_kind=DEVICE_KINDS[rows["device_kind"][row]].name,
        test=bool(rows["test"][row]),
        status=device_status.LABELS[int(rows["status"][row])],
        faults=state.told.get(row, NOTHING_TOLD).faults,
        since_ts=int(rows["since_ts"][row]),
        source_offset=offset,
        source_ordinal=ordinal,
    )


Statistics = dict[str, dict[str, list[object]]]


def _close_minutes(taken: _Round, newest_ts: np.ndarray, chunk: _Chunk) -> None:
    _close(aggregates.passed(chunk.state.minutes, taken.rows, newest_ts), taken, chunk)


def _close(closed: aggregates.Closed, taken: _Round, chunk: _Chunk) -> None:
    state, reports = chunk.state, chunk.reports
    if not len(closed.row):
        return
    report = taken.reports[closed.report]
    chunk.result.aggregates += [
        Aggregate(
            v=VERSION,
            device_id=state.device_ids[row],
            device_kind=DEVICE_KINDS[kind].name,
            test=bool(test),
            minute_ts=minute_ts,
            quantities=statistics,
            source_offset=offset,
            source_ordinal=ordinal,
        )
        for statistics, row, kind, test, minute_ts, offset, ordinal in zip(
            _taken(closed, state),
            closed.row.tolist(),
            state.rows["device_kind"][closed.row].tolist(),
            state.rows["test"][closed.row].tolist(),
            closed.minute_ts.tolist(),
            reports.offset[report].tolist(),
            (reports.index[report] << 1 | closed.bucket).tolist(),
            strict=True,
        )
        if statistics
    ]


def _taken(closed: aggregates.Closed, state: PartitionState) -> list[Statistics]:
    """Empty the closed minutes; the statistics of each, by quantity."""
    width = state.rows["width"][closed.row].astype(np.int64)
    columns = aggregates.take(state.minutes, closed, width.sum(axis=1))
    counts, least, greatest, mean, last = columns.values()
    minute, quantity = width.nonzero()
    ends = np.cumsum(width[minute, quantity])
    begins = ends - width[minute, quantity]
    taken: list[Statistics] = [{} for _ in closed.row]
    for number, code, begin, end in zip(*map(np.ndarray.tolist, (minute, quantity, begins, ends)), strict=True):
        if any(count := counts[begin:end]):
            taken[number][QUANTITIES[code].name] = {
                "count": count,
                "min": least[begin:end],
                "max": greatest[begin:end],
                "mean": mean[begin:end],
                "last": last[begin:end],
            }
    return taken


def _width(taken: _Round, chunk: _Chunk) -> np.ndarray:
    """How many components of each quantity the devices have, those of these reports among them."""
    width = chunk.state.rows["width"]
    held, wanted = width[taken.rows], wanted_width(chunk.values, taken.reports)
    short = wanted > held
    if np.count_nonzero(short):
        wider = short.any(axis=1)
        chunk.state.make_room(taken.rows[wider], wanted[wider])
        held = width[taken.rows]
    enough: np.ndarray = held.astype(np.int64)
    return enough


def _count(found: Measured, taken: _Round, newest_ts: np.ndarray, sizes: np.ndarray, chunk: _Chunk) -> None:
    """Count the values in their minute, where it is open."""
    minutes = chunk.state.minutes
    counting = aggregates.open_minutes(minutes, taken.rows, taken.ts, newest_ts, sizes)
    counted = found.of(counting.in_time)
    aggregates.count(minutes, counting, sizes, counted.which, counted.within, taken.ts, counted.value)


def _watch(shown: list[_Shown], taken: _Round, chunk: _Chunk) -> None:
    """Show the detectors the values: the live ones in their time, the late ones by themselves."""
    if not shown:
        return
    profile = _profiles(taken.rows, chunk)
    counted = [(one, np.count_nonzero(one.live)) for one in shown]
    _watch_live([one.only(one.live) if live < len(one.live) else one for one, live in counted], profile, taken, chunk)
    for one, live in counted:
        if live < len(one.live):
            _watch_late(one.only(~one.live), profile, taken, chunk)


def _profiles(rows: np.ndarray, chunk: _Chunk) -> np.ndarray:
    """The profiles of devices in the limits, int64[k], looked up where that is still to be done."""
    state, profile = chunk.state, chunk.state.places["profile"]
    for row in rows[profile[rows] < 0].tolist():
        profile[row] = chunk.limits.profile(state.device_ids[row], int(state.rows["device_kind"][row]))
    found: np.ndarray = profile[rows]
    return found


def _watch_live(shown: list[_Shown], profile: np.ndarray, taken: _Round, chunk: _Chunk) -> None:
    which = np.concatenate([one.which for one in shown])
    ts, own_ts, ingest_ts = taken.ts[which], chunk.reports.event_ts[taken.reports][which], taken.ingest_ts[which]
    tables = chunk.state.channels
    passed = channels.advance([(tables[one.code], one.slots) for one in shown], ts, own_ts, ingest_ts)
    times, profile, begin = (ts, ingest_ts, *passed), profile[which], 0
    for one in shown:
        part = slice(begin, begin := begin + len(one.slots))
        if part.start == part.stop:
            continue
        for number in WATCHING[one.code]:
            limits = chunk.limits.rows(DETECTORS[number].kind, profile[part])
            elements = Elements._make((one.slots, one.value, *[column[part] for column in times], limits))
            findings = DETECTORS[number].detect(chunk.state.watched[number], elements)
            if len(findings.element):
                _raise_alarms(number, findings.each(), one, taken, chunk)


def _watch_late(shown: _Shown, profile: np.ndarray, taken: _Round, chunk: _Chunk) -> None:
    state, table = chunk.state, chunk.state.channels[shown.code]
    if shown.power_on is not None:
        shown = shown.only(~shown.power_on)
    points = state.late[shown.code]
    shown = shown.only(late.note(points, table, shown.slots, taken.ts[shown.which], shown.value))
    if not len(shown.slots):
        return
    profile, nothing = profile[shown.which], np.zeros(len(shown.slots), np.int64)
    times = taken.ts[shown.which], taken.ingest_ts[shown.which], nothing, nothing, nothing, nothing, nothing
    for number in WATCHING[shown.code]:
        baseline = DETECTORS[number].late
        if baseline is not None:
            limits = chunk.limits.rows(DETECTORS[number].kind, profile)
            elements = Elements(shown.slots, shown.value, *times, limits)
            found = late.judge(
                state.watched[number], elements, baseline(state.watched[number], elements), points, table
            )
            _raise_alarms(number, found, shown, taken, chunk)


def _raise_alarms(number: int, found: Iterable[Found], shown: _Shown, taken: _Round, chunk: _Chunk) -> None:
    """Tell what a detector found. Of one component it may be two things, one after the other."""
    before = -1
    for one in found:
        report = int(taken.reports[shown.which[one.element]])
        row, component = int(taken.rows[shown.which[one.element]]), int(shown.component[one.element])
        turn = int(one.element == before)
        before = one.element
        ordinal = max(int(chunk.reports.index[report]), 0) << 16 | number << 8 | component << 1 | turn
        chunk.result.alarms.append(_alarm(number, one, row, component, report, ordinal, chunk))


def _alarm(number: int, one: Found, row: int, component: int, report: int, ordinal: int, chunk: _Chunk) -> Alarm:
    reports, state = chunk.reports, chunk.state
    kind, quantity = DETECTORS[number].kind, BY_NAME[DETECTORS[number].quantity]
    device_id, test = state.device_ids[row], bool(state.rows["test"][row])
    baseline = None if np.isnan(one.baseline) else one.baseline
    reached, happened = Severity(one.severity), EVENTS[one.event]
    return Alarm(
        v=VERSION,
        alarm_id=alarm_id(device_id, component, kind, one.episode, test),
        event=happened,
        severity=one.severity,
        severity_label=reached.label,
        kind=kind,
        device_id=device_id,
        device_kind=DEVICE_KINDS[state.rows["device_kind"][row]].name,
        quantity=quantity.name,
        component=component,
        episode=one.episode,
        event_ts=one.ts,
        onset_ts=one.onset_ts,
        ingest_ts=int(reports.ingest_ts[report]),
        detected_ts=chunk.now,
        by_arrival=bool(reports.by_arrival[report]),
        late=one.late,
        value=one.value,
        limit=one.limit,
        peak=one.peak,
        baseline=baseline,
        limit_from=chunk.limits.source(kind, int(state.places["profile"][row]), one.level),
        test=test,
        message=alarm_message(
            kind, happened, reached, device_id, component, quantity, one.value, one.limit, baseline, test, one.late
        ),
        source_offset=int(reports.offset[report]),
        source_ordinal=ordinal,
    )
