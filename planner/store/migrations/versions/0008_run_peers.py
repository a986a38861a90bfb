"""Runs of several devices at once: the further devices of a run, each under a fence of its own.

Revision 0008, after 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "run_peers",
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("device_id", sa.String(length=26), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_run_peers_run_id"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_run_peers_device_id"),
        sa.PrimaryKeyConstraint("run_id", "device_id", name="pk_run_peers"),
    )
    op.create_index("ix_run_peers_device_id", "run_peers", ["device_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_run_peers_device_id", table_name="run_peers")
    op.drop_table("run_peers")
