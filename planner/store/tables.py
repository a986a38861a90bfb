"""Every table. Facts (prices, samples, telemetry, transitions, fits, estimates) are only ever inserted."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from planner.store.types import Json, PackedJson, ScaledDecimal, UtcDateTime

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
BigId = BigInteger().with_variant(Integer(), "sqlite")
Ulid = String(26)
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


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcDateTime, dict[str, Any]: Json, list[Any]: Json}


class NodeRow(Base):
    """A host, known by its machine id."""

    __tablename__ = "nodes"
    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    machine_id: Mapped[str] = mapped_column(String(200), unique=True)
    boot_id: Mapped[str] = mapped_column(String(200))
    hostname: Mapped[str] = mapped_column(String(255))
    os_name: Mapped[str] = mapped_column(String(255))
    cpu_name: Mapped[str] = mapped_column(String(255))
    num_cpus: Mapped[int]
    memory_bytes: Mapped[int] = mapped_column(BigInteger)
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]


class DeviceRow(Base):
    """A physical accelerator or CPU, known by its UUID."""

    __tablename__ = "devices"
    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    node_id: Mapped[str] = mapped_column(ForeignKey("nodes.id"), index=True)
    uuid: Mapped[str] = mapped_column(String(200), unique=True)
    backend: Mapped[str] = mapped_column(String(20))
    device_index: Mapped[int]
    name: Mapped[str] = mapped_column(String(255))
    gpu_key: Mapped[str | None] = mapped_column(String(100))
    vendor: Mapped[str] = mapped_column(String(50))
    memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    power_limit_watts: Mapped[float | None]
    compute_capability: Mapped[str | None] = mapped_column(String(50))
    driver_version: Mapped[str | None] = mapped_column(String(100))
    unknown: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(20))
    state_reason: Mapped[str | None] = mapped_column(Text)
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    missing_since: Mapped[datetime | None]
    label: Mapped[str | None] = mapped_column(String(100))  # a person's word for it, for the filters of schedules
    __table_args__ = (CheckConstraint("state IN ('ok','missing','quarantined')", name="state"),)


class DeviceTransitionRow(Base):
    """One change of a device between work and quarantine: who, why, and after which run."""

    __tablename__ = "device_transitions"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id"), index=True)
    at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(20))
    actor: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(Text)
    run_id: Mapped[str | None] = mapped_column(String(26))


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


class JobRow(Base):
    """A training or inference job as the user described it."""

    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(Ulid, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(200))
    spec: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    __table_args__ = (CheckConstraint("kind IN ('training','inference')", name="kind"),)


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


class IdempotencyRow(Base):
    """The answer that a request with an Idempotency-Key was given, to be given again to the same request."""

    __tablename__ = "idempotency_keys"
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    operation: Mapped[str] = mapped_column(String(200))
    fingerprint: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    headers: Mapped[dict[str, Any]]
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


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
