"""Limits as configuration: by kind of alarm, kind of device and device, each with the document it comes from.

A `LimitTable` holds one profile for each kind of device and one for each device that has limits of its own. The state
remembers the profile of each device, so that a detector gathers the limits of a whole round with one index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from schemas.absences import Absences, AbsencesError, absences
from schemas.events import AlarmKind, Severity
from schemas.limit_sections import DEFAULTS, LimitsError, LimitsTable, limit_of, merged, read_toml, source_of
from schemas.quantities import DEVICE_KINDS, KIND_CODES

LIMIT: Final = np.dtype(
    [
        ("warning", "f8"),
        ("alarm", "f8"),
        ("lowest", "f8"),
        ("recovery", "f8"),
        ("confirm_warning_ms", "i8"),
        ("confirm_alarm_ms", "i8"),
        ("confirm_recovery_ms", "i8"),
        ("learn_ms", "i8"),
        ("learn_samples", "i8"),
        ("memory_ms", "i8"),
        ("window_ms", "i8"),
    ]
)
"""Limits of one alarm kind in one profile. A level that does not exist is +inf; `lowest` is the
lower of the two, and below `recovery` a value is normal again."""

_ABSENT: Final = "absent"


class LimitRows:
    """The limits of m elements, of one alarm kind: `limits["warning"]` is that of each. `profile` is int64[m]."""

    def __init__(self, columns: Mapping[str, np.ndarray], profile: np.ndarray) -> None:
        self._columns = columns
        self._profile = profile

    def __getitem__(self, name: str) -> np.ndarray:
        limit: np.ndarray = self._columns[name][self._profile]
        return limit

    def take(self, which: np.ndarray) -> LimitRows:
        """Those of the elements `which` (a mask or indices) selects."""
        return LimitRows(self._columns, self._profile[which])


@dataclass(frozen=True)
class LimitTable:
    """Limits of all profiles. `table` is LIMIT[alarm kinds, profiles], the kinds in the order of `AlarmKind`;
    `sources[kind][profile]` are the (warning, alarm) documents.

    The profiles of the kinds of device come first, in their order; `devices` says where those of a device begin.
    `absences` are the values that are none (`schemas/absent.toml`). `digest` is the same for the same limits only.
    """

    table: np.ndarray
    sources: Mapping[AlarmKind, list[tuple[str, str]]]
    devices: Mapping[str, int]
    absences: Absences
    digest: bytes

    def of(self, kind: AlarmKind) -> np.ndarray:
        """The limits of one kind, LIMIT[profiles]."""
        row: np.ndarray = self.table[list(AlarmKind).index(kind)]
        return row

    @cached_property
    def columns(self) -> Mapping[AlarmKind, Mapping[str, np.ndarray]]:
        """Of each kind each field of LIMIT, as an array by profile: gathered many times a piece."""
        return {
            kind: {name: np.ascontiguousarray(self.of(kind)[name]) for name in LIMIT.names or ()} for kind in AlarmKind
        }

    def rows(self, kind: AlarmKind, profile: np.ndarray) -> LimitRows:
        """The limits of elements of these profiles, int64[m]."""
        return LimitRows(self.columns[kind], profile)

    def profile(self, device_id: str, device_kind: int) -> int:
        """The profile of a device: its own, if it has limits of its own, else that of its kind."""
        return self.devices.get(device_id, 0) + device_kind

    def source(self, kind: AlarmKind, profile: int, severity: int) -> str:
        """The document that the limit of this severity comes from."""
        return self.sources[kind][profile][severity == Severity.ALARM]


def load_limits(path: Path | None = None) -> LimitTable:
    """The shipped limits, changed by the file at `path` if there is one. Raises LimitsError."""
    document = read_toml(DEFAULTS)
    if path is not None:
        document = merged(document, _checked(read_toml(path), path))
    return _table(document)


def _checked(document: dict[str, Any], path: Path) -> dict[str, Any]:
    scopes = {name: document[name] for name in document if name != "device"}
    if unknown := scopes.keys() - {"default", *KIND_CODES}:
        raise LimitsError(f"{path}: [{min(unknown)}] is not default, device or one of {', '.join(KIND_CODES)}")
    devices = document.get("device", {})
    if not isinstance(devices, dict):
        raise LimitsError(f"{path}: device holds one table a device; found {devices!r}")
    for scope in (*scopes.values(), *devices.values()):
        known = {*AlarmKind, _ABSENT}
        if not isinstance(scope, dict) or scope.keys() - known or not all(map(_is_table, scope.values())):
            raise LimitsError(f"{path}: a scope holds tables named {', '.join(AlarmKind)} or absent; found {scope!r}")
        if moved := [kind for kind in AlarmKind if "settable" in scope.get(kind, {})]:
            raise LimitsError(
                f"{path}: {moved[0]}: settable is the range that the standards allow, and no file moves it; delete it"
            )
    return document


def _is_table(entry: object) -> bool:
    return isinstance(entry, dict)


def _table(document: Mapping[str, Any]) -> LimitTable:
    overrides: Mapping[str, LimitsTable] = document.get("device", {})
    # A device's kind is not known from its id, so its own limits are laid over those of every kind.
    scopes = [(document.get(kind.name, {}), own) for own in ({}, *overrides.values()) for kind in DEVICE_KINDS]
    rows: list[list[tuple[float, ...]]] = []
    sources: dict[AlarmKind, list[tuple[str, str]]] = {}
    for kind in AlarmKind:
        sections = [
            merged(merged(document["default"][kind], of_kind.get(kind, {})), own.get(kind, {}))
            for of_kind, own in scopes
        ]
        try:
            rows.append([])
            for section in sections:
                rows[-1].append(limit_of(kind, section))
        except LimitsError as error:
            raise LimitsError(f"{_entry(kind, len(rows[-1]), document)}: {error}") from None
        sources[kind] = [(source_of(section, "warning"), source_of(section, "alarm")) for section in sections]
    devices = {device: len(DEVICE_KINDS) * number for number, device in enumerate(overrides, start=1)}
    told = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    digest = blake2b(told, digest_size=16).digest()
    return LimitTable(np.array(rows, dtype=LIMIT), sources, devices, _absences(document), digest)


def _absences(document: Mapping[str, Any]) -> Absences:
    kinds = {kind.name: document.get(kind.name, {}).get(_ABSENT, {}) for kind in DEVICE_KINDS}
    devices = {name: own[_ABSENT] for name, own in document.get("device", {}).items() if _ABSENT in own}
    try:
        return absences(document["default"].get(_ABSENT, {}), kinds, devices)
    except AbsencesError as error:
        raise LimitsError(str(error)) from error


def _entry(kind: AlarmKind, profile: int, document: Mapping[str, Any]) -> str:
    """The table of the file that has the last word on a profile's limits, as a person finds it."""
    number, code = divmod(profile, len(DEVICE_KINDS))
    of_kind = DEVICE_KINDS[code].name
    device, own = list({"": {}, **document.get("device", {})}.items())[number]
    if kind in own:
        return f'[device."{device}".{kind}], for a device of the kind {of_kind}'
    return f"[{of_kind if kind in document.get(of_kind, {}) else 'default'}.{kind}]"
