"""The ledger: what finished jobs took, beside what was predicted; each estimate keeps the record of its kind.

Revision 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"

Json = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("estimates", sa.Column("track_records", Json, nullable=True))
    op.create_table(
        "actuals",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column("reference", sa.String(length=200), nullable=False),
        sa.Column("estimate_id", sa.String(length=26), nullable=True),
        sa.Column("run_id", sa.String(length=26), nullable=True),
        sa.Column("option_position", sa.Integer(), nullable=True),
        sa.Column("title", sa.String(length=500), nullable=False),
        sa.Column("job_kind", sa.String(length=50), nullable=False),
        sa.Column("family", sa.String(length=50), nullable=False),
        sa.Column("gpu_key", sa.String(length=200), nullable=False),
        sa.Column("basis", sa.String(length=20), nullable=False),
        sa.Column("measured", Json, nullable=False),
        sa.Column("predicted", Json, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("code_version", sa.String(length=100), nullable=False),
        sa.Column("replaces_id", sa.String(length=26), nullable=True),
        sa.CheckConstraint("(estimate_id IS NULL) <> (run_id IS NULL)", name=op.f("ck_actuals_subject")),
        sa.ForeignKeyConstraint(["estimate_id"], ["estimates.id"], name="fk_actuals_estimate_id"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_actuals_run_id"),
        sa.ForeignKeyConstraint(["replaces_id"], ["actuals.id"], name="fk_actuals_replaces_id"),
        sa.PrimaryKeyConstraint("id", name="pk_actuals"),
        sa.UniqueConstraint("replaces_id", name="uq_actuals_replaces_id"),
        sa.UniqueConstraint("source", "reference", name="uq_actuals_source_reference"),
    )
    for column in ("recorded_at", "estimate_id", "run_id", "job_kind"):
        op.create_index(f"ix_actuals_{column}", "actuals", [column], unique=False)


def downgrade() -> None:
    for column in ("job_kind", "run_id", "estimate_id", "recorded_at"):
        op.drop_index(f"ix_actuals_{column}", table_name="actuals")
    op.drop_table("actuals")
    op.drop_column("estimates", "track_records")
