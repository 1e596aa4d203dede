"""What a status tells of devices: whether they are heard, and what is wrong with them (`detectors.device_status`)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from detectors import alarms, device_status
from detectors.device_status import NO_FAULTS, DeviceFaults
from detectors.log_time import LogTime
from detectors.rounds import NOT_FITTED, POWER_ON, WATCHED_CODES, Context, Round
from detectors.state import COLUMN, Devices, PartitionState
from schemas.events import VERSION, DeviceStatus
from schemas.quantities import DEVICE_KINDS, QUANTITIES
from schemas.report_rules import Reason
from schemas.reports import Reports

SOONEST_MS: Final = min(device_status.OFFLINE_AFTER_MS.values())
"""No device is offline before."""
FIRST_SILENT: Final = -1
"""Statuses of silence have ordinals below this one: that of all of them before they had positions."""
_AT_TIMES: Final = np.array(
    [[QUANTITIES[code].name in kind.at_times for code in WATCHED_CODES] for kind in DEVICE_KINDS]
)
"""By kind of device, which watched quantities it only sends while something goes on."""
_OFFLINE_AFTER_MS: Final = np.array([device_status.OFFLINE_AFTER_MS[kind.name] for kind in DEVICE_KINDS])


class _Unjudged(NamedTuple):
    """What is wrong with devices at the reports of a round, found for all of them at once: bool[k] each, but
    `not_judged`, bool[k, watched]."""

    no_values: np.ndarray
    not_judged: np.ndarray
    flaps: np.ndarray


def tell(arrived: Round, fresh: np.ndarray, newest: np.ndarray, returned: np.ndarray, context: Context) -> None:
    """Note what is wrong with the devices, and tell of which something has changed. `fresh` are the reports that are
    new, and `newest` those that are their devices' newest, bool[k] each."""
    state, reports = context.state, context.reports
    wrong, lost = _wrong(arrived, context), _lost(arrived, context)
    looked = (
        (state.rows["told"][arrived.row] == 1)
        | context.odd[arrived.report]
        | wrong.no_values
        | wrong.not_judged.any(axis=1)
        | wrong.flaps
    )
    looked[list(lost)] = True
    changed = returned.copy()
    for number in looked.nonzero()[0].tolist():
        row, report = int(arrived.row[number]), int(arrived.report[number])
        notes = [*_notes(report, context), *lost.get(number, ())]
        if wrong.no_values[number]:
            notes.append("no_values")
        if wrong.flaps[number]:
            notes.append("flapping")
        notes += [device_status.not_judged(int(WATCHED_CODES[at])) for at in wrong.not_judged[number].nonzero()[0]]
        words = reports.faults.get(report, ()) if newest[number] else None
        before = state.told.get(row, NO_FAULTS)
        told = device_status.heard(before, words, notes, int(arrived.ingest_ts[number]), _measures(report, reports))
        if fresh[number]:
            told = alarms.take_own_words(told, number, bool(newest[number]), arrived, context)
        put_told(row, told, state)
        if told.faults != before.faults:
            changed[number] = True
            state.rows["since_ts"][row] = arrived.ingest_ts[number]
    for number in changed.nonzero()[0].tolist():
        report = int(arrived.report[number])
        place = int(reports.offset[report]), max(int(reports.index[report]), 0)
        context.result_of(report).statuses.append(status_event(state, int(arrived.row[number]), *place))


def put_told(row: int, told: DeviceFaults, state: Devices) -> None:
    """Have this told of the device of a row."""
    if told == NO_FAULTS:
        state.told.pop(row, None)
    else:
        state.told[row] = told
    state.rows["told"][row] = told != NO_FAULTS


def _measures(report: int, reports: Reports) -> Callable[[str, int], bool]:
    """Whether a report has a value of a component."""

    def measures(quantity: str, component: int) -> bool:
        ragged = reports.quantities.get(quantity)
        if ragged is None or component >= ragged.starts[report + 1] - ragged.starts[report]:
            return False
        return not np.isnan(ragged.values[ragged.starts[report] + component])

    return measures


def _notes(report: int, context: Context) -> list[str]:
    """What is wrong with a report by itself."""
    reports = context.reports
    if not context.odd[report]:
        return []
    flood = ["floods"] if report in context.flooding else []
    if reports.rejected[report]:
        return ["rejected", *flood]
    first, last = np.searchsorted(reports.marks.report, (report, report + 1)).tolist()
    marks = zip(*(column[first:last].tolist() for column in reports.marks[1:4]), strict=True)
    faults = [
        device_status.sensor_fault(quantity, component, Reason(reason))
        for quantity, component, reason in marks
        if reason not in (NOT_FITTED, POWER_ON)
    ]
    return [*reports.notes.get(report, ()), *faults, *context.shown.get(report, ()), *flood]


def _wrong(arrived: Round, context: Context) -> _Unjudged:
    rows, at = context.state.rows, arrived.row
    after_ms = _offline_after(context.state, at)
    read, valued = ~context.reports.rejected[arrived.report], context.valued[arrived.report]
    valued_ts = rows["valued_ts"][at]
    no_values = read & ~valued & ((valued_ts == 0) | (arrived.ingest_ts - valued_ts > after_ms))
    rows["valued_ts"][at] = np.where(read & valued, arrived.ingest_ts, valued_ts)
    judged_ts = rows["judged_ts"][at]
    # A quantity may come more seldom than its device's reports; one that came once may be any seldom.
    kinds, every_ms = context.state.kinds(at), rows["judged_every_ms"][at]
    default_ms = _OFFLINE_AFTER_MS[kinds][:, None]
    every_ms = np.where(every_ms > 0, every_ms, device_status.OFFLINE_MOST_MS)
    bound_ms = device_status.offline_after(default_ms, every_ms)
    missed = (judged_ts > 0) & (arrived.ingest_ts[:, None] - judged_ts > bound_ms) & ~_AT_TIMES[kinds]
    flaps = device_status.flaps(rows["returns"][at], rows["returns_ts"][at], arrived.ingest_ts)
    return _Unjudged(no_values, missed, flaps)


def _lost(arrived: Round, context: Context) -> dict[int, list[str]]:
    """By number in the round, notes of components that say they are not fitted though they have measured."""
    state, (report, quantity, component, *_) = context.state, context.unfitted
    if not len(report):
        return {}
    number_of = np.full(len(context.reports), -1)
    number_of[arrived.report] = np.arange(len(arrived.report))
    number = number_of[report]
    held = ((number >= 0) & (component < state.rows["width"][arrived.row[number], quantity])).nonzero()[0]
    found: dict[int, list[str]] = {}
    for at, code, one in zip(*(column[held].tolist() for column in (number, quantity, component)), strict=True):
        slot = int(state.indices["first"][arrived.row[at], COLUMN[code]]) + one
        if state.channels[code]["ingest_ts"][slot] > 0:
            found.setdefault(at, []).append(device_status.sensor_fault(code, one, Reason.NOT_FITTED))
    return found


def _offline_after(state: Devices, rows: np.ndarray) -> np.ndarray:
    default_ms = _OFFLINE_AFTER_MS[state.kinds(rows)]
    interval_ms = np.maximum(state.rows["interval_ms"][rows], state.indices["interval_ms"][rows])
    return device_status.offline_after(default_ms, interval_ms)


def check_silence(
    state: PartitionState, before_ts: int, ts: int, offset: int, gone: Collection[tuple[str, bool]] = ()
) -> list[DeviceStatus]:
    """Put devices offline that are silent for too long when the log's time goes from `before_ts` to `ts`, by the record
    at `offset`. Those that are `gone` report to another partition by now: they are forgotten here, and nothing is told.

    Their events stand before all others of that record. They are in the order of the devices' ids: rows may lie
    otherwise after a restart. A device that is gone leaves a position out: all others have theirs in any case.
    """
    log, rows = state.log, state.rows
    silent = _silent_at(state, log, before_ts, ts)
    rows["status"][silent.row] = silent.status
    rows["since_ts"][silent.row] = silent.since_ts
    state.devices.dirty[silent.row] = True
    devices = dict(zip(silent.row.tolist(), state.names(silent.row), strict=True))
    ordered = sorted(devices, key=devices.__getitem__)
    told = [
        status_event(state.devices, row, offset, ordinal)
        for ordinal, row in enumerate(ordered, FIRST_SILENT - len(ordered))
        if devices[row] not in gone
    ]
    state.forget(np.array([row for row in ordered if devices[row] in gone], np.int64))
    due_ts = silent_until(state)
    # Who is heard from now on is not silent for long enough before the shortest of all times.
    log.due_ts = min(log.ts + SOONEST_MS, log.ts + SOONEST_MS if due_ts is None else due_ts)
    return told


def silent_at(state: PartitionState, before_ts: int, ts: int) -> list[tuple[str, bool]]:
    """The devices that `check_silence` would put offline; nothing is changed."""
    return state.names(_silent_at(state, replace(state.log), before_ts, ts).row)


class _Silent(NamedTuple):
    """Rows that silence moves to another status, and since when that holds, epoch ms: int64[k] each."""

    row: np.ndarray
    status: np.ndarray
    since_ts: np.ndarray


def _silent_at(state: PartitionState, log: LogTime, before_ts: int, ts: int) -> _Silent:
    """Who is silent for too long when `log`, which is moved on, reaches `ts`."""
    rows, held = state.rows, state.held()
    log.reach(before_ts)
    log.wake(ts)
    heard_ts, offline_after = np.maximum(rows["heard_ts"][held], log.awake_ts), _offline_after(state.devices, held)
    found, status = device_status.silence(rows["status"][held], heard_ts, offline_after, log.ts)
    waited = np.where(
        status == device_status.OVERDUE,
        np.maximum(device_status.OVERDUE_AFTER_MS, offline_after[found]),
        offline_after[found],
    )
    return _Silent(held[found], status, heard_ts[found] + waited)


def silent_until(state: PartitionState) -> int | None:
    """When silence next puts a device offline if nobody is heard until then; None where never."""
    rows, held = state.rows, state.held()
    if not len(held):
        return None
    offline_after = _offline_after(state.devices, held)
    overdue_after = np.maximum(device_status.OVERDUE_AFTER_MS, offline_after)
    waits = np.where(rows["status"][held] == device_status.ONLINE, offline_after, overdue_after)
    due = np.maximum(rows["heard_ts"][held], state.log.awake_ts) + waits
    due = due[(rows["status"][held] >= device_status.ONLINE) & (rows["status"][held] < device_status.OVERDUE)]
    return int(due.min()) if len(due) else None


def is_due(state: PartitionState, ts: float) -> bool:
    """Whether somebody is silent for long enough at the log's time `ts` if nobody is heard until then."""
    return ts >= state.log.due_ts and (due_ts := silent_until(state)) is not None and ts >= due_ts


def status_event(state: Devices, row: int, offset: int, ordinal: int) -> DeviceStatus:
    """The status of a device, told at a place in the log."""
    rows = state.rows
    return DeviceStatus(
        v=VERSION,
        device_id=state.device_ids[row],
        device_kind=state.kind_name(row),
        test=bool(rows["test"][row]),
        status=device_status.LABELS[int(rows["status"][row])],
        faults=state.told.get(row, NO_FAULTS).faults,
        since_ts=int(rows["since_ts"][row]),
        source_offset=offset,
        source_ordinal=ordinal,
        maintained_until_ts=int(rows["maintained_until_ts"][row]),
    )
