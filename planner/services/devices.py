"""Record what discovery saw, and list the nodes' devices with their catalogue entry, fit and last run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from planner.errors import NotFound
from planner.inventory.device import Backend, DeviceState, Discovery
from planner.store import devices as store
from planner.store import runs as run_store
from planner.store.engine import Session
from planner.store.tables import DeviceRow, FitRow, NodeRow, RunRow


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device as pages, API and terminal show it; None is unknown, with its reason in `unknown`."""

    id: str
    uuid: str
    name: str
    backend: Backend
    index: int
    gpu_key: str | None
    vendor: str
    memory_bytes: int | None
    power_limit_watts: float | None
    compute_capability: str | None
    driver_version: str | None
    unknown: Mapping[str, str]
    state: DeviceState
    state_reason: str | None
    first_seen_at: datetime
    last_seen_at: datetime
    missing_since: datetime | None
    label: str | None  # a person's word for it
    node_id: str
    node_machine_id: str
    hostname: str
    fit_id: str | None
    fit_created_at: datetime | None
    last_run_id: str | None
    last_run_state: str | None


def record_discovery(session: Session, discovery: Discovery, now: datetime) -> list[DeviceView]:
    """Bring the node and its devices up to date with what was seen; devices not seen any more are marked missing."""
    node = store.upsert_node(session, discovery.node, now)
    for seen in discovery.devices:
        store.upsert_device(session, node.id, seen, now)
    reason = "; ".join(("not seen on its node any more", *discovery.problems))
    store.mark_missing(session, node.id, {seen.uuid for seen in discovery.devices}, reason, now)
    return [view for view in list_devices(session) if view.node_id == node.id]


def list_devices(session: Session) -> list[DeviceView]:
    """Every device ever seen, accelerators before CPUs, by node."""
    fits = {row.device_id: row for row in store.newest_fit_rows(session)}
    runs = run_store.last_run_of_each_device(session)
    return [
        _view(device, node, fits.get(device.id), runs.get(device.id)) for device, node in store.all_devices(session)
    ]


def node_id_of(session: Session, machine_id: str) -> str:
    """The id of the node with that machine id; raises NotFound before its first discovery."""
    node_id = store.node_id_of(session, machine_id)
    if node_id is None:
        raise NotFound(f"no node {machine_id!r} is recorded yet; run: planner devices --scan")
    return node_id


def get_device(session: Session, device_id: str) -> DeviceView:
    """The device of that id; raises NotFound."""
    for view in list_devices(session):
        if view.id == device_id:
            return view
    raise NotFound(f"there is no device {device_id!r}")


def set_label(session: Session, device_id: str, label: str | None) -> DeviceView:
    """Give the device a word of one's own, for the filters of schedules; raises NotFound."""
    device_row(session, device_id)
    store.set_label(session, device_id, label)
    session.expire_all()
    return get_device(session, device_id)


def device_row(session: Session, device_id: str) -> DeviceRow:
    """The stored row of that device, for services that write; raises NotFound."""
    found = store.get_device(session, device_id)
    if found is None:
        raise NotFound(f"there is no device {device_id!r}")
    return found[0]


def _view(device: DeviceRow, node: NodeRow, fit: FitRow | None, run: RunRow | None) -> DeviceView:
    unknown: dict[str, Any] = device.unknown
    return DeviceView(
        id=device.id,
        uuid=device.uuid,
        name=device.name,
        backend=Backend(device.backend),
        index=device.device_index,
        gpu_key=device.gpu_key,
        vendor=device.vendor,
        memory_bytes=device.memory_bytes,
        power_limit_watts=device.power_limit_watts,
        compute_capability=device.compute_capability,
        driver_version=device.driver_version,
        unknown=unknown,
        state=DeviceState(device.state),
        state_reason=device.state_reason,
        first_seen_at=device.first_seen_at,
        last_seen_at=device.last_seen_at,
        missing_since=device.missing_since,
        label=device.label,
        node_id=node.id,
        node_machine_id=node.machine_id,
        hostname=node.hostname,
        fit_id=None if fit is None else fit.id,
        fit_created_at=None if fit is None else fit.created_at,
        last_run_id=None if run is None else run.id,
        last_run_state=None if run is None else run.state,
    )
