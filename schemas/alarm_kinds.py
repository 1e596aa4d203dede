"""The kinds of alarm: one row each, with all that people and other programs are told of it.

What detects a kind is `detectors/kinds/NAME.py`, and its limits stand in `limits.toml`, each with its source.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final, NamedTuple, Self

from schemas.quantities import BY_NAME

WHOLE: Final = 255
"""In the place of a component's number where an alarm is of the device as a whole: there are 64 components at most."""


class AlarmPart(Enum):
    """What of a device an alarm is about, and how people call it."""

    COMPONENT = "第{}路"
    PHASES = "第{}组三相"
    """Three components that follow one another: the phases of a line. The alarm is told of the first of them."""
    PORT = "{}号口"

    def told(self, component: int) -> str:
        """The name of the part that a component is, or is the first of."""
        if component == WHOLE:
            return "整机"
        return self.value.format((component // 3 if self is AlarmPart.PHASES else component) + 1)


class Rated(Enum):
    """What of a device's registration its limits are multiples of."""

    CURRENT = "rated_current_a"
    """Its rated current; where none is registered, there is no limit."""
    VOLTAGE = "nominal_voltage_v"
    """Its nominal voltage, by what that is of 220 V, which limits are given for."""


class About(NamedTuple):
    """A row: what the kind is called; the quantities it is found in, the first of which leads and has the unit, none
    where devices alone say it; what of a device it is about; whether what lies `below` a limit is the alarm;
    settings that may not be 0; what limits are multiples of; what is that called which the value that is told lies
    over; its unit where that is not the quantity's; and of a quantity that has codes, which of them are the alarm."""

    label: str
    inputs: tuple[str, ...]
    part: AlarmPart = AlarmPart.COMPONENT
    below: bool = False
    needs: tuple[str, ...] = ()
    rated: Rated | None = None
    over: str = ""
    unit: str | None = None
    codes: tuple[int, ...] = ()


_NOTHING: Final = About("", ())
"""Never of a member: by its name alone one is looked up."""
_PHASES: Final = AlarmPart.PHASES
_PORT: Final = AlarmPart.PORT


class AlarmKind(StrEnum):
    """What an alarm is about. One alarm at most is open per device, component and kind.

    The order is part of the positions of events: append, never reorder."""

    about: About

    RESIDUAL_CURRENT = "residual_current", About("剩余电流超限", ("residual_current_ma",))
    RESIDUAL_CURRENT_RISE = (
        "residual_current_rise",
        About("剩余电流异常升高", ("residual_current_ma",), needs=("window_s",), over="基线"),
    )
    TEMPERATURE = "temperature", About("温度超限", ("temperature_c",))
    TEMPERATURE_RISE = "temperature_rise", About("温升过快", ("temperature_c",), needs=("memory_s",), over="均值")
    ARC_FAULT = "arc_fault", About("故障电弧", ("arc_half_cycles",))
    OVER_VOLTAGE = "over_voltage", About("过电压", ("voltage_v",), rated=Rated.VOLTAGE)
    UNDER_VOLTAGE = "under_voltage", About("欠电压", ("voltage_v",), below=True, rated=Rated.VOLTAGE)
    PHASE_LOSS = "phase_loss", About("缺相", ("voltage_v",), _PHASES, below=True, rated=Rated.VOLTAGE)
    NEUTRAL_LOSS = "neutral_loss", About("断零", ("voltage_v",), _PHASES, rated=Rated.VOLTAGE)
    VOLTAGE_UNBALANCE = "voltage_unbalance", About("电压不平衡", ("voltage_v",), _PHASES, unit="%")
    OVER_CURRENT = "over_current", About("过电流", ("current_a",), rated=Rated.CURRENT)
    OVERLOAD = "overload", About("过负荷", ("current_a",), rated=Rated.CURRENT)
    CURRENT_UNBALANCE = "current_unbalance", About("电流不平衡", ("current_a",), _PHASES, unit="%")
    MALIGNANT_LOAD = "malignant_load", About("恶性负载", ("power_w", "current_a", "voltage_v"))
    UNBALANCE = "unbalance", About("三相不平衡", ("unbalance_pct",))
    SMOKE = "smoke", About("烟雾报警", ("smoke",))
    INSULATION = "insulation", About("绝缘电阻过低", ("insulation_mohm",), below=True)
    STATIC = "static", About("静电超限", ("static_v",))
    DEVICE_ALARM = "device_alarm", About("设备报警", ())
    """By the device's own word, where that says no other kind (`schemas.own_words`)."""
    PORT_POWER = "port_power", About("端口功率超限", ("power_w", "current_a"), _PORT)
    PORT_CURRENT = "port_current", About("端口过流", ("current_a", "power_w"), _PORT)
    PORT_TEMPERATURE = "port_temperature", About("端口温度超限", ("port_temperature_c",), _PORT)
    IDLE_VOLTAGE = "idle_voltage", About("待机带电", ("port_voltage_v",), _PORT)
    IDLE_POWER = "idle_power", About("待机有功率", ("power_w", "current_a"), _PORT)
    UNPLUGGED_POWER = "unplugged_power", About("拔出不断电", ("power_w", "current_a"), _PORT)
    FULL_POWER = "full_power", About("充满不断电", ("power_w", "current_a"), _PORT)
    ABNORMAL_POWER = "abnormal_power", About("异常不断电", ("power_w", "current_a"), _PORT)
    RELAY_STUCK = "relay_stuck", About("继电器粘连", ("port_state",), _PORT, codes=(0x09, 0x0E))
    SHORT_CIRCUIT = "short_circuit", About("负载短路", ("port_state",), _PORT, codes=(0x0D,))
    OVERLOAD_STOP = "overload_stop", About("过载停充", ("stop_reason",), _PORT, codes=(0x06, 0x08, 0x0C))
    TEMPERATURE_STOP = "temperature_stop", About("超温停充", ("stop_reason",), _PORT, codes=(0x0A, 0x0B))
    WATER_STOP = "water_stop", About("水浸停充", ("stop_reason",), _PORT, codes=(0x10,))
    FIRE_STOP = "fire_stop", About("消防停充", ("stop_reason",), _PORT, codes=(0x11, 0x12, 0x18))
    VOLTAGE_STOP = "voltage_stop", About("电压异常停充", ("stop_reason",), _PORT, codes=(0x1A, 0x1B))
    LONG_CHARGE = "long_charge", About("充电超时", ("port_state",), _PORT, unit="s")
    NO_FALL = "no_fall", About("充电功率不回落", ("power_w",), _PORT, unit="h")
    RISING_PLATEAU = "rising_plateau", About("充电功率异常升高", ("power_w",), _PORT, unit="%")
    RESTART_AFTER_FULL = "restart_after_full", About("充满后再充", ("power_w",), _PORT, unit="%")

    def __new__(cls, name: str, about: About = _NOTHING) -> Self:
        kind = str.__new__(cls, name)
        kind._value_, kind.about = name, about
        return kind

    @property
    def of_events(self) -> bool:
        """Whether each of its values is an event by itself, as a settlement is."""
        return self.quantity == "stop_reason"

    @property
    def label(self) -> str:
        """What people call it."""
        return self.about.label

    @property
    def quantity(self) -> str:
        """The quantity that leads: what is told is of it. Empty where none is measured."""
        return self.about.inputs[0] if self.about.inputs else ""

    @property
    def unit(self) -> str:
        """The unit of what is told of it."""
        if self.about.unit is not None or not self.quantity:
            return self.about.unit or ""
        return BY_NAME[self.quantity].unit

    @property
    def limit_unit(self) -> str:
        """The unit of its limits."""
        return "倍额定电流" if self.about.rated is Rated.CURRENT else self.unit


def part_told(kind: str, component: int) -> str:
    """What an alarm of a kind is about, as people call it, also where another release knows the kind."""
    part = AlarmKind(kind).about.part if kind in set(AlarmKind) else AlarmPart.COMPONENT
    return part.told(component)
