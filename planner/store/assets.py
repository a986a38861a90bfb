"""Owned assets: the row as it stands, every version of it, its devices, and how much those were seen to be used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from planner.store.tables import AssetDeviceRow, AssetRow, AssetVersionRow, DeviceRow, RunRow, TelemetryRow


class RunUse(NamedTuple):
    """A run that ended: whose it was, from when to when, and the mean of its readings of utilisation."""

    device_id: str
    started_at: datetime
    finished_at: datetime
    mean_utilisation: float | None
    num_readings: int


def get_asset(session: Session, asset_id: str, *, lock: bool = False) -> AssetRow | None:
    """The asset of that id unless it is archived."""
    query = select(AssetRow).where(AssetRow.id == asset_id, AssetRow.archived_at.is_(None))
    return session.scalars(query.with_for_update() if lock else query).one_or_none()


def all_assets(session: Session) -> list[AssetRow]:
    """Those that are not archived, by name."""
    query = select(AssetRow).where(AssetRow.archived_at.is_(None))
    return list(session.scalars(query.order_by(AssetRow.name, AssetRow.id)))


def add_version(session: Session, row: AssetRow, document: Mapping[str, Any]) -> None:
    """Keep the asset as it stands now for good."""
    values = {"asset_id": row.id, "version": row.version, "recorded_at": row.updated_at, "document": dict(document)}
    session.execute(insert(AssetVersionRow), [values])


def versions(session: Session, asset_id: str) -> list[AssetVersionRow]:
    """How the asset stood from when on, oldest first."""
    query = select(AssetVersionRow).where(AssetVersionRow.asset_id == asset_id)
    return list(session.scalars(query.order_by(AssetVersionRow.version)))


def set_devices(session: Session, asset_id: str, device_ids: Sequence[str]) -> None:
    """Let exactly these devices belong to the asset."""
    session.execute(delete(AssetDeviceRow).where(AssetDeviceRow.asset_id == asset_id))
    if device_ids:
        rows = [{"device_id": device_id, "asset_id": asset_id} for device_id in device_ids]
        session.execute(insert(AssetDeviceRow), rows)


def devices_of_assets(session: Session) -> dict[str, list[DeviceRow]]:
    """The devices of each asset."""
    query = select(AssetDeviceRow.asset_id, DeviceRow).join(DeviceRow, DeviceRow.id == AssetDeviceRow.device_id)
    found: dict[str, list[DeviceRow]] = {}
    for asset_id, device in session.execute(query.order_by(DeviceRow.name, DeviceRow.id)):
        found.setdefault(asset_id, []).append(device)
    return found


def owners(session: Session, device_ids: Iterable[str]) -> dict[str, str]:
    """The asset of each of these devices that has one."""
    query = select(AssetDeviceRow.device_id, AssetDeviceRow.asset_id)
    rows = session.execute(query.where(AssetDeviceRow.device_id.in_(list(device_ids)))).all()
    return dict(rows)


def uses(session: Session, device_ids: Iterable[str], since: datetime) -> list[RunUse]:
    """The runs of these devices that began since then and ended, with what telemetry said of each."""
    query = (
        select(
            RunRow.device_id,
            RunRow.started_at,
            RunRow.finished_at,
            func.avg(TelemetryRow.utilization),
            func.count(TelemetryRow.utilization),
        )
        .outerjoin(TelemetryRow, TelemetryRow.run_id == RunRow.id)
        .where(RunRow.device_id.in_(list(device_ids)), RunRow.started_at >= since, RunRow.finished_at.is_not(None))
        .group_by(RunRow.id, RunRow.device_id, RunRow.started_at, RunRow.finished_at)
    )
    return [RunUse(*row) for row in session.execute(query)]
