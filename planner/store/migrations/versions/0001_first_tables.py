"""First tables: nodes, devices, offers, prices, jobs, schedules, runs, samples, telemetry, fits, estimates.

Revision 0001, after nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Json = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("spec", Json, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('training','inference')", name=op.f("ck_jobs_kind")),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=True),
        sa.Column("boot_id", sa.String(length=200), nullable=True),
        sa.Column("run_id", sa.String(length=26), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "nodes",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("machine_id", sa.String(length=200), nullable=False),
        sa.Column("boot_id", sa.String(length=200), nullable=False),
        sa.Column("hostname", sa.String(length=255), nullable=False),
        sa.Column("os_name", sa.String(length=255), nullable=False),
        sa.Column("cpu_name", sa.String(length=255), nullable=False),
        sa.Column("num_cpus", sa.Integer(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_nodes"),
        sa.UniqueConstraint("machine_id", name="uq_nodes_machine_id"),
    )
    op.create_table(
        "offers",
        sa.Column("id", BigId, nullable=False),
        sa.Column("provider", sa.String(length=100), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("zone", sa.String(length=100), nullable=False),
        sa.Column("instance_type", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("gpu_name", sa.String(length=200), nullable=False),
        sa.Column("gpu_key", sa.String(length=100), nullable=True),
        sa.Column("num_gpus", sa.BigInteger(), nullable=False),
        sa.Column("vcpus", sa.BigInteger(), nullable=True),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("host_included", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("num_gpus > 0", name=op.f("ck_offers_num_gpus")),
        sa.PrimaryKeyConstraint("id", name="pk_offers"),
        sa.UniqueConstraint(
            "provider",
            "region",
            "zone",
            "instance_type",
            "kind",
            "currency",
            name="uq_offers_provider_region_zone_instance_type_kind_currency",
        ),
    )
    op.create_index("ix_offers_gpu_key", "offers", ["gpu_key"], unique=False)
    op.create_table(
        "devices",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("node_id", sa.String(length=26), nullable=False),
        sa.Column("uuid", sa.String(length=200), nullable=False),
        sa.Column("backend", sa.String(length=20), nullable=False),
        sa.Column("device_index", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("gpu_key", sa.String(length=100), nullable=True),
        sa.Column("vendor", sa.String(length=50), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("power_limit_watts", sa.Double(), nullable=True),
        sa.Column("compute_capability", sa.String(length=50), nullable=True),
        sa.Column("driver_version", sa.String(length=100), nullable=True),
        sa.Column("unknown", Json, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("missing_since", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('ok','missing','quarantined')", name=op.f("ck_devices_state")),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name="fk_devices_node_id"),
        sa.PrimaryKeyConstraint("id", name="pk_devices"),
        sa.UniqueConstraint("uuid", name="uq_devices_uuid"),
    )
    op.create_index("ix_devices_node_id", "devices", ["node_id"], unique=False)
    op.create_table(
        "estimates",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("job_id", sa.String(length=26), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request", Json, nullable=False),
        sa.Column("summary", Json, nullable=False),
        sa.Column("result", Json, nullable=False),
        sa.Column("price_ids", Json, nullable=False),
        sa.Column("fit_ids", Json, nullable=False),
        sa.Column("catalogue_version", sa.String(length=100), nullable=False),
        sa.Column("code_version", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_estimates_job_id"),
        sa.PrimaryKeyConstraint("id", name="pk_estimates"),
    )
    op.create_index("ix_estimates_created_at", "estimates", ["created_at"], unique=False)
    op.create_index("ix_estimates_job_id", "estimates", ["job_id"], unique=False)
    op.create_table(
        "prices",
        sa.Column("id", BigId, nullable=False),
        sa.Column("offer_id", BigId, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.String(length=500), nullable=False),
        sa.Column("source_date", sa.Date(), nullable=False),
        sa.CheckConstraint("amount IS NOT NULL OR reason <> ''", name=op.f("ck_prices_reason")),
        sa.CheckConstraint("amount IS NULL OR amount > 0", name=op.f("ck_prices_amount")),
        sa.ForeignKeyConstraint(["offer_id"], ["offers.id"], name="fk_prices_offer_id"),
        sa.PrimaryKeyConstraint("id", name="pk_prices"),
        sa.UniqueConstraint("offer_id", "valid_from", "recorded_at", name="uq_prices_offer_id_valid_from_recorded_at"),
    )
    op.create_table(
        "fits",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("device_id", sa.String(length=26), nullable=False),
        sa.Column("gpu_key", sa.String(length=100), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_ids", Json, nullable=False),
        sa.Column("code_version", sa.String(length=100), nullable=False),
        sa.Column("document", Json, nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_fits_device_id"),
        sa.PrimaryKeyConstraint("id", name="pk_fits"),
    )
    op.create_index("ix_fits_device_id_created_at", "fits", ["device_id", "created_at"], unique=False)
    op.create_index("ix_fits_gpu_key", "fits", ["gpu_key"], unique=False)
    op.create_table(
        "schedules",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("suite", sa.String(length=50), nullable=False),
        sa.Column("cron", sa.String(length=200), nullable=False),
        sa.Column("timezone", sa.String(length=100), nullable=False),
        sa.Column("device_id", sa.String(length=26), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_schedules_device_id"),
        sa.PrimaryKeyConstraint("id", name="pk_schedules"),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("schedule_id", sa.String(length=26), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("num_missed", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.String(length=26), nullable=False),
        sa.Column("suite", sa.String(length=50), nullable=False),
        sa.Column("suite_version", sa.Integer(), nullable=False),
        sa.Column("time_limit_seconds", sa.Double(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("worker_id", sa.String(length=200), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("num_benches", sa.Integer(), nullable=False),
        sa.Column("num_done", sa.Integer(), nullable=False),
        sa.Column("current_bench", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("conditions", Json, nullable=False),
        sa.Column("code_version", sa.String(length=100), nullable=False),
        sa.CheckConstraint(
            "state IN ('queued','claimed','running','succeeded','suspect','failed','oom','timed_out','busy','lost','cancelled','quarantined')",
            name=op.f("ck_runs_state"),
        ),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_runs_device_id"),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedules.id"], name="fk_runs_schedule_id"),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.UniqueConstraint("schedule_id", "due_at", "device_id", name="uq_runs_schedule_id_due_at_device_id"),
    )
    op.create_index("ix_runs_device_id", "runs", ["device_id"], unique=False)
    op.create_index("ix_runs_state", "runs", ["state"], unique=False)
    op.create_table(
        "run_transitions",
        sa.Column("id", BigId, nullable=False),
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_run_transitions_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_run_transitions"),
    )
    op.create_index("ix_run_transitions_run_id", "run_transitions", ["run_id"], unique=False)
    op.create_table(
        "samples",
        sa.Column("id", BigId, nullable=False),
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("operation", sa.String(length=30), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("dtype", sa.String(length=10), nullable=False),
        sa.Column("parameters", Json, nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("spread", sa.Double(), nullable=True),
        sa.Column("repeats", sa.Integer(), nullable=True),
        sa.Column("flops", sa.Double(), nullable=True),
        sa.Column("num_bytes", sa.Double(), nullable=True),
        sa.Column("steady", sa.Boolean(), nullable=True),
        sa.Column("peak_memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("details", Json, nullable=False),
        sa.Column("error_class", sa.String(length=50), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(seconds IS NULL) <> (error_class IS NULL)", name=op.f("ck_samples_measured_or_failed")),
        sa.CheckConstraint("seconds IS NULL OR seconds > 0", name=op.f("ck_samples_seconds")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_samples_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_samples"),
        sa.UniqueConstraint("run_id", "position", name="uq_samples_run_id_position"),
    )
    op.create_table(
        "telemetry",
        sa.Column("id", BigId, nullable=False),
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("seconds_in", sa.Double(), nullable=False),
        sa.Column("power_watts", sa.Double(), nullable=True),
        sa.Column("energy_joules", sa.Double(), nullable=True),
        sa.Column("temperature_celsius", sa.Double(), nullable=True),
        sa.Column("clock_hz", sa.Double(), nullable=True),
        sa.Column("memory_clock_hz", sa.Double(), nullable=True),
        sa.Column("utilization", sa.Double(), nullable=True),
        sa.Column("memory_used_bytes", sa.BigInteger(), nullable=True),
        sa.Column("throttle_reasons", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_telemetry_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_telemetry"),
    )
    op.create_index("ix_telemetry_run_id_seconds_in", "telemetry", ["run_id", "seconds_in"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_telemetry_run_id_seconds_in", table_name="telemetry")
    op.drop_table("telemetry")
    op.drop_table("samples")
    op.drop_index("ix_run_transitions_run_id", table_name="run_transitions")
    op.drop_table("run_transitions")
    op.drop_index("ix_runs_state", table_name="runs")
    op.drop_index("ix_runs_device_id", table_name="runs")
    op.drop_table("runs")
    op.drop_table("schedules")
    op.drop_index("ix_fits_gpu_key", table_name="fits")
    op.drop_index("ix_fits_device_id_created_at", table_name="fits")
    op.drop_table("fits")
    op.drop_table("prices")
    op.drop_index("ix_estimates_job_id", table_name="estimates")
    op.drop_index("ix_estimates_created_at", table_name="estimates")
    op.drop_table("estimates")
    op.drop_index("ix_devices_node_id", table_name="devices")
    op.drop_table("devices")
    op.drop_index("ix_offers_gpu_key", table_name="offers")
    op.drop_table("offers")
    op.drop_table("nodes")
    op.drop_table("leases")
    op.drop_table("jobs")
