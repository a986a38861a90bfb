"""A price source can be asked for at once.

Revision 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("price_sources", sa.Column("requested_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("price_sources", sa.Column("requested_by", sa.String(length=200), nullable=True))


def downgrade() -> None:
    op.drop_column("price_sources", "requested_by")
    op.drop_column("price_sources", "requested_at")
