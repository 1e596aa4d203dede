"""whether people may order that a device is cut off"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column; no device may be cut off until somebody fills it in."""
    op.add_column("devices", sa.Column("cut_off_allowed", sa.Boolean()))


def downgrade() -> None:
    """Drop the column, and with it what people filled in."""
    op.drop_column("devices", "cut_off_allowed")
