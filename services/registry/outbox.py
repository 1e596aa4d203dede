"""The outbox: what is committed here is published, all of it and in the order of commits, at least once.

Whoever changes rows puts what is to be told of it into the outbox in the same transaction. One publisher at a time, by
a lease in the database, sends the rows in the order of their numbers and notes how far it is once the broker has them.
After a crash some come again under the numbers they had, by which consumers know them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, delete, func, insert, literal_column, or_, select, update
from sqlalchemy.orm import Session

from schemas.registry import LIMITS_KEY, VERSION, ChangeNumber, DeviceEntry, LimitsEntry
from schemas.topics import COMMANDS, REGISTRY, Topic
from services.registry.database import in_parts
from services.registry.entries import entries_of, touched_by
from services.registry.limits.rows import shared_limits
from services.registry.models import CommandRow, LimitsRow, OutboxRow, Publication, RegisteredDevice

SOURCE_NAME: Final = "registry"
"""This registry among the sources of changes; another system that fills the topic has a name of its own."""
RESTORED: Final = "restored"
"""Who tells of everything once more after the database was restored."""
WIDENED: Final = "widened"
"""Who does so after the topic got other partitions."""
AT_ONCE: Final = 500
"""Rows that are read, sent and noted together [ours]."""
LEASE_MS: Final = 30_000
"""A publisher that has not come back for so long is taken for gone [ours]."""
KEPT: Final = 10_000
"""Rows that stay after they are published, to look at [ours]."""


class ToPublish(NamedTuple):
    """One record."""

    change: ChangeNumber
    topic: str
    key: bytes
    value: bytes


def tell_of(session: Session, changed: Mapping[str, Sequence[str]], by: str) -> int:
    """Put the entries of the devices that changed rows touch, given by table and key, into the outbox. How many there
    are."""
    touched = (touched_by(session, table, some) for table, keys in changed.items() for some in in_parts(keys))
    devices = sorted(set(chain.from_iterable(touched)))
    return sum(_put(session, list(entries_of(session, some)), by) for some in in_parts(devices))


def tell_of_limits(session: Session, by: str) -> LimitsEntry:
    """Put the limits that hold for more than one device into the outbox, as they are now."""
    limits = shared_limits(session)
    put(session, REGISTRY, [(LIMITS_KEY.decode(), limits.to_json())], by)
    return limits


def _tell_of_all(session: Session, by: str) -> Sequence[str]:
    """Tell of everything once more, of what is more general first; the devices that are registered."""
    tell_of_limits(session, by)
    there = session.scalars(select(RegisteredDevice.id)).all()
    tell_of(session, {"devices": there}, by)
    return there


def _put(session: Session, entries: Sequence[DeviceEntry], by: str) -> int:
    rows = _rows(session, REGISTRY, [(one.device_id, one.to_json()) for one in entries], by)
    if rows:
        session.execute(insert(OutboxRow), rows)
    return len(rows)


def put(session: Session, topic: Topic, records: Sequence[tuple[str, bytes]], by: str) -> list[int]:
    """Put records, given by key and value, into the outbox; their numbers, in their order."""
    if not records:
        return []
    returning = insert(OutboxRow).returning(OutboxRow.number, sort_by_parameter_order=True)
    return list(session.scalars(returning, _rows(session, topic, records, by)))


def _rows(session: Session, topic: Topic, records: Sequence[tuple[str, bytes]], by: str) -> list[dict[str, Any]]:
    same = {"topic": topic.name, "made_ts": clock(session), "made_by": by}
    return [same | {"key": key.encode(), "value": value} for key, value in records]


def clock(session: Session) -> int:
    """Epoch ms by the database's clock, now."""
    return session.scalar(select(now_of(session))) or 0


def now_of(session: Session) -> ColumnElement[int]:
    """Epoch ms by the database's clock, which is one for all who hold leases."""
    if session.get_bind().dialect.name == "sqlite":
        return literal_column("CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)")
    return literal_column("CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)")


def take_lease(session: Session, holder: str) -> bool:
    """Be the publisher for `LEASE_MS` from now on, if nobody else is."""
    now = now_of(session)
    free = or_(Publication.holder == holder, Publication.held_until_ts < now)
    taken = update(Publication).where(free).values(holder=holder, held_until_ts=now + LEASE_MS)
    return session.connection().execute(taken).rowcount == 1


def let_lease_go(session: Session, holder: str) -> None:
    """Be the publisher no longer: another need not wait."""
    session.execute(update(Publication).where(Publication.holder == holder).values(held_until_ts=0))


def publication(session: Session) -> ChangeNumber:
    """This database as a source, its epoch, and the highest number that it may have sent: the topic has no higher one,
    unless the database was restored from a backup."""
    epoch, sent = session.execute(select(Publication.epoch, Publication.sent)).one()
    return ChangeNumber(SOURCE_NAME, epoch, sent)


def is_told_of(session: Session) -> bool:
    """Whether there is anything of which the registry's topic has been told. What was sent and is not known to be
    published may have been undone by the broker, and comes again."""
    there = any(session.scalar(select(one.id).limit(1)) is not None for one in (RegisteredDevice, LimitsRow))
    return there and bool(session.scalar(select(Publication.published)))


def unpublished_acts(session: Session) -> list[ToPublish]:
    """What people ordered and did that is not known to be published."""
    published = select(Publication.published).scalar_subquery()
    rows = select(OutboxRow).where(OutboxRow.number > published, OutboxRow.topic != REGISTRY.name)
    return [
        ToPublish(ChangeNumber(SOURCE_NAME, 0, row.number), row.topic, row.key, row.value)
        for row in session.scalars(rows.order_by(OutboxRow.number))
    ]


def begin_anew(session: Session, epoch: int, told: Collection[str], sent: Collection[int], partitions: int) -> None:
    """Number changes in another epoch, and tell of limits and all devices once more, on a topic of so many partitions:
    of devices that are there, and of those that were `told` of and are not. What people ordered and did is not told
    again: of rows that are not known to be published those that are `sent`, given by number, are left out."""
    began = max(epoch, clock(session))
    session.execute(update(Publication).values(epoch=began, partitions=partitions))
    waiting = OutboxRow.number > select(Publication.published).scalar_subquery()
    session.execute(delete(OutboxRow).where(waiting, OutboxRow.topic == REGISTRY.name))
    for some in in_parts(sorted(sent)):
        session.execute(delete(OutboxRow).where(OutboxRow.number.in_(some)))
    # They are known by the epoch under which they are published.
    orders = select(OutboxRow.number).where(waiting, OutboxRow.topic == COMMANDS.name)
    session.execute(update(CommandRow).where(CommandRow.number.in_(orders)).values(epoch=began))
    there = _tell_of_all(session, RESTORED)
    gone = [DeviceEntry(v=VERSION, device_id=one, removed=True) for one in sorted(set(told) - set(there))]
    _put(session, gone, RESTORED)


def next_rows(session: Session) -> list[ToPublish]:
    """The rows to be published next."""
    epoch, published = session.execute(select(Publication.epoch, Publication.published)).one()
    rows = select(OutboxRow).where(OutboxRow.number > published).order_by(OutboxRow.number).limit(AT_ONCE)
    return [
        ToPublish(ChangeNumber(SOURCE_NAME, epoch, row.number), row.topic, row.key, row.value)
        for row in session.scalars(rows)
    ]


def note_partitions(session: Session, holder: str, count: int) -> bool:
    """Note of how many partitions the topic is. Where it was another number when something was sent, tell of everything
    once more: devices belong to other partitions now, and new ones have no limits. False where another is the publisher
    by now."""
    before, sent = session.execute(select(Publication.partitions, Publication.sent)).one()
    mine = update(Publication).where(Publication.holder == holder).values(partitions=count)
    if session.connection().execute(mine).rowcount != 1:
        return False
    if sent and before != count:
        _tell_of_all(session, WIDENED)
    return True


def note_sent(session: Session, holder: str, number: int) -> bool:
    """Note before it is done that rows up to a number are sent. False where another is the publisher by now."""
    mine = update(Publication).where(Publication.holder == holder).values(sent=number)
    return session.connection().execute(mine).rowcount == 1


def note_published(session: Session, holder: str, number: int) -> bool:
    """Note that all rows up to a number are published. False where another is the publisher by now."""
    mine = update(Publication).where(Publication.holder == holder).values(published=number)
    session.execute(delete(OutboxRow).where(OutboxRow.number <= number - KEPT))
    return session.connection().execute(mine).rowcount == 1


def backlog(session: Session) -> int:
    """How many rows wait to be published."""
    waiting = select(func.count()).select_from(OutboxRow)
    return session.scalar(waiting.where(OutboxRow.number > select(Publication.published).scalar_subquery())) or 0
