"""limits that people set, and how many partitions were told of"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table. How many partitions the topic had at the last publication is not known."""
    op.create_table(
        "limits",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, autoincrement=True),
        sa.Column("scope", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("quantity", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("alarm_kind", sa.String(64), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("set_by", sa.String(64), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("set_ts", sa.BigInteger(), nullable=False),
        sa.Column("until_ts", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_limits"),
    )
    op.create_index(
        "ix_limits_scope_subject_quantity_number_alarm_kind",
        "limits",
        ["scope", "subject", "quantity", "number", "alarm_kind"],
        unique=True,
        sqlite_where=sa.text("until_ts IS NULL"),
        postgresql_where=sa.text("until_ts IS NULL"),
    )
    op.add_column("publication", sa.Column("partitions", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Drop the table, and with it what people set; what was told of it stays in force until it is told otherwise."""
    op.drop_column("publication", "partitions")
    op.drop_table("limits")
