"""The rows of limits: for which scope what differs, by whom and since when; and what of them is told.

A row holds a section of one kind of alarm. What is set anew takes the place of the section of its scope, the row of
which stays as history. What is more special goes over what is more general, in the order of `ScopeKind`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from schemas.alarm_kinds import AlarmKind
from schemas.limit_sections import BY_OPERATOR, LEVELS
from schemas.registry import VERSION, LimitsEntry
from services.registry.codes import KIND_LABELS, PLACE_KINDS, QUANTITY_LABELS
from services.registry.database import in_parts
from services.registry.models import LimitsRow


class ScopeKind(StrEnum):
    """For what limits hold, from the most general to the most special."""

    DEFAULT = "default"
    KIND = "kind"
    PLACE_KIND = "place_kind"
    MODEL = "model"
    UNIT = "unit"
    DEVICE = "device"
    COMPONENT = "component"


SHARED: Final = tuple(one for one in ScopeKind if one not in (ScopeKind.DEVICE, ScopeKind.COMPONENT))
"""What holds for more than one device, and is told in one record."""


class LimitsScope(NamedTuple):
    """For what limits hold. `subject` is a code or an id, of a component that of its device; `number` is from 1."""

    kind: ScopeKind
    subject: str = ""
    quantity: str = ""
    number: int = 0

    @property
    def label(self) -> str:
        """What people call it."""
        match self.kind:
            case ScopeKind.DEFAULT:
                return "全部设备"
            case ScopeKind.KIND:
                return f"设备类型“{KIND_LABELS.get(self.subject, self.subject)}”"
            case ScopeKind.PLACE_KIND:
                return f"场所类型“{PLACE_KINDS.get(self.subject, self.subject)}”"
            case ScopeKind.MODEL:
                return f"型号“{self.subject}”"
            case ScopeKind.UNIT:
                return f"单位{self.subject}"
            case ScopeKind.DEVICE:
                return f"设备{self.subject}"
        return f"设备{self.subject}的{QUANTITY_LABELS.get(self.quantity, self.quantity)}第{self.number}路"


class KeptSetting(Struct, frozen=True, omit_defaults=True):
    """One setting as it is kept. A level without a value is switched off; `document` is that of a level."""

    value: int | float | None
    by: str
    since_ts: int
    document: str = ""

    def told(self, name: str) -> Any:
        """As a section has it."""
        if name not in LEVELS:
            return self.value
        if self.value is None:
            return {}
        return {
            "value": self.value,
            "from": self.document or BY_OPERATOR,
            "by": self.by,
            "since_ts": self.since_ts,
        }


KeptSection = Mapping[str, KeptSetting]
SectionKey = tuple[LimitsScope, AlarmKind]
_read: Final = msgspec.json.Decoder(dict[str, KeptSetting]).decode


def told(section: KeptSection) -> dict[str, Any]:
    """A section as it is published, and as `schemas.limit_sections` judges it."""
    return {name: setting.told(name) for name, setting in section.items()}


def row_of(key: SectionKey, section: KeptSection, by: str, why: str, ts: int) -> LimitsRow:
    """A section as a new row."""
    scope, kind = key
    return LimitsRow(
        scope=scope.kind,
        subject=scope.subject,
        quantity=scope.quantity,
        number=scope.number,
        alarm_kind=kind,
        settings=msgspec.json.encode(section).decode(),
        set_by=by,
        why=why,
        set_ts=ts,
    )


def in_force(
    session: Session, scopes: Collection[ScopeKind] = tuple(ScopeKind), kinds: Collection[AlarmKind] = tuple(AlarmKind)
) -> dict[SectionKey, KeptSection]:
    """What is set for these kinds of scope and of alarm."""
    return dict(_sections(session, _rows_in_force(scopes).where(LimitsRow.alarm_kind.in_(kinds))))


def in_force_of(session: Session, device_ids: Sequence[str]) -> dict[SectionKey, KeptSection]:
    """What is set for these devices and their components alone."""
    own = _rows_in_force((ScopeKind.DEVICE, ScopeKind.COMPONENT))
    found: dict[SectionKey, KeptSection] = {}
    for some in in_parts(device_ids):
        found.update(_sections(session, own.where(LimitsRow.subject.in_(some))))
    return found


def _rows_in_force(scopes: Collection[ScopeKind]) -> Select[LimitsRow]:
    there = select(LimitsRow).where(LimitsRow.until_ts.is_(None), LimitsRow.scope.in_(scopes))
    return there.order_by(LimitsRow.subject, LimitsRow.quantity, LimitsRow.number)


def _sections(session: Session, rows: Select[LimitsRow]) -> Iterator[tuple[SectionKey, KeptSection]]:
    for row in session.scalars(rows):
        # A release after this one may know more kinds of alarm.
        if row.alarm_kind in set(AlarmKind) and (section := _read(row.settings)):
            scope = LimitsScope(ScopeKind(row.scope), row.subject, row.quantity, row.number)
            yield (scope, AlarmKind(row.alarm_kind)), section


def by_scope(sections: Mapping[SectionKey, KeptSection]) -> dict[LimitsScope, dict[str, Any]]:
    """Sections as they are published, by scope and kind of alarm."""
    found = defaultdict[LimitsScope, dict[str, Any]](dict)
    for (scope, kind), section in sections.items():
        found[scope][kind] = told(section)
    return dict(found)


def shared_limits(session: Session) -> LimitsEntry:
    """All that is set for more than one device."""
    held: dict[ScopeKind, dict[str, dict[str, Any]]] = {kind: {} for kind in SHARED}
    for scope, sections in by_scope(in_force(session, SHARED)).items():
        held[scope.kind][scope.subject] = sections
    return LimitsEntry(
        VERSION,
        held[ScopeKind.DEFAULT].get("", {}),
        held[ScopeKind.KIND],
        held[ScopeKind.PLACE_KIND],
        held[ScopeKind.MODEL],
        held[ScopeKind.UNIT],
    )
