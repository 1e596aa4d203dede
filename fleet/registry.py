"""What is registered of simulated devices: who looks after them, where they stand, and what they measure.

It goes with the devices: the same seed gives the same registry, whenever the run begins. Some devices are left out on
purpose, one of them with a planted fault: nobody has registered them, and they are watched all the same. Limits are the
release's, for the truth of the fleet is judged by these.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np

from fleet.layout import MONITOR, PILE, ReportLayout
from fleet.places import CITY, DISTRICTS, NAMES, ORGANISATIONS, ROADS, SORTS, District, PlaceSort

_OF_UNIT: Final = 5.0
"""Devices of a unit, on average: a city has 130,000 in 30,000 (requirement C7)."""
_SIZES_A: Final = (16, 25, 32, 40, 63, 80, 100, 160)
"""Rated currents of breakers."""
_HEADROOM: Final = 1.25
"""What a breaker carries over the peak of its line [ours]."""
_FIRST_DAY: Final = date(2021, 3, 1)
_DAYS: Final = 1_700
_MODELS: Final = {
    MONITOR.device_kind: (("EM-3L", "EM-3L4T"), ("安电科技", "明睿电气")),
    PILE.device_kind: (("CP-10A", "CP-10B"), ("驿行充电", "小绿桩")),
}
_PHASES: Final = ("A", "B", "C")


class DeviceFacts(NamedTuple):
    """What its registry must say of a device, as the fleet has it. `fitted` is by temperature component."""

    device_id: str
    layout: ReportLayout
    site: int
    peak_a: float
    fitted: tuple[bool, ...]


class FleetOrganisation(NamedTuple):
    """A maintenance organisation; the names of all fields here are those of an import's columns."""

    id: str
    name: str
    code: str
    address: str


class FleetUnit(NamedTuple):
    """A unit: where devices stand."""

    id: str
    name: str
    organisation_id: str
    address: str
    latitude: float
    longitude: float
    datum: str
    area: str
    place_kind: str
    maintained_until: date
    line_inspected: bool


class FleetDevice(NamedTuple):
    """A device and its place in its unit."""

    id: str
    name: str
    kind: str
    model: str
    maker: str
    unit_id: str
    installed_on: date
    expires_on: date
    nominal_voltage_v: float
    rated_current_a: float
    phases: int
    interval_s: int


class FleetComponent(NamedTuple):
    """A component; `number` counts from 1, as people do."""

    id: str
    device_id: str
    quantity: str
    number: int
    name: str
    role: str
    circuit: int
    phase: str


class FleetRegistry(NamedTuple):
    """All that is registered, each in the order of ids."""

    organisations: list[FleetOrganisation]
    units: list[FleetUnit]
    devices: list[FleetDevice]
    components: list[FleetComponent]


def registry_of(facts: Sequence[DeviceFacts], interval_s: float, seed: int) -> FleetRegistry:
    """The registry of these devices. `interval_s` is how often each reports."""
    rng = np.random.default_rng((seed, 1))
    organisations = [
        FleetOrganisation(f"WB-{number:02d}", CITY + name, f"5111-{number:02d}", f"{CITY}市中区{road}{18 * number}号")
        for number, (name, road) in enumerate(zip(ORGANISATIONS, ROADS, strict=False), start=1)
    ]
    whole_s = round(interval_s) if interval_s >= 1 else 1
    found = FleetRegistry(organisations, [], [], [])
    for district, sort, names, group in _groups(facts, rng):
        for some in _parted(group, rng):
            unit = _unit(len(found.units) + 1, next(names), district, sort, rng)
            found.units.append(unit)
            spot = sort.spots[int(rng.integers(len(sort.spots)))]
            for number, one in enumerate(some):
                name = _spot(spot, number)
                found.devices.append(_device(one, name, unit.id, whole_s, rng))
                found.components.extend(_components(one))
    found.devices.sort()
    found.components.sort()
    return found


def _groups(
    facts: Sequence[DeviceFacts], rng: np.random.Generator
) -> Iterator[tuple[District, PlaceSort, Iterator[str], list[DeviceFacts]]]:
    """Devices that may stand in one unit: of one district and sort of place, with names for their units."""
    groups = defaultdict[tuple[str, int, int], list[DeviceFacts]](list)
    for one in facts:
        groups[one.device_id[:2], one.site, int(rng.integers(len(SORTS[one.site])))].append(one)
    taken = dict[str, int]()
    for (prefix, site, number), group in sorted(groups.items(), key=lambda item: item[0]):
        sort = SORTS[site][number]
        yield DISTRICTS[prefix], sort, _names(sort, taken, rng), group


def _names(sort: PlaceSort, taken: dict[str, int], rng: np.random.Generator) -> Iterator[str]:
    """Names of units, none twice in the city."""
    while True:
        name = NAMES[int(rng.integers(len(NAMES)))] + sort.endings[int(rng.integers(len(sort.endings)))]
        taken[name] = taken.get(name, 0) + 1
        yield name if taken[name] == 1 else f"{name}{taken[name]}{sort.again}"


def _parted(group: Sequence[DeviceFacts], rng: np.random.Generator) -> Iterator[Sequence[DeviceFacts]]:
    begin = 0
    while begin < len(group):
        size = int(rng.geometric(1 / _OF_UNIT))
        yield group[begin : begin + size]
        begin += size


def _spot(pattern: str, number: int) -> str:
    two = "{m}" in pattern
    return pattern.format(n=1 + number // 3, m=1 + number % 3) if two else pattern.format(n=1 + number)


def _unit(number: int, name: str, district: District, sort: PlaceSort, rng: np.random.Generator) -> FleetUnit:
    north, east = rng.normal(0, 0.012, 2)
    road = ROADS[int(rng.integers(len(ROADS)))]
    return FleetUnit(
        id=f"U{number:06d}",
        name=name,
        organisation_id=f"WB-{1 + int(rng.integers(len(ORGANISATIONS))):02d}",
        address=f"{CITY}{district.name}{road}{int(rng.integers(1, 400))}号",
        latitude=round(district.latitude + float(north), 6),
        longitude=round(district.longitude + float(east), 6),
        datum="GCJ-02",
        area=district.code,
        place_kind=sort.kind,
        maintained_until=date(2026, 7, 1) + timedelta(days=int(rng.integers(0, 900))),
        line_inspected=bool(rng.random() < 0.9),
    )


def _device(one: DeviceFacts, name: str, unit_id: str, interval_s: int, rng: np.random.Generator) -> FleetDevice:
    models, makers = _MODELS[one.layout.device_kind]
    which = int(rng.integers(len(models)))
    installed_on = _FIRST_DAY + timedelta(days=int(rng.integers(_DAYS)))
    wanted_a = _HEADROOM * one.peak_a
    return FleetDevice(
        id=one.device_id,
        name=name,
        kind=one.layout.device_kind,
        model=models[which],
        maker=makers[which],
        unit_id=unit_id,
        installed_on=installed_on,
        expires_on=installed_on.replace(year=installed_on.year + 8, day=min(installed_on.day, 28)),
        nominal_voltage_v=220.0,
        rated_current_a=float(next((size for size in _SIZES_A if size >= wanted_a), _SIZES_A[-1])),
        phases=3 if one.layout is MONITOR else 1,
        interval_s=interval_s,
    )


def _components(one: DeviceFacts) -> Iterator[FleetComponent]:
    for quantity, count in zip(one.layout.names, one.layout.counts, strict=True):
        for number in range(count):
            if quantity == "temperature_c" and not one.fitted[number]:
                continue
            name, role, circuit, phase = _told(one.layout, quantity, number, count)
            code = "".join(word[0] for word in quantity.split("_")[:-1]).upper()
            yield FleetComponent(
                f"{one.device_id}-{code}{number + 1:02d}",
                one.device_id,
                quantity,
                number + 1,
                name,
                role,
                circuit,
                phase,
            )


def _told(layout: ReportLayout, quantity: str, number: int, count: int) -> tuple[str, str, int, str]:
    """Name, role, circuit and phase."""
    if count == 10:
        return f"{number + 1}号充电口", "port", number + 1, ""
    if quantity == "temperature_c":
        on_cable = layout is MONITOR and number < len(_PHASES)
        return (f"{_PHASES[number]}相线缆", "cable", 1, _PHASES[number]) if on_cable else ("箱体", "enclosure", 1, "")
    phase = _PHASES[number] if count == len(_PHASES) else ""
    return f"{phase}相进线" if phase else "进线", "circuit", 1, phase
