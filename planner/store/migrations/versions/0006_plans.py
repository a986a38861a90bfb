"""Capacity plans with their scenarios, and the steps of the decision on each.

Revision 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Json = sa.JSON().with_variant(JSONB(), "postgresql")
Moment = sa.DateTime(timezone=True)
STATES = "state IN ('queued','solving','solved','infeasible','cancelled','failed')"


def upgrade() -> None:
    op.create_table(
        "plans",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("parent_id", sa.String(length=26), nullable=True),
        sa.Column("root_id", sa.String(length=26), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("asked", Json, nullable=False),
        sa.Column("request", Json, nullable=False),
        sa.Column("sources", Json, nullable=False),
        sa.Column("gap", sa.Double(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("progress", Json, nullable=True),
        sa.Column("result", Json, nullable=True),
        sa.Column("worker_id", sa.String(length=200), nullable=True),
        sa.Column("started_at", Moment, nullable=True),
        sa.Column("finished_at", Moment, nullable=True),
        sa.Column("cancel_requested_at", Moment, nullable=True),
        sa.Column("code_version", sa.String(length=100), nullable=False),
        sa.CheckConstraint(STATES, name=op.f("ck_plans_state")),
        sa.ForeignKeyConstraint(["parent_id"], ["plans.id"], name="fk_plans_parent_id"),
        sa.PrimaryKeyConstraint("id", name="pk_plans"),
    )
    op.create_index("ix_plans_root_id", "plans", ["root_id"], unique=False)
    op.create_index("ix_plans_state", "plans", ["state"], unique=False)
    op.create_table(
        "plan_stages",
        sa.Column("id", BigId, nullable=False),
        sa.Column("plan_id", sa.String(length=26), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("stage", sa.String(length=20), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name="fk_plan_stages_plan_id"),
        sa.PrimaryKeyConstraint("id", name="pk_plan_stages"),
    )
    op.create_index("ix_plan_stages_plan_id", "plan_stages", ["plan_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_plan_stages_plan_id", table_name="plan_stages")
    op.drop_table("plan_stages")
    op.drop_index("ix_plans_state", table_name="plans")
    op.drop_index("ix_plans_root_id", table_name="plans")
    op.drop_table("plans")
