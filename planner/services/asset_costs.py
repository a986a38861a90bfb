"""What an hour of an owned GPU costs at the utilisation that is asked for, stored or measured, and against a rent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from planner.errors import InvalidInput
from planner.offers.assumptions import default_ranges
from planner.offers.ownership import (
    HourlyCost,
    OwnOrRent,
    Swing,
    own_or_rent,
    tornado,
    used_hour_cost,
    wall_hour_cost,
)
from planner.quantity import Basis
from planner.services.assets import AssetView, get_asset
from planner.services.requests.assets import RentRequest
from planner.store import assets as store
from planner.store import devices as device_store
from planner.store.engine import Session

LOOK_BACK = timedelta(days=90)
LEAST_DAYS = 7.0  # a shorter time says nothing of how a device is used from week to week
CURVE = tuple(Decimal(step) / 100 for step in range(5, 101))  # utilisations of the break-even chart: 5 % to 100 %


@dataclass(frozen=True, slots=True)
class Utilisation:
    """The share of hours in which a GPU is used, and where that number comes from, in a sentence."""

    share: Decimal
    basis: Basis
    words: str
    days: float | None = None  # over which it was measured


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


def asset_cost(
    session: Session,
    asset_id: str,
    now: datetime,
    *,
    utilisation: Decimal | None = None,
    ranges: Mapping[str, tuple[Decimal, Decimal]] | None = None,
) -> AssetCost:
    """What an hour of the asset costs. `ranges` are those of the sensitivity, by figure; the rest keep theirs."""
    return cost_of(session, get_asset(session, asset_id), now, utilisation=utilisation, ranges=ranges)


def cost_of(
    session: Session,
    view: AssetView,
    now: datetime,
    *,
    utilisation: Decimal | None = None,
    ranges: Mapping[str, tuple[Decimal, Decimal]] | None = None,
) -> AssetCost:
    """The same for an asset at hand, stored or not."""
    share = utilisation_of(session, view, now, utilisation)
    asset = view.asset
    curve = [UsedHour(u, cost) for u in CURVE if (cost := used_hour_cost(asset, u)) is not None]
    chosen = {} if share is None else default_ranges(asset, share.share) | dict(ranges or {})
    return AssetCost(
        view=view,
        utilisation=share,
        wall_hour=None if share is None else wall_hour_cost(asset, share.share),
        used_hour=None if share is None else used_hour_cost(asset, share.share),
        unknown=_why_unknown(share),
        always_used=wall_hour_cost(asset, Decimal(1)),
        never_used=wall_hour_cost(asset, Decimal(0)),
        curve=tuple(curve),
        swings=() if share is None or share.share == 0 else tornado(asset, share.share, chosen),
    )


def _why_unknown(share: Utilisation | None) -> str:
    if share is None:
        return "how much it is used is neither given nor measured for a week"
    return "" if share.share else "it was never used"


def compare_with_rent(
    session: Session, asset_id: str, request: RentRequest, now: datetime
) -> tuple[OwnOrRent, Utilisation]:
    """Owning against renting the same used hours: break-even, net present value, payback, and at which utilisation.

    The rent is in the asset's currency. Raises InvalidInput where no utilisation is given or measured.
    """
    view = get_asset(session, asset_id)
    share = utilisation_of(session, view, now, request.utilisation)
    if share is None:
        raise InvalidInput.of("utilisation", "is needed: it is neither stored with the asset nor measured")
    found = own_or_rent(
        view.asset,
        share.share,
        request.rent_per_hour,
        rent_decline=request.rent_decline,
        lead_years=view.lead_years,
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
    runs = "1 run" if len(uses) == 1 else f"{len(uses):,} runs"
    days = whole / 86400 / len(seen)
    words = (
        f"measured: {sum(use.num_readings for use in uses):,} readings in {runs} over {days:,.1f} days; "
        "work that the planner did not start is not in it"
    )
    return Utilisation(share, Basis.MEASURED, words, days)


def utilisation_of(
    session: Session, view: AssetView, now: datetime, asked: Decimal | None = None
) -> Utilisation | None:
    """What was asked for, else what the asset says, else what was measured over a week at least."""
    if asked is not None:
        return Utilisation(asked, Basis.ASSUMED, "as asked")
    if view.utilisation is not None:
        return Utilisation(view.utilisation, Basis.ASSUMED, "stored with the asset")
    measured = measured_utilisation(session, [device.id for device in view.devices], now)
    return None if measured is None or (measured.days or 0.0) < LEAST_DAYS else measured
