"""Budgets, and months whose figures are booked.

Revision 0012, after 0011.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"

Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("recorded_at", Moment, nullable=False),
        sa.Column("recorded_by", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("from_month", sa.String(length=7), nullable=False),
        sa.Column("until_month", sa.String(length=7), nullable=False),
        sa.Column("terms", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("replaces_id", sa.String(length=26), nullable=True),
        sa.Column("withdrawn_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_budgets"),
        sa.ForeignKeyConstraint(["replaces_id"], ["budgets.id"], name="fk_budgets_replaces_id"),
        sa.UniqueConstraint("replaces_id", name="uq_budgets_replaces_id"),
        sa.CheckConstraint("until_month >= from_month", name=op.f("ck_budgets_months")),
    )
    op.create_index("ix_budgets_from_month", "budgets", ["from_month"])
    op.create_table(
        "closings",
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("closed_at", Moment, nullable=False),
        sa.Column("closed_by", sa.String(length=200), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("code_version", sa.String(length=100), nullable=False),
        sa.Column("num_charges", sa.Integer(), nullable=False),
        sa.Column("num_unknown", sa.Integer(), nullable=False),
        sa.Column("booked", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("month", name="pk_closings"),
    )


def downgrade() -> None:
    op.drop_table("closings")
    op.drop_index("ix_budgets_from_month", table_name="budgets")
    op.drop_table("budgets")
