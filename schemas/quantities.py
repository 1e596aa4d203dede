"""The physical quantities a report may carry, and the kinds of device that carry them.

Checkpoints know both by their names, which never change. Append new ones all the same: the order is part of reports'
fingerprints (`detectors.order`), and another order would let repeats through once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_COMPONENTS: Final = 64
"""Most components of one quantity in one device: the largest multi-loop monitors have 64 loops [ours]."""


class Quantity(NamedTuple):
    """One measured quantity; its name ends with its unit and is the key on the wire and the column in tables.

    `low` and `high` bound what is physically possible, not what is normal: a value outside them is absent. `absent`
    is the value by which field devices say "not fitted" or "undefined" (domain.md, rule 7); other values that are
    none are in `schemas/absent.toml`. Values from `zero_from` up to 0 are a sensor's zero offset and count as 0. One
    that `has_codes` is no measure: its values are codes (`schemas.charging`)."""

    name: str
    unit: str
    low: float
    high: float
    label: str
    absent: float | None = None
    zero_from: float = 0.0
    has_codes: bool = False

    @property
    def code(self) -> int:
        """Position in `QUANTITIES`."""
        return CODES[self.name]


QUANTITIES: Final = (
    Quantity("residual_current_ma", "mA", 0.0, 100_000.0, "剩余电流", zero_from=-0.5),
    Quantity("temperature_c", "℃", -100.0, 1_500.0, "温度", absent=-200.0),
    # Solar feed-in makes current and power negative, rightly.
    Quantity("current_a", "A", -10_000.0, 10_000.0, "电流"),
    Quantity("voltage_v", "V", 0.0, 2_000.0, "电压"),
    Quantity("power_w", "W", -10_000_000.0, 10_000_000.0, "功率"),
    # 50 Hz, the supply China has, has 100 half-cycles a second: no second holds more.
    Quantity("arc_half_cycles", "个", 0.0, 100.0, "故障电弧"),
    Quantity("smoke", "", 0.0, 1.0, "烟雾"),
    Quantity("insulation_mohm", "MΩ", 0.0, 1_000_000.0, "绝缘电阻"),
    Quantity("static_v", "V", -200_000.0, 200_000.0, "静电"),
    Quantity("unbalance_pct", "%", 0.0, 100.0, "三相不平衡度", absent=200.0),
    # Of ports of charging piles; a code of a vendor's own, up to a byte, is one that nobody knows.
    Quantity("port_state", "", 0.0, 255.0, "端口状态", has_codes=True),
    Quantity("stop_reason", "", 0.0, 255.0, "停充原因", has_codes=True),
    Quantity("port_voltage_v", "V", 0.0, 2_000.0, "端口电压"),
    Quantity("port_temperature_c", "℃", -100.0, 1_500.0, "端口温度", absent=-200.0),
    Quantity("charge_s", "s", 0.0, 10_000_000.0, "充电时长"),
    Quantity("charge_wh", "Wh", 0.0, 1_000_000.0, "充电电量"),
)
BY_NAME: Final = {quantity.name: quantity for quantity in QUANTITIES}
CODES: Final = {quantity.name: code for code, quantity in enumerate(QUANTITIES)}


class DeviceKind(NamedTuple):
    """A kind of device. Quantities of one `axis` run over the same parts (phases, ports): their arrays agree in length.
    Those in `at_times` it sends while something goes on and not otherwise, so none is missed where it does not come."""

    name: str
    label: str
    axis: tuple[str, ...]
    at_times: tuple[str, ...] = ()


DEVICE_KINDS: Final = (
    DeviceKind("electrical_monitor", "电气火灾监控探测器", ("current_a", "voltage_v")),
    DeviceKind(
        "charging_pile",
        "电动自行车充电桩",
        ("current_a", "power_w"),
        ("current_a", "power_w", "stop_reason", "port_voltage_v", "port_temperature_c"),
    ),
    DeviceKind("smoke_detector", "感烟探测器", ()),
    DeviceKind("circuit_breaker", "智能断路器", ("current_a", "voltage_v")),
)
KIND_CODES: Final = {kind.name: code for code, kind in enumerate(DEVICE_KINDS)}
UNKNOWN_KIND: Final = -1
"""The code of a kind that a report does not name, or that nobody knows: its device is judged by the default limits."""
