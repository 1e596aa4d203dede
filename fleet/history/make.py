"""Devices with a leakage, three cables and their currents, hour by hour: normal life as domain.md has it, and faults.

A device has residual current 0, temperatures 0 to 2 of its phases, temperature 3 of the air in most, and currents 0 to
2 in most. Values are means of an hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from fleet.history.faults import LEAKAGE_FAULTS, PlantedHistory, SlowFault, joint, leakage
from fleet.history.habits import KIND_NAMES, LINE_KINDS, loads
from fleet.history.weather import air, noise, sun, wetness
from schemas.registry import VERSION, ComponentEntry, DeviceEntry

PHASES: Final = 3
_AREAS: Final = 3
_OF_UNIT: Final = 6
_SIZES_A: Final = (16, 25, 32, 40, 63, 80, 100)
_MISSING: Final = 0.02
_OUTAGE_DAYS: Final = 60
"""An outage of a device each so many days, of hours up to two days [ours]."""
_COUNTS: Final = (60, 12, 1)
_COUNT_SHARES: Final = (0.7, 0.2, 0.1)
"""Reports an hour, and how many devices have them."""
_WILD: Final = 1e-5
_WILD_C: Final = 200.0
_WILD_MA: Final = 600.0
_SOAKED: Final = 0.6
_WITHIN_HOUR: Final = 0.03
_HEAT_KEPT: Final = 0.35
"""Of an hour's heat in the next: a time constant of an hour at most (domain.md: 20 to 60 min)."""
_HAS_CURRENT: Final = 0.75
_HAS_AIR: Final = 0.7


@dataclass(frozen=True)
class HistoryConfig:
    """`days` from `first_hour` on (hours from 1970). `normal` devices of each kind of line have no fault; `faulty` of
    each kind have each of `faults`. Faults begin `quiet_days` after the beginning or later, and within
    `within_days`."""

    seed: int = 1
    first_hour: int = 493_768
    """2026-05-01 in Shanghai."""
    days: int = 150
    normal: int = 20
    faulty: int = 4
    faults: Sequence[SlowFault] = tuple(SlowFault)
    quiet_days: int = 65
    within_days: int = 20


class HourColumns(NamedTuple):
    """Hourly aggregates of one shape, float32; NaN where an hour has no value."""

    mean: np.ndarray
    least: np.ndarray
    most: np.ndarray


@dataclass(frozen=True)
class DeviceHistory:
    """Columns of `residual` are [d, h], of `temperature` [d, 4, h], of `current` [d, 3, h]; `count`, int64[d], is how
    many values an hour has. `kind`, int64[d], is the line's in `LINE_KINDS`."""

    first_hour: int
    device_ids: Sequence[str]
    kind: np.ndarray
    residual: HourColumns
    temperature: HourColumns
    current: HourColumns
    count: np.ndarray
    registered: Sequence[DeviceEntry]
    planted: Sequence[PlantedHistory]


def make_history(config: HistoryConfig) -> DeviceHistory:
    """All of it at once; the same seed gives the same."""
    rng = np.random.default_rng(config.seed)
    plan = _plan(config)
    lines, hours = len(plan), config.days * 24
    kind = np.array([one for one, _ in plan], np.int64)
    ids = [f"HY-{number:06d}" for number in range(1, lines + 1)]
    # Neighbours are of all kinds, as in a town.
    unit = rng.permutation(lines) // _OF_UNIT
    area = unit % _AREAS
    load = loads(rng, kind, config.first_hour, hours)
    residual, wetted = _residual(rng, config, kind, area, load)
    temperature, current, heat = _heat(rng, config, area, load)
    planted = _plant(rng, config, plan, ids, residual, wetted, temperature, heat)
    count = rng.choice(_COUNTS, lines, p=_COUNT_SHARES)
    has_current, has_air = rng.random(lines) < _HAS_CURRENT, rng.random(lines) < _HAS_AIR
    current[~has_current], temperature[~has_air, PHASES] = np.nan, np.nan
    gone = _gone(rng, lines, hours)
    for values in (residual, temperature, current):
        values[np.broadcast_to(gone[:, None, :] if values.ndim > 2 else gone, values.shape)] = np.nan
    return DeviceHistory(
        first_hour=config.first_hour,
        device_ids=ids,
        kind=kind,
        residual=_columns(rng, residual, count, _WILD_MA),
        temperature=_columns(rng, temperature, count, _WILD_C),
        current=_columns(rng, current, count, 0),
        count=count,
        registered=[_entry(one, int(unit[at]), int(area[at])) for at, one in enumerate(ids)],
        planted=planted,
    )


def _plan(config: HistoryConfig) -> list[tuple[int, SlowFault | None]]:
    """The kind of line and the fault of each device."""
    kinds = range(len(LINE_KINDS))
    normal: list[tuple[int, SlowFault | None]] = [(kind, None) for kind in kinds for _ in range(config.normal)]
    return normal + [(kind, fault) for fault in config.faults for kind in kinds for _ in range(config.faulty)]


def _residual(
    rng: np.random.Generator, config: HistoryConfig, kind: np.ndarray, area: np.ndarray, load: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Leakage, mA, and how wet the lines are."""
    lines, hours = load.shape
    base, share, wet = (
        rng.uniform(*np.array([getattr(one, name) for one in LINE_KINDS])[kind].T)[:, None]
        for name in ("base_ma", "share_ma", "wet_ma")
    )
    dry_hours = rng.uniform(18, 36, lines) * np.where(kind == KIND_NAMES.index("wet"), 1.5, 1.0)
    wetted = np.zeros((lines, hours), np.float32)
    for number in range(_AREAS):
        wetted[area == number] = wetness(rng, config.first_hour, hours, dry_hours[area == number])
    found = base + share * load + wet * wetted
    found *= 1 + rng.uniform(0.05, 0.10, (lines, 1)) * noise(rng, (lines, hours), 0.8)
    return np.asarray(np.maximum(found, 0), np.float32), wetted


def _heat(
    rng: np.random.Generator, config: HistoryConfig, area: np.ndarray, load: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Temperatures, currents, and what cables heat by their load, K."""
    lines, hours = load.shape
    carries = rng.uniform(0.75, 1.0, (lines, PHASES, 1)) * load[:, None, :]
    carries *= 1 + 0.03 * rng.standard_normal(carries.shape, np.float32)
    drive = (rng.uniform(6, 22, (lines, 1, 1)) * rng.uniform(0.85, 1.15, (lines, PHASES, 1)) * carries**2).astype(
        np.float32
    )
    heat = drive * (1 - _HEAT_KEPT)
    heat[:, :, 1:] += drive[:, :, :-1] * _HEAT_KEPT
    towns = np.stack([air(rng, config.first_hour, hours) for _ in range(_AREAS)])
    around = towns[area] + rng.uniform(0, 6, (lines, 1)) + rng.uniform(0, 4, (lines, 1)) * sun(config.first_hour, hours)
    temperature = np.empty((lines, PHASES + 1, hours), np.float32)
    temperature[:, :PHASES] = around[:, None, :] + heat
    temperature[:, PHASES] = around
    temperature += 0.4 * rng.standard_normal(temperature.shape, np.float32)
    rated = rng.choice(_SIZES_A, lines)[:, None, None]
    return temperature, np.asarray(carries * rated * 0.8, np.float32), heat


def _plant(
    rng: np.random.Generator,
    config: HistoryConfig,
    plan: Sequence[tuple[int, SlowFault | None]],
    ids: Sequence[str],
    residual: np.ndarray,
    wetted: np.ndarray,
    temperature: np.ndarray,
    heat: np.ndarray,
) -> list[PlantedHistory]:
    """Put the faults into the values, and tell of them."""
    hours, found = residual.shape[1], []
    for line, (kind, fault) in enumerate(plan):
        if fault is None:
            continue
        begin = int((config.quiet_days + rng.random() * config.within_days) * 24)
        if fault is SlowFault.STAYS_WET:
            # While it rains: the first soaked hour from then on.
            begin += int(np.argmax(wetted[line, begin:] > _SOAKED))
        days, person, component, quantity = 0, 0, 0, "residual_current_ma"
        if fault in LEAKAGE_FAULTS:
            days = LEAKAGE_FAULTS[fault][1]
            residual[line] += leakage(fault, hours, begin)
        elif fault is SlowFault.REPLACED:
            person = begin
            residual[line, begin:] = residual[line, begin:] * 0.8 + rng.uniform(20, 60)
            temperature[line, :, begin:] += rng.uniform(-8, 8)
        else:
            quantity, component = "temperature_c", int(rng.integers(PHASES))
            temperature[line, component] += joint(fault, hours, begin, heat[line, component])
            days = 56 if fault is SlowFault.WORSE_JOINT else 0
        if fault is SlowFault.LAWFUL_RISE:
            person = begin + int(rng.integers(6, 72))
        first = config.first_hour
        found.append(
            PlantedHistory(
                fault=fault,
                device_id=ids[line],
                quantity=quantity,
                component=component,
                line_kind=LINE_KINDS[kind].name,
                begin_hour=first + begin,
                full_hour=first + begin + days * 24,
                person_hour=first + person if person else 0,
            )
        )
    return found


def _columns(rng: np.random.Generator, values: np.ndarray, count: np.ndarray, wild_size: float) -> HourColumns:
    """What hours come to, of values that differ within them a little; and where one sample is wild, that with it."""
    reports = np.broadcast_to(count.reshape(-1, *(1,) * (values.ndim - 1)), values.shape)
    inner = np.where(reports > 1, _WITHIN_HOUR * np.abs(values), 0).astype(np.float32)
    wild = np.where(rng.random(values.shape, np.float32) < _WILD * reports, wild_size, 0).astype(np.float32)
    least = np.where(reports > 1, values - inner, values + wild)
    mean = values + wild / reports.astype(np.float32)
    return HourColumns(mean, least, np.where(wild > 0, values + wild, values + inner))


def _gone(rng: np.random.Generator, lines: int, hours: int) -> np.ndarray:
    """Hours without a value: single ones and outages, bool[lines, hours]."""
    gone = rng.random((lines, hours), np.float32) < _MISSING
    for line, begin in zip(*np.nonzero(rng.random((lines, hours), np.float32) < 1 / (_OUTAGE_DAYS * 24)), strict=True):
        gone[line, begin : begin + int(rng.integers(2, 48))] = True
    return gone


def _entry(device_id: str, unit: int, area: int) -> DeviceEntry:
    phases = "ABC"
    return DeviceEntry(
        v=VERSION,
        device_id=device_id,
        kind="electrical_monitor",
        unit_id=f"U{unit:05d}",
        unit_name=f"模拟单位{unit}",
        area=f"14070200{area + 1:04d}",
        components=[
            ComponentEntry("residual_current_ma", 0, role="circuit"),
            *(ComponentEntry("temperature_c", at, role="cable", phase=phases[at]) for at in range(PHASES)),
            ComponentEntry("temperature_c", PHASES, role="ambient"),
            *(ComponentEntry("current_a", at, role="circuit", phase=phases[at]) for at in range(PHASES)),
        ],
    )
