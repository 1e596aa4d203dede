"""What people order of devices: a row that says who ordered what and why, and the command in the outbox beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from msgspec import structs
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from schemas.alarm_kinds import WHOLE
from schemas.commands import MAINTENANCE_MOST_MS, VERSION, Command, CommandKind
from schemas.quantities import MAX_COMPONENTS
from schemas.registry import ChangeNumber
from schemas.report_rules import MAX_DEVICE_ID_LENGTH, is_device_id
from schemas.topics import COMMANDS
from services.registry.database import in_parts
from services.registry.entries import REMOVED
from services.registry.models import CommandRow, RegisteredDevice, Unit
from services.registry.outbox import clock, publication, put
from services.registry.refusals import RefusedError, name_of, words_of

ORDERS_MOST: Final = 10_000
"""Commands of one transaction: a unit of a city has hundreds of devices [ours]."""


class Ordered(NamedTuple):
    """A command, and by which change it is known."""

    change: ChangeNumber
    command: Command


def command(kind: CommandKind, device_id: str, by: str, why: str, **details: object) -> Command:
    """A command that is not given yet: it gets its time with `order`."""
    return Command(VERSION, kind, device_id, by, why, 0, **details)  # type: ignore[arg-type]


def order(session: Session, wanted: Sequence[Command], unregistered: bool = False) -> list[Ordered]:
    """Give commands of one person: all of them, or none. With `unregistered` also to devices that the registry does not
    know. Raises RefusedError, and has then changed nothing."""
    if len(wanted) > ORDERS_MOST:
        raise RefusedError(f"一次最多下达{ORDERS_MOST}条命令，现有{len(wanted)}条；请分次下达")
    now = clock(session)
    checked = [_checked(one, now) for one in wanted]
    if not unregistered:
        _refuse_unknown(session, [one.device_id for one in checked])
    epoch = publication(session)
    records = [(one.device_id, one.to_json()) for one in checked]
    numbers = put(session, COMMANDS, records, checked[0].by) if checked else []
    done = [Ordered(epoch._replace(number=number), one) for number, one in zip(numbers, checked, strict=True)]
    if done:
        session.execute(insert(CommandRow), [_row(one) for one in done])
    return done


def _checked(wanted: Command, now: int) -> Command:
    made = structs.replace(
        wanted, by=name_of(wanted.by, "操作人"), why=words_of(wanted.why, "原因", needed=True), made_ts=now
    )
    if not is_device_id(made.device_id):
        raise RefusedError(f"设备编号应有1到{MAX_DEVICE_ID_LENGTH}个可见的字，不含空格；请核对")
    if made.component is not None and made.component != WHOLE and not 0 <= made.component < MAX_COMPONENTS:
        raise RefusedError(f"部件序号必须从1到{MAX_COMPONENTS}；请核对")
    if made.kind is CommandKind.MAINTENANCE and made.until_ts and not now < made.until_ts <= now + MAINTENANCE_MOST_MS:
        raise RefusedError(f"维护的结束时间必须在今后{MAINTENANCE_MOST_MS // 3_600_000}小时以内；请重新选择")
    return made


def _refuse_unknown(session: Session, device_ids: Sequence[str]) -> None:
    asked = set(device_ids)
    known = set[str]()
    for some in in_parts(asked):
        known.update(session.scalars(select(RegisteredDevice.id).where(RegisteredDevice.id.in_(some))))
    if unknown := sorted(asked - known):
        raise RefusedError(*(f"设备{one}没有登记；请核对编号，或先登记该设备" for one in unknown))


def devices_of_unit(session: Session, unit_id: str) -> list[str]:
    """The devices of a unit that are there. Raises RefusedError where there is no such unit, or none of its devices."""
    if session.get(Unit, unit_id) is None:
        raise RefusedError(f"单位{unit_id}没有登记；请核对编号")
    of_unit = select(RegisteredDevice.id).where(RegisteredDevice.unit_id == unit_id, RegisteredDevice.state != REMOVED)
    if found := list(session.scalars(of_unit.order_by(RegisteredDevice.id))):
        return found
    raise RefusedError(f"单位{unit_id}没有在用的设备；请核对编号")


def ordered_of(session: Session, device_id: str, most: int) -> Iterator[Ordered]:
    """What was ordered of a device, the newest first."""
    rows = select(CommandRow).where(CommandRow.device_id == device_id).order_by(CommandRow.number.desc()).limit(most)
    source = publication(session).source
    for row in session.scalars(rows):
        yield Ordered(ChangeNumber(source, row.epoch, row.number), _read(row))


def _row(done: Ordered) -> dict[str, object]:
    made = done.command
    return {
        "number": done.change.number,
        "epoch": done.change.epoch,
        "kind": made.kind,
        "device_id": made.device_id,
        "made_by": made.by,
        "why": made.why,
        "made_ts": made.made_ts,
        "test": made.test,
        "component": made.component,
        "alarm_kind": made.alarm_kind or None,
        "alarm_id": made.alarm_id or None,
        "force": made.force,
        "until_ts": made.until_ts or None,
    }


def _read(row: CommandRow) -> Command:
    return Command(
        v=VERSION,
        kind=CommandKind(row.kind),
        device_id=row.device_id,
        by=row.made_by,
        why=row.why,
        made_ts=row.made_ts,
        test=row.test,
        component=row.component,
        alarm_kind=row.alarm_kind or "",
        alarm_id=row.alarm_id or "",
        force=row.force,
        until_ts=row.until_ts or 0,
    )
