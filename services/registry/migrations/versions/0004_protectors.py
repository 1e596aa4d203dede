"""residual-current protectors of units, charging ports of devices"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
COUNTS = [f"{which}_protectors_{what}" for which in ("household", "main") for what in ("due", "installed", "operating")]


def upgrade() -> None:
    """Add the columns; nothing is known of them."""
    for name in COUNTS:
        op.add_column("units", sa.Column(name, sa.Integer()))
    op.add_column("devices", sa.Column("ports", sa.Integer()))


def downgrade() -> None:
    """Drop the columns, and with them what people filled in."""
    op.drop_column("devices", "ports")
    for name in reversed(COUNTS):
        op.drop_column("units", name)
