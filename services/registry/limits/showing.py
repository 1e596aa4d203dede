"""Limits as people read them: what is in force somewhere, from which scope and document, by whom and since when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.times import local
from schemas.alarm_kinds import AlarmKind
from schemas.limit_sections import BY_OPERATOR, LABELS, LEVELS, NUMBERS, source_of
from schemas.quantities import KIND_CODES
from services.registry.codes import KIND_LABELS, PLACE_KINDS
from services.registry.entries import REMOVED
from services.registry.limits.changing import SectionChange
from services.registry.limits.checking import groups_of, release_section
from services.registry.limits.rows import (
    SHARED,
    KeptSection,
    KeptSetting,
    LimitsScope,
    ScopeKind,
    SectionKey,
    in_force,
    in_force_of,
)
from services.registry.models import RegisteredDevice, Unit
from services.registry.refusals import RefusedError

HEADER: Final = ("告警", "设置", "值", "范围", "设定人", "起始时间", "依据")


class ShownSetting(NamedTuple):
    """One setting in force. A level without a value is switched off; `by` and `since_ts` are empty and 0 where the
    release sets it."""

    kind: AlarmKind
    name: str
    value: float | None
    scope: LimitsScope
    document: str
    by: str
    since_ts: int

    @property
    def cells(self) -> Sequence[str]:
        """As a row of a table under `HEADER`."""
        return (
            self.kind.label,
            LABELS[self.name],
            value_told(self.kind, self.name, self.value),
            self.scope.label if self.by else f"{self.scope.label}（出厂）",
            self.by,
            local(self.since_ts) if self.since_ts else "",
            "运行人员设定" if self.document == BY_OPERATOR else self.document,
        )

    def as_json(self) -> dict[str, Any]:
        """The same for a script."""
        scope = {"scope": self.scope.kind, "subject": self.scope.subject, "is_release": not self.by}
        told = self._asdict() | scope | {"from": self.document}
        del told["document"]
        return told


class ShownPlace(NamedTuple):
    """Where limits are asked for: which scopes hold there."""

    label: str
    device_kind: str
    scopes: Sequence[LimitsScope]


def places_of(session: Session, kind: ScopeKind, subject: str) -> list[ShownPlace]:
    """The places that are meant: of a unit, a model or a kind of place one for each kind of device there. Raises
    RefusedError where there is no such thing."""
    scope = LimitsScope(kind, subject)
    default = LimitsScope(ScopeKind.DEFAULT)
    match kind:
        case ScopeKind.DEFAULT:
            return [ShownPlace(default.label, "", [default])]
        case ScopeKind.KIND if subject in KIND_CODES:
            return [ShownPlace(scope.label, subject, [default, scope])]
        case ScopeKind.DEVICE:
            found = list(_of_device(session, subject))
        case ScopeKind.PLACE_KIND if subject in PLACE_KINDS:
            found = _of_many(session, scope, Unit.place_kind == subject)
        case ScopeKind.MODEL:
            found = _of_many(session, scope, RegisteredDevice.model == subject)
        case ScopeKind.UNIT if (unit := session.get(Unit, subject)) is not None:
            place = [LimitsScope(ScopeKind.PLACE_KIND, unit.place_kind)] if unit.place_kind else []
            found = _of_many(session, scope, Unit.id == subject, place)
        case _:
            found = []
    if not found and not (kind is ScopeKind.PLACE_KIND and subject in PLACE_KINDS):
        raise RefusedError(_unknown(scope))
    return found or [ShownPlace(scope.label, "", [default, scope])]


def _unknown(scope: LimitsScope) -> str:
    listed = {ScopeKind.KIND: KIND_LABELS, ScopeKind.PLACE_KIND: PLACE_KINDS}.get(scope.kind, {})
    if listed:
        return f"没有{scope.label}；可用：" + "、".join(f"{code}（{label}）" for code, label in listed.items())
    return f"{scope.label}没有登记；请核对"


def _of_device(session: Session, device_id: str) -> Iterator[ShownPlace]:
    for group in groups_of(session, [device_id]):
        own = [*group.scopes, LimitsScope(ScopeKind.DEVICE, device_id)]
        label = f"{own[-1].label}（{KIND_LABELS[group.kind]}）"
        yield ShownPlace(label, group.kind, own)
        components = sorted({one for one, _ in in_force_of(session, [device_id]) if one.kind is ScopeKind.COMPONENT})
        for one in components:
            yield ShownPlace(one.label, group.kind, [*own, one])


def _of_many(session: Session, scope: LimitsScope, where: Any, more: Sequence[LimitsScope] = ()) -> list[ShownPlace]:
    there = select(RegisteredDevice.kind).join(Unit, RegisteredDevice.unit_id == Unit.id)
    kinds = session.scalars(there.where(where, RegisteredDevice.state != REMOVED).distinct()).all()
    named = [(f"{scope.label}的{KIND_LABELS[kind]}", kind) for kind in sorted(kinds)]
    if not named and scope.kind is ScopeKind.UNIT:
        named = [(scope.label, "")]
    of_kind = [(label, kind, [LimitsScope(ScopeKind.KIND, kind)] if kind else []) for label, kind in named]
    return [
        ShownPlace(label, kind, [LimitsScope(ScopeKind.DEFAULT), *own, *more, scope]) for label, kind, own in of_kind
    ]


def shown_limits(session: Session, place: ShownPlace) -> list[ShownSetting]:
    """What is in force at a place; of a component what is of its own alone, for all else is that of its device."""
    sections = in_force(session, SHARED)
    last = place.scopes[-1]
    if last.kind not in SHARED:
        sections |= in_force_of(session, [last.subject])
    found = [one for kind in AlarmKind for one in _settings(kind, place, sections)]
    return [one for one in found if one.scope == last] if last.kind is ScopeKind.COMPONENT else found


def _settings(kind: AlarmKind, place: ShownPlace, sections: Mapping[SectionKey, KeptSection]) -> Iterator[ShownSetting]:
    for name in (*LEVELS, *NUMBERS):
        last = None
        for scope in place.scopes:
            released = release_section(scope.kind, scope.subject, kind)
            if name in released:
                document = source_of(released, name) if name in LEVELS else ""
                value = released[name].get("value") if name in LEVELS else released[name]
                last = ShownSetting(kind, name, value, scope, document, "", 0)
            if name in (own := sections.get((scope, kind), {})):
                held = own[name]
                document = (held.document or BY_OPERATOR) if name in LEVELS else ""
                last = ShownSetting(kind, name, held.value, scope, document, held.by, held.since_ts)
        if last is not None:
            yield last


def value_told(kind: AlarmKind, name: str, value: float | None) -> str:
    """A value with its unit, for people."""
    if value is None:
        return "关闭"
    unit = "秒" if name.endswith("_s") else "" if name == "learn_samples" else kind.limit_unit
    return f"{value:g} {unit}".strip()


def change_told(change: SectionChange) -> Iterator[str]:
    """What differs, a line a setting."""
    for name in change.settings:
        before, after = (_setting_told(change.kind, name, one.get(name)) for one in (change.before, change.after))
        yield f"{change.scope.label} {change.kind.label} {LABELS[name]}：{before} → {after}"


def _setting_told(kind: AlarmKind, name: str, setting: KeptSetting | None) -> str:
    if setting is None:
        return "未设"
    document = f"（{setting.document}）" if setting.document else ""
    return value_told(kind, name, setting.value) + document


def change_as_json(change: SectionChange) -> Iterator[dict[str, Any]]:
    """The same for a script."""
    scope = change.scope
    for name in change.settings:
        yield {
            "scope": scope.kind,
            "subject": scope.subject,
            "quantity": scope.quantity,
            "number": scope.number,
            "kind": change.kind,
            "setting": name,
            "before": _setting_as_json(name, change.before.get(name)),
            "after": _setting_as_json(name, change.after.get(name)),
        }


def _setting_as_json(name: str, setting: KeptSetting | None) -> Any:
    """A level as it is written in a file; None where nothing is set."""
    if setting is None or name not in LEVELS:
        return setting and setting.value
    if setting.value is None:
        return {}
    return {"value": setting.value} | ({"from": setting.document} if setting.document else {})
