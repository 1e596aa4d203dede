"""The tables of the registry. Times are epoch ms, UTC; dates are dates; a word of a code table is its code.

Every column has its bounds where it is read (`services.registry.exchange.fields`); here are those that the database
itself holds: keys, references, and what may not be empty.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Key64 = Annotated[str, mapped_column(String(64))]
Text64 = Annotated[str | None, mapped_column(String(64))]
Text255 = Annotated[str | None, mapped_column(String(255))]
EpochMs = Annotated[int, mapped_column(BigInteger)]
Serial = Annotated[int, mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)]
"""SQLite counts up by itself only what it calls INTEGER."""


class Base(DeclarativeBase):
    """Constraints have names, so that a migration can name them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Organisation(Base):
    """A maintenance organisation 运维机构 (requirement A12, record 2)."""

    __tablename__ = "organisations"

    id: Mapped[Key64] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    code: Mapped[Text64]
    address: Mapped[Text255]
    contact: Mapped[Text64]
    phone: Mapped[Text64]


class Unit(Base):
    """A unit 社会单位: a site or a building (requirement A12, record 1; part D). Of its residual-current protectors,
    户保 and 总保 (C8), it has how many there are to be, are installed, and are in operation."""

    __tablename__ = "units"
    __table_args__ = (Index(None, "area"), Index(None, "organisation_id"))

    id: Mapped[Key64] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisations.id"))
    address: Mapped[Text255]
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    datum: Mapped[Text64]
    area: Mapped[Text64]
    place_kind: Mapped[Text64]
    vendor_code: Mapped[Text64]
    contact: Mapped[Text64]
    phone: Mapped[Text64]
    maintained_until: Mapped[date | None]
    line_inspected: Mapped[bool | None]
    invested_wan: Mapped[float | None]
    supply_area: Mapped[Text64]
    household_protectors_due: Mapped[int | None]
    household_protectors_installed: Mapped[int | None]
    household_protectors_operating: Mapped[int | None]
    main_protectors_due: Mapped[int | None]
    main_protectors_installed: Mapped[int | None]
    main_protectors_operating: Mapped[int | None]


class RegisteredDevice(Base):
    """A device 设备 (requirement A12, record 3; the expiry date and certificate that sharing expects). People may
    order that it is cut off where it is one of `schemas.commands.CUT_OFF_KINDS` and `cut_off_allowed`."""

    __tablename__ = "devices"
    __table_args__ = (Index(None, "unit_id"), Index(None, "organisation_id"))

    id: Mapped[Key64] = mapped_column(primary_key=True)
    name: Mapped[Text255]
    kind: Mapped[str] = mapped_column(String(64))
    model: Mapped[Text64]
    maker: Mapped[Text255]
    unit_id: Mapped[str] = mapped_column(ForeignKey("units.id"))
    organisation_id: Mapped[str | None] = mapped_column(ForeignKey("organisations.id"))
    address: Mapped[Text255]
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    datum: Mapped[Text64]
    vendor_code: Mapped[Text64]
    state: Mapped[str] = mapped_column(String(64))
    installed_on: Mapped[date | None]
    expires_on: Mapped[date | None]
    warranty_until: Mapped[date | None]
    certificate: Mapped[Text64]
    nominal_voltage_v: Mapped[float | None]
    rated_current_a: Mapped[float | None]
    phases: Mapped[int | None]
    interval_s: Mapped[int | None]
    ports: Mapped[int | None]
    cut_off_allowed: Mapped[bool | None]


THERE: Final = "state <> 'removed'"
"""One that was removed leaves its place to another."""


class RegisteredComponent(Base):
    """A component 部件 of a device (requirement A12, record 4): `number` is its place among those of its quantity in
    the device's reports, from 1 on as people count."""

    __tablename__ = "components"
    __table_args__ = (
        Index(
            "ix_components_device_id_quantity_number",
            *("device_id", "quantity", "number"),
            unique=True,
            sqlite_where=text(THERE),
            postgresql_where=text(THERE),
        ),
    )

    id: Mapped[Key64] = mapped_column(primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id"))
    quantity: Mapped[str] = mapped_column(String(64))
    number: Mapped[int]
    name: Mapped[Text255]
    role: Mapped[Text64]
    circuit: Mapped[int | None]
    phase: Mapped[Text64]
    address: Mapped[Text255]
    maker: Mapped[Text255]
    installed_on: Mapped[date | None]
    state: Mapped[str] = mapped_column(String(64))


class Turn(Base):
    """The one row that whoever writes locks first: so one transaction writes at a time, and the numbers of the outbox
    are in the order of commits."""

    __tablename__ = "turn"

    id: Mapped[int] = mapped_column(primary_key=True)
    taken: Mapped[EpochMs]


class OutboxRow(Base):
    """A record to be published. The order of the numbers is the order of commits (`services.registry.outbox`)."""

    __tablename__ = "outbox"

    number: Mapped[Serial]
    topic: Mapped[str] = mapped_column(String(64))
    key: Mapped[bytes] = mapped_column(LargeBinary)
    value: Mapped[bytes] = mapped_column(LargeBinary)
    made_ts: Mapped[EpochMs]
    made_by: Mapped[str] = mapped_column(Text)


class ActedAlarm(Base):
    """An alarm that people have done something about. `version` is the number of their actions."""

    __tablename__ = "alarms"
    __table_args__ = (Index(None, "device_id"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    device_id: Mapped[str] = mapped_column(String(64))
    component: Mapped[int]
    kind: Mapped[str] = mapped_column(String(64))
    test: Mapped[bool]
    version: Mapped[int]


class AlarmActionRow(Base):
    """One action (`schemas.actions.AlarmAction`), under its number in the outbox. `version` is its place among those of
    its alarm."""

    __tablename__ = "alarm_actions"
    __table_args__ = (Index("ix_alarm_actions_alarm_id_version", "alarm_id", "version", unique=True),)

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    alarm_id: Mapped[str] = mapped_column(ForeignKey("alarms.id"))
    version: Mapped[int]
    kind: Mapped[str] = mapped_column(String(64))
    made_by: Mapped[str] = mapped_column(String(64))
    why: Mapped[str] = mapped_column(Text)
    ts: Mapped[EpochMs]
    seen_topic_id: Mapped[str | None] = mapped_column(String(36))
    seen_partition: Mapped[int | None]
    seen_generation: Mapped[int | None]
    seen_offset: Mapped[int | None] = mapped_column(BigInteger)
    seen_ordinal: Mapped[int | None]
    until_ts: Mapped[int | None] = mapped_column(BigInteger)
    assignee: Mapped[Text64]
    verdict: Mapped[Text64]


class CommandRow(Base):
    """One command (`schemas.commands.Command`), known by the epoch and number under which it is published."""

    __tablename__ = "commands"
    __table_args__ = (Index(None, "device_id"),)

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    epoch: Mapped[EpochMs]
    kind: Mapped[str] = mapped_column(String(64))
    device_id: Mapped[str] = mapped_column(String(64))
    made_by: Mapped[str] = mapped_column(String(64))
    why: Mapped[str] = mapped_column(Text)
    made_ts: Mapped[EpochMs]
    test: Mapped[bool]
    component: Mapped[int | None]
    alarm_kind: Mapped[Text64]
    alarm_id: Mapped[str | None] = mapped_column(String(32))
    force: Mapped[bool]
    until_ts: Mapped[int | None] = mapped_column(BigInteger)


IN_FORCE: Final = "until_ts IS NULL"
"""The others are history."""


class LimitsRow(Base):
    """What differs of the limits of one kind of alarm at one scope (`services.registry.limits.rows`), from `set_ts` on
    and until `until_ts`. `settings` is JSON; each setting in it has its own document, person and time. A row without
    settings says that nothing differs any more."""

    __tablename__ = "limits"
    __table_args__ = (
        Index(
            "ix_limits_scope_subject_quantity_number_alarm_kind",
            *("scope", "subject", "quantity", "number", "alarm_kind"),
            unique=True,
            sqlite_where=text(IN_FORCE),
            postgresql_where=text(IN_FORCE),
        ),
    )

    id: Mapped[Serial]
    scope: Mapped[Key64]
    subject: Mapped[Key64]
    quantity: Mapped[Key64]
    number: Mapped[int]
    alarm_kind: Mapped[Key64]
    settings: Mapped[str] = mapped_column(Text)
    set_by: Mapped[Key64]
    why: Mapped[str] = mapped_column(Text)
    set_ts: Mapped[EpochMs]
    until_ts: Mapped[int | None] = mapped_column(BigInteger)


class Publication(Base):
    """The one row that says under which epoch changes are published, up to which number they may be `sent` and are
    `published`, to how many `partitions` of the registry's topic (0: not known), and who publishes them now."""

    __tablename__ = "publication"

    id: Mapped[int] = mapped_column(primary_key=True)
    epoch: Mapped[EpochMs]
    sent: Mapped[EpochMs]
    published: Mapped[EpochMs]
    holder: Mapped[Text64]
    held_until_ts: Mapped[EpochMs]
    partitions: Mapped[int]
