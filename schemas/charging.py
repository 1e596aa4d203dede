"""What ports of charging piles say of themselves: the codes of `port_state` and `stop_reason`.

The numbers are those of AP3000 piles ("DNY" document) [H]; gateways map the codes of other vendors to them. A code that
is in no table here is stored, and nothing follows from it but that its port says something else than it did.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class PortState(NamedTuple):
    """What a port is doing: the word for it, what people call it, whether it `charges`, whether no power may flow
    (`off`), and whether it is a `fault` of the device. A state that is an alarm is in `schemas.alarm_kinds`."""

    name: str
    label: str
    charges: bool = False
    off: bool = False
    fault: bool = False


PORT_STATES: Final[Mapping[int, PortState]] = {
    0x00: PortState("idle", "空闲", off=True),
    0x01: PortState("charging", "充电中", charges=True),
    0x02: PortState("plugged", "已插枪未充电", off=True),
    0x03: PortState("full", "已充满", off=True),
    0x04: PortState("unmetered", "无法计量", charges=True),
    0x05: PortState("float", "浮充", charges=True),
    0x06: PortState("memory_bad", "存储器损坏", fault=True),
    0x07: PortState("socket_jam", "插座弹片卡住", fault=True),
    0x08: PortState("poor_contact", "接触不良或保险丝烧断", fault=True),
    0x09: PortState("relay_stuck", "继电器粘连"),
    0x0A: PortState("hall_sensor_bad", "霍尔开关损坏", fault=True),
    0x0B: PortState("relay_or_fuse_bad", "继电器坏或保险丝断", off=True, fault=True),
    0x0D: PortState("load_short", "负载短路", off=True),
    0x0E: PortState("relay_stuck_precheck", "继电器粘连（预检）"),
    0x0F: PortState("card_chip_bad", "刷卡芯片损坏", fault=True),
    0x10: PortState("detect_circuit_bad", "检测线路故障", fault=True),
}


class StopSort(StrEnum):
    """How a charge ended."""

    ORDINARY = "ordinary"
    ABNORMAL = "abnormal"
    SAFETY = "safety"
    """By a protection."""
    UNKNOWN = "unknown"
    """Nobody said."""

    @property
    def label(self) -> str:
        """The word users see."""
        return {"ordinary": "正常", "abnormal": "异常", "safety": "安全保护", "unknown": "未知"}[self]


class StopReason(NamedTuple):
    """Why a charge ended: the word for it, what people call it, and of which sort that is."""

    name: str
    label: str
    sort: StopSort = StopSort.ABNORMAL


_ORDINARY, _SAFETY = StopSort.ORDINARY, StopSort.SAFETY

STOP_REASONS: Final[Mapping[int, StopReason]] = {
    0x01: StopReason("full", "充满", _ORDINARY),
    0x02: StopReason("maximum_time", "达到最大充电时间", _ORDINARY),
    0x03: StopReason("preset_time", "达到预设时间", _ORDINARY),
    0x04: StopReason("preset_energy", "达到预设电量", _ORDINARY),
    0x05: StopReason("unplugged", "拔出插头", _ORDINARY),
    0x06: StopReason("overload", "负载过大", _SAFETY),
    0x07: StopReason("server", "服务器停止", _ORDINARY),
    0x08: StopReason("dynamic_overload", "动态过载", _SAFETY),
    0x09: StopReason("power_too_small", "功率过小", _ORDINARY),
    0x0A: StopReason("ambient_over_temperature", "环境温度过高", _SAFETY),
    0x0B: StopReason("port_over_temperature", "端口温度过高", _SAFETY),
    0x0C: StopReason("over_current", "过流", _SAFETY),
    0x0D: StopReason("unplugged_later", "拔出插头（插头检测）", _ORDINARY),
    0x0E: StopReason("no_power", "无功率"),
    0x0F: StopReason("relay_or_fuse_precheck", "预检继电器坏或保险丝断"),
    0x10: StopReason("water", "水浸", _SAFETY),
    0x11: StopReason("extinguisher_port", "灭火装置动作（本口）", _SAFETY),
    0x12: StopReason("extinguisher", "灭火装置动作", _SAFETY),
    0x13: StopReason("password_door", "密码开门"),
    0x14: StopReason("door", "开门"),
    0x15: StopReason("external", "外部停止"),
    0x16: StopReason("card", "刷卡停止"),
    0x17: StopReason("server_force", "服务器强制停止"),
    0x18: StopReason("fire_system", "消防系统停止", _SAFETY),
    0x19: StopReason("memory", "存储器损坏"),
    0x1A: StopReason("over_voltage", "过压", _SAFETY),
    0x1B: StopReason("under_voltage", "欠压", _SAFETY),
    0x1C: StopReason("low_power", "功率过低"),
}
"""Which are ordinary and which are safety events, domain.md says [H]; all others are abnormal cut-offs."""

FULL_STATE: Final = 0x03
FLOAT_STATE: Final = 0x05
NO_REASON: Final = 0
"""The code of a charge of which nobody said why it ended."""
FULL: Final = 0x01
UNPLUGGED: Final = (0x05, 0x0D)


def stop_sort(code: int) -> StopSort:
    """How a charge ended that stopped by a code; a code that nobody knows is no ordinary one."""
    if code == NO_REASON:
        return StopSort.UNKNOWN
    return STOP_REASONS[code].sort if code in STOP_REASONS else StopSort.ABNORMAL


def code_label(quantity: str, code: float) -> str:
    """What people call a code of a quantity that has codes."""
    tables: Mapping[str, Mapping[int, PortState] | Mapping[int, StopReason]] = {
        "port_state": PORT_STATES,
        "stop_reason": STOP_REASONS,
    }
    found = tables[quantity].get(int(code))
    return found.label if found else f"代码{code:g}"
