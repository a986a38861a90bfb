"""Nodes and devices: rows that follow what discovery sees."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from ulid import ULID

from planner.inventory.device import DeviceState, SeenDevice, SeenNode
from planner.store.tables import DeviceRow, DeviceTransitionRow, FitRow, NodeRow


def upsert_node(session: Session, node: SeenNode, now: datetime) -> NodeRow:
    """The node's row, made or brought up to date; several processes of one machine may do so at once."""
    seen = {
        "boot_id": node.boot_id,
        "hostname": node.hostname,
        "os_name": node.os_name,
        "cpu_name": node.cpu_name,
        "num_cpus": node.num_cpus,
        "memory_bytes": node.memory_bytes,
        "last_seen_at": now,
    }
    new = {"id": str(ULID.from_datetime(now)), "machine_id": node.machine_id, "first_seen_at": now}
    statement = _insert(session)(NodeRow).values(**new, **seen)
    session.execute(statement.on_conflict_do_update(index_elements=["machine_id"], set_=seen))
    query = select(NodeRow).where(NodeRow.machine_id == node.machine_id)
    return session.execute(query, execution_options={"populate_existing": True}).scalar_one()


def node_id_of(session: Session, machine_id: str) -> str | None:
    """The id of the node with that machine id."""
    return session.execute(select(NodeRow.id).where(NodeRow.machine_id == machine_id)).scalar_one_or_none()


def upsert_device(session: Session, node_id: str, seen: SeenDevice, now: datetime) -> DeviceRow:
    """The device's row, made or brought up to date. One that was missing is back; a quarantined one stays so."""
    found = {
        "node_id": node_id,
        "backend": seen.backend.value,
        "device_index": seen.index,
        "name": seen.name,
        "gpu_key": seen.gpu_key,
        "vendor": seen.vendor,
        "memory_bytes": seen.memory_bytes,
        "power_limit_watts": seen.power_limit_watts,
        "compute_capability": seen.compute_capability,
        "driver_version": seen.driver_version,
        "unknown": dict(seen.unknown),
        "last_seen_at": now,
        "missing_since": None,
    }
    new = {
        "id": str(ULID.from_datetime(now)),
        "uuid": seen.uuid,
        "first_seen_at": now,
        "state": DeviceState.OK.value,
        "state_reason": None,
    }
    statement = _insert(session)(DeviceRow).values(**new, **found)
    session.execute(statement.on_conflict_do_update(index_elements=["uuid"], set_=found))
    query = select(DeviceRow).where(DeviceRow.uuid == seen.uuid)
    row = session.execute(query, execution_options={"populate_existing": True}).scalar_one()
    if row.state == DeviceState.MISSING:
        row.state, row.state_reason = DeviceState.OK.value, None
        session.flush()
    return row


def mark_missing(session: Session, node_id: str, seen_uuids: set[str], reason: str, now: datetime) -> None:
    """Note since when the node's devices that were not seen are gone; a quarantined one stays quarantined beside it."""
    gone = (DeviceRow.node_id == node_id, DeviceRow.uuid.not_in(seen_uuids), DeviceRow.missing_since.is_(None))
    working = update(DeviceRow).where(*gone, DeviceRow.state == DeviceState.OK)
    session.execute(working.values(state=DeviceState.MISSING.value, state_reason=reason, missing_since=now))
    session.execute(update(DeviceRow).where(*gone).values(missing_since=now))


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


def take_turns(session: Session, device_id: str) -> None:
    """Lock the device until the transaction ends, so that of two who would queue a run for it one sees the other's."""
    session.execute(select(DeviceRow.id).where(DeviceRow.id == device_id).with_for_update(key_share=True))


def set_label(session: Session, device_id: str, label: str | None) -> None:
    """Give the device a person's word, or none."""
    session.execute(update(DeviceRow).where(DeviceRow.id == device_id).values(label=label))


def transitions_of(session: Session, device_id: str) -> list[DeviceTransitionRow]:
    """The device's steps into quarantine and out of it, newest first."""
    query = select(DeviceTransitionRow).where(DeviceTransitionRow.device_id == device_id)
    return list(session.execute(query.order_by(DeviceTransitionRow.id.desc())).scalars())


def newest_fit_rows(session: Session) -> list[FitRow]:
    """The newest fit of every device that has one."""
    newest = select(func.max(FitRow.id)).group_by(FitRow.device_id)
    return list(session.execute(select(FitRow).where(FitRow.id.in_(newest))).scalars())


def _insert(session: Session) -> Any:
    """The INSERT of the session's database that knows ON CONFLICT."""
    return postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
