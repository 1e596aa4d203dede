"""What is told of devices: their registry entries, made from the rows as they are now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session, aliased

from schemas.registry import VERSION, ComponentEntry, DeviceEntry, LimitSections, UnitProtectors
from services.registry.limits.rows import LimitsScope, ScopeKind, by_scope, in_force_of
from services.registry.models import Organisation, RegisteredComponent, RegisteredDevice, Unit

REMOVED: Final = "removed"
_OF_UNIT: Final = aliased(Organisation)
_OWN: Final = aliased(Organisation)


def entries_of(session: Session, device_ids: Sequence[str]) -> Iterator[DeviceEntry]:
    """The entries of these devices, in the order of their ids, those that are there."""
    limits = by_scope(in_force_of(session, device_ids))
    components = defaultdict[str, list[ComponentEntry]](list)
    # Columns, for to make an object of each row takes several times as long.
    held = select(*RegisteredComponent.__table__.columns).where(RegisteredComponent.device_id.in_(device_ids))
    for one in session.execute(held.order_by(RegisteredComponent.quantity, RegisteredComponent.number)):
        if one.state != REMOVED:
            scope = LimitsScope(ScopeKind.COMPONENT, one.device_id, one.quantity, one.number)
            components[one.device_id].append(_component(one, limits.get(scope, {})))
    for device, unit, own, of_unit in session.execute(_devices(device_ids)):
        organisation = own or of_unit
        yield DeviceEntry(
            v=VERSION,
            device_id=device.id,
            kind=device.kind,
            removed=device.state == REMOVED,
            state=device.state,
            name=device.name or "",
            model=device.model or "",
            unit_id=unit.id,
            unit_name=unit.name,
            organisation_id=organisation.id if organisation else "",
            organisation_name=organisation.name if organisation else "",
            area=unit.area or "",
            place_kind=unit.place_kind or "",
            address=device.address or unit.address or "",
            nominal_voltage_v=device.nominal_voltage_v or 0.0,
            rated_current_a=device.rated_current_a or 0.0,
            phases=device.phases or 0,
            interval_s=device.interval_s or 0,
            cut_off_allowed=device.cut_off_allowed or False,
            components=components[device.id],
            limits=limits.get(LimitsScope(ScopeKind.DEVICE, device.id), {}),
            supply_area=unit.supply_area or "",
            installed_on=device.installed_on.isoformat() if device.installed_on else "",
            protectors=_protectors(unit),
        )


def _protectors(unit: Unit) -> UnitProtectors:
    return UnitProtectors(
        household_due=unit.household_protectors_due,
        household_installed=unit.household_protectors_installed,
        household_operating=unit.household_protectors_operating,
        main_due=unit.main_protectors_due,
        main_installed=unit.main_protectors_installed,
        main_operating=unit.main_protectors_operating,
    )


def _devices(
    device_ids: Sequence[str],
) -> Select[RegisteredDevice, Unit, Organisation, Organisation]:
    return (
        select(RegisteredDevice, Unit, _OWN, _OF_UNIT)
        .join(Unit, RegisteredDevice.unit_id == Unit.id)
        .join(_OWN, RegisteredDevice.organisation_id == _OWN.id, isouter=True)
        .join(_OF_UNIT, Unit.organisation_id == _OF_UNIT.id, isouter=True)
        .where(RegisteredDevice.id.in_(device_ids))
        .order_by(RegisteredDevice.id)
    )


def _component(one: Row[Any], limits: LimitSections) -> ComponentEntry:
    return ComponentEntry(
        quantity=one.quantity,
        number=one.number - 1,
        id=one.id,
        name=one.name or "",
        role=one.role or "",
        circuit=one.circuit or 0,
        phase=one.phase or "",
        limits=limits,
    )


def touched_by(session: Session, table: str, keys: Sequence[str]) -> Iterator[str]:
    """The devices whose entries may say something else once rows of a table have changed."""
    device, unit = RegisteredDevice, Unit
    asked: Select[str]
    match table:
        case "devices":
            yield from keys
            return
        case "components":
            asked = select(RegisteredComponent.device_id).where(RegisteredComponent.id.in_(keys))
        case "units":
            asked = select(device.id).where(device.unit_id.in_(keys))
        case _:
            of_units = select(unit.id).where(unit.organisation_id.in_(keys))
            asked = select(device.id).where(device.organisation_id.in_(keys) | device.unit_id.in_(of_units))
    yield from session.scalars(asked)
