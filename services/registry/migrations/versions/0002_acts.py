"""what people do about alarms and order of devices"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables. Nothing that is there changes."""
    op.create_table(
        "alarms",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("component", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("test", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alarms"),
    )
    op.create_index("ix_alarms_device_id", "alarms", ["device_id"])
    op.create_table(
        "alarm_actions",
        sa.Column("number", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("alarm_id", sa.String(32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("made_by", sa.String(64), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("seen_topic_id", sa.String(36)),
        sa.Column("seen_partition", sa.Integer()),
        sa.Column("seen_generation", sa.Integer()),
        sa.Column("seen_offset", sa.BigInteger()),
        sa.Column("seen_ordinal", sa.Integer()),
        sa.Column("until_ts", sa.BigInteger()),
        sa.Column("assignee", sa.String(64)),
        sa.Column("verdict", sa.String(64)),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarms.id"], name="fk_alarm_actions_alarm_id"),
        sa.PrimaryKeyConstraint("number", name="pk_alarm_actions"),
    )
    op.create_index("ix_alarm_actions_alarm_id_version", "alarm_actions", ["alarm_id", "version"], unique=True)
    op.create_table(
        "commands",
        sa.Column("number", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("made_by", sa.String(64), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("made_ts", sa.BigInteger(), nullable=False),
        sa.Column("test", sa.Boolean(), nullable=False),
        sa.Column("component", sa.Integer()),
        sa.Column("alarm_kind", sa.String(64)),
        sa.Column("alarm_id", sa.String(32)),
        sa.Column("force", sa.Boolean(), nullable=False),
        sa.Column("until_ts", sa.BigInteger()),
        sa.PrimaryKeyConstraint("number", name="pk_commands"),
    )
    op.create_index("ix_commands_device_id", "commands", ["device_id"])


def downgrade() -> None:
    """Drop the tables, and with them what people did; what is in the outbox already is published all the same."""
    for table in ("commands", "alarm_actions", "alarms"):
        op.drop_table(table)
