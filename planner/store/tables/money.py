"""What is owned, what currencies are worth, and what was negotiated."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from planner.store.tables.base import Base, BigId, Ulid
from planner.store.types import ScaledDecimal


class AssetRow(Base):
    """GPUs owned or to be bought, with what is known of their cost. Its figures are those of one GPU.

    `figures` holds decimal strings by the field names of an owned asset, only what was given.
    """

    __tablename__ = "assets"
    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    version: Mapped[int]
    name: Mapped[str] = mapped_column(String(200))
    currency: Mapped[str] = mapped_column(String(3))
    gpu_key: Mapped[str | None] = mapped_column(String(100))
    num_gpus: Mapped[int]
    purchased_on: Mapped[date | None]
    lead_time_days: Mapped[int | None]
    utilisation: Mapped[Decimal | None] = mapped_column(ScaledDecimal(12))
    figures: Mapped[dict[str, Any]]
    notes: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]
    __table_args__ = (CheckConstraint("num_gpus > 0", name="num_gpus"),)


class AssetVersionRow(Base):
    """An asset as it stood from `recorded_at` on: kept for good, so that a past estimate can name it."""

    __tablename__ = "asset_versions"
    asset_id: Mapped[str] = mapped_column(ForeignKey("assets.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    recorded_at: Mapped[datetime]
    document: Mapped[dict[str, Any]]


class AssetDeviceRow(Base):
    """The asset that a device belongs to: one at most."""

    __tablename__ = "asset_devices"
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id"), primary_key=True)
    asset_id: Mapped[str] = mapped_column(ForeignKey("assets.id"), index=True)


class FxRateRow(Base):
    """What one unit of `base` was worth in `quote` on a day, by a source; a correction is a later row."""

    __tablename__ = "fx_rates"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    base: Mapped[str] = mapped_column(String(3))
    quote: Mapped[str] = mapped_column(String(3))
    rate: Mapped[Decimal] = mapped_column(ScaledDecimal(12))
    rate_date: Mapped[date]
    source: Mapped[str] = mapped_column(String(500))
    recorded_at: Mapped[datetime]
    __table_args__ = (
        UniqueConstraint("base", "quote", "rate_date", "recorded_at"),
        CheckConstraint("rate > 0", name="rate"),
        CheckConstraint("base <> quote", name="two_currencies"),
    )


class HeldRateRow(Base):
    """A rate far from the known one of the nearest day: it waits for a person, and then tells what was decided.

    `compared_with` is a decimal in text, since a rate that was turned round may be larger than any that is stored.
    """

    __tablename__ = "held_rates"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    base: Mapped[str] = mapped_column(String(3))
    quote: Mapped[str] = mapped_column(String(3))
    rate: Mapped[Decimal] = mapped_column(ScaledDecimal(12))
    rate_date: Mapped[date]
    source: Mapped[str] = mapped_column(String(500))
    recorded_at: Mapped[datetime]
    compared_with: Mapped[str] = mapped_column(String(60))
    compared_date: Mapped[date]
    decision: Mapped[str | None] = mapped_column(String(20))
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(String(200))
    __table_args__ = (
        Index(None, "base", "quote", "rate_date"),
        CheckConstraint("rate > 0", name="rate"),
        CheckConstraint("decision IN ('approved','refused')", name="decision"),
        CheckConstraint("(decision IS NULL) = (decided_at IS NULL)", name="decided"),
    )


class PriceBookRow(Base):
    """A negotiated price book: who may see it and from when until when it holds. Its terms stand beside it."""

    __tablename__ = "price_books"
    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    source: Mapped[str] = mapped_column(String(500))
    roles: Mapped[list[Any]]
    valid_from: Mapped[datetime]
    valid_until: Mapped[datetime | None]
    recorded_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
    __table_args__ = (CheckConstraint("valid_until IS NULL OR valid_until > valid_from", name="period"),)


class PriceBookTermRow(Base):
    """One line of a negotiated book: which offers it is for, and a share off the list price or an amount per hour."""

    __tablename__ = "price_book_terms"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    book_id: Mapped[str] = mapped_column(ForeignKey("price_books.id"), index=True)
    provider: Mapped[str] = mapped_column(String(100))
    region: Mapped[str | None] = mapped_column(String(100))
    instance_type: Mapped[str | None] = mapped_column(String(200))
    gpu_key: Mapped[str | None] = mapped_column(String(100))
    kind: Mapped[str | None] = mapped_column(String(30))
    discount: Mapped[Decimal | None] = mapped_column(ScaledDecimal(12))
    amount: Mapped[Decimal | None] = mapped_column(ScaledDecimal(10))
    currency: Mapped[str | None] = mapped_column(String(3))
    per_gpu: Mapped[bool]
    __table_args__ = (
        CheckConstraint("(discount IS NULL) <> (amount IS NULL)", name="one_of"),
        CheckConstraint("amount IS NULL OR (amount > 0 AND currency IS NOT NULL)", name="amount"),
        CheckConstraint(f"discount IS NULL OR (discount > 0 AND discount < {10**12})", name="discount"),  # below 1
    )
