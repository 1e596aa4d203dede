"""the registry: organisations, units, devices, components, and the outbox"""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables. The epoch of changes is when that was."""
    op.create_table(
        "organisations",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("code", sa.String(64)),
        sa.Column("address", sa.String(255)),
        sa.Column("contact", sa.String(64)),
        sa.Column("phone", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_organisations"),
    )
    op.create_table(
        "units",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("organisation_id", sa.String(64)),
        sa.Column("address", sa.String(255)),
        sa.Column("latitude", sa.Double()),
        sa.Column("longitude", sa.Double()),
        sa.Column("datum", sa.String(64)),
        sa.Column("area", sa.String(64)),
        sa.Column("place_kind", sa.String(64)),
        sa.Column("vendor_code", sa.String(64)),
        sa.Column("contact", sa.String(64)),
        sa.Column("phone", sa.String(64)),
        sa.Column("maintained_until", sa.Date()),
        sa.Column("line_inspected", sa.Boolean()),
        sa.Column("invested_wan", sa.Double()),
        sa.Column("supply_area", sa.String(64)),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_units_organisation_id"),
        sa.PrimaryKeyConstraint("id", name="pk_units"),
    )
    op.create_index("ix_units_area", "units", ["area"])
    op.create_index("ix_units_organisation_id", "units", ["organisation_id"])
    op.create_table(
        "devices",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("model", sa.String(64)),
        sa.Column("maker", sa.String(255)),
        sa.Column("unit_id", sa.String(64), nullable=False),
        sa.Column("organisation_id", sa.String(64)),
        sa.Column("address", sa.String(255)),
        sa.Column("latitude", sa.Double()),
        sa.Column("longitude", sa.Double()),
        sa.Column("datum", sa.String(64)),
        sa.Column("vendor_code", sa.String(64)),
        sa.Column("state", sa.String(64), nullable=False),
        sa.Column("installed_on", sa.Date()),
        sa.Column("expires_on", sa.Date()),
        sa.Column("warranty_until", sa.Date()),
        sa.Column("certificate", sa.String(64)),
        sa.Column("nominal_voltage_v", sa.Double()),
        sa.Column("rated_current_a", sa.Double()),
        sa.Column("phases", sa.Integer()),
        sa.Column("interval_s", sa.Integer()),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_devices_organisation_id"),
        sa.ForeignKeyConstraint(["unit_id"], ["units.id"], name="fk_devices_unit_id"),
        sa.PrimaryKeyConstraint("id", name="pk_devices"),
    )
    op.create_index("ix_devices_unit_id", "devices", ["unit_id"])
    op.create_index("ix_devices_organisation_id", "devices", ["organisation_id"])
    op.create_table(
        "components",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("quantity", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("role", sa.String(64)),
        sa.Column("circuit", sa.Integer()),
        sa.Column("phase", sa.String(64)),
        sa.Column("address", sa.String(255)),
        sa.Column("maker", sa.String(255)),
        sa.Column("installed_on", sa.Date()),
        sa.Column("state", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_components_device_id"),
        sa.PrimaryKeyConstraint("id", name="pk_components"),
    )
    op.create_index(
        "ix_components_device_id_quantity_number",
        "components",
        ["device_id", "quantity", "number"],
        unique=True,
        sqlite_where=sa.text("state <> 'removed'"),
        postgresql_where=sa.text("state <> 'removed'"),
    )
    op.create_table(
        "turn",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("taken", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_turn"),
    )
    op.create_table(
        "outbox",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, autoincrement=True),
        sa.Column("topic", sa.String(64), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("made_ts", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_outbox"),
        # Else SQLite would give the number of a row that was deleted to another.
        sqlite_autoincrement=True,
    )
    op.create_table(
        "publication",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("published", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(64)),
        sa.Column("held_until_ts", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_publication"),
    )
    op.execute(sa.text("INSERT INTO turn (id, taken) VALUES (1, 0)"))
    op.execute(
        sa.text(
            "INSERT INTO publication (id, epoch, sent, published, held_until_ts) VALUES (1, :epoch, 0, 0, 0)"
        ).bindparams(epoch=time.time_ns() // 1_000_000)
    )


def downgrade() -> None:
    """Drop all tables, and with them what people entered."""
    for table in ("publication", "outbox", "turn", "components", "devices", "units", "organisations"):
        op.drop_table(table)
