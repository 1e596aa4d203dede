"""Which values of which device are none: sentinels and power-on values, by quantity, kind of device and device."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from schemas.quantities import BY_NAME, DEVICE_KINDS, QUANTITIES, Quantity

_SHIPPED: Final = Path(__file__).with_name("absent.toml")
_LISTS: Final = ("sentinels", "power_on")
_MOST: Final = 64
"""Values a list may have [ours]."""
_GREATEST: Final = 1e300
"""Beyond what is possible in any quantity [ours]."""


class AbsencesError(ValueError):
    """A table of absent values that cannot be used; the text says which entry and what it may be."""


class Specials(NamedTuple):
    """The values of one quantity that are no measured ones."""

    sentinels: frozenset[float] = frozenset()
    power_on: frozenset[float] = frozenset()


Scope = Mapping[str, Mapping[str, Any]]
"""Tables by quantity, as in the file."""


class Absences:
    """The special values in force. `default` is for all devices, `kinds` and `devices` are laid over it."""

    def __init__(self, default: Scope, kinds: Mapping[str, Scope], devices: Mapping[str, Scope]) -> None:
        self._scopes = {"default": default} | {f"kind {name}": of for name, of in kinds.items()}
        self._default, self._kinds, self._devices = default, kinds, devices
        for where, scope in (*self._scopes.items(), *devices.items()):
            _check(where, scope)
        self._of_kind = {
            (quantity.name, code): _specials(default.get(quantity.name, {}), self._kind(code).get(quantity.name, {}))
            for quantity in QUANTITIES
            for code in range(-1, len(DEVICE_KINDS))
        }
        self.usual = {quantity.name: self._usual(quantity) for quantity in QUANTITIES}
        """By quantity the least and the greatest value of the range around normal ones in which none is special."""

    def of(self, quantity: str, kind: int, device_id: str) -> Specials:
        """The special values of a quantity of a device; `kind` is the code of its kind, -1 where that is not known."""
        own = self._devices.get(device_id, {}).get(quantity)
        if own is None:
            return self._of_kind[quantity, kind]
        return _specials(self._default.get(quantity, {}), self._kind(kind).get(quantity, {}), own)

    def _kind(self, code: int) -> Scope:
        return self._kinds.get(DEVICE_KINDS[code].name, {}) if code >= 0 else {}

    def _usual(self, quantity: Quantity) -> tuple[float, float]:
        scopes = (self._default, *self._kinds.values(), *self._devices.values())
        special = {
            float(one) for scope in scopes for name in _LISTS for one in scope.get(quantity.name, {}).get(name, ())
        }
        below = max((one for one in special if one <= _NORMAL), default=-math.inf)
        above = min((one for one in special if one > _NORMAL), default=math.inf)
        return (
            max(quantity.low, float(np.nextafter(below, math.inf))),
            min(quantity.high, float(np.nextafter(above, -math.inf))),
        )


_NORMAL: Final = 0.5
"""A value that is normal in every quantity."""


def _specials(*tables: Mapping[str, Any]) -> Specials:
    merged = {name: value for table in tables for name, value in table.items()}
    return Specials(*(frozenset(float(value) for value in merged.get(name, ())) for name in _LISTS))


def _check(where: str, scope: Any) -> None:
    if not isinstance(scope, Mapping) or scope.keys() - BY_NAME.keys():
        raise AbsencesError(f"{where}: absent holds one table a quantity, named {', '.join(BY_NAME)}; found {scope!r}")
    for name, table in scope.items():
        if not isinstance(table, Mapping) or table.keys() - set(_LISTS):
            raise AbsencesError(f"{where}: absent.{name} holds the lists {' and '.join(_LISTS)}; found {table!r}")
        for values in table.values():
            if not isinstance(values, list) or len(values) > _MOST or not all(map(_is_number, values)):
                raise AbsencesError(f"{where}: absent.{name} holds lists of at most {_MOST} numbers; found {values!r}")


def _is_number(value: Any) -> bool:
    # Compared and not converted: an integer may be greater than any float.
    return type(value) in (int, float) and -_GREATEST <= value <= _GREATEST


@cache
def shipped() -> Absences:
    """Those of `absent.toml`."""
    return absences({}, {}, {})


def absences(default: Scope, kinds: Mapping[str, Scope], devices: Mapping[str, Scope]) -> Absences:
    """Those of `absent.toml`, with these laid over them. Raises AbsencesError."""
    for where, scope in (("default", default), *kinds.items(), *devices.items()):
        _check(where, scope)
    document = tomllib.loads(_SHIPPED.read_text(encoding="utf-8"))
    names = {kind.name for kind in DEVICE_KINDS}
    return Absences(
        _over(document["default"], default),
        {name: _over(document.get(name, {}), kinds.get(name, {})) for name in names},
        devices,
    )


def _over(scope: Scope, change: Scope) -> Scope:
    return {name: {**scope.get(name, {}), **change.get(name, {})} for name in (*scope, *change)}
