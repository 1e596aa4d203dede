"""What is registered of components, as far as rules ask for it, as arrays."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np

from early_warning.state import ComponentKey
from schemas.alarm_kinds import AlarmKind
from schemas.limit_sections import DEFAULTS, read_toml
from schemas.registry import ComponentEntry, DeviceEntry, LimitSections

AMBIENT: Final = "ambient"
"""The role of a component that measures the air around the others."""
NONE: Final = -1
_AREA_LEAST: Final = 20
"""Components of one quantity of an area whose middle shows the weather; of fewer the unit is asked [ours]."""
_LIMIT_KINDS: Final = {
    "residual_current_ma": AlarmKind.RESIDUAL_CURRENT,
    "temperature_c": AlarmKind.TEMPERATURE,
}


class Facts(NamedTuple):
    """Of the n components of one quantity, in the order of `keys`.

    `neighbours`, int64[n], is the same for those that share weather or a room, -1 where nobody knows; `siblings` for
    those of one device that measure the same. `loads`, int64[2, p], are pairs: a component, and a row of current whose
    load it carries. `ambient`, int64[n], is the row that measures the air around it, -1 for none. `limit`, float64[n],
    is the level of a 预警, inf for none; `alarm` that from which a value is never learned.
    """

    keys: Sequence[ComponentKey]
    entries: Sequence[DeviceEntry | None]
    neighbours: np.ndarray
    siblings: np.ndarray
    loads: np.ndarray
    is_ambient: np.ndarray
    ambient: np.ndarray
    limit: np.ndarray
    alarm: np.ndarray


def facts_of(
    quantity: str,
    keys: Sequence[ComponentKey],
    currents: Sequence[ComponentKey],
    registered: Mapping[str, DeviceEntry],
) -> Facts:
    """What the registry says of components; `currents` are the rows of current, by which `loads` counts."""
    entries = [registered.get(key.device_id) for key in keys]
    parts = [_part(entry, quantity, key.component) for entry, key in zip(entries, keys, strict=True)]
    roles = [part.role if part else "" for part in parts]
    is_ambient = np.array([role == AMBIENT for role in roles], bool)
    ambient_of = {key.device_id: row for row, key in enumerate(keys) if roles[row] == AMBIENT}
    levels = [_levels(quantity, entry, part) for entry, part in zip(entries, parts, strict=True)]
    limits = np.array(levels, np.float64).reshape(-1, 2)
    return Facts(
        keys=keys,
        entries=entries,
        neighbours=_codes(_neighbourhoods(entries)),
        siblings=_codes(
            [None if role == AMBIENT else (key.device_id, role) for key, role in zip(keys, roles, strict=True)]
        ),
        loads=_loads(keys, parts, currents, registered),
        is_ambient=is_ambient,
        ambient=np.array([ambient_of.get(key.device_id, NONE) for key in keys], np.int64),
        limit=limits[:, 0],
        alarm=limits[:, 1],
    )


def _part(entry: DeviceEntry | None, quantity: str, number: int) -> ComponentEntry | None:
    held = entry.components if entry else ()
    return next((one for one in held if one.quantity == quantity and one.number == number), None)


def _neighbourhoods(entries: Sequence[DeviceEntry | None]) -> list[Hashable]:
    """Area by area where one has enough components, for weather is wider than a unit and the middle of many is surer;
    else unit by unit. Who is registered nowhere has no neighbours: devices that only lack an entry need not stand near
    each other."""
    in_area = Counter(entry.area for entry in entries if entry and entry.area)
    return [
        ("area", entry.area)
        if entry and in_area[entry.area] >= _AREA_LEAST
        else ("unit", entry.unit_id)
        if entry and entry.unit_id
        else None
        for entry in entries
    ]


def _codes(names: Iterable[Hashable]) -> np.ndarray:
    """A number for each name, -1 for None."""
    numbers: dict[Hashable, int] = {}
    return np.array([NONE if name is None else numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def _loads(
    keys: Sequence[ComponentKey],
    parts: Sequence[ComponentEntry | None],
    currents: Sequence[ComponentKey],
    registered: Mapping[str, DeviceEntry],
) -> np.ndarray:
    """Which currents a component carries: those of its circuit and phase where both are registered, else all of its
    device."""
    of_device = defaultdict[str, list[tuple[int, ComponentEntry | None]]](list)
    for row, current in enumerate(currents):
        of_device[current.device_id].append(
            (row, _part(registered.get(current.device_id), "current_a", current.component))
        )
    pairs = [
        (row, carried)
        for row, (key, part) in enumerate(zip(keys, parts, strict=True))
        for carried in _carried(part, of_device[key.device_id])
    ]
    return np.array(pairs, np.int64).reshape(-1, 2).T


def _carried(part: ComponentEntry | None, currents: Sequence[tuple[int, ComponentEntry | None]]) -> list[int]:
    for alike in (
        lambda one: part and one and part.circuit and (part.circuit, part.phase) == (one.circuit, one.phase),
        lambda one: part and one and part.circuit and part.circuit == one.circuit,
        lambda one: part and one and part.phase and part.phase == one.phase,
    ):
        if found := [row for row, one in currents if alike(one)]:
            return found
    return [row for row, _ in currents]


@cache
def _defaults() -> dict[str, Any]:
    return read_toml(DEFAULTS)


def warning_levels(quantity: str, keys: Sequence[ComponentKey], registered: Mapping[str, DeviceEntry]) -> np.ndarray:
    """The levels of a 预警 of components, float64[n], inf for none: `Facts.limit` without all else."""
    entries = [registered.get(key.device_id) for key in keys]
    levels = (
        _levels(quantity, entry, _part(entry, quantity, key.component))
        for entry, key in zip(entries, keys, strict=True)
    )
    return np.array([warning for warning, _ in levels], np.float64)


def _levels(quantity: str, entry: DeviceEntry | None, part: ComponentEntry | None) -> tuple[float, float]:
    """The levels of 预警 and 报警: the release's for all and for the kind, then the device's and the component's.
    Levels of scopes between them are the stream's, which alarms by them; here they only bound a look ahead."""
    kind, own = entry.kind if entry else "", [held.limits for held in (entry, part) if held and held.limits]
    return _laid_over(quantity, kind, own) if own else _default_levels(quantity, kind)


@cache
def _default_levels(quantity: str, kind: str) -> tuple[float, float]:
    return _laid_over(quantity, kind, ())


def _laid_over(quantity: str, device_kind: str, own: Sequence[LimitSections]) -> tuple[float, float]:
    kind = _LIMIT_KINDS[quantity]
    scopes = [_defaults()["default"], _defaults().get(device_kind, {}), *own]
    found = {"warning": float("inf"), "alarm": float("inf")}
    for scope in scopes:
        for name in found:
            level = scope.get(kind, {}).get(name)
            if level is not None:
                value = level.get("value", float("inf")) if isinstance(level, Mapping) else level
                found[name] = float(value)
    return min(found.values()), found["alarm"]


assert all(kind.quantity == quantity for quantity, kind in _LIMIT_KINDS.items())  # noqa: S101
