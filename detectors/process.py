"""The middle of emberline: one partition's reports in, what they mean out. Pure: no Kafka, no loop, no clock.

A chunk is worked off in rounds. A round holds at most one report of each device, in the order of the records, so that
within a round every array operation touches each device and component once and the order of a device's reports stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Final, NamedTuple

import numpy as np

from detectors import aggregates, device_status, order
from detectors.latch import EVENTS, Elements, Findings
from detectors.limits import LimitTable
from detectors.messages import alarm_message
from detectors.state import DETECTORS, FAMILIES, Family, PartitionState
from schemas.events import VERSION, Aggregate, Alarm, DeviceStatus, Severity, alarm_id
from schemas.quantities import BY_NAME, CODES, DEVICE_KINDS, QUANTITIES
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
class _Round:
    """k reports of k different devices: their index in the chunk, row in the state, effective time."""

    reports: np.ndarray
    rows: np.ndarray
    ts: np.ndarray

    def take(self, which: np.ndarray) -> _Round:
        return _Round(self.reports[which], self.rows[which], self.ts[which])


class _Values(NamedTuple):
    """All values of a chunk that are there, by report: those of report i are `starts[i]:starts[i + 1]`."""

    starts: np.ndarray
    quantity: np.ndarray
    component: np.ndarray
    value: np.ndarray


class _Measured(NamedTuple):
    """m values of a round's new reports: which of the reports, its row, the value's quantity, component, value."""

    which: np.ndarray
    row: np.ndarray
    quantity: np.ndarray
    component: np.ndarray
    value: np.ndarray

    def take(self, chosen: np.ndarray) -> _Measured:
        return _Measured(*(column[chosen] for column in self))


class _Seen(NamedTuple):
    """The new reports of a round, and the time since each device's newest before it, 0 for its first."""

    batch: _Round
    gap_ms: np.ndarray


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
    values = _values_of(reports)
    for chosen in _rounds(rows[fresh]):
        which = fresh[chosen]
        _work_off(_Round(which, rows[which], ts[which]), values, reports, state, limits, now, result)
    state.rows["offset"][rows[fresh]] = reports.offset[fresh]
    state.dirty[rows[fresh]] = True
    for events in (result.alarms, result.aggregates, result.statuses):
        events.sort(key=_place)
    return result


def _look_up_limits(rows: np.ndarray, reports: Reports, state: PartitionState, limits: LimitTable) -> None:
    for report in (state.rows["profile"][rows] < 0).nonzero()[0].tolist():
        # By the row's kind and not the report's: a device that changes its kind keeps its limits, in any chunks.
        row = rows[report]
        state.rows["profile"][row] = limits.profile(reports.device_id[report], int(state.rows["device_kind"][row]))


def _place(event: Alarm | Aggregate | DeviceStatus) -> tuple[int, int]:
    return event.source_offset, event.source_ordinal


def _rounds(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Indices into `rows`: first every row's first occurrence, then every row's second, and so on."""
    by_row = np.argsort(rows, kind="stable")
    ordered = rows[by_row]
    begins = np.r_[True, ordered[1:] != ordered[:-1]].nonzero()[0] if len(rows) else np.empty(0, np.int64)
    occurrence = np.arange(len(rows)) - np.repeat(begins, np.diff(np.r_[begins, len(rows)]))
    by_round = np.argsort(occurrence, kind="stable")
    ends = np.cumsum(np.bincount(occurrence)) if len(rows) else np.empty(0, np.int64)
    for chosen in np.split(by_row[by_round], ends[:-1]) if len(rows) else ():
        yield np.sort(chosen)


def _work_off(
    batch: _Round,
    values: _Values,
    reports: Reports,
    state: PartitionState,
    limits: LimitTable,
    now: int,
    result: Result,
) -> None:
    identities = order.identity(batch.ts, reports.seq[batch.reports], reports.event_ts[batch.reports])
    judged = order.arrive(state.rows, batch.rows, identities, reports.ingest_ts[batch.reports])
    result.repeated += int(np.count_nonzero(judged == order.REPEATED))
    result.late += int(np.count_nonzero(judged == order.LATE))
    newest = judged == order.NEWEST
    result.statuses += _heard(batch, newest, reports, state)

    new = judged != order.REPEATED
    taken = batch.take(new)
    before_ts = state.rows["newest_ts"][taken.rows]
    newest_ts = state.rows["newest_ts"][taken.rows] = np.maximum(before_ts, taken.ts)
    closed = aggregates.close(state.rows["minutes"], taken.rows, newest_ts)
    result.aggregates += _aggregates(closed, taken, reports, state)
    bucket = aggregates.open_bucket(state.rows["minutes"], taken.rows, taken.ts, newest_ts)
    gap_ms = np.where(before_ts > 0, newest_ts - before_ts, 0)
    measured = _measured(values, taken, state)
    _count(measured, taken, bucket, state)
    shown = measured.take(newest[new][measured.which])
    for number, family in enumerate(FAMILIES):
        result.alarms += _watch(number, family, shown, _Seen(taken, gap_ms), reports, state, limits, now)


def _heard(batch: _Round, newest: np.ndarray, reports: Reports, state: PartitionState) -> list[DeviceStatus]:
    """Put every device online, note its faults if this is its newest report, and say what changed."""
    rows = state.rows
    ingest_ts = reports.ingest_ts[batch.reports]
    returned = rows["status"][batch.rows] != device_status.ONLINE
    rows["since_ts"][batch.rows[returned]] = ingest_ts[returned]
    rows["status"][batch.rows] = device_status.ONLINE
    rows["heard_ts"][batch.rows] = np.maximum(rows["heard_ts"][batch.rows], ingest_ts)
    faulty = rows["faulty"][batch.rows] == 1
    if reports.faults:
        faulty |= np.isin(batch.reports, list(reports.faults))
    changed = returned.copy()
    for number in (faulty & newest).nonzero()[0].tolist():
        row = int(batch.rows[number])
        found = reports.faults.get(int(batch.reports[number]), ())
        if found != state.faults.get(row, ()):
            state.faults[row] = found
            rows[row]["faulty"] = bool(found)
            rows[row]["since_ts"] = ingest_ts[number]
            changed[number] = True
    return [
        _status_event(state, int(batch.rows[number]), int(reports.offset[report]), int(reports.index[report]))
        for number in changed.nonzero()[0].tolist()
        for report in (batch.reports[number],)
    ]


def tick(state: PartitionState, now: int) -> list[DeviceStatus]:
    """Put devices offline that have been silent for too long at `now`. Call it only while the worker is not behind."""
    size = len(state)
    rows = state.rows[:size]
    offline_after = _OFFLINE_AFTER_MS[rows["device_kind"]]
    silent, status = device_status.silence(rows["status"], rows["heard_ts"], offline_after, now)
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
    held = state.rows[row]
    return DeviceStatus(
        v=VERSION,
        device_id=state.device_ids[row],
        device_kind=DEVICE_KINDS[held["device_kind"]].name,
        test=bool(held["test"]),
        status=device_status.LABELS[int(held["status"])],
        faults=list(state.faults.get(row, ())),
        since_ts=int(held["since_ts"]),
        source_offset=offset,
        source_ordinal=ordinal,
    )


Statistics = dict[str, dict[str, list[object]]]


def _aggregates(closed: aggregates.Closed, batch: _Round, reports: Reports, state: PartitionState) -> list[Aggregate]:
    if not len(closed.row):
        return []
    return [
        Aggregate(
            v=VERSION,
            device_id=state.device_ids[row],
            device_kind=DEVICE_KINDS[state.rows[row]["device_kind"]].name,
            test=bool(state.rows[row]["test"]),
            minute_ts=minute_ts,
            quantities=statistics,
            source_offset=int(reports.offset[report]),
            source_ordinal=int(reports.index[report]) << 1 | bucket,
        )
        for statistics, row, minute_ts, bucket, report in zip(
            _taken(closed, state),
            closed.row.tolist(),
            closed.minute_ts.tolist(),
            closed.bucket.tolist(),
            batch.reports[closed.report].tolist(),
            strict=True,
        )
        if statistics
    ]


def _taken(closed: aggregates.Closed, state: PartitionState) -> list[Statistics]:
    """Empty the buckets of the closed minutes; the statistics of each, by quantity."""
    taken: list[Statistics] = [{} for _ in closed.row]
    minute, quantity = np.nonzero(state.width[closed.row])
    width = state.width[closed.row[minute], quantity]
    ends = np.cumsum(width)
    run = np.repeat(np.arange(len(width)), width)
    slots = state.aggregates.first[closed.row[minute], quantity][run] + np.arange(len(run)) - (ends - width)[run]
    statistics = aggregates.take(state.aggregates.table, slots, closed.bucket[minute][run])
    begin = 0
    for number, code, end in zip(minute.tolist(), quantity.tolist(), ends.tolist(), strict=True):
        if any(statistics["count"][begin:end]):
            part = {name: column[begin:end] for name, column in statistics.items()}
            taken[number][QUANTITIES[code].name] = part
        begin = end
    return taken


def _values_of(reports: Reports) -> _Values:
    """Once a chunk, so that its rounds only pick: every quantity's values, without the absent ones, by report."""
    report, quantity, component, value = [], [], [], []
    for name, ragged in reports.quantities.items():
        there = np.isfinite(ragged.values).nonzero()[0]
        of_report = np.repeat(np.arange(len(reports)), ragged.counts)[there]
        report.append(of_report)
        quantity.append(np.full(len(there), CODES[name]))
        component.append(there - ragged.starts[of_report])
        value.append(ragged.values[there])
    if not report:
        nothing = np.empty(0, np.int64)
        return _Values(np.zeros(len(reports) + 1, np.int64), nothing, nothing, nothing)
    by_report = np.concatenate(report)
    order_of = np.argsort(by_report, kind="stable")
    starts = np.searchsorted(by_report[order_of], np.arange(len(reports) + 1))
    columns = (np.concatenate(parts)[order_of] for parts in (quantity, component, value))
    return _Values(starts, *columns)


def _measured(values: _Values, batch: _Round, state: PartitionState) -> _Measured:
    """The values of a round's reports; there is room in the state for all of them."""
    begins = values.starts[batch.reports]
    counts = values.starts[batch.reports + 1] - begins
    which = np.repeat(np.arange(len(counts)), counts)
    at = np.arange(len(which)) + (begins - (np.cumsum(counts) - counts))[which]
    found = _Measured(which, batch.rows[which], values.quantity[at], values.component[at], values.value[at])
    short = found.take(found.component >= state.width[found.row, found.quantity])
    width: dict[tuple[int, int], int] = {}
    for row, quantity, component in zip(*(column.tolist() for column in short[1:4]), strict=True):
        width[row, quantity] = max(width.get((row, quantity), 0), component + 1)
    for (row, quantity), wanted in width.items():
        state.make_room(row, quantity, wanted)
    return found


def _count(measured: _Measured, batch: _Round, bucket: np.ndarray, state: PartitionState) -> None:
    """Count the values in their minute, where it is open."""
    counted = measured.take(bucket[measured.which] >= 0)
    space = state.aggregates
    slots = space.first[counted.row, counted.quantity] + counted.component
    aggregates.add(space.table, slots, bucket[counted.which], batch.ts[counted.which], counted.value)


def _watch(
    number: int,
    family: Family,
    measured: _Measured,
    seen: _Seen,
    reports: Reports,
    state: PartitionState,
    limits: LimitTable,
    now: int,
) -> list[Alarm]:
    """Show the values a family of detectors watches to it."""
    column = family.column[measured.quantity]
    watched = (column >= 0).nonzero()[0]
    if not len(watched):
        return []
    which, row, quantity, component, value = measured.take(watched)
    space = state.watched[number]
    slots = space.first[row, column[watched]] + component
    limit = limits.table[family.kind[quantity], state.rows["profile"][row]]
    findings = family.detect(space.table, Elements(slots, value, seen.batch.ts[which], seen.gap_ms[which], limit))
    if not len(findings.element):
        return []
    found = _Found(
        number=family.number[quantity][findings.element],
        report=seen.batch.reports[which][findings.element],
        row=row[findings.element],
        component=component[findings.element],
        findings=findings,
    )
    return [_alarm(found, place, reports, state, limits, now) for place in range(len(findings.element))]


class _Found(NamedTuple):
    """What a family found: the detector's number, the report, row and component, as arrays like the findings."""

    number: np.ndarray
    report: np.ndarray
    row: np.ndarray
    component: np.ndarray
    findings: Findings


def _alarm(found: _Found, place: int, reports: Reports, state: PartitionState, limits: LimitTable, now: int) -> Alarm:
    number, report, row, component = (int(column[place]) for column in found[:4])
    kind, quantity = DETECTORS[number].kind, BY_NAME[DETECTORS[number].quantity]
    _, event, severity, level, value, limit, onset_ts, peak, baseline = (
        column[place].item() for column in found.findings
    )
    device_id, test = state.device_ids[row], bool(state.rows[row]["test"])
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
        device_kind=DEVICE_KINDS[state.rows[row]["device_kind"]].name,
        quantity=quantity.name,
        component=component,
        event_ts=int(reports.event_ts[report]),
        onset_ts=onset_ts,
        ingest_ts=int(reports.ingest_ts[report]),
        detected_ts=now,
        value=value,
        limit=limit,
        peak=peak,
        baseline=known_baseline,
        limit_from=limits.source(kind, int(state.rows[row]["profile"]), level),
        test=test,
        message=alarm_message(
            kind, happened, reached, device_id, component, quantity, value, limit, known_baseline, test
        ),
        source_offset=int(reports.offset[report]),
        source_ordinal=int(reports.index[report]) << 16 | number << 8 | component,
    )
