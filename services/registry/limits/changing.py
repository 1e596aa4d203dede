"""Changing limits: what would differ, whether it may be, and the rows and records of it in one transaction.

Whoever writes has their turn (`services.registry.database.writing`), so what is compared here is what is there when it
is committed. A setting that stays as it is keeps who set it and when.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from schemas.alarm_kinds import AlarmKind
from schemas.limit_sections import LEVELS, LimitsError, LimitsTable
from schemas.quantities import BY_NAME, KIND_CODES
from schemas.registry import LIMITS_BYTES_MOST
from services.registry.codes import KIND_LABELS, PLACE_KINDS
from services.registry.database import in_parts
from services.registry.entries import REMOVED
from services.registry.exchange.fields import ID_MOST
from services.registry.limits.checking import check_alone, check_in_force, settable
from services.registry.limits.rows import (
    SHARED,
    KeptSection,
    KeptSetting,
    LimitsScope,
    ScopeKind,
    SectionKey,
    in_force,
    row_of,
)
from services.registry.models import LimitsRow, RegisteredComponent, RegisteredDevice, Unit
from services.registry.outbox import clock, tell_of, tell_of_limits
from services.registry.refusals import RefusedError, name_of, words_of

DOCUMENT_MOST: Final = 255
"""Letters of the name of a document [ours]."""

WantedSections = Mapping[SectionKey, LimitsTable]
"""Sections as files write them: a level is a number, `{"value": ..., "from": ...}`, or `{}` to switch it off."""


class SectionChange(NamedTuple):
    """What a section was, and what it is."""

    scope: LimitsScope
    kind: AlarmKind
    before: KeptSection
    after: KeptSection

    @property
    def settings(self) -> list[str]:
        """The names of those that differ."""
        return [name for name in {**self.before, **self.after} if self.before.get(name) != self.after.get(name)]


def set_limits(
    session: Session, wanted: WantedSections, by: str, why: str, replace: bool = False
) -> list[SectionChange]:
    """Put these sections into force; others stay as they are or, with `replace`, are in force no longer. Nothing is
    written and told where nothing differs. Raises RefusedError, and is then to be undone."""
    by, why, now = name_of(by, "操作人"), words_of(why, "原因", needed=True), clock(session)
    _refuse_unusable(wanted)
    before = in_force(session)
    changes = list(_changes(wanted, before, by, now, replace))
    if not changes:
        return []
    _refuse_unknown(session, [one.scope for one in changes if one.after])
    _write(session, changes, by, why, now)
    check_in_force(session, {one.kind for one in changes})
    _tell(session, {one.scope for one in changes}, by)
    return changes


def _refuse_unusable(wanted: WantedSections) -> None:
    """Refuse what cannot be used whatever else is set."""
    wrong = [
        f"{scope.label}的{kind.label}：{problem}"
        for (scope, kind), section in wanted.items()
        for problem in _wrong_alone(scope, kind, section)
    ]
    if wrong:
        raise RefusedError(*wrong)


def _wrong_alone(scope: LimitsScope, kind: AlarmKind, section: LimitsTable) -> Iterator[str]:
    is_named = scope.kind is not ScopeKind.DEFAULT
    if is_named and not (0 < len(scope.subject) <= ID_MOST and scope.subject.isprintable()):
        yield f"编号或名称应有1到{ID_MOST}个看得见的字；请核对"
    if scope.kind is ScopeKind.COMPONENT and scope.quantity != kind.quantity:
        yield f"不是{BY_NAME[scope.quantity].label}的告警；请写在{BY_NAME[kind.quantity].label}的部件下"
    if "settable" in section:
        low, high = settable(kind)
        yield f"可设范围（settable）{low:g}到{high:g}由标准规定，不能更改；请删除"
        return
    for name in LEVELS:
        given = section.get(name)
        if not isinstance(given, dict):
            continue
        if more := given.keys() - {"value", "from"}:
            yield f"{name} 中没有名为“{min(more)}”的内容；可写 value 和 from"
        document = given.get("from", "")
        if not isinstance(document, str) or len(document) > DOCUMENT_MOST or not document.isprintable():
            yield f"{name} 的依据（from）必须是一行文字，最多{DOCUMENT_MOST}个字；请修改"
    try:
        check_alone(kind, section)
    except LimitsError as error:
        yield error.chinese


def _changes(
    wanted: WantedSections, before: Mapping[SectionKey, KeptSection], by: str, now: int, replace: bool
) -> Iterator[SectionChange]:
    named = {**({key: {} for key in before} if replace else {}), **wanted}
    for key, section in named.items():
        held = before.get(key, {})
        after = {name: _kept(name, given, held.get(name), by, now) for name, given in section.items()}
        if after != held:
            yield SectionChange(*key, held, after)


def _kept(name: str, given: Any, before: KeptSetting | None, by: str, now: int) -> KeptSetting:
    """A setting as it is kept: the one before, where it says the same."""
    value, document = given, ""
    if isinstance(given, dict):
        value, document = given.get("value"), given.get("from", "")
    if before is not None and (before.value, before.document) == (value, document):
        return before
    return KeptSetting(value, by, now, document)


def _refuse_unknown(session: Session, scopes: Collection[LimitsScope]) -> None:
    """Refuse what is set for what is not there."""
    named = {kind: {one.subject for one in scopes if one.kind is kind} for kind in ScopeKind}
    components = {one for one in scopes if one.kind is ScopeKind.COMPONENT}
    devices = named[ScopeKind.DEVICE] | named[ScopeKind.COMPONENT]
    kinds = named[ScopeKind.KIND] - KIND_CODES.keys()
    places = named[ScopeKind.PLACE_KIND] - PLACE_KINDS.keys()
    there = RegisteredDevice.state != REMOVED
    unknown = {
        "没有名为“{}”的设备类型；可用：" + _listed(KIND_LABELS): kinds,
        "没有名为“{}”的场所类型；可用：" + _listed(PLACE_KINDS): places,
        "没有型号为“{}”的设备；请核对型号，或先登记设备": _lacking(
            session, RegisteredDevice.model, named[ScopeKind.MODEL], there
        ),
        "单位{}没有登记；请核对编号": _lacking(session, Unit.id, named[ScopeKind.UNIT]),
        "设备{}没有登记；请核对编号，或先登记该设备": _lacking(session, RegisteredDevice.id, devices, there),
    }
    reasons = [sentence.replace("{}", one) for sentence, lacking in unknown.items() for one in sorted(lacking)]
    if not reasons:
        lacking = components - _components_there(session, {one.subject for one in components})
        reasons = [f"{one.label}没有登记为部件；请核对监测量和序号，或先登记该部件" for one in sorted(lacking)]
    if reasons:
        raise RefusedError(*reasons)


def _listed(labels: Mapping[str, str]) -> str:
    return "、".join(f"{code}（{label}）" for code, label in labels.items())


def _lacking(session: Session, column: InstrumentedAttribute[Any], asked: Collection[str], *where: Any) -> set[str]:
    lacking = set(asked)
    for some in in_parts(asked):
        lacking -= set(session.scalars(select(column).where(column.in_(some), *where).distinct()))
    return lacking


def _components_there(session: Session, device_ids: Collection[str]) -> set[LimitsScope]:
    one = RegisteredComponent
    found = set[LimitsScope]()
    for some in in_parts(device_ids):
        rows = select(one.device_id, one.quantity, one.number).where(one.device_id.in_(some), one.state != REMOVED)
        found.update(LimitsScope(ScopeKind.COMPONENT, *row) for row in session.execute(rows))
    return found


def _write(session: Session, changes: Sequence[SectionChange], by: str, why: str, now: int) -> None:
    for one in changes:
        place = (LimitsRow.scope, LimitsRow.subject, LimitsRow.quantity, LimitsRow.number)
        same = [column == value for column, value in zip(place, one.scope, strict=True)]
        ended = update(LimitsRow).where(*same, LimitsRow.alarm_kind == one.kind, LimitsRow.until_ts.is_(None))
        session.execute(ended.values(until_ts=now))
        session.add(row_of((one.scope, one.kind), one.after, by, why, now))
    session.flush()


def _tell(session: Session, scopes: Collection[LimitsScope], by: str) -> None:
    if any(one.kind in SHARED for one in scopes):
        size = len(tell_of_limits(session, by).to_json())
        if size > LIMITS_BYTES_MOST:
            raise RefusedError(
                f"全部共用限值有{size}字节，最多{LIMITS_BYTES_MOST}字节；请减少按单位或型号设置的限值，改按场所类型设置"
            )
    devices = sorted({one.subject for one in scopes if one.kind not in SHARED})
    tell_of(session, {"devices": devices}, by)
