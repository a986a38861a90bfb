"""Offers, their prices, and how prices came in."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from planner.store.tables.base import Base, BigId, Ulid
from planner.store.types import ScaledDecimal, UtcDateTime


class OfferRow(Base):
    """An offer; the price is in `prices`."""

    __tablename__ = "offers"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    provider: Mapped[str] = mapped_column(String(100))
    region: Mapped[str] = mapped_column(String(100))
    zone: Mapped[str] = mapped_column(String(100))
    instance_type: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(30))
    currency: Mapped[str] = mapped_column(String(3))
    gpu_name: Mapped[str] = mapped_column(String(200))
    gpu_key: Mapped[str | None] = mapped_column(String(100), index=True)
    num_gpus: Mapped[Decimal] = mapped_column(ScaledDecimal(6))
    vcpus: Mapped[Decimal | None] = mapped_column(ScaledDecimal(6))
    memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    host_included: Mapped[bool]
    upfront: Mapped[str] = mapped_column(String(10), server_default="")
    interconnect: Mapped[str] = mapped_column(String(200), server_default="")
    is_available: Mapped[bool | None]
    quota_gpus: Mapped[Decimal | None] = mapped_column(ScaledDecimal(6))
    minimum_term_seconds: Mapped[int | None] = mapped_column(BigInteger)
    lead_time_seconds: Mapped[int | None] = mapped_column(BigInteger)
    interruptions_per_hour: Mapped[Decimal | None] = mapped_column(ScaledDecimal(12))
    created_at: Mapped[datetime]
    __table_args__ = (
        UniqueConstraint(
            *("provider", "region", "zone", "instance_type", "kind", "currency", "upfront"), name="uq_offers_identity"
        ),
        CheckConstraint("num_gpus > 0", name="num_gpus"),
    )


class PriceRow(Base):
    """What an offer costs per hour from `valid_from` on, as learnt at `recorded_at`; never changed, never removed."""

    __tablename__ = "prices"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    offer_id: Mapped[int] = mapped_column(ForeignKey("offers.id"))
    amount: Mapped[Decimal | None] = mapped_column(ScaledDecimal(10))
    reason: Mapped[str] = mapped_column(Text, default="")
    valid_from: Mapped[datetime]
    recorded_at: Mapped[datetime]
    source: Mapped[str] = mapped_column(String(500))
    source_date: Mapped[date]
    import_id: Mapped[str | None] = mapped_column(ForeignKey("price_imports.id"), index=True)
    __table_args__ = (
        UniqueConstraint("offer_id", "valid_from", "recorded_at"),
        CheckConstraint("amount IS NULL OR amount > 0", name="amount"),
        CheckConstraint("amount IS NOT NULL OR reason <> ''", name="reason"),
    )


class PriceImportRow(Base):
    """One batch of prices brought in: a file or feed read, held rows approved, or an earlier batch rolled back.

    Its prices bear its id. `of_import_id` is the batch whose rows were approved or which was rolled back.
    """

    __tablename__ = "price_imports"
    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    action: Mapped[str] = mapped_column(String(20))
    of_import_id: Mapped[str | None] = mapped_column(ForeignKey("price_imports.id"), index=True)
    source: Mapped[str] = mapped_column(String(100))
    origin: Mapped[str] = mapped_column(String(500))
    content_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    actor: Mapped[str] = mapped_column(String(200))
    allowed_changes: Mapped[str] = mapped_column(String(20))
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    counts: Mapped[dict[str, Any]]
    __table_args__ = (CheckConstraint("action IN ('import','approval','rollback')", name="action"),)


class PriceImportLogRow(Base):
    """A row of an import that was not taken: rejected for good, or held until a person decides."""

    __tablename__ = "price_import_rows"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    import_id: Mapped[str] = mapped_column(ForeignKey("price_imports.id"), index=True)
    place: Mapped[str] = mapped_column(String(200))
    outcome: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    offer_id: Mapped[int | None] = mapped_column(ForeignKey("offers.id"))
    amount: Mapped[Decimal | None] = mapped_column(ScaledDecimal(10))
    compared_with: Mapped[Decimal | None] = mapped_column(ScaledDecimal(10))
    valid_from: Mapped[datetime | None]
    source: Mapped[str | None] = mapped_column(String(500))
    source_date: Mapped[date | None]
    decision: Mapped[str | None] = mapped_column(String(20))
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(String(200))
    __table_args__ = (
        Index(None, "offer_id", "outcome"),
        CheckConstraint("outcome IN ('rejected','held')", name="outcome"),
        CheckConstraint("decision IN ('approved','refused')", name="decision"),
        CheckConstraint("outcome <> 'held' OR (offer_id IS NOT NULL AND amount IS NOT NULL)", name="held"),
    )


class GpuAliasRow(Base):
    """Which GPU somebody said a provider's word stands for; of several for one name the last one counts."""

    __tablename__ = "gpu_aliases"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    scope: Mapped[str] = mapped_column(String(100))
    gpu_key: Mapped[str] = mapped_column(String(100))
    actor: Mapped[str] = mapped_column(String(200))
    recorded_at: Mapped[datetime]
    __table_args__ = (Index(None, "scope", "name"),)


class PriceSourceRow(Base):
    """When a price source is read again by itself, and how that went the last time."""

    __tablename__ = "price_sources"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    enabled: Mapped[bool]
    cron: Mapped[str] = mapped_column(String(200))
    timezone: Mapped[str] = mapped_column(String(100))
    allowed_changes: Mapped[str] = mapped_column(String(20))
    updated_at: Mapped[datetime]
    last_attempt_at: Mapped[datetime | None]
    last_success_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    last_error_at: Mapped[datetime | None]
    last_import_id: Mapped[str | None] = mapped_column(ForeignKey("price_imports.id"))
    last_num_rows: Mapped[int | None]
    requested_at: Mapped[datetime | None]  # somebody wants it read at once; None: nobody, or it was taken up
    requested_by: Mapped[str | None] = mapped_column(String(200))
