"""Nodes and devices: rows that follow what discovery sees."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session
from ulid import ULID

from planner.inventory.device import DeviceState, SeenDevice, SeenNode
from planner.store.tables import DeviceRow, FitRow, NodeRow


def upsert_node(session: Session, node: SeenNode, now: datetime) -> NodeRow:
    """The node's row, made or brought up to date."""
    row = session.execute(select(NodeRow).where(NodeRow.machine_id == node.machine_id)).scalar_one_or_none()
    if row is None:
        row = NodeRow(id=str(ULID.from_datetime(now)), machine_id=node.machine_id, first_seen_at=now)
        session.add(row)
    row.boot_id = node.boot_id
    row.hostname = node.hostname
    row.os_name = node.os_name
    row.cpu_name = node.cpu_name
    row.num_cpus = node.num_cpus
    row.memory_bytes = node.memory_bytes
    row.last_seen_at = now
    session.flush()
    return row


def node_id_of(session: Session, machine_id: str) -> str | None:
    """The id of the node with that machine id."""
    return session.execute(select(NodeRow.id).where(NodeRow.machine_id == machine_id)).scalar_one_or_none()


def upsert_device(session: Session, node_id: str, seen: SeenDevice, now: datetime) -> DeviceRow:
    """The device's row, made or brought up to date. One that was missing is back; a quarantined one stays so."""
    row = session.execute(select(DeviceRow).where(DeviceRow.uuid == seen.uuid)).scalar_one_or_none()
    if row is None:
        row = DeviceRow(id=str(ULID.from_datetime(now)), uuid=seen.uuid, first_seen_at=now, state=DeviceState.OK.value)
        session.add(row)
    row.node_id = node_id
    row.backend = seen.backend.value
    row.device_index = seen.index
    row.name = seen.name
    row.gpu_key = seen.gpu_key
    row.vendor = seen.vendor
    row.memory_bytes = seen.memory_bytes
    row.power_limit_watts = seen.power_limit_watts
    row.compute_capability = seen.compute_capability
    row.driver_version = seen.driver_version
    row.unknown = dict(seen.unknown)
    row.last_seen_at = now
    row.missing_since = None
    if row.state == DeviceState.MISSING:
        row.state, row.state_reason = DeviceState.OK.value, None
    session.flush()
    return row


def mark_missing(session: Session, node_id: str, seen_uuids: set[str], now: datetime) -> int:
    """Mark the node's working devices that were not seen; returns how many."""
    change = (
        update(DeviceRow)
        .where(DeviceRow.node_id == node_id, DeviceRow.state == DeviceState.OK, DeviceRow.uuid.not_in(seen_uuids))
        .values(state=DeviceState.MISSING.value, state_reason="not seen by the driver any more", missing_since=now)
    )
    return len(session.execute(change.returning(DeviceRow.id)).all())


def all_devices(session: Session) -> list[tuple[DeviceRow, NodeRow]]:
    """Every device with its node: accelerators before CPUs, each node's together."""
    query = select(DeviceRow, NodeRow).join(NodeRow, NodeRow.id == DeviceRow.node_id)
    rows = session.execute(query.order_by(NodeRow.hostname, DeviceRow.backend == "cpu", DeviceRow.device_index))
    return [(device, node) for device, node in rows]


def get_device(session: Session, device_id: str) -> tuple[DeviceRow, NodeRow] | None:
    """The device of that id with its node."""
    query = select(DeviceRow, NodeRow).join(NodeRow, NodeRow.id == DeviceRow.node_id).where(DeviceRow.id == device_id)
    row = session.execute(query).one_or_none()
    return None if row is None else (row[0], row[1])


def quarantine(session: Session, device_id: str, reason: str) -> None:
    """Keep the device from work until a person looks."""
    change = update(DeviceRow).where(DeviceRow.id == device_id)
    session.execute(change.values(state=DeviceState.QUARANTINED.value, state_reason=reason))


def newest_fit_rows(session: Session) -> list[FitRow]:
    """The newest fit of every device that has one."""
    newest = select(func.max(FitRow.id)).group_by(FitRow.device_id)
    return list(session.execute(select(FitRow).where(FitRow.id.in_(newest))).scalars())
