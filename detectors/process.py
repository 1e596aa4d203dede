"""The middle of emberline: one partition's reports in, what they mean out. Pure: no Kafka, no loop, no clock.

A chunk is worked off in rounds. A round holds at most one report of each device, in the order of the records, so that
within a round every array operation touches each device and component once and the order of a device's reports stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from detectors import aggregates, device_status, order
from detectors.latch import EVENTS, Elements, Findings
from detectors.limits import LimitTable
from detectors.messages import alarm_message
from detectors.state import DETECTORS, Components, Detector, PartitionState
from schemas.events import VERSION, Aggregate, Alarm, DeviceStatus, Severity, alarm_id
from schemas.quantities import BY_NAME, DEVICE_KINDS, QUANTITIES
from schemas.reports import Ragged, Reports

_DETECTORS_OF: Final = {
    quantity.name: [
        (number, detector) for number, detector in enumerate(DETECTORS) if detector.quantity == quantity.name
    ]
    for quantity in QUANTITIES
}
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


@dataclass(frozen=True, slots=True)
class _Round:
    """k reports of k different devices: their index in the chunk, row in the state, effective time."""

    reports: np.ndarray
    rows: np.ndarray
    ts: np.ndarray

    def take(self, which: np.ndarray) -> _Round:
        return _Round(self.reports[which], self.rows[which], self.ts[which])


@dataclass(frozen=True, slots=True)
class _Measured:
    """The new reports of a round, and per report: its aggregate's bucket or -1, whether it is its device's newest, and
    the time since the device's newest before it, 0 for its first."""

    batch: _Round
    bucket: np.ndarray
    newest: np.ndarray
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
    fresh = np.flatnonzero(reports.offset > state.rows["offset"][rows])
    ts = order.effective_ts(reports.event_ts, reports.ingest_ts)
    result.skipped = len(reports) - len(fresh)
    result.clock_ahead = int(np.count_nonzero(ts[fresh] != reports.event_ts[fresh]))
    for chosen in _rounds(rows[fresh]):
        which = fresh[chosen]
        _work_off(_Round(which, rows[which], ts[which]), reports, state, limits, now, result)
    state.rows["offset"][rows[fresh]] = reports.offset[fresh]
    state.dirty[rows[fresh]] = True
    for events in (result.alarms, result.aggregates, result.statuses):
        events.sort(key=_place)
    return result


def _look_up_limits(rows: np.ndarray, reports: Reports, state: PartitionState, limits: LimitTable) -> None:
    for report in np.flatnonzero(state.rows["profile"][rows] < 0).tolist():
        # By the row's kind and not the report's: a device that changes its kind keeps its limits, in any chunks.
        row = rows[report]
        state.rows["profile"][row] = limits.profile(reports.device_id[report], int(state.rows["device_kind"][row]))


def _place(event: Alarm | Aggregate | DeviceStatus) -> tuple[int, int]:
    return event.source_offset, event.source_ordinal


def _rounds(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Indices into `rows`: first every row's first occurrence, then every row's second, and so on."""
    by_row = np.argsort(rows, kind="stable")
    ordered = rows[by_row]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(rows) else np.empty(0, np.int64)
    occurrence = np.arange(len(rows)) - np.repeat(begins, np.diff(np.r_[begins, len(rows)]))
    by_round = np.argsort(occurrence, kind="stable")
    ends = np.cumsum(np.bincount(occurrence)) if len(rows) else np.empty(0, np.int64)
    for chosen in np.split(by_row[by_round], ends[:-1]) if len(rows) else ():
        yield np.sort(chosen)


def _work_off(
    batch: _Round, reports: Reports, state: PartitionState, limits: LimitTable, now: int, result: Result
) -> None:
    identities = order.identity(batch.ts, reports.seq[batch.reports], reports.event_ts[batch.reports])
    judged = order.arrive(state.rows["remembered"], batch.rows, identities)
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
    measured = _Measured(taken, bucket, newest[new], gap_ms)
    for name, ragged in reports.quantities.items():
        result.alarms += _measure(name, ragged, measured, reports, state, limits, now)


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
    for number in np.flatnonzero(faulty & newest).tolist():
        row = int(batch.rows[number])
        found = reports.faults.get(int(batch.reports[number]), ())
        if found != state.faults.get(row, ()):
            state.faults[row] = found
            rows[row]["faulty"] = bool(found)
            rows[row]["since_ts"] = ingest_ts[number]
            changed[number] = True
    return [
        _status_event(state, int(batch.rows[number]), int(reports.offset[report]), int(reports.index[report]))
        for number in np.flatnonzero(changed).tolist()
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


def _aggregates(closed: aggregates.Closed, batch: _Round, reports: Reports, state: PartitionState) -> list[Aggregate]:
    if not len(closed.row):
        return []
    quantities: list[dict[str, dict[str, list[object]]]] = [{} for _ in closed.row]
    for name, components in state.components.items():
        _take_quantity(name, components, closed, quantities)
    return [
        Aggregate(
            v=VERSION,
            device_id=state.device_ids[row],
            device_kind=DEVICE_KINDS[state.rows[row]["device_kind"]].name,
            test=bool(state.rows[row]["test"]),
            minute_ts=minute_ts,
            quantities=of_device,
            source_offset=int(reports.offset[report]),
            source_ordinal=int(reports.index[report]) << 1 | bucket,
        )
        for of_device, row, minute_ts, bucket, report in zip(
            quantities,
            closed.row.tolist(),
            closed.minute_ts.tolist(),
            closed.bucket.tolist(),
            batch.reports[closed.report].tolist(),
            strict=True,
        )
        if of_device
    ]


def _take_quantity(
    name: str,
    components: Components,
    closed: aggregates.Closed,
    quantities: list[dict[str, dict[str, list[object]]]],
) -> None:
    """Empty the closed buckets of one quantity into the dict of each closed minute."""
    if not components.used:
        return
    width = components.width[closed.row]
    ends = np.cumsum(width)
    which = np.repeat(np.arange(len(width)), width)
    slots = components.first[closed.row][which] + np.arange(len(which)) - (ends - width)[which]
    statistics = aggregates.take(components.tables[0], slots, closed.bucket[which])
    begin = 0
    for number, end in enumerate(ends.tolist()):
        if end > begin and any(statistics["count"][begin:end]):
            quantities[number][name] = {key: column[begin:end] for key, column in statistics.items()}
        begin = end


def _measure(
    name: str,
    ragged: Ragged,
    measured: _Measured,
    reports: Reports,
    state: PartitionState,
    limits: LimitTable,
    now: int,
) -> list[Alarm]:
    """Count one quantity's values of a round, and show those of newest reports to the quantity's detectors."""
    batch, bucket = measured.batch, measured.bucket
    which, component, values = ragged.of(batch.reports)
    present = np.isfinite(values)
    if not present.any():
        return []
    which, component, values = which[present], component[present], values[present]
    components = state.components[name]
    _make_room(components, batch.rows[which], component)
    slots = components.first[batch.rows[which]] + component
    counted = bucket[which] >= 0
    aggregates.add(
        components.tables[0], slots[counted], bucket[which][counted], batch.ts[which][counted], values[counted]
    )
    if not (detectors := _DETECTORS_OF[name]):
        return []
    shown = measured.newest[which]
    which, component, values, slots = which[shown], component[shown], values[shown], slots[shown]
    profiles = state.rows["profile"][batch.rows[which]]
    alarms: list[Alarm] = []
    for table, (number, detector) in zip(components.tables[1:], detectors, strict=True):
        elements = Elements(slots, values, batch.ts[which], measured.gap_ms[which], limits.of[detector.kind][profiles])
        findings = detector.detect(table, elements)
        if len(findings.element):
            found = _Found(number, detector, which[findings.element], component[findings.element], findings)
            alarms += _alarms(found, batch, reports, state, limits, now)
    return alarms


def _make_room(components: Components, rows: np.ndarray, component: np.ndarray) -> None:
    short = component >= components.width[rows]
    # Backwards: a row's highest component comes last, so that the row grows once and wastes no slots.
    for row, highest in zip(rows[short][::-1].tolist(), component[short][::-1].tolist(), strict=True):
        components.widen(row, highest + 1)


@dataclass(frozen=True, slots=True)
class _Found:
    """What one detector found: `which` of the round's reports and which component, as arrays like the findings."""

    number: int
    detector: Detector
    which: np.ndarray
    component: np.ndarray
    findings: Findings


def _alarms(
    found: _Found, batch: _Round, reports: Reports, state: PartitionState, limits: LimitTable, now: int
) -> list[Alarm]:
    return [
        _alarm(found, number, int(batch.reports[which]), int(batch.rows[which]), reports, state, limits, now)
        for number, which in enumerate(found.which.tolist())
    ]


def _alarm(
    found: _Found,
    number: int,
    report: int,
    row: int,
    reports: Reports,
    state: PartitionState,
    limits: LimitTable,
    now: int,
) -> Alarm:
    kind, quantity = found.detector.kind, BY_NAME[found.detector.quantity]
    _, event, severity, level, value, limit, onset_ts, peak, baseline = (
        column[number].item() for column in found.findings
    )
    component = int(found.component[number])
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
        source_ordinal=int(reports.index[report]) << 16 | found.number << 8 | component,
    )
