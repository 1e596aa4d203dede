"""Limits as configuration: by kind of alarm and by scope, each with the document it comes from.

A profile is the limits of everything that has the same: of a kind of device, or of a device or component for which a
narrower scope says something else. A `LimitTable` makes profiles as they are asked for. The state remembers that of
each device, so that a detector gathers the limits of a whole round with one index.

Scopes go over each other, the narrower one over the wider one: the release's defaults, all devices, the kind of device,
of place, the model, the unit, the device, its component. What would make no sense over what is below it, such as a
warning above the alarm, is left out.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from detectors.limit_rows import LimitRows
from detectors.registered import KnownDevice
from schemas.absences import Absences, AbsencesError, absences
from schemas.alarm_kinds import AlarmKind, Rated
from schemas.events import Severity
from schemas.limit_sections import BY_OPERATOR, DEFAULTS, LimitsError, LimitsTable, limit_of, merged, read_toml
from schemas.quantities import DEVICE_KINDS, KIND_CODES
from schemas.registry import LimitsEntry

LIMIT: Final = np.dtype(
    [
        ("warning", "f8"),
        ("alarm", "f8"),
        ("lowest", "f8"),
        ("recovery", "f8"),
        ("confirm_warning_ms", "i8"),
        ("confirm_alarm_ms", "i8"),
        ("confirm_recovery_ms", "i8"),
        ("memory_ms", "i8"),
        ("window_ms", "i8"),
    ]
)
"""Limits of one alarm kind in one profile. A level that does not exist is +inf; `lowest` is the
lower of the two, and below `recovery` a value is normal again."""

LEVEL_FIELDS: Final = 4
"""The first so many are levels."""
_ABSENT: Final = "absent"


class LimitOrigin(NamedTuple):
    """Where a limit comes from: the document, who set it, empty for the release or a file, and since when, epoch ms, 0
    for ever."""

    document: str
    by: str = ""
    since_ts: int = 0


class LimitTable:
    """Limits of all profiles. Those of the kinds of device come first, in their order, so the code of a kind is the
    profile of its devices where nothing else is said of them.

    `document` is the release's file with the operator's laid over it, `absences` are the values that are none
    (`schemas/absent.toml`). `digest` is the same for the same limits only.
    """

    def __init__(self, document: Mapping[str, Any], absences: Absences, digest: bytes) -> None:
        self.document, self.absences, self.digest = document, absences, digest
        self._profiles: dict[Hashable, int] = {}
        self._rows: dict[AlarmKind, list[tuple[float, ...]]] = {kind: [] for kind in AlarmKind}
        self._origins: dict[AlarmKind, list[tuple[LimitOrigin, LimitOrigin]]] = {kind: [] for kind in AlarmKind}
        self._columns: Mapping[AlarmKind, Mapping[str, np.ndarray]] = {}
        for code in range(len(DEVICE_KINDS)):
            self.profile("", code)

    def over(self, entry: LimitsEntry | None) -> LimitTable:
        """This table with what the registry says of many devices laid over it; itself where it says nothing."""
        return self if entry is None else LimitTable(_with_entry(self.document, entry), self.absences, self.digest)

    def profile(
        self,
        device_id: str,
        device_kind: int,
        known: KnownDevice | None = None,
        component: tuple[str, int] | None = None,
    ) -> int:
        """The profile of a device of a kind, by its code, of which this is registered; or of one of its components, by
        quantity and number."""
        scopes = list(self._scopes(device_id, device_kind, known, component))
        rated = _rated(known)
        # Wider scopes are the same wherever they have the same name; those of a device are known by what they say.
        key = (rated, *(name or orjson.dumps(section, option=orjson.OPT_SORT_KEYS) for name, section in scopes))
        found = self._profiles.get(key)
        if found is None:
            found = self._profiles[key] = len(self._profiles)
            self._columns = {}
            for kind in AlarmKind:
                section = _laid_over(self.document["default"][kind], (scope.get(kind) for _, scope in scopes), kind)
                self._rows[kind].append(_times(limit_of(kind, section), rated.get(kind.about.rated, 1.0)))
                self._origins[kind].append((_origin(section, "warning"), _origin(section, "alarm")))
        return found

    def _scopes(
        self, device_id: str, device_kind: int, known: KnownDevice | None, component: tuple[str, int] | None
    ) -> Iterator[tuple[str, LimitsTable]]:
        name = DEVICE_KINDS[device_kind].name
        yield name, self.document.get(name, {})
        if known is not None:
            for scope, one in (("place_kind", known.place_kind), ("model", known.model), ("unit", known.unit_id)):
                if one and (section := self.document.get(scope, {}).get(one)):
                    yield f"{scope} {one}", section
        if device_id in (devices := self.document.get("device", {})):
            yield f"device {device_id}", devices[device_id]
        if known is not None and known.limits:
            yield "", known.limits
        if known is not None and component is not None and (own := known.limits_of(*component)):
            yield "", own

    def of(self, kind: AlarmKind) -> np.ndarray:
        """The limits of one kind, LIMIT[profiles]."""
        return np.array(self._rows[kind], LIMIT)

    @property
    def columns(self) -> Mapping[AlarmKind, Mapping[str, np.ndarray]]:
        """Of each kind each field of LIMIT, as an array by profile: gathered many times a piece."""
        if not self._columns:
            tables = {kind: self.of(kind) for kind in AlarmKind}
            self._columns = {
                kind: {name: np.ascontiguousarray(table[name]) for name in LIMIT.names or ()}
                for kind, table in tables.items()
            }
        return self._columns

    def rows(self, kind: AlarmKind, profile: np.ndarray) -> LimitRows:
        """The limits of elements of these profiles, int64[m]."""
        return LimitRows(self.columns[kind], profile)

    def origin(self, kind: AlarmKind, profile: int, severity: int) -> LimitOrigin:
        """Where the limit of this severity comes from."""
        return self._origins[kind][profile][severity == Severity.ALARM]


NOMINAL_V: Final = 220.0
"""What limits of voltages are given for."""


class _RatedValues(NamedTuple):
    """By what the limits of a device are multiplied, infinite where that is not known: then there is no limit."""

    current: float
    voltage: float

    def get(self, rated: Rated | None, plain: float) -> float:
        """Of limits that are multiples of this."""
        return {Rated.CURRENT: self.current, Rated.VOLTAGE: self.voltage, None: plain}[rated]


def _rated(known: KnownDevice | None) -> _RatedValues:
    current_a, nominal_v = (known.rated_current_a, known.nominal_voltage_v) if known else (0.0, 0.0)
    return _RatedValues(current_a or np.inf, (nominal_v or NOMINAL_V) / NOMINAL_V)


def _times(limit: tuple[float, ...], by: float) -> tuple[float, ...]:
    """A limit whose levels are multiples."""
    return (*(level * by for level in limit[:LEVEL_FIELDS]), *limit[LEVEL_FIELDS:])


def load_limits(path: Path | None = None) -> LimitTable:
    """The shipped limits, changed by the file at `path` if there is one. Raises LimitsError."""
    document = read_toml(DEFAULTS)
    if path is not None:
        document = merged(document, _checked(read_toml(path), path))
    _check_all(document)
    told = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    return LimitTable(document, _absences(document), blake2b(told, digest_size=16).digest())


def check_sections(table: LimitTable, sections: Iterable[Mapping[str, Any]]) -> None:
    """Raises LimitsError where one of the sections says of a kind of alarm what it may not, over the defaults."""
    for section in sections:
        for name, changed in section.items():
            if name not in set(AlarmKind):
                known = ", ".join(AlarmKind)
                raise LimitsError(
                    f"{name!r} is no kind of alarm; known are {known}", f"没有名为“{name}”的告警类型；可以是 {known}"
                )
            if not isinstance(changed, dict) or "settable" in changed:
                raise LimitsError(
                    f"{name}: it holds no settings, or moves settable, which the standards say",
                    f"{name}：没有设置，或改动了由标准规定的可设范围（settable）",
                )
            kind = AlarmKind(name)
            try:
                limit_of(kind, merged(table.document["default"][kind], changed))
            except LimitsError as error:
                raise LimitsError(f"{name}: {error}", f"{name}：{error.chinese}") from None


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


def _check_all(document: Mapping[str, Any]) -> None:
    """Raises LimitsError where a scope of a file makes no sense over those below it: a device's over any kind's."""
    overrides: Mapping[str, LimitsTable] = document.get("device", {})
    # A device's kind is not known from its id, so its own limits are laid over those of every kind.
    scopes = [(document.get(kind.name, {}), own) for own in ({}, *overrides.values()) for kind in DEVICE_KINDS]
    for kind in AlarmKind:
        for number, (of_kind, own) in enumerate(scopes):
            section = merged(merged(document["default"][kind], of_kind.get(kind, {})), own.get(kind, {}))
            try:
                limit_of(kind, section)
            except LimitsError as error:
                raise LimitsError(f"{_entry(kind, number, document)}: {error}") from None


def _with_entry(document: Mapping[str, Any], entry: LimitsEntry) -> dict[str, Any]:
    """The document with what the registry says of many devices, those of a file's that name a device above it."""
    default = {
        kind: _laid_over(section, [entry.default.get(kind)], kind)
        for kind in AlarmKind
        for section in (document["default"][kind],)
    }
    found = {**document, "default": {**document["default"], **default}}
    for name, section in entry.kinds.items():
        if name in KIND_CODES:
            found[name] = merged(document.get(name, {}), section)
    return found | {"place_kind": entry.place_kinds, "model": entry.models, "unit": entry.units}


def _laid_over(section: LimitsTable, scopes: Iterable[LimitsTable | None], kind: AlarmKind) -> LimitsTable:
    """A section with those of narrower scopes over it, as far as they make sense there."""
    for scope in scopes:
        if scope:
            changed = merged(section, scope)
            with suppress(LimitsError):
                limit_of(kind, changed)
                section = changed
    return section


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


def _origin(section: LimitsTable, name: str) -> LimitOrigin:
    entry = section.get(name, {})
    if not isinstance(entry, dict):
        return LimitOrigin(BY_OPERATOR)
    by, since_ts = entry.get("by", ""), entry.get("since_ts", 0)
    return LimitOrigin(
        str(entry.get("from") or BY_OPERATOR),
        by if isinstance(by, str) else "",
        since_ts if type(since_ts) is int else 0,
    )
