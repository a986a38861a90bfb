"""Hosts and the devices in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from planner.store.tables.base import Base, BigId, Ulid


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
