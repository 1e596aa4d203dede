"""`emberline device show`: what is registered of a device, how it is, what it measured last, its open alarms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from cli.alarms.filters import AlarmFilter
from cli.alarms.stored import ListedAlarm, newest
from cli.alarms.told import as_json, state
from cli.output import label_of
from common.times import local
from schemas.events import Status
from schemas.quantities import BY_NAME
from schemas.registry import DeviceEntry
from services.registry.codes import COMPONENT_ROLES, DEVICE_STATES, KIND_LABELS, PLACE_KINDS
from sinks.clickhouse.service import Service

ALARMS_MOST: Final = 100
"""Open alarms of one device that are shown: there is one at most of each component and kind [ours]."""
_STATUS: Final = """
    SELECT test, status, faults, toUnixTimestamp64Milli(since_ts), toUnixTimestamp64Milli(maintained_until_ts),
        device_kind
    FROM device_status_now WHERE device_id = %(device_id)s ORDER BY test
"""
_VALUES: Final = """
    SELECT test, quantity, component, value, toUnixTimestamp64Milli(ts)
    FROM latest_values WHERE device_id = %(device_id)s ORDER BY test, quantity, component
"""


class StoredStatus(NamedTuple):
    """How a device is; its test data are another. Times are epoch ms."""

    test: bool
    status: str
    faults: list[str]
    since_ts: int
    maintained_until_ts: int
    device_kind: str


class StoredValue(NamedTuple):
    """What a component measured last."""

    test: bool
    quantity: str
    component: int
    value: float
    ts: int


class ShownDevice(NamedTuple):
    """All that is known of a device; `entry` is None where it is not registered."""

    device_id: str
    entry: DeviceEntry | None
    statuses: Sequence[StoredStatus]
    values: Sequence[StoredValue]
    alarms: Sequence[ListedAlarm]

    def as_json(self) -> dict[str, Any]:
        """For a script."""
        return {
            "device_id": self.device_id,
            "registered": None if self.entry is None else msgspec.to_builtins(self.entry),
            "statuses": [one._asdict() for one in self.statuses],
            "values": [one._asdict() for one in self.values],
            "open_alarms": [as_json(one) for one in self.alarms],
        }


def look_up(service: Service, device_id: str, entry: DeviceEntry | None) -> ShownDevice:
    """What ClickHouse knows of a device, beside what is registered."""
    asked = {"device_id": device_id}
    statuses = [StoredStatus(bool(test), *rest) for test, *rest in service.query(_STATUS, asked)]
    values = [StoredValue(bool(test), *rest) for test, *rest in service.query(_VALUES, asked)]
    alarms = [
        one for test in (False, True) for one in newest(service, AlarmFilter(device=device_id, test=test), ALARMS_MOST)
    ]
    return ShownDevice(device_id, entry, statuses, values, alarms)


def lines(shown: ShownDevice, now: int) -> Iterator[str]:
    """For people. `now` is epoch ms."""
    yield f"设备 {shown.device_id}"
    yield from _registered(shown.entry)
    if not shown.statuses:
        yield "  状态：没有上报过"
    for one in shown.statuses:
        yield f"  状态{_of_test(one.test)}：{label_of(Status, one.status)}，自{local(one.since_ts)}起"
        if one.faults:
            yield f"    故障：{'；'.join(one.faults)}"
        if one.maintained_until_ts > now:
            yield f"    维护中，到{local(one.maintained_until_ts)}"
    for value in shown.values:
        quantity = BY_NAME[value.quantity]
        where = f"{quantity.label}第{value.component + 1}路{_of_test(value.test)}"
        yield f"  {where}：{value.value:.6g} {quantity.unit}（{local(value.ts)}）"
    yield f"未复位的告警：{len(shown.alarms) or '没有'}"
    for alarm in shown.alarms:
        yield f"  {alarm.fields['alarm_id']}  {state(alarm)}  {alarm.fields['message']}"


def _registered(entry: DeviceEntry | None) -> Iterator[str]:
    if entry is None:
        yield "  没有登记，按默认限值监测"
        return
    kind = " ".join(filter(None, (KIND_LABELS.get(entry.kind, entry.kind), entry.model)))
    yield f"  名称：{entry.name or '未填'}（{kind}）"
    yield f"  登记状态：{DEVICE_STATES.get(entry.state, entry.state)}"
    place = PLACE_KINDS.get(entry.place_kind, entry.place_kind)
    yield f"  单位：{entry.unit_name}（{entry.unit_id}）{f'，{place}' if place else ''}，{entry.address or '地址未填'}"
    if entry.organisation_id:
        yield f"  运维：{entry.organisation_name}（{entry.organisation_id}）"
    numbers = (("额定电流", entry.rated_current_a, "A"), ("标称电压", entry.nominal_voltage_v, "V"))
    told = [f"{name}{value:g}{unit}" for name, value, unit in numbers if value]
    told += [f"{entry.phases}相"] if entry.phases else []
    told += [f"每{entry.interval_s}秒上报"] if entry.interval_s else []
    if told:
        yield f"  参数：{'，'.join(told)}"
    for one in entry.components:
        role = COMPONENT_ROLES.get(one.role, one.role)
        yield f"  部件：{BY_NAME[one.quantity].label}第{one.number + 1}路 {one.name} {role}".rstrip()
    if entry.limits or any(one.limits for one in entry.components):
        yield "  有自己的限值，见 emberline limits show --device"


def _of_test(test: bool) -> str:
    return "（测试）" if test else ""
