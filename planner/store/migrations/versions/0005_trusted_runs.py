"""Runs that can be trusted: attempts, checks, reviews and late results of runs; suites of one's own; quarantine,
labels and budgets; pauses; and the answers that were given to requests with an Idempotency-Key.

Revision 0005, after 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"

Json = sa.JSON().with_variant(JSONB(), "postgresql")
BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("devices", sa.Column("label", sa.String(length=100), nullable=True))
    for column in (
        sa.Column("revision", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("only", Json, nullable=False, server_default="{}"),
        sa.Column("window_start", sa.String(length=5), nullable=True),
        sa.Column("window_end", sa.String(length=5), nullable=True),
        sa.Column("daily_minutes", sa.Double(), nullable=True),
        sa.Column("daily_amount", sa.BigInteger(), nullable=True),
        sa.Column("daily_currency", sa.String(length=3), nullable=True),
    ):
        op.add_column("schedules", column)
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("attempt", sa.Integer(), nullable=False, server_default="1"))
        runs.add_column(sa.Column("retry_of", sa.String(length=26), nullable=True))
        runs.add_column(sa.Column("not_before", Moment, nullable=True))
        runs.add_column(sa.Column("retry_until", Moment, nullable=True))
        runs.add_column(sa.Column("is_check", sa.Boolean(), nullable=False, server_default=sa.false()))
        runs.create_unique_constraint("uq_runs_retry_of", ["retry_of"])
    _device_tables()
    _run_tables()
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("operation", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", Json, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False)


def _device_tables() -> None:
    op.create_table(
        "device_transitions",
        sa.Column("id", BigId, nullable=False),
        sa.Column("device_id", sa.String(length=26), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=26), nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_device_transitions_device_id"),
        sa.PrimaryKeyConstraint("id", name="pk_device_transitions"),
    )
    op.create_index("ix_device_transitions_device_id", "device_transitions", ["device_id"], unique=False)
    op.create_table(
        "pauses",
        sa.Column("id", BigId, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pauses"),
    )
    op.create_table(
        "suites",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("time_limit_seconds", sa.Double(), nullable=False),
        sa.Column("benches", Json, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_suites"),
        sa.UniqueConstraint("name", "version", name="uq_suites_name_version"),
    )


def _run_tables() -> None:
    op.create_table(
        "run_reviews",
        sa.Column("id", BigId, nullable=False),
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_run_reviews_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_run_reviews"),
        sa.UniqueConstraint("run_id", name="uq_run_reviews_run_id"),
    )
    op.create_table(
        "late_results",
        sa.Column("id", BigId, nullable=False),
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("worker_id", sa.String(length=200), nullable=False),
        sa.Column("received_at", Moment, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("document", Json, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_late_results_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_late_results"),
        sa.UniqueConstraint("run_id", "fence", name="uq_late_results_run_id_fence"),
    )


def downgrade() -> None:
    op.drop_index("ix_idempotency_keys_created_at", table_name="idempotency_keys")
    for table in ("idempotency_keys", "late_results", "run_reviews", "suites", "pauses"):
        op.drop_table(table)
    op.drop_index("ix_device_transitions_device_id", table_name="device_transitions")
    op.drop_table("device_transitions")
    with op.batch_alter_table("runs") as runs:
        runs.drop_constraint("uq_runs_retry_of", type_="unique")
        for column in ("is_check", "retry_until", "not_before", "retry_of", "attempt"):
            runs.drop_column(column)
    with op.batch_alter_table("schedules") as schedules:
        for column in (
            "daily_currency",
            "daily_amount",
            "daily_minutes",
            "window_end",
            "window_start",
            "only",
            "revision",
        ):
            schedules.drop_column(column)
    op.drop_column("devices", "label")
