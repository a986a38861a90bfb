"""Owned GPUs as offers: what an hour of them costs an estimate, with the asset and what is assumed in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal

from planner.offers.offer import UNSTATED_REGION, Offer, OfferKind, Price
from planner.offers.ownership import used_hour_cost, wall_hour_cost
from planner.services.assets import AssetView, list_assets
from planner.store.engine import Session

GPUS_PER_SERVER = 8  # the usual size of a server; how a purchase would be split into servers is not asked for
_TENTH_PLACE = Decimal("1e-10")
_SECONDS_PER_DAY = 86_400
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)  # ten places of whatever the bounds of a request allow


@dataclass(frozen=True, slots=True)
class OwnedHour:
    """What an hour of a device costs its owner, in words for the estimate that uses it."""

    amount: Decimal
    currency: str
    asset_id: str
    price: Price
    is_assumed: bool


@dataclass(frozen=True, slots=True)
class PlannedOffer:
    """So many GPUs of a purchase to come, and what an hour of them would cost."""

    offer: Offer
    price: Price
    is_assumed: bool


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


def planned_offers(session: Session) -> list[PlannedOffer]:
    """Planned purchases as offers: one GPU of each, and as many of them as one server takes, where there are more.

    An asset whose GPU is not named is no offer: nothing could be estimated on it.
    """
    planned = [view for view in list_assets(session) if view.is_planned and view.gpu_key is not None]
    return [
        _planned_offer(view, count) for view in planned for count in sorted({1, min(view.num_gpus, GPUS_PER_SERVER)})
    ]


def owned_price(hours: Sequence[OwnedHour]) -> Price | None:
    """The price per hour of these devices together; None where one is missing or the currencies differ."""
    if not hours or len({hour.currency for hour in hours}) > 1:
        return None
    return replace(hours[0].price, amount=sum((hour.amount for hour in hours), Decimal(0)))


def _planned_offer(view: AssetView, count: int) -> PlannedOffer:
    hour = _owned_hour(view)
    offer = Offer(
        provider="owned",
        region=UNSTATED_REGION,
        zone="",
        instance_type=f"{view.name}, planned"[:200],
        kind=OfferKind.OWNED,
        currency=view.currency,
        gpu_name=view.gpu_key or view.name,
        gpu_key=view.gpu_key,
        num_gpus=Decimal(count),
        lead_time_seconds=None if view.lead_time_days is None else view.lead_time_days * _SECONDS_PER_DAY,
    )
    price = replace(hour.price, amount=hour.amount * count)
    return PlannedOffer(offer, price, hour.is_assumed)


def _owned_hour(view: AssetView) -> OwnedHour:
    cost = None if view.utilisation is None else used_hour_cost(view.asset, view.utilisation)
    if cost is None:
        cost = wall_hour_cost(view.asset, Decimal(1)).total
        words = "an hour in use on the wall clock, no idle hours in it, since no utilisation is given"
    else:
        words = f"a used hour at {view.utilisation:.0%} utilisation"
    assumed = "" if not view.assumptions else f"; assumed: {', '.join(item.field for item in view.assumptions)}"
    price = Price(
        amount=cost.quantize(_TENTH_PLACE, context=_WIDE),
        valid_from=view.updated_at,
        recorded_at=view.updated_at,
        source=f"asset {view.name} ({view.id}, version {view.version}): {words}{assumed}",
        source_date=view.updated_at.date(),
    )
    if price.amount is None:
        raise ValueError("an asset always has a cost")
    return OwnedHour(price.amount, view.currency, view.id, price, bool(view.assumptions))
