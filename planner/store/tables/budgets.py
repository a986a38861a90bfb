"""Budgets, and months whose figures are booked."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from planner.store.tables.base import Base, Ulid
from planner.store.types import PackedJson


class BudgetRow(Base):
    """A budget as it was made; a revision is a later row that names it. Months are written "2026-10".

    `terms` holds amount, scope, lines and planned rates: decimal strings, with every digit.
    """

    __tablename__ = "budgets"
    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[str] = mapped_column(String(200))
    name: Mapped[str] = mapped_column(String(200))
    currency: Mapped[str] = mapped_column(String(3))
    from_month: Mapped[str] = mapped_column(String(7), index=True)
    until_month: Mapped[str] = mapped_column(String(7))
    terms: Mapped[dict[str, Any]]
    note: Mapped[str] = mapped_column(Text)
    replaces_id: Mapped[str | None] = mapped_column(ForeignKey("budgets.id"), unique=True)
    withdrawn_at: Mapped[datetime | None]
    __table_args__ = (CheckConstraint("until_month >= from_month", name="months"),)


class ClosingRow(Base):
    """A calendar month of UTC that was closed, with its charges as they were known then."""

    __tablename__ = "closings"
    month: Mapped[str] = mapped_column(String(7), primary_key=True)
    closed_at: Mapped[datetime]
    closed_by: Mapped[str] = mapped_column(String(200))
    note: Mapped[str] = mapped_column(Text)
    code_version: Mapped[str] = mapped_column(String(100))
    num_charges: Mapped[int]
    num_unknown: Mapped[int]
    booked: Mapped[dict[str, Any]] = mapped_column(PackedJson)
