"""What orders do to a device: `obey` applies a command to its row (`detectors.control` judges it before).

A row says by its offset and index which orders it reflects, as it does of reports. So an order that comes again after a
crash, to a row that is newer than what else is known of the partition, does nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from detectors import aggregates, alarms, minutes, requests, statuses
from detectors.device_status import NO_FAULTS
from detectors.kinds import DETECTORS, residual_current_rise
from detectors.limits import LimitTable
from detectors.messages import named, order_message
from detectors.own_words import OwnSaid
from detectors.registered import whereabouts
from detectors.state import COLUMN, ROW, ROW_AT_REST, PartitionState
from schemas.alarm_kinds import WHOLE, AlarmKind
from schemas.commands import CUT_OFF_KINDS, Command, CommandKind
from schemas.device_requests import DeviceRequest
from schemas.events import VERSION, Aggregate, Alarm, AlarmEvent, DeviceStatus, Severity, alarm_id
from schemas.quantities import CODES, DEVICE_KINDS

_NO_ALARM: Final = "没有符合条件的未复位告警"
_NO_RISE: Final = "没有未复位的剩余电流异常升高告警，无须确认"
_PAST: Final = "维护的结束时间已过"
_NEVER_CUT_OFF: Final = "只有登记为充电桩或断路器的设备才能切断（GB 50116-2013第9.1.6条）"
_NOT_ALLOWED: Final = "该设备的登记没有允许远程切断"
_NO_PORT: Final = "只有充电桩有充电口，断路器只能整机切断"
_KEPT: Final = frozenset(
    {"offset", "index", "heard_ts", "since_ts", "maintained_until_ts", "window", "in_window"}
    | {"status", "device_kind", "test"}
)
"""What of a row is not of the device but of its place: it stays where the device is replaced."""


class OrderAt(NamedTuple):
    """Where in the log an order stands: the offset of its control record, its number in that, and its arrival there,
    epoch ms."""

    offset: int
    number: int
    ingest_ts: int


class Obeyed(NamedTuple):
    """Why an order was refused, empty where it was applied; and the events that follow from it, in their order."""

    reason: str = ""
    alarms: Sequence[Alarm] = ()
    aggregates: Sequence[Aggregate] = ()
    statuses: Sequence[DeviceStatus] = ()
    requests: Sequence[DeviceRequest] = ()


class _Latched(NamedTuple):
    """An open alarm: of which detector and component, its slot, and what its latch holds."""

    number: int
    component: int
    slot: int
    held: Mapping[str, Any]

    @property
    def kind(self) -> AlarmKind:
        return DETECTORS[self.number].kind


def obey(command: Command, row: int, at: OrderAt, state: PartitionState, limits: LimitTable) -> Obeyed:
    """Apply a command to the device of a row."""
    rows, limits = state.rows, state.in_force(limits)
    if (int(rows["offset"][row]), int(rows["index"][row])) >= (at.offset, at.number):
        return Obeyed()
    found = _BY_KIND[command.kind](command, row, at, state, limits)
    if not found.reason:
        rows["offset"][row], rows["index"][row] = at.offset, at.number
        state.devices.dirty[row] = True
    return found


def _reset(command: Command, row: int, at: OrderAt, state: PartitionState, limits: LimitTable) -> Obeyed:
    if command.alarm_kind and command.alarm_kind not in set(AlarmKind):
        return Obeyed(f"没有这种告警类型：{command.alarm_kind}，可以是 {'、'.join(AlarmKind)}")
    chosen = [
        one
        for one in _latched(row, command.component, state)
        if command.alarm_kind in ("", one.kind) and command.alarm_id in ("", _id_of(one, row, state))
    ]
    own = [one for one in _own(row, command, state) if command.alarm_kind in ("", one.kind)]
    if not chosen and not own:
        return Obeyed(_NO_ALARM)
    active = [f"{one.kind.about.part.told(one.component)}{one.kind.label}" for one in chosen if one.held["active"]]
    active += [f"{one.kind.about.part.told(WHOLE)}{one.kind.label}" for one in own if one.alarm.active]
    if active and not command.force:
        return Obeyed(f"告警条件仍然成立（{'、'.join(active)}），不予复位；确需复位请用强制复位（force）并说明原因")
    ended = [_end(one, AlarmEvent.RESET, command, row, at, state, limits) for one in chosen]
    return Obeyed(alarms=ended + _end_own(own, AlarmEvent.RESET, command, row, at, state))


def _accept_rise(command: Command, row: int, at: OrderAt, state: PartitionState, limits: LimitTable) -> Obeyed:
    chosen = [one for one in _latched(row, command.component, state) if one.kind is AlarmKind.RESIDUAL_CURRENT_RISE]
    if not chosen:
        return Obeyed(_NO_RISE)
    ended = [_end(one, AlarmEvent.CLOSED, command, row, at, state, limits) for one in chosen]
    for one in chosen:
        residual_current_rise.accept(state.watched[one.number], one.slot, one.held["told_value"])
    return Obeyed(alarms=ended)


def _replace(command: Command, row: int, at: OrderAt, state: PartitionState, limits: LimitTable) -> Obeyed:
    this = np.array([row])
    closed = aggregates.all_open(state.minutes, this)
    told = minutes.told(closed, state.devices, *(np.full(len(closed.row), one) for one in (at.offset, at.number)))
    ended = [
        _ended(one, event, command, row, at, state, limits)
        for one in _latched(row, None, state, waiting=True)
        for one, event in _parts(one)
    ]
    ended += _end_own(_own(row, command, state), AlarmEvent.CLOSED, command, row, at, state)
    had_faults = bool(state.told.get(row, NO_FAULTS).faults)
    state.devices.clear(this)
    for name in set(ROW.names or ()) - _KEPT:
        state.rows[name][row] = ROW_AT_REST.get(name, 0)
    changed = [statuses.status_event(state.devices, row, at.offset, at.number)] if had_faults else []
    return Obeyed(alarms=ended, aggregates=[one for _, one in told], statuses=changed)


def _maintain(command: Command, row: int, at: OrderAt, state: PartitionState, limits: LimitTable) -> Obeyed:
    if 0 < command.until_ts <= at.ingest_ts:
        return Obeyed(_PAST)
    state.rows["maintained_until_ts"][row] = command.until_ts
    return Obeyed(statuses=[statuses.status_event(state.devices, row, at.offset, at.number)])


def _cut_off(command: Command, row: int, at: OrderAt, state: PartitionState, limits: LimitTable) -> Obeyed:
    known = state.devices.known(row)
    if known is None or known.kind not in CUT_OFF_KINDS:
        return Obeyed(_NEVER_CUT_OFF)
    if not known.cut_off_allowed:
        return Obeyed(_NOT_ALLOWED)
    if known.kind != "charging_pile" and command.component not in (None, WHOLE):
        return Obeyed(_NO_PORT)
    return Obeyed(requests=[requests.cut_off(command, known.kind, *at)])


def _latched(row: int, component: int | None, state: PartitionState, waiting: bool = False) -> list[_Latched]:
    """The open alarms of a device, or of one of its components, in the order of detectors and components; with those
    that are `waiting` for a next value, if these are asked for."""
    found = []
    for number, detector in enumerate(DETECTORS):
        code = CODES[detector.quantity]
        first, width = int(state.indices["first"][row, COLUMN[code]]), int(state.rows["width"][row, code])
        for each in range(width):
            if component in (None, each) and state.watched[number]["latch"][first + each]:
                held = state.watched[number].latch_of(first + each)
                if held["severity"] or (waiting and held["provisional"]):
                    found.append(_Latched(number, each, first + each, held))
    return found


def _parts(one: _Latched) -> Iterator[tuple[_Latched, AlarmEvent]]:
    """What ends with a latch: its alarm, and what waits for a next value, as if that were one."""
    held = one.held
    if held["severity"]:
        yield one, AlarmEvent.CLOSED
    if held["provisional"]:
        value = held["provisional_value"]
        waits = {"severity": int(Severity.WARNING), "episode": held["provisional_episode"], "repeats_untold": 0}
        waits |= {"onset_ts": held["provisional_ts"], "peak": value, "told_value": value}
        yield one._replace(held={**held, **waits}), AlarmEvent.WITHDRAWN


def _own(row: int, command: Command, state: PartitionState) -> list[OwnSaid]:
    """The alarms by a device's own word that a command is about."""
    if command.component not in (None, WHOLE):
        return []
    device_id, test = state.device_ids[row], bool(state.rows["test"][row])
    held = state.told.get(row, NO_FAULTS).own
    return [
        OwnSaid(kind, AlarmEvent.OPENED, held[kind])
        for kind in AlarmKind
        if kind in held and command.alarm_id in ("", alarm_id(device_id, WHOLE, kind, held[kind].episode, test))
    ]


def _end_own(
    ended: Sequence[OwnSaid], event: AlarmEvent, command: Command, row: int, at: OrderAt, state: PartitionState
) -> list[Alarm]:
    """Let alarms by a device's own word be over, and tell it."""
    told = state.told.get(row, NO_FAULTS)
    gone = {one.kind for one in ended}
    left = {kind: told.own[kind] for kind in told.own if kind not in gone}
    statuses.put_told(row, told._replace(own=left), state.devices)
    return [
        alarms.own_alarm(
            OwnSaid(one.kind, event, one.alarm._replace(told_active=False)), row, state.devices, word="",
            ts=at.ingest_ts, ingest_ts=at.ingest_ts, by=command.by, why=command.why, source_offset=at.offset,
            source_ordinal=alarms.own_ordinal(at.number, one.kind),
        )
        for one in ended
    ]  # fmt: skip


def _id_of(one: _Latched, row: int, state: PartitionState) -> str:
    return alarm_id(state.device_ids[row], one.component, one.kind, one.held["episode"], bool(state.rows["test"][row]))


def _end(
    one: _Latched,
    event: AlarmEvent,
    command: Command,
    row: int,
    at: OrderAt,
    state: PartitionState,
    limits: LimitTable,
) -> Alarm:
    """Put an open alarm at rest, and tell it."""
    state.watched[one.number].let_rest(np.array([one.slot]))
    return _ended(one, event, command, row, at, state, limits)


def _ended(
    one: _Latched,
    event: AlarmEvent,
    command: Command,
    row: int,
    at: OrderAt,
    state: PartitionState,
    limits: LimitTable,
) -> Alarm:
    """What is told of an alarm that is over."""
    held, kind, sign = one.held, one.kind, DETECTORS[one.number].sign
    test, known = bool(state.rows["test"][row]), state.devices.known(row)
    (device_kind,) = state.devices.kinds(np.array([row])).tolist()
    profile = limits.profile(state.device_ids[row], device_kind, known, (kind.quantity, one.component))
    origin = limits.origin(kind, profile, held["severity"])
    level = "alarm" if held["severity"] == Severity.ALARM else "warning"
    limit = float(limits.columns[kind][level][profile])
    device_id = state.device_ids[row]
    return Alarm(
        v=VERSION,
        alarm_id=_id_of(one, row, state),
        event=event,
        severity=Severity.NOTICE,
        severity_label=Severity.NOTICE.label,
        kind=kind,
        device_id=device_id,
        device_kind=DEVICE_KINDS[device_kind].name,
        quantity=kind.quantity,
        component=one.component,
        episode=held["episode"],
        event_ts=at.ingest_ts,
        onset_ts=held["onset_ts"],
        ingest_ts=at.ingest_ts,
        detected_ts=0,
        by_arrival=False,
        late=False,
        value=sign * held["told_value"],
        # The level may have been switched off while the alarm was open, and JSON has no infinity.
        limit=sign * limit if np.isfinite(limit) else 0.0,
        peak=sign * held["peak"],
        baseline=_baseline(one, state),
        limit_from=origin.document,
        limit_by=origin.by,
        limit_since_ts=origin.since_ts,
        **whereabouts(known),
        test=test,
        message=order_message(
            kind, event, named(device_id, known), one.component, sign * held["peak"], test, command.by, command.why
        ),
        source_offset=at.offset,
        source_ordinal=at.number << 16 | one.number << 8 | one.component << 2 | (event == AlarmEvent.WITHDRAWN),
        severity_highest=held["severity"],
        active=False,
        repeats_untold=held["repeats_untold"],
        maintenance=at.ingest_ts < int(state.rows["maintained_until_ts"][row]),
        by=command.by,
        why=command.why,
    )


def _baseline(one: _Latched, state: PartitionState) -> float | None:
    """What the values of a component are compared with, where they are compared with any."""
    told = DETECTORS[one.number].baseline
    return None if told is None else told(state.watched[one.number], one.slot)


_BY_KIND: Final[Mapping[CommandKind, Callable[[Command, int, OrderAt, PartitionState, LimitTable], Obeyed]]] = {
    CommandKind.RESET: _reset,
    CommandKind.ACCEPT_RISE: _accept_rise,
    CommandKind.REPLACE: _replace,
    CommandKind.MAINTENANCE: _maintain,
    CommandKind.CUT_OFF: _cut_off,
}
