"""Calibration runs: who holds which device, what was measured, what was drawn from it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from planner.store.tables.base import Base, BigId, Ulid

RUN_STATES = (
    "queued",
    "claimed",
    "running",
    "succeeded",
    "suspect",
    "failed",
    "oom",
    "timed_out",
    "busy",
    "lost",
    "cancelled",
    "quarantined",
)


class RunRow(Base):
    """One calibration of one device. A scheduled run is unique per (schedule, due time, device)."""

    __tablename__ = "runs"
    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    schedule_id: Mapped[str | None] = mapped_column(ForeignKey("schedules.id"))
    due_at: Mapped[datetime | None]
    num_missed: Mapped[int] = mapped_column(default=0)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id"), index=True)
    suite: Mapped[str] = mapped_column(String(50))
    suite_version: Mapped[int]
    time_limit_seconds: Mapped[float]
    state: Mapped[str] = mapped_column(String(20), index=True)
    worker_id: Mapped[str | None] = mapped_column(String(200))
    fence: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    num_benches: Mapped[int]
    num_done: Mapped[int] = mapped_column(default=0)
    current_bench: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    conditions: Mapped[dict[str, Any]]
    code_version: Mapped[str] = mapped_column(String(100))
    attempt: Mapped[int] = mapped_column(default=1, server_default="1")
    retry_of: Mapped[str | None] = mapped_column(String(26), unique=True)  # the run that this one tries again
    not_before: Mapped[datetime | None]
    retry_until: Mapped[datetime | None]  # after this moment a busy device is not waited for any more
    is_check: Mapped[bool] = mapped_column(default=False, server_default=false())  # may run in quarantine
    __table_args__ = (
        UniqueConstraint("schedule_id", "due_at", "device_id"),
        CheckConstraint("state IN (" + ",".join(f"'{state}'" for state in RUN_STATES) + ")", name="state"),
    )


class RunPeerRow(Base):
    """A further device that a run holds beside its own, under a lease of that device's."""

    __tablename__ = "run_peers"
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id"), primary_key=True, index=True)
    position: Mapped[int]
    fence: Mapped[int] = mapped_column(BigInteger)


class RunTransitionRow(Base):
    """One change of a run's state: who, under which fence, why."""

    __tablename__ = "run_transitions"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(20))
    actor: Mapped[str] = mapped_column(String(200))
    fence: Mapped[int | None] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Text, default="")


class RunReviewRow(Base):
    """What a person decided of a run that was held for review."""

    __tablename__ = "run_reviews"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), unique=True)
    at: Mapped[datetime]
    accepted: Mapped[bool]
    actor: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(Text)


class LateResultRow(Base):
    """What a worker whose claim did not count any more had measured: kept as evidence, used for nothing."""

    __tablename__ = "late_results"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    fence: Mapped[int] = mapped_column(BigInteger)
    worker_id: Mapped[str] = mapped_column(String(200))
    received_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(Text)
    document: Mapped[dict[str, Any]]
    __table_args__ = (UniqueConstraint("run_id", "fence"),)


class LeaseRow(Base):
    """The right to use a device, or to act as the one scheduler, until `expires_at` on the database's clock."""

    __tablename__ = "leases"
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    holder: Mapped[str | None] = mapped_column(String(200))
    boot_id: Mapped[str | None] = mapped_column(String(200))
    run_id: Mapped[str | None] = mapped_column(String(26))
    fence: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[datetime]


class SampleRow(Base):
    """One bench of one run: measured (seconds) or failed (error_class), never both."""

    __tablename__ = "samples"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    fence: Mapped[int] = mapped_column(BigInteger)
    position: Mapped[int]
    operation: Mapped[str] = mapped_column(String(30))
    version: Mapped[int]
    dtype: Mapped[str] = mapped_column(String(10))
    parameters: Mapped[dict[str, Any]]
    seconds: Mapped[float | None]
    spread: Mapped[float | None]
    repeats: Mapped[int | None]
    flops: Mapped[float | None]
    num_bytes: Mapped[float | None]
    steady: Mapped[bool | None]
    peak_memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    details: Mapped[dict[str, Any]]
    error_class: Mapped[str | None] = mapped_column(String(50))
    error: Mapped[str | None] = mapped_column(Text)
    recorded_at: Mapped[datetime]
    __table_args__ = (
        UniqueConstraint("run_id", "position"),
        CheckConstraint("(seconds IS NULL) <> (error_class IS NULL)", name="measured_or_failed"),
        CheckConstraint("seconds IS NULL OR seconds > 0", name="seconds"),
    )


class TelemetryRow(Base):
    """One reading of a device during a run; NULL is what the driver did not tell."""

    __tablename__ = "telemetry"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    seconds_in: Mapped[float]
    power_watts: Mapped[float | None]
    energy_joules: Mapped[float | None]
    temperature_celsius: Mapped[float | None]
    clock_hz: Mapped[float | None]
    memory_clock_hz: Mapped[float | None]
    utilization: Mapped[float | None]
    memory_used_bytes: Mapped[int | None] = mapped_column(BigInteger)
    throttle_reasons: Mapped[int | None] = mapped_column(BigInteger)
    __table_args__ = (Index(None, "run_id", "seconds_in"),)


class FitRow(Base):
    """Efficiencies drawn from the samples of some runs of one device; the newest one counts, the others stay."""

    __tablename__ = "fits"
    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id"))
    gpu_key: Mapped[str | None] = mapped_column(String(100), index=True)
    created_at: Mapped[datetime]
    run_ids: Mapped[list[Any]]
    code_version: Mapped[str] = mapped_column(String(100))
    document: Mapped[dict[str, Any]]
    __table_args__ = (Index(None, "device_id", "created_at"),)
