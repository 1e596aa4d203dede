"""The values of a round shown to the detectors, and the alarms that come of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from detectors import channels, late, own_words, stuck
from detectors.charging.ports import FAULTS, PortsOfRound
from detectors.device_status import DeviceFaults, port_fault
from detectors.findings import Elements, Finding
from detectors.inputs import Inputs
from detectors.kinds import DETECTORS
from detectors.latch import EVENTS, to_be_told
from detectors.messages import alarm_message, named, own_message
from detectors.registered import whereabouts
from detectors.rounds import Context, QuantityValues, Round
from detectors.state import PORTS, WATCHING, Devices
from schemas.alarm_kinds import WHOLE, AlarmKind
from schemas.events import VERSION, Alarm, AlarmEvent, Severity, alarm_id
from schemas.own_words import kinds_said
from schemas.quantities import CODES, KIND_CODES

PILE: Final = KIND_CODES["charging_pile"]
_OWN: Final = 255
"""In the place of a detector's number."""
_KIND_NUMBERS: Final = {kind: number for number, kind in enumerate(AlarmKind)}


def watch(shown: list[QuantityValues], ports: PortsOfRound | None, taken: Round, context: Context) -> None:
    """Show the detectors the values: the live ones in their time, the late ones by themselves; and what is known of the
    ports that they are of."""
    if not shown:
        return
    profile = _profiles(taken.row, context)
    counted = [(one, np.count_nonzero(one.live)) for one in shown]
    live_ones = [one.only(one.live) if live < len(one.live) else one for one, live in counted]
    is_pile = context.state.kinds(taken.row) == PILE
    _watch_live(live_ones, Inputs(shown, is_pile, ports), profile, taken, context)
    for one, live in counted:
        if live < len(one.live):
            _watch_late(one.only(~one.live), profile, taken, context)


def _profiles(rows: np.ndarray, context: Context) -> np.ndarray:
    """The profiles of devices in the limits, int64[k], looked up where that is still to be done."""
    state, profile = context.state, context.state.indices["profile"]
    lacking = rows[profile[rows] < 0]
    kinds, registered = state.kinds(lacking).tolist(), state.registered(lacking)
    for row, kind, known in zip(lacking.tolist(), kinds, registered, strict=True):
        about = state.device_ids[row], kind, known
        profile[row] = context.limits.profile(*about)
        own = {
            (CODES[one.quantity], one.number): context.limits.profile(*about, (one.quantity, one.number))
            for one in (known.components if known else ())
            if one.limits and one.quantity in CODES
        }
        if own:
            state.own_profiles[row], state.indices["split"][row] = own, 1
    found: np.ndarray = profile[rows]
    return found


def _of_components(profile: np.ndarray, one: QuantityValues, taken: Round, state: Devices) -> np.ndarray:
    """The profiles of values, int64[m], where these are those of their devices."""
    rows = taken.row[one.which]
    split = state.indices["split"][rows]
    if not np.count_nonzero(split):
        return profile
    profile = profile.copy()
    for number in split.nonzero()[0].tolist():
        own = state.own_profiles[int(rows[number])]
        profile[number] = own.get((one.code, int(one.component[number])), profile[number])
    return profile


def _watch_live(
    shown: list[QuantityValues], inputs: Inputs, profile: np.ndarray, taken: Round, context: Context
) -> None:
    which = np.concatenate([one.which for one in shown])
    ts, own_ts, ingest_ts = taken.ts[which], context.reports.event_ts[taken.report][which], taken.ingest_ts[which]
    tables, device_ms = context.state.channels, context.state.rows["interval_ms"][taken.row].astype(np.int64)[which]
    passed = channels.advance([(tables[one.code], one.slots) for one in shown], ts, own_ts, ingest_ts, device_ms)
    times, profile, begin = (ts, ingest_ts, *passed), profile[which], 0
    for one in shown:
        part = slice(begin, begin := begin + len(one.slots))
        if part.start == part.stop:
            continue
        if one.code in stuck.WATCHED_FOR:
            _note_stuck(one, passed.step_ms[part], passed.interval_ms[part], taken, context)
        if one.code == PORTS:
            _note_faulty(one, taken, context)
        of_values = _of_components(profile[part], one, taken, context.state)
        for number in WATCHING[one.code]:
            detector = DETECTORS[number]
            if not inputs.has(detector):
                continue
            chosen, values, others = inputs.of(detector, one)
            if not len(values):
                continue
            watched, limits = context.state.watched[number], context.limits.rows(detector.kind, of_values[chosen])
            # Nearly always nothing is to be told: that is found before anything is made ready for it.
            if detector.is_level and not to_be_told(watched, one.slots[chosen], values, limits).any():
                continue
            columns = [column[part][chosen] for column in times]
            elements = Elements._make((one.slots[chosen], values, *columns, limits, others))
            findings = detector.detect(watched, elements)
            if len(findings.element):
                _raise_alarms(number, findings.of(chosen).each(), one, taken, context)


def _note_stuck(
    one: QuantityValues, step_ms: np.ndarray, interval_ms: np.ndarray, taken: Round, context: Context
) -> None:
    """Note which sensors have said the same for a day."""
    found = stuck.note(one.code, context.state.channels[one.code], one.slots, one.value, step_ms, interval_ms)
    for word, mask in ((stuck.STUCK, found.stuck), (stuck.OPEN, found.is_open)):
        for number in mask.nonzero()[0].tolist():
            report = int(taken.report[one.which[number]])
            context.shown.setdefault(report, []).append(stuck.fault(one.code, int(one.component[number]), word))
            context.odd[report] = True


def _note_faulty(one: QuantityValues, taken: Round, context: Context) -> None:
    """Note which ports say that something of them is broken."""
    for number in np.isin(one.value, FAULTS).nonzero()[0].tolist():
        report = int(taken.report[one.which[number]])
        note = port_fault(int(one.component[number]), int(one.value[number]))
        context.shown.setdefault(report, []).append(note)
        context.odd[report] = True


def _watch_late(shown: QuantityValues, profile: np.ndarray, taken: Round, context: Context) -> None:
    state, table = context.state, context.state.channels[shown.code]
    if shown.power_on is not None:
        shown = shown.only(~shown.power_on)
    points = state.late[shown.code]
    shown = shown.only(late.note(points, table, shown.slots, taken.ts[shown.which], shown.value))
    if not len(shown.slots):
        return
    nothing = np.zeros(len(shown.slots), np.int64)
    profile = _of_components(profile[shown.which], shown, taken, state)
    times = taken.ts[shown.which], taken.ingest_ts[shown.which], nothing, nothing, nothing, nothing, nothing
    is_pile = state.kinds(taken.row[shown.which]) == PILE
    every = np.ones(len(is_pile), np.bool_)
    for number in WATCHING[shown.code]:
        detector = DETECTORS[number]
        if not detector.judges_late:
            continue
        judged = (is_pile if detector.piles_only else every).nonzero()[0]
        elements = Elements(shown.slots, shown.value, *times, context.limits.rows(detector.kind, profile)).take(judged)
        found = late.judge(detector, state.watched[number], elements, points, table)
        told = (one._replace(element=int(judged[one.element])) for one in found)
        _raise_alarms(number, told, shown, taken, context)


def _raise_alarms(number: int, found: Iterable[Finding], shown: QuantityValues, taken: Round, context: Context) -> None:
    """Tell what a detector found. Of one component it may be up to three things, one after the other."""
    before, turn = -1, 0
    for one in found:
        report = int(taken.report[shown.which[one.element]])
        row, component = int(taken.row[shown.which[one.element]]), int(shown.component[one.element])
        turn = turn + 1 if one.element == before else 0
        before = one.element
        ordinal = max(int(context.reports.index[report]), 0) << 16 | number << 8 | component << 2 | turn
        context.result_of(report).alarms.append(_alarm(number, one, row, component, report, ordinal, context))


def _alarm(number: int, one: Finding, row: int, component: int, report: int, ordinal: int, context: Context) -> Alarm:
    reports, state = context.reports, context.state
    kind, sign = DETECTORS[number].kind, DETECTORS[number].sign
    device_id, test = state.device_ids[row], bool(state.rows["test"][row])
    baseline = None if np.isnan(one.baseline) else one.baseline
    severity, happened, known = Severity(one.severity), EVENTS[one.event], state.known(row)
    profile = profile_of(row, CODES[kind.quantity], component, state)
    origin = context.limits.origin(kind, profile, one.level)
    return Alarm(
        v=VERSION,
        alarm_id=alarm_id(device_id, component, kind, one.episode, test),
        event=happened,
        severity=one.severity,
        severity_label=severity.label,
        severity_highest=one.highest,
        active=one.active,
        repeats_untold=one.untold,
        limit_by=origin.by,
        limit_since_ts=origin.since_ts,
        **whereabouts(known),
        maintenance=int(reports.ingest_ts[report]) < int(state.rows["maintained_until_ts"][row]),
        kind=kind,
        device_id=device_id,
        device_kind=state.kind_name(row),
        quantity=kind.quantity,
        component=component,
        episode=one.episode,
        event_ts=one.ts,
        onset_ts=one.onset_ts,
        ingest_ts=int(reports.ingest_ts[report]),
        detected_ts=context.now,
        by_arrival=bool(reports.by_arrival[report]),
        late=one.late,
        value=sign * one.value,
        limit=sign * one.limit,
        peak=sign * one.peak,
        baseline=baseline,
        limit_from=origin.document,
        test=test,
        message=alarm_message(
            kind,
            happened,
            severity,
            named(device_id, known),
            component,
            sign * one.value,
            sign * one.limit,
            baseline,
            test,
            one.late,
        ),
        source_offset=int(reports.offset[report]),
        source_ordinal=ordinal,
    )


def take_own_words(told: DeviceFaults, number: int, newest: bool, arrived: Round, context: Context) -> DeviceFaults:
    """Tell what the words of a new report come to that say an alarm. What is told of its device after that."""
    report, row, reports = int(arrived.report[number]), int(arrived.row[number]), context.reports
    said = kinds_said(reports.faults.get(report, ()))
    if not said and not told.own:
        return told
    ts, ingest_ts = int(arrived.ts[number]), int(arrived.ingest_ts[number])
    own, happened = own_words.take(told.own, said, newest, ts, ingest_ts)
    turns: dict[AlarmKind, int] = {}
    for one in happened:
        turns[one.kind] = turn = turns.get(one.kind, -1) + 1
        context.result_of(report).alarms.append(
            own_alarm(
                one,
                row,
                context.state,
                word=said.get(one.kind, ""),
                ts=one.alarm.recovered_ts if one.event is AlarmEvent.RECOVERED else ts,
                ingest_ts=ingest_ts,
                by_arrival=bool(reports.by_arrival[report]),
                late=not newest,
                source_offset=int(reports.offset[report]),
                source_ordinal=own_ordinal(max(int(reports.index[report]), 0), one.kind, turn),
                detected_ts=context.now,
            )
        )
    return told._replace(own=own)


def own_ordinal(index: int, kind: AlarmKind, turn: int = 0) -> int:
    """The ordinal of an event of an alarm by a device's own word: behind those of all detectors."""
    return index << 16 | _OWN << 8 | _KIND_NUMBERS[kind] << 2 | turn


def own_alarm(
    said: own_words.OwnSaid,
    row: int,
    state: Devices,
    *,
    word: str,
    ts: int,
    ingest_ts: int,
    source_offset: int,
    source_ordinal: int,
    by_arrival: bool = False,
    late: bool = False,
    detected_ts: int = 0,
    by: str = "",
    why: str = "",
) -> Alarm:
    """An event of an alarm by a device's own `word`."""
    kind, event, one = said
    device_id, test, known = state.device_ids[row], bool(state.rows["test"][row]), state.known(row)
    is_over = event not in (AlarmEvent.OPENED, AlarmEvent.REACTIVATED)
    severity = Severity.NOTICE if is_over else Severity.ALARM
    return Alarm(
        v=VERSION,
        alarm_id=alarm_id(device_id, WHOLE, kind, one.episode, test),
        event=event,
        severity=severity,
        severity_label=severity.label,
        severity_highest=Severity.ALARM,
        active=one.told_active,
        repeats_untold=one.untold,
        **whereabouts(known),
        maintenance=ingest_ts < int(state.rows["maintained_until_ts"][row]),
        kind=kind,
        device_id=device_id,
        device_kind=state.kind_name(row),
        quantity=kind.quantity,
        component=WHOLE,
        episode=one.episode,
        event_ts=ts,
        onset_ts=one.onset_ts,
        ingest_ts=ingest_ts,
        detected_ts=detected_ts,
        by_arrival=by_arrival,
        late=late,
        value=0.0,
        limit=0.0,
        peak=0.0,
        baseline=None,
        limit_from=f"设备自报：{word}" if word else "设备自报",
        test=test,
        message=own_message(kind, event, severity, named(device_id, known), word, test, late, by, why),
        source_offset=source_offset,
        source_ordinal=source_ordinal,
        by=by,
        why=why,
    )


def profile_of(row: int, code: int, component: int, state: Devices) -> int:
    """The profile of one component, once that of its device was looked up."""
    of_device = int(state.indices["profile"][row])
    return state.own_profiles.get(row, {}).get((code, component), of_device)
