"""What orders do to a device, by their rules as they are written down: the twin of `detectors.control.commands`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import structs

from detectors.detector import Twin
from detectors.kinds.residual_current_rise import Risen
from detectors.messages import named, order_message
from detectors.twin.devices import NUMBERS, Device, status
from detectors.twin.latches import First, Latch
from detectors.twin.minutes import closed
from detectors.twin.own_words import OwnWord, own_event
from detectors.twin.registry import TwinRegistry
from schemas.alarm_kinds import AlarmKind
from schemas.commands import Command
from schemas.events import VERSION, Aggregate, Alarm, AlarmEvent, DeviceStatus, Severity, alarm_id


@dataclass
class TwinObeyed:
    """What came of an order: why it was refused, or what follows from it."""

    reason: str = ""
    alarms: list[Alarm] = field(default_factory=list)
    aggregates: list[Aggregate] = field(default_factory=list)
    statuses: list[DeviceStatus] = field(default_factory=list)


class TwinOrderAt(NamedTuple):
    """Where an order stands, and when it came."""

    offset: int
    number: int
    ingest_ts: int


class OpenAlarm(NamedTuple):
    """An alarm that nobody has reset."""

    kind: AlarmKind
    quantity: str
    component: int
    twin: Twin
    latch: Latch


def obey(command: Command, device: Device, at: TwinOrderAt, registry: TwinRegistry) -> TwinObeyed:
    """Apply a command to a device."""
    if device.reflects >= (at.offset, at.number):
        return TwinObeyed()
    found = {"reset": _reset, "accept_rise": _accept_rise, "replace": _replace, "maintenance": _maintain}[command.kind](
        command, device, at, registry
    )
    if found.reason == "":
        device.reflects = at.offset, at.number
    return found


def _reset(command: Command, device: Device, at: TwinOrderAt, registry: TwinRegistry) -> TwinObeyed:
    kinds = [str(kind) for kind in AlarmKind]
    if command.alarm_kind and command.alarm_kind not in kinds:
        return TwinObeyed(f"没有这种告警类型：{command.alarm_kind}，可以是 {'、'.join(kinds)}")
    chosen = []
    for one in _open(device, command.component):
        its_id = alarm_id(device.device_id, one.component, one.kind, one.latch.episode, device.test)
        if command.alarm_kind not in ("", one.kind) or command.alarm_id not in ("", its_id):
            continue
        chosen.append(one)
    own = {kind: one for kind, one in _own(command, device) if command.alarm_kind in ("", kind)}
    if not chosen and not own:
        return TwinObeyed("没有符合条件的未复位告警")
    active = [f"{one.kind.about.part.told(one.component)}{one.kind.label}" for one in chosen if one.latch.active]
    active += [f"整机{kind.label}" for kind, one in own.items() if one.active]
    if active and not command.force:
        return TwinObeyed(f"告警条件仍然成立（{'、'.join(active)}），不予复位；确需复位请用强制复位（force）并说明原因")
    ended = [_end(one, AlarmEvent.RESET, command, device, at, registry) for one in chosen]
    return TwinObeyed(alarms=ended + _end_own(own, AlarmEvent.RESET, command, device, at, registry))


def _accept_rise(command: Command, device: Device, at: TwinOrderAt, registry: TwinRegistry) -> TwinObeyed:
    chosen = [one for one in _open(device, command.component) if one.kind == "residual_current_rise"]
    if not chosen:
        return TwinObeyed("没有未复位的剩余电流异常升高告警，无须确认")
    ended = []
    for one in chosen:
        risen_ma = one.latch.told_value
        ended.append(_end(one, AlarmEvent.CLOSED, command, device, at, registry))
        if isinstance(one.twin, Risen):
            one.twin.accept(risen_ma)
    return TwinObeyed(alarms=ended)


def _replace(command: Command, device: Device, at: TwinOrderAt, registry: TwinRegistry) -> TwinObeyed:
    aggregates = closed(device, at.offset, at.number, everything=True)
    withdrawn = [_withdraw(one, first, command, device, at, registry) for one, first in _waiting(device)]
    ended = [_end(one, AlarmEvent.CLOSED, command, device, at, registry) for one in _open(device, None)]
    ended += _end_own(dict(_own(command, device)), AlarmEvent.CLOSED, command, device, at, registry)
    had_faults = bool(device.words or device.notes)
    fresh = Device(device.device_id, device.own_kind, device.test)
    stays = (
        "reflects",
        "heard_ts",
        "since_ts",
        "maintained_until_ts",
        "window",
        "in_window",
        "status",
        "registered_interval_ms",
        "registered_kind",
    )
    for name in fresh.__dataclass_fields__:
        if name not in ("device_id", "own_kind", "test", *stays):
            setattr(device, name, getattr(fresh, name))
    statuses = [status(device, at.offset, at.number)] if had_faults else []
    alarms = sorted([*ended, *withdrawn], key=lambda alarm: alarm.source_ordinal)
    return TwinObeyed(alarms=alarms, aggregates=aggregates, statuses=statuses)


def _maintain(command: Command, device: Device, at: TwinOrderAt, registry: TwinRegistry) -> TwinObeyed:
    if command.until_ts != 0 and command.until_ts <= at.ingest_ts:
        return TwinObeyed("维护的结束时间已过")
    device.maintained_until_ts = command.until_ts
    return TwinObeyed(statuses=[status(device, at.offset, at.number)])


def _open(device: Device, component: int | None) -> Iterator[OpenAlarm]:
    """The open alarms, by detector and component."""
    for one in _latches(device):
        if one.latch.severity is not None and component in (None, one.component):
            yield one


def _waiting(device: Device) -> Iterator[tuple[OpenAlarm, First]]:
    """What waits for a next value."""
    for one in _latches(device):
        if one.latch.first is not None:
            yield one, one.latch.first


def _latches(device: Device) -> Iterator[OpenAlarm]:
    found = [
        OpenAlarm(kind, quantity, where, twin, twin.latch)
        for (quantity, where), channel in device.channels.items()
        for kind, twin in channel.twins.items()
    ]
    yield from sorted(found, key=lambda one: (NUMBERS[one.kind], one.component))


def _own(command: Command, device: Device) -> Iterator[tuple[AlarmKind, OwnWord]]:
    """The alarms by the device's own word that a command is about."""
    for kind in AlarmKind:
        one = device.own.get(kind)
        if one is not None and command.component in (None, 255):
            its_id = alarm_id(device.device_id, 255, kind, one.episode, device.test)
            if command.alarm_id in ("", its_id):
                yield kind, one


def _end_own(
    ended: dict[AlarmKind, OwnWord],
    event: AlarmEvent,
    command: Command,
    device: Device,
    at: TwinOrderAt,
    registry: TwinRegistry,
) -> list[Alarm]:
    for kind in ended:
        del device.own[kind]
    return [
        own_event(
            kind, event, one, device, registry.known.get(device.device_id), word="", ts=at.ingest_ts,
            ingest_ts=at.ingest_ts, offset=at.offset, index=at.number, by=command.by, why=command.why,
        )
        for kind, one in ended.items()
    ]  # fmt: skip


def _withdraw(
    one: OpenAlarm, first: First, command: Command, device: Device, at: TwinOrderAt, registry: TwinRegistry
) -> Alarm:
    """Tell that what waits is over, as if it were an open alarm."""
    latch = Latch()
    latch.severity, latch.onset_ts, latch.episode = Severity.WARNING, first.ts, first.episode
    latch.peak = latch.told_value = first.value
    return structs.replace(
        _end(one._replace(latch=latch), AlarmEvent.WITHDRAWN, command, device, at, registry),
        source_ordinal=at.number * 65_536 + NUMBERS[one.kind] * 256 + one.component * 4 + 1,
    )


def _end(
    one: OpenAlarm, event: AlarmEvent, command: Command, device: Device, at: TwinOrderAt, registry: TwinRegistry
) -> Alarm:
    """Put an open alarm at rest, and tell it."""
    latch, sign = one.latch, -1 if one.kind.about.below else 1
    highest = latch.severity or Severity.NOTICE
    profile, known = registry.profile(device, one.quantity, one.component), registry.known.get(device.device_id)
    origin = registry.limits.origin(one.kind, profile, highest)
    limit = float(registry.limits.of(one.kind)["alarm" if highest is Severity.ALARM else "warning"][profile])
    told = Alarm(
        v=VERSION,
        alarm_id=alarm_id(device.device_id, one.component, one.kind, latch.episode, device.test),
        event=event,
        severity=0,
        severity_label="提示",
        kind=one.kind,
        device_id=device.device_id,
        device_kind=device.kind_name,
        quantity=one.quantity,
        component=one.component,
        episode=latch.episode,
        event_ts=at.ingest_ts,
        onset_ts=latch.onset_ts,
        ingest_ts=at.ingest_ts,
        detected_ts=0,
        by_arrival=False,
        late=False,
        value=sign * latch.told_value,
        limit=0.0 if limit == float("inf") else sign * limit,
        peak=sign * latch.peak,
        baseline=one.twin.baseline,
        limit_from=origin.document,
        limit_by=origin.by,
        limit_since_ts=origin.since_ts,
        unit_id=known.unit_id if known else "",
        unit_name=known.unit_name if known else "",
        place=known.place if known else "",
        area=known.area if known else "",
        test=device.test,
        message=order_message(
            one.kind,
            event,
            named(device.device_id, known),
            one.component,
            sign * latch.peak,
            device.test,
            command.by,
            command.why,
        ),
        source_offset=at.offset,
        source_ordinal=at.number * 65_536 + NUMBERS[one.kind] * 256 + one.component * 4,
        severity_highest=highest,
        active=False,
        repeats_untold=latch.untold,
        maintenance=at.ingest_ts < device.maintained_until_ts,
        by=command.by,
        why=command.why,
    )
    latch.rest()
    return told
