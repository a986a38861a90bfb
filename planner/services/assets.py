"""Owned GPUs and planned purchases: what an hour of them costs, held against rent, with every assumption in sight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from ulid import ULID

from planner.errors import Conflict, InvalidInput, NotFound
from planner.hardware.catalogue import load_catalogue
from planner.offers.assumptions import Assumption, complete, default_ranges
from planner.offers.offer import Offer, OfferKind, Price
from planner.offers.ownership import (
    Asset,
    HourlyCost,
    OwnOrRent,
    Swing,
    own_or_rent,
    tornado,
    used_hour_cost,
    wall_hour_cost,
)
from planner.quantity import Basis
from planner.services.documents import document
from planner.services.requests.assets import FIGURES, AssetRequest, RentRequest
from planner.store import assets as store
from planner.store import devices as device_store
from planner.store.engine import Session
from planner.store.tables import AssetRow, DeviceRow

LOOK_BACK = timedelta(days=90)
CURVE = tuple(Decimal(step) / 20 for step in range(1, 21))  # utilisations of the break-even chart: 5 % to 100 %
_NO_SPARES = Assumption("spares", Decimal(0), "none bought on top", "a choice of this project, no published figure")
_DAYS_PER_YEAR = Decimal(365)
_TENTH_PLACE = Decimal("1e-10")


@dataclass(frozen=True, slots=True)
class Utilisation:
    """The share of hours in which a GPU is used, and where that number comes from, in a sentence."""

    share: Decimal
    basis: Basis
    words: str


@dataclass(frozen=True, slots=True)
class AssetDevice:
    """A device of an asset."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class AssetView:
    """An asset as it stands: what was given, what is assumed for the rest, and both together in `asset`."""

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


@dataclass(frozen=True, slots=True)
class UsedHour:
    """What a used hour costs at one utilisation."""

    utilisation: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class AssetCost:
    """What an hour costs, in the asset's currency.

    `wall_hour` and `used_hour` are at `utilisation`; without one they are None for `unknown`. `always_used` is a wall
    hour of a GPU that is always used, `never_used` of one that never is: the bounds of a wall hour.
    """

    view: AssetView
    utilisation: Utilisation | None
    wall_hour: HourlyCost | None
    used_hour: Decimal | None
    unknown: str
    always_used: HourlyCost
    never_used: HourlyCost
    curve: tuple[UsedHour, ...]
    swings: tuple[Swing, ...]


@dataclass(frozen=True, slots=True)
class OwnedHour:
    """What an hour of a device costs its owner, in words for the estimate that uses it."""

    amount: Decimal
    currency: str
    asset_id: str
    price: Price
    is_assumed: bool


def create_asset(session: Session, request: AssetRequest, now: datetime) -> AssetView:
    """Keep an asset. Raises InvalidInput for figures that cannot be, Conflict where a device has an asset already."""
    row = AssetRow(id=str(ULID.from_datetime(now)), version=0, created_at=now)
    return _keep(session, row, request, now)


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


def asset_cost(
    session: Session,
    asset_id: str,
    now: datetime,
    *,
    utilisation: Decimal | None = None,
    ranges: Mapping[str, tuple[Decimal, Decimal]] | None = None,
) -> AssetCost:
    """What an hour of the asset costs. `ranges` are those of the sensitivity, by figure; the rest keep theirs."""
    view = get_asset(session, asset_id)
    share = _utilisation(session, view, now, utilisation)
    asset = view.asset
    curve = [UsedHour(u, cost) for u in CURVE if (cost := used_hour_cost(asset, u)) is not None]
    chosen = {} if share is None else default_ranges(asset, share.share) | dict(ranges or {})
    return AssetCost(
        view=view,
        utilisation=share,
        wall_hour=None if share is None else wall_hour_cost(asset, share.share),
        used_hour=None if share is None else used_hour_cost(asset, share.share),
        unknown="" if share is not None else "how much it is used is neither given nor measured",
        always_used=wall_hour_cost(asset, Decimal(1)),
        never_used=wall_hour_cost(asset, Decimal(0)),
        curve=tuple(curve),
        swings=() if share is None or share.share == 0 else tornado(asset, share.share, chosen),
    )


def compare_with_rent(
    session: Session, asset_id: str, request: RentRequest, now: datetime
) -> tuple[OwnOrRent, Utilisation]:
    """Owning against renting the same used hours: break-even, net present value, payback, and at which utilisation.

    The rent is in the asset's currency. Raises InvalidInput where no utilisation is given or measured.
    """
    view = get_asset(session, asset_id)
    share = _utilisation(session, view, now, request.utilisation)
    if share is None:
        raise InvalidInput.of("utilisation", "is needed: it is neither stored with the asset nor measured")
    lead_years = Decimal(view.lead_time_days or 0) / _DAYS_PER_YEAR
    found = own_or_rent(
        view.asset,
        share.share,
        request.rent_per_hour,
        rent_decline=request.rent_decline,
        lead_years=lead_years,
    )
    return found, share


def measured_utilisation(session: Session, device_ids: Sequence[str], now: datetime) -> Utilisation | None:
    """How much the devices were used, from the telemetry of runs of the last 90 days; None without any.

    Busy time is that of each run times the mean of its readings; the whole is the time since each device was first
    seen, 90 days at most. Work that others did on the devices is not seen.
    """
    since = now - LOOK_BACK
    found = [device_store.get_device(session, device_id) for device_id in device_ids]
    seen = [max(device.first_seen_at, since) for device, _ in (pair for pair in found if pair is not None)]
    whole = sum((now - start).total_seconds() for start in seen)
    uses = [use for use in store.uses(session, device_ids, since) if use.mean_utilisation is not None]
    if not uses or whole <= 0:
        return None
    busy = sum((use.finished_at - use.started_at).total_seconds() * (use.mean_utilisation or 0.0) for use in uses)
    share = min(Decimal(repr(busy)) / Decimal(repr(whole)), Decimal(1))
    words = (
        f"measured: {sum(use.num_readings for use in uses):,} readings in {len(uses):,} runs over "
        f"{whole / 86400 / len(seen):,.1f} days; work that the planner did not start is not in it"
    )
    return Utilisation(share, Basis.MEASURED, words)


def owned_hours(session: Session) -> dict[str, OwnedHour]:
    """What an hour of each device that belongs to an asset costs, by device id; other devices' cost is unknown.

    With a utilisation stored with the asset it is the cost of a used hour; without one, that of an hour in use on the
    wall clock, in which no idle hours are. The planner's own measurements do not count here: they see its own runs
    only and would make a device that others use look idle.
    """
    return {device.id: _owned_hour(view) for view in list_assets(session) for device in view.devices}


def owned_offer(name: str, gpu_key: str | None, count: int, currency: str) -> Offer:
    """The offer of one's own: so many devices of one kind."""
    return Offer(
        provider="owned",
        region="own",
        zone="",
        instance_type=name,
        kind=OfferKind.OWNED,
        currency=currency,
        gpu_name=name,
        gpu_key=gpu_key,
        num_gpus=Decimal(count),
    )


def owned_price(hours: Sequence[OwnedHour]) -> Price | None:
    """The price per hour of these devices together; None where one is missing or the currencies differ."""
    if not hours or len({hour.currency for hour in hours}) > 1:
        return None
    return replace(hours[0].price, amount=sum((hour.amount for hour in hours), Decimal(0)))


def _owned_hour(view: AssetView) -> OwnedHour:
    cost = None if view.utilisation is None else used_hour_cost(view.asset, view.utilisation)
    if cost is None:
        cost = wall_hour_cost(view.asset, Decimal(1)).total
        words = "an hour in use on the wall clock, no idle hours in it, since no utilisation is given"
    else:
        words = f"a used hour at {view.utilisation:.0%} utilisation"
    assumed = "" if not view.assumptions else f"; assumed: {', '.join(item.field for item in view.assumptions)}"
    price = Price(
        amount=cost.quantize(_TENTH_PLACE, rounding=ROUND_HALF_EVEN),
        valid_from=view.updated_at,
        recorded_at=view.updated_at,
        source=f"asset {view.name} ({view.id}, version {view.version}): {words}{assumed}",
        source_date=view.updated_at.date(),
    )
    if price.amount is None:
        raise ValueError("an asset always has a cost")
    return OwnedHour(price.amount, view.currency, view.id, price, bool(view.assumptions))


def _keep(session: Session, row: AssetRow, request: AssetRequest, now: datetime) -> AssetView:
    figures = {name: value for name in (*FIGURES, "spares") if (value := getattr(request, name)) is not None}
    _complete(figures, request.currency)
    if request.gpu_key is not None:
        try:
            load_catalogue().get(request.gpu_key)
        except NotFound as error:
            raise InvalidInput.of("gpu_key", str(error)) from None
    devices = _devices(session, row.id, request.device_ids)
    row.version += 1
    row.name = request.name
    row.currency = request.currency
    row.gpu_key = request.gpu_key or (devices[0].gpu_key if devices else None)
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


def _utilisation(session: Session, view: AssetView, now: datetime, asked: Decimal | None) -> Utilisation | None:
    """What was asked for, else what the asset says, else what was measured."""
    if asked is not None:
        return Utilisation(asked, Basis.ASSUMED, "as asked")
    if view.utilisation is not None:
        return Utilisation(view.utilisation, Basis.ASSUMED, "stored with the asset")
    return measured_utilisation(session, [device.id for device in view.devices], now)


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
        devices=tuple(AssetDevice(device.id, device.name) for device in devices),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
