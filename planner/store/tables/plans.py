"""Capacity plans and the steps of their decision."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from planner.store.tables.base import Base, BigId, Ulid


class PlanRow(Base):
    """A capacity plan: what was asked, the program's input as it then was, and what was found so far."""

    __tablename__ = "plans"
    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("plans.id"))
    root_id: Mapped[str] = mapped_column(Ulid, index=True)
    created_at: Mapped[datetime]
    asked: Mapped[dict[str, Any]]
    request: Mapped[dict[str, Any]]
    sources: Mapped[dict[str, Any]]
    gap: Mapped[float]
    seconds: Mapped[float]
    state: Mapped[str] = mapped_column(String(20), index=True)
    reason: Mapped[str] = mapped_column(Text)
    progress: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
    worker_id: Mapped[str | None] = mapped_column(String(200))
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    code_version: Mapped[str] = mapped_column(String(100))
    client: Mapped[str] = mapped_column(String(200), index=True, server_default="unknown")
    __table_args__ = (
        CheckConstraint(
            "state IN ('queued','solving','solved','infeasible','cancelled','failed')",
            name="state",
        ),
    )


class PlanStageRow(Base):
    """One step of a plan's decision: draft, submitted, approved, locked, withdrawn; the newest holds."""

    __tablename__ = "plan_stages"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    plan_id: Mapped[str] = mapped_column(ForeignKey("plans.id"), index=True)
    at: Mapped[datetime]
    stage: Mapped[str] = mapped_column(String(20))
    actor: Mapped[str] = mapped_column(String(200))
    note: Mapped[str] = mapped_column(Text)
