"""A plan says which client asked for it: limits of the queue count for each.

Revision 0009, after 0008.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("plans", sa.Column("client", sa.String(length=200), nullable=False, server_default="unknown"))
    op.create_index("ix_plans_client", "plans", ["client"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_plans_client", table_name="plans")
    op.drop_column("plans", "client")
