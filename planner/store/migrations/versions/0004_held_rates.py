"""Exchange rates that are far from their neighbours wait for a person.

Revision 0004, after 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "held_rates",
        sa.Column("id", BigId, nullable=False),
        sa.Column("base", sa.String(length=3), nullable=False),
        sa.Column("quote", sa.String(length=3), nullable=False),
        sa.Column("rate", sa.BigInteger(), nullable=False),
        sa.Column("rate_date", sa.Date(), nullable=False),
        sa.Column("source", sa.String(length=500), nullable=False),
        sa.Column("recorded_at", Moment, nullable=False),
        sa.Column("compared_with", sa.String(length=60), nullable=False),
        sa.Column("compared_date", sa.Date(), nullable=False),
        sa.Column("decision", sa.String(length=20), nullable=True),
        sa.Column("decided_at", Moment, nullable=True),
        sa.Column("decided_by", sa.String(length=200), nullable=True),
        sa.CheckConstraint("rate > 0", name=op.f("ck_held_rates_rate")),
        sa.CheckConstraint("decision IN ('approved','refused')", name=op.f("ck_held_rates_decision")),
        sa.CheckConstraint("(decision IS NULL) = (decided_at IS NULL)", name=op.f("ck_held_rates_decided")),
        sa.PrimaryKeyConstraint("id", name="pk_held_rates"),
    )
    op.create_index("ix_held_rates_base_quote_rate_date", "held_rates", ["base", "quote", "rate_date"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_held_rates_base_quote_rate_date", table_name="held_rates")
    op.drop_table("held_rates")
