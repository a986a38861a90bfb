"""Owned GPUs and planned purchases: what an hour of them costs, held against rent, with every assumption in sight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from ulid import ULID

from planner.errors import Conflict, InvalidInput, NotFound
from planner.hardware.catalogue import load_catalogue
from planner.offers.assumptions import Assumption, complete
from planner.offers.ownership import Asset
from planner.services.documents import document
from planner.services.requests.assets import FIGURES, AssetRequest
from planner.store import assets as store
from planner.store import devices as device_store
from planner.store.engine import Session
from planner.store.tables import AssetRow, DeviceRow

_NO_SPARES = Assumption("spares", Decimal(0), "none bought on top", "a choice of this project, no published figure")
_DAYS_PER_YEAR = Decimal(365)


@dataclass(frozen=True, slots=True)
class AssetDevice:
    """A device of an asset."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class AssetView:
    """An asset as it stands: what was given, what is assumed for the rest, and both together in `asset`.

    One that is only asked about has the id "" and the version 0.
    """

    id: str
    version: int
    name: str
    currency: str
    gpu_key: str | None
    num_gpus: int
    purchased_on: date | None
    lead_time_days: int | None
    utilisation: Decimal | None
    notes: str
    given: Mapping[str, Decimal]
    asset: Asset
    assumptions: tuple[Assumption, ...]
    devices: tuple[AssetDevice, ...]
    created_at: datetime
    updated_at: datetime

    @property
    def is_planned(self) -> bool:
        """Whether it is a purchase to come: no device belongs to it."""
        return not self.devices

    @property
    def lead_years(self) -> Decimal:
        """Years from order to first use; 0 where no lead time is given."""
        return Decimal(self.lead_time_days or 0) / _DAYS_PER_YEAR


def create_asset(session: Session, request: AssetRequest, now: datetime) -> AssetView:
    """Keep an asset. Raises InvalidInput for figures that cannot be, Conflict where a device has an asset already."""
    row = AssetRow(id=str(ULID.from_datetime(now)), version=0, created_at=now)
    return _keep(session, row, request, now)


def imagine_asset(session: Session, request: AssetRequest, now: datetime, asset_id: str = "") -> AssetView:
    """The asset that this would be, nothing stored. `asset_id` is the one that it would be a revision of.

    Raises InvalidInput and Conflict as keeping it would.
    """
    figures, devices = _checked(session, asset_id, request)
    asset, assumptions = _complete(figures, request.currency)
    return AssetView(
        id="",
        version=0,
        name=request.name,
        currency=request.currency,
        gpu_key=_gpu_key(request, devices),
        num_gpus=len(devices) or request.num_gpus,
        purchased_on=request.purchased_on,
        lead_time_days=request.lead_time_days,
        utilisation=request.utilisation,
        notes=request.notes,
        given=figures,
        asset=asset,
        assumptions=assumptions,
        devices=_asset_devices(devices),
        created_at=now,
        updated_at=now,
    )


def update_asset(session: Session, asset_id: str, request: AssetRequest, now: datetime) -> AssetView:
    """Change an asset; how it stood before is kept. Raises NotFound, InvalidInput, Conflict."""
    return _keep(session, _row(session, asset_id, lock=True), request, now)


def archive_asset(session: Session, asset_id: str, now: datetime) -> None:
    """Take an asset away: its devices cost "unknown" from now on."""
    row = _row(session, asset_id, lock=True)
    row.archived_at = now
    store.set_devices(session, asset_id, ())
    session.flush()


def list_assets(session: Session) -> list[AssetView]:
    """All assets by name."""
    devices = store.devices_of_assets(session)
    return [_view(row, devices.get(row.id, [])) for row in store.all_assets(session)]


def get_asset(session: Session, asset_id: str) -> AssetView:
    """The asset of that id; raises NotFound."""
    return _view(_row(session, asset_id), store.devices_of_assets(session).get(asset_id, []))


def asset_history(session: Session, asset_id: str) -> list[tuple[int, datetime, Mapping[str, Any]]]:
    """Version, since when, and what was given then, oldest first; raises NotFound."""
    _row(session, asset_id)
    return [(row.version, row.recorded_at, row.document) for row in store.versions(session, asset_id)]


def _keep(session: Session, row: AssetRow, request: AssetRequest, now: datetime) -> AssetView:
    figures, devices = _checked(session, row.id, request)
    row.version += 1
    row.name = request.name
    row.currency = request.currency
    row.gpu_key = _gpu_key(request, devices)
    row.num_gpus = len(devices) or request.num_gpus
    row.purchased_on = request.purchased_on
    row.lead_time_days = request.lead_time_days
    row.utilisation = request.utilisation
    row.figures = document(figures)
    row.notes = request.notes
    row.updated_at = now
    session.add(row)
    session.flush()
    store.set_devices(session, row.id, request.device_ids)
    store.add_version(session, row, document(request.model_dump(exclude_none=True)))
    return _view(row, devices)


def _checked(session: Session, asset_id: str, request: AssetRequest) -> tuple[dict[str, Decimal], list[DeviceRow]]:
    """The figures given and the devices, all of which can be."""
    figures = {name: value for name in (*FIGURES, "spares") if (value := getattr(request, name)) is not None}
    _complete(figures, request.currency)
    if request.gpu_key is not None:
        try:
            load_catalogue().get(request.gpu_key)
        except NotFound as error:
            raise InvalidInput.of("gpu_key", str(error)) from None
    return figures, _devices(session, asset_id, request.device_ids)


def _gpu_key(request: AssetRequest, devices: Sequence[DeviceRow]) -> str | None:
    return request.gpu_key or (devices[0].gpu_key if devices else None)


def _asset_devices(devices: Sequence[DeviceRow]) -> tuple[AssetDevice, ...]:
    return tuple(AssetDevice(device.id, device.name) for device in devices)


def _devices(session: Session, asset_id: str, device_ids: Sequence[str]) -> list[DeviceRow]:
    found = []
    for device_id in device_ids:
        pair = device_store.get_device(session, device_id)
        if pair is None:
            raise InvalidInput.of("device_ids", f"there is no device {device_id!r}")
        found.append(pair[0])
    others = {device: owner for device, owner in store.owners(session, device_ids).items() if owner != asset_id}
    if others:
        raise Conflict(f"device {next(iter(others))} belongs to asset {next(iter(others.values()))} already")
    return found


def _row(session: Session, asset_id: str, *, lock: bool = False) -> AssetRow:
    row = store.get_asset(session, asset_id, lock=lock)
    if row is None:
        raise NotFound(f"there is no asset {asset_id!r}")
    return row


def _complete(given: Mapping[str, Decimal], currency: str) -> tuple[Asset, tuple[Assumption, ...]]:
    """The asset with spares in its price, and what of it is assumed."""
    figures = dict(given)
    spares = figures.pop("spares", None)
    if "price" in figures:
        figures["price"] = figures["price"] * (1 + (spares or Decimal(0)))
    completed = complete(figures, currency)
    assumptions = completed.assumptions if spares is not None else (*completed.assumptions, _NO_SPARES)
    return completed.asset, assumptions


def _view(row: AssetRow, devices: Sequence[DeviceRow]) -> AssetView:
    given = {name: Decimal(value) for name, value in row.figures.items()}
    asset, assumptions = _complete(given, row.currency)
    return AssetView(
        id=row.id,
        version=row.version,
        name=row.name,
        currency=row.currency,
        gpu_key=row.gpu_key,
        num_gpus=row.num_gpus,
        purchased_on=row.purchased_on,
        lead_time_days=row.lead_time_days,
        utilisation=row.utilisation,
        notes=row.notes,
        given=given,
        asset=asset,
        assumptions=assumptions,
        devices=_asset_devices(devices),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
