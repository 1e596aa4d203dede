"""The middle of emberline: one partition's reports in, what they mean out. Pure: no Kafka, no loop, no clock.

A chunk is worked off in rounds. A round holds at most one report of each device, in the order of the records, so that
within a round every array operation touches each device and component once and the order of a device's reports stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Final, NamedTuple

import numpy as np

from detectors import aggregates, device_status, order
from detectors.latch import EVENTS, Elements, Findings
from detectors.limits import LimitTable
from detectors.messages import alarm_message
from detectors.state import COLUMN, DETECTORS, WATCHING, PartitionState
from detectors.values import Measured, Values, measured, values_of, wanted_width
from schemas.events import VERSION, Aggregate, Alarm, DeviceStatus, Severity, alarm_id
from schemas.quantities import BY_NAME, DEVICE_KINDS, QUANTITIES
from schemas.reports import Reports

_OFFLINE_AFTER_MS: Final = np.array([device_status.OFFLINE_AFTER_MS[kind.name] for kind in DEVICE_KINDS])


@dataclass(slots=True)
class Result:
    """What a chunk meant: events in the order of their places, and how many reports were of which sort."""

    alarms: list[Alarm] = field(default_factory=list)
    aggregates: list[Aggregate] = field(default_factory=list)
    statuses: list[DeviceStatus] = field(default_factory=list)
    reports: int = 0
    skipped: int = 0
    repeated: int = 0
    late: int = 0
    clock_ahead: int = 0

    def __add__(self, later: Result) -> Result:
        return Result(*(getattr(self, one.name) + getattr(later, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What is at hand while a chunk is worked off. `faulty`, bool[n], marks the reports that carry faults."""

    reports: Reports
    values: Values
    faulty: np.ndarray
    state: PartitionState
    limits: LimitTable
    now: int
    result: Result


@dataclass(frozen=True, slots=True)
class _Round:
    """k reports of k different devices: their index in the chunk, row in the state, effective time."""

    reports: np.ndarray
    rows: np.ndarray
    ts: np.ndarray

    def take(self, which: np.ndarray) -> _Round:
        """Those that `which`, bool[k], selects."""
        if np.count_nonzero(which) == len(which):
            return self
        return _Round(self.reports[which], self.rows[which], self.ts[which])


def process(reports: Reports, state: PartitionState, limits: LimitTable, now: int) -> Result:
    """Work `reports` off against `state`, in place, and say what they mean.

    `now` (epoch ms) only marks when alarms were detected; it decides nothing, so the same reports give the same
    events. Reports of records that a device's row already reflects are skipped.
    """
    result = Result(reports=len(reports))
    if not len(reports):
        return result
    rows = state.rows_of(reports.device_id, reports.test, reports.device_kind)
    _look_up_limits(rows, reports, state, limits)
    fresh = (reports.offset > state.rows["offset"][rows]).nonzero()[0]
    ts = order.effective_ts(reports.event_ts, reports.ingest_ts)
    result.skipped = len(reports) - len(fresh)
    result.clock_ahead = int(np.count_nonzero(ts[fresh] != reports.event_ts[fresh]))
    faulty = np.zeros(len(reports), np.bool_)
    faulty[list(reports.faults)] = True
    chunk = _Chunk(reports, values_of(reports), faulty, state, limits, now, result)
    for chosen in _rounds(rows[fresh]):
        which = fresh[chosen]
        _work_off(_Round(which, rows[which], ts[which]), chunk)
    state.rows["offset"][rows[fresh]] = reports.offset[fresh]
    state.dirty[rows[fresh]] = True
    for events in (result.alarms, result.aggregates, result.statuses):
        events.sort(key=_place)
    return result


def _look_up_limits(rows: np.ndarray, reports: Reports, state: PartitionState, limits: LimitTable) -> None:
    profile = state.places["profile"]
    for report in (profile[rows] < 0).nonzero()[0].tolist():
        # By the row's kind and not the report's: a device that changes its kind keeps its limits, in any chunks.
        row = rows[report]
        profile[row] = limits.profile(reports.device_id[report], int(state.rows["device_kind"][row]))


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


def _work_off(batch: _Round, chunk: _Chunk) -> None:
    reports, rows, result = chunk.reports, chunk.state.rows, chunk.result
    identities = order.identity(batch.ts, reports.seq[batch.reports], reports.event_ts[batch.reports])
    judged = order.arrive(rows, batch.rows, identities, reports.ingest_ts[batch.reports])
    newest = judged == order.NEWEST
    result.statuses += _heard(batch, newest, chunk)
    new = judged != order.REPEATED
    result.repeated += len(new) - int(np.count_nonzero(new))
    result.late += int(np.count_nonzero(judged == order.LATE))

    taken = batch.take(new)
    before_ts = rows["newest_ts"][taken.rows]
    newest_ts = rows["newest_ts"][taken.rows] = np.maximum(before_ts, taken.ts)
    _close_minutes(taken, newest_ts, chunk)
    width = _width(taken, chunk)
    found = measured(chunk.values, taken.reports, width)
    _count(found, taken, newest_ts, width.sum(axis=1), chunk)
    gap_ms = np.where(before_ts > 0, newest_ts - before_ts, 0)
    _watch(found.of(newest[new]), taken, gap_ms, chunk)


def _heard(batch: _Round, newest: np.ndarray, chunk: _Chunk) -> list[DeviceStatus]:
    """Put every device online, note its faults if this is its newest report, and say what changed."""
    rows, at = chunk.state.rows, batch.rows
    ingest_ts = chunk.reports.ingest_ts[batch.reports]
    rows["heard_ts"][at] = np.maximum(rows["heard_ts"][at], ingest_ts)
    changed = rows["status"][at] != device_status.ONLINE
    if np.count_nonzero(changed):
        rows["since_ts"][at[changed]] = ingest_ts[changed]
        rows["status"][at[changed]] = device_status.ONLINE
    faulty = (rows["faulty"][at] == 1) | chunk.faulty[batch.reports]
    for number in (faulty & newest).nonzero()[0].tolist():
        changed[number] |= _note_faults(int(at[number]), int(batch.reports[number]), chunk)
    return [
        _status_event(chunk.state, int(at[number]), int(chunk.reports.offset[report]), int(chunk.reports.index[report]))
        for number in changed.nonzero()[0].tolist()
        for report in (batch.reports[number],)
    ]


def _note_faults(row: int, report: int, chunk: _Chunk) -> bool:
    """Note the faults of a device's newest report. Whether they are others than before."""
    state, found = chunk.state, chunk.reports.faults.get(report, ())
    if found == state.faults.get(row, ()):
        return False
    state.faults[row] = found
    state.rows["faulty"][row] = bool(found)
    state.rows["since_ts"][row] = chunk.reports.ingest_ts[report]
    return True


def tick(state: PartitionState, now: int) -> list[DeviceStatus]:
    """Put devices offline that have been silent for too long at `now`. Call it only while the worker is not behind."""
    size, rows = len(state), state.rows
    offline_after = _OFFLINE_AFTER_MS[rows["device_kind"][:size]]
    silent, status = device_status.silence(rows["status"][:size], rows["heard_ts"][:size], offline_after, now)
    waited = np.where(
        status == device_status.OVERDUE,
        np.maximum(device_status.OVERDUE_AFTER_MS, offline_after[silent]),
        offline_after[silent],
    )
    rows["status"][silent] = status
    rows["since_ts"][silent] = rows["heard_ts"][silent] + waited
    state.dirty[silent] = True
    return [_status_event(state, row, int(rows["offset"][row]), -1) for row in silent.tolist()]


def _status_event(state: PartitionState, row: int, offset: int, ordinal: int) -> DeviceStatus:
    rows = state.rows
    return DeviceStatus(
        v=VERSION,
        device_id=state.device_ids[row],
        device_kind=DEVICE_KINDS[rows["device_kind"][row]].name,
        test=bool(rows["test"][row]),
        status=device_status.LABELS[int(rows["status"][row])],
        faults=list(state.faults.get(row, ())),
        since_ts=int(rows["since_ts"][row]),
        source_offset=offset,
        source_ordinal=ordinal,
    )


Statistics = dict[str, dict[str, list[object]]]


def _close_minutes(taken: _Round, newest_ts: np.ndarray, chunk: _Chunk) -> None:
    state, reports = chunk.state, chunk.reports
    closed = aggregates.passed(state.minutes, taken.rows, newest_ts)
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


def _watch(found: Measured, taken: _Round, gap_ms: np.ndarray, chunk: _Chunk) -> None:
    """Show the detectors what they watch."""
    profile = chunk.state.places["profile"][taken.rows]
    for place, code in enumerate(chunk.values.codes):
        part = slice(*found.bounds[place : place + 2])
        if code not in WATCHING or part.start == part.stop:
            continue
        which, component = found.which[part], found.component[part]
        slots = chunk.state.places["first"][taken.rows, COLUMN[code]][which] + component
        shown, profiles = (slots, found.value[part], taken.ts[which], gap_ms[which]), profile[which]
        for number in WATCHING[code]:
            elements = Elements(*shown, chunk.limits.rows(DETECTORS[number].kind, profiles))
            findings = DETECTORS[number].detect(chunk.state.watched[number], elements)
            if len(findings.element):
                where = which[findings.element]
                told = _Found(number, taken.reports[where], taken.rows[where], component[findings.element], findings)
                chunk.result.alarms += [_alarm(told, one, chunk) for one in range(len(where))]


class _Found(NamedTuple):
    """What a detector found: its number, and as arrays like the findings the report, row and component of each."""

    number: int
    report: np.ndarray
    row: np.ndarray
    component: np.ndarray
    findings: Findings


def _alarm(found: _Found, place: int, chunk: _Chunk) -> Alarm:
    reports, state = chunk.reports, chunk.state
    report, row, component = (int(column[place]) for column in (found.report, found.row, found.component))
    kind, quantity = DETECTORS[found.number].kind, BY_NAME[DETECTORS[found.number].quantity]
    _, event, severity, level, value, limit, onset_ts, peak, baseline = (
        column[place].item() for column in found.findings
    )
    device_id, test = state.device_ids[row], bool(state.rows["test"][row])
    known_baseline = None if np.isnan(baseline) else baseline
    reached, happened = Severity(severity), EVENTS[event]
    return Alarm(
        v=VERSION,
        alarm_id=alarm_id(device_id, component, kind, onset_ts, test),
        event=happened,
        severity=severity,
        severity_label=reached.label,
        kind=kind,
        device_id=device_id,
        device_kind=DEVICE_KINDS[state.rows["device_kind"][row]].name,
        quantity=quantity.name,
        component=component,
        event_ts=int(reports.event_ts[report]),
        onset_ts=onset_ts,
        ingest_ts=int(reports.ingest_ts[report]),
        detected_ts=chunk.now,
        value=value,
        limit=limit,
        peak=peak,
        baseline=known_baseline,
        limit_from=chunk.limits.source(kind, int(state.places["profile"][row]), level),
        test=test,
        message=alarm_message(
            kind, happened, reached, device_id, component, quantity, value, limit, known_baseline, test
        ),
        source_offset=int(reports.offset[report]),
        source_ordinal=int(reports.index[report]) << 16 | found.number << 8 | component,
    )
