"""What is to be measured when: schedules, their pauses, suites of one's own."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from planner.store.tables.base import Base, BigId, Ulid
from planner.store.types import ScaledDecimal


class ScheduleRow(Base):
    """When to calibrate what: a cron rule in a zone. `device_id` NULL means every device of every node.

    `updated_at` is when its rule or its being enabled last changed: due times before it do not count.
    """

    __tablename__ = "schedules"
    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    suite: Mapped[str] = mapped_column(String(50))
    cron: Mapped[str] = mapped_column(String(200))
    timezone: Mapped[str] = mapped_column(String(100))
    device_id: Mapped[str | None] = mapped_column(ForeignKey("devices.id"))
    enabled: Mapped[bool]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(default=1, server_default="1")  # rises with every change
    only: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")  # which devices, by filter
    window_start: Mapped[str | None] = mapped_column(String(5))  # "22:00" in the schedule's zone; both or neither
    window_end: Mapped[str | None] = mapped_column(String(5))
    daily_minutes: Mapped[float | None]  # of measuring, on a day of the schedule's zone
    daily_amount: Mapped[Decimal | None] = mapped_column(ScaledDecimal(6))
    daily_currency: Mapped[str | None] = mapped_column(String(3))


class PauseRow(Base):
    """Schedules were all paused, or resumed; the newest row holds."""

    __tablename__ = "pauses"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime]
    paused: Mapped[bool]
    actor: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(Text)


class SuiteRow(Base):
    """A version of a suite that somebody put together from benches of their choice; never changed, only followed."""

    __tablename__ = "suites"
    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    version: Mapped[int]
    title: Mapped[str] = mapped_column(String(200))
    time_limit_seconds: Mapped[float]
    benches: Mapped[list[Any]]
    created_at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(200))
    __table_args__ = (UniqueConstraint("name", "version"),)
