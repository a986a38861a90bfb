"""Jobs, their estimates, and what the jobs took in the end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from planner.store.tables.base import Base, Ulid
from planner.store.types import PackedJson, UtcDateTime


class JobRow(Base):
    """A training or inference job as the user described it."""

    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(200))
    spec: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    __table_args__ = (CheckConstraint("kind IN ('training','inference')", name="kind"),)


class EstimateRow(Base):
    """An answer with all it was made from: read ever after, never computed again."""

    __tablename__ = "estimates"
    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    as_of: Mapped[datetime]
    known_at: Mapped[datetime]
    request: Mapped[dict[str, Any]]
    summary: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any]] = mapped_column(PackedJson)
    price_ids: Mapped[list[Any]]
    fit_ids: Mapped[list[Any]]
    catalogue_version: Mapped[str] = mapped_column(String(100))
    code_version: Mapped[str] = mapped_column(String(100))
    track_records: Mapped[dict[str, Any] | None]  # by GPU key and basis; None: made before there was a ledger


class ActualRow(Base):
    """What a finished job took, with what was predicted of it when it was entered; a correction is a later row."""

    __tablename__ = "actuals"
    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    measured_at: Mapped[datetime | None]
    source: Mapped[str] = mapped_column(String(20))
    reference: Mapped[str] = mapped_column(String(200))
    estimate_id: Mapped[str | None] = mapped_column(ForeignKey("estimates.id"), index=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"), index=True)
    option_position: Mapped[int | None]
    title: Mapped[str] = mapped_column(String(500))
    job_kind: Mapped[str] = mapped_column(String(50), index=True)
    family: Mapped[str] = mapped_column(String(50))
    gpu_key: Mapped[str] = mapped_column(String(200))
    basis: Mapped[str] = mapped_column(String(20))
    measured: Mapped[dict[str, Any]]
    predicted: Mapped[dict[str, Any]]
    note: Mapped[str] = mapped_column(Text)
    code_version: Mapped[str] = mapped_column(String(100))
    replaces_id: Mapped[str | None] = mapped_column(ForeignKey("actuals.id"), unique=True)
    __table_args__ = (
        UniqueConstraint("source", "reference"),
        CheckConstraint("(estimate_id IS NULL) <> (run_id IS NULL)", name="subject"),
    )
