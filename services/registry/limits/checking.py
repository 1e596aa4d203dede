"""Whether limits can be used: each section by itself, and over all that is more general where devices have both."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, case, func, literal, select
from sqlalchemy.orm import Session

from schemas.alarm_kinds import AlarmKind
from schemas.limit_sections import DEFAULTS, LEVELS, LimitsError, LimitsTable, limit_of, merged, read_toml
from schemas.quantities import DEVICE_KINDS
from services.registry.database import in_parts
from services.registry.entries import REMOVED
from services.registry.limits.rows import SHARED, KeptSection, LimitsScope, ScopeKind, SectionKey, in_force, told
from services.registry.models import LimitsRow, RegisteredDevice, Unit
from services.registry.refusals import RefusedError

PROBLEMS_MOST: Final = 20
"""Sentences that a person reads of one change [ours]."""


@cache
def release_section(scope: ScopeKind, device_kind: str, kind: AlarmKind) -> LimitsTable:
    """What the release sets for all devices or for a kind of device."""
    name = {ScopeKind.DEFAULT: "default", ScopeKind.KIND: device_kind}.get(scope, "")
    section: LimitsTable = _release().get(name, {}).get(kind, {})
    return section


@cache
def _release() -> Mapping[str, Any]:
    return read_toml(DEFAULTS)


def settable(kind: AlarmKind) -> tuple[float, float]:
    """The range in which levels of a kind of alarm may lie."""
    low, high = release_section(ScopeKind.DEFAULT, "", kind)["settable"]
    return low, high


def check_alone(kind: AlarmKind, section: LimitsTable) -> None:
    """Whether a section could be used over some other. Raises LimitsError."""
    release = release_section(ScopeKind.DEFAULT, "", kind)
    limit_of(kind, merged({name: release[name] for name in release if name not in _OF_LEVELS}, section))


_OF_LEVELS: Final = (*LEVELS, "recovery_margin")
"""What is judged by the levels in force, which a section by itself does not have."""


class DeviceGroup(NamedTuple):
    """Devices for which the same limits hold: what is theirs, one of them, and how many there are."""

    kind: str
    place_kind: str | None
    model: str | None
    unit_id: str | None
    device_id: str
    devices: int

    @property
    def scopes(self) -> list[LimitsScope]:
        """Those that hold for all of them, from the most general on."""
        named = zip(SHARED, ("", *self[:4]), strict=True)
        return [LimitsScope(kind, subject) for kind, subject in named if subject is not None]


def check_in_force(session: Session, kinds: Collection[AlarmKind] = tuple(AlarmKind)) -> None:
    """Whether what is set, as it is now, can be used for all devices that are registered. Raises RefusedError."""
    sections = in_force(session, kinds=kinds)
    problems = dict.fromkeys(_problems(session, sections, kinds)) if sections else {}
    if problems:
        told_of = list(problems)[:PROBLEMS_MOST]
        more = [f"还有{len(problems) - PROBLEMS_MOST}处"] if len(problems) > PROBLEMS_MOST else []
        raise RefusedError(*told_of, *more)


def _problems(
    session: Session, sections: Mapping[SectionKey, KeptSection], kinds: Collection[AlarmKind]
) -> Iterator[str]:
    groups = [DeviceGroup(*row) for row in session.execute(_groups())]
    # Devices that are not registered yet are of some kind, or of none.
    unregistered = [DeviceGroup(kind, None, None, None, "", 0) for kind in ("", *(one.name for one in DEVICE_KINDS))]
    judged = set[tuple[AlarmKind, str, tuple[LimitsScope, ...]]]()
    for group in (*groups, *unregistered):
        for kind in sorted(kinds):
            scopes = group.scopes
            special = tuple(one for one in scopes if (one, kind) in sections)
            if (kind, group.kind, special) not in judged:
                judged.add((kind, group.kind, special))
                yield from _problem(kind, group, scopes, sections)
    yield from _problems_of_devices(session, sections)


def _problems_of_devices(session: Session, sections: Mapping[SectionKey, KeptSection]) -> Iterator[str]:
    """Of devices and components that have sections of their own."""
    own = [key for key in sections if key[0].kind not in SHARED]
    by_id = {one.device_id: one for one in groups_of(session, sorted({scope.subject for scope, _ in own}))}
    for scope, kind in own:
        group = by_id.get(scope.subject)
        if group is not None:
            of_device = [LimitsScope(ScopeKind.DEVICE, scope.subject)]
            component = [scope] if scope.kind is ScopeKind.COMPONENT else []
            yield from _problem(kind, group, [*group.scopes, *of_device, *component], sections)


def groups_of(session: Session, device_ids: Sequence[str]) -> Iterator[DeviceGroup]:
    """What is to be known of single devices."""
    device = RegisteredDevice
    asked = select(device.kind, Unit.place_kind, device.model, Unit.id, device.id, literal(1))
    asked = asked.join(Unit, device.unit_id == Unit.id)
    for some in in_parts(device_ids):
        for row in session.execute(asked.where(device.id.in_(some), device.state != REMOVED)):
            yield DeviceGroup(*row)


def _groups() -> Select[str, str | None, str | None, str | None, str, int]:
    """All devices, told apart by what makes a difference to limits."""
    device = RegisteredDevice
    model, unit = _if_set(ScopeKind.MODEL, device.model), _if_set(ScopeKind.UNIT, Unit.id)
    asked = select(device.kind, Unit.place_kind, model.label("model"), unit.label("unit_id"), device.id)
    each = asked.join(Unit, device.unit_id == Unit.id).where(device.state != REMOVED).subquery()
    theirs = (each.c.kind, each.c.place_kind, each.c.model, each.c.unit_id)
    return select(*theirs, func.min(each.c.id), func.count()).group_by(*theirs)


def _if_set(scope: ScopeKind, column: Any) -> ColumnElement[str | None]:
    set_for = select(LimitsRow.subject).where(LimitsRow.scope == scope, LimitsRow.until_ts.is_(None))
    return case((column.in_(set_for), column), else_=None)


def _problem(
    kind: AlarmKind, group: DeviceGroup, scopes: Sequence[LimitsScope], sections: Mapping[SectionKey, KeptSection]
) -> Iterator[str]:
    section: dict[str, Any] = {}
    last = scopes[0]
    for scope in scopes:
        section = merged(section, release_section(scope.kind, scope.subject, kind))
        if own := sections.get((scope, kind)):
            section, last = merged(section, told(own)), scope
    try:
        limit_of(kind, section)
    except LimitsError as error:
        yield f"{last.label}的{kind.label}限值不可用{_for_whom(group, last)}：{error.chinese}"


def _for_whom(group: DeviceGroup, last: LimitsScope) -> str:
    """Which devices it is about, where the scope does not say it."""
    if last.kind not in SHARED:
        return ""
    if group.devices:
        return f"于设备{group.device_id}" + (f"等{group.devices}台" if group.devices > 1 else "")
    return f"于{LimitsScope(ScopeKind.KIND, group.kind).label}" if group.kind else ""
