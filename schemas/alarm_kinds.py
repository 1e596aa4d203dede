"""The kinds of alarm: one row each, with all that people and other programs are told of it.

What detects a kind is `detectors/kinds/NAME.py`, and its limits stand in `limits.toml`, each with its source.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final, NamedTuple, Self

from schemas.quantities import BY_NAME

WHOLE: Final = 255
"""In the place of a component's number where an alarm is of the device as a whole: there are 64 components at most."""


class Part(Enum):
    """What of a device an alarm is about, and how people call it."""

    COMPONENT = "第{}路"
    PHASES = "第{}组三相"
    """Three components that follow one another: the phases of a line. The alarm is told of the first of them."""
    PORT = "{}号口"

    def told(self, component: int) -> str:
        """The name of the part that a component is, or is the first of."""
        if component == WHOLE:
            return "整机"
        return self.value.format((component // 3 if self is Part.PHASES else component) + 1)


class Rated(Enum):
    """What of a device's registration its limits are multiples of."""

    CURRENT = "rated_current_a"
    """Its rated current; where none is registered, there is no limit."""
    VOLTAGE = "nominal_voltage_v"
    """Its nominal voltage, by what that is of 220 V, which limits are given for."""


class About(NamedTuple):
    """A row: what the kind is called; the quantities it is found in, the first of which leads and has the unit, none
    where devices alone say it; what of a device it is about; whether what lies `below` a limit is the alarm; settings
    that may not be 0; what limits are multiples of; what is that called which the value that is told lies over."""

    label: str
    inputs: tuple[str, ...]
    part: Part = Part.COMPONENT
    below: bool = False
    needs: tuple[str, ...] = ()
    rated: Rated | None = None
    over: str = ""
    unit: str | None = None


_NOTHING: Final = About("", ())
"""Never of a member: by its name alone one is looked up."""
_PHASES: Final = Part.PHASES


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

    def __new__(cls, name: str, about: About = _NOTHING) -> Self:
        kind = str.__new__(cls, name)
        kind._value_, kind.about = name, about
        return kind

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
    part = AlarmKind(kind).about.part if kind in set(AlarmKind) else Part.COMPONENT
    return part.told(component)
