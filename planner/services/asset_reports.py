"""What is said of an owned GPU or a planned purchase: its cost in both views, and owning it against renting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal

from planner.offers.cash_flow import Year, years_of
from planner.offers.offer import UNSTATED_REGION, OfferKind
from planner.offers.ownership import (
    HourlyCost,
    OwnOrRent,
    View,
    break_even_utilisation,
    own_or_rent,
    used_hour_cost,
    wall_hour_cost,
)
from planner.offers.rents import Rank, Rent, Rents, rents
from planner.services.asset_costs import AssetCost, Utilisation, cost_of, measured_utilisation
from planner.services.assets import AssetView
from planner.services.fx import converter
from planner.services.offers import PriceFilter, find_prices
from planner.services.price_books import NO_ROLES, negotiated_offers
from planner.services.requests.assets import CostQuery
from planner.store.engine import Session

NO_GPU = "which GPU it is has not been said, so no offers of it can be found"
NO_USE = "how much it is used is neither given nor measured for a week"
HALF_YEARS = "a comparison over time needs a whole number of years of use"
NEVER = "at no utilisation: the rent does not even pay for the energy that use adds"
NO_OFFERS = "no offer of this GPU has a price that can be compared"


@dataclass(frozen=True, slots=True)
class RentLine:
    """A rent per GPU-hour in the asset's currency, and owning against it.

    `kind` and all that says which offer it is are None for a rent that was asked about. What is None otherwise has
    its reason in `unknown`, by field. `original` is the price per GPU-hour in the offer's own currency.
    """

    words: str
    rent_per_hour: Decimal
    kind: OfferKind | None = None
    rank: Rank | None = None
    offer_id: int | None = None
    price_id: int | None = None
    place: str | None = None
    source: str | None = None
    source_date: date | None = None
    original: Decimal | None = None
    original_currency: str | None = None
    rate: Decimal | None = None
    rate_date: date | None = None
    rate_source: str | None = None
    break_even_utilisation: Decimal | None = None
    net_present_value: Decimal | None = None
    payback_years: Decimal | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)

    @property
    def owning_is_cheaper(self) -> bool | None:
        """At the asset's utilisation, over its life, at its cost of capital; None where that is not known."""
        return None if self.net_present_value is None else self.net_present_value > 0


@dataclass(frozen=True, slots=True)
class AssetReport:
    """The cost of an asset, economic in `cost` and in the books; and owning against renting.

    `measured` is what telemetry says whatever utilisation counts. `rents_left_out` counts, by reason, the offers that
    could not be compared. `years` are held against the rent `against`; why there are none is in `years_unknown`.
    """

    view: AssetView
    cost: AssetCost
    measured: Utilisation | None
    books_wall_hour: HourlyCost | None
    books_used_hour: Decimal | None
    rents: tuple[RentLine, ...]
    rents_unknown: str
    rents_left_out: Mapping[str, int]
    against: RentLine | None
    years: tuple[Year, ...]
    years_unknown: str


def asset_report(
    session: Session, view: AssetView, asked: CostQuery, now: datetime, roles: Set[str] = NO_ROLES
) -> AssetReport:
    """What the asset costs and how it stands against rents. Raises InvalidInput for ranges that cannot be."""
    cost = cost_of(session, view, now, utilisation=asked.utilisation, ranges=asked.ranges)
    share = None if cost.utilisation is None else cost.utilisation.share
    found, rents_unknown = _rents(session, view, now, roles)
    lines = [_offered(rent) for rent in found.found]
    if asked.rent is not None:
        lines.insert(0, RentLine("as asked", asked.rent))
    compared = tuple(_compared(line, view, share, asked.rent_decline) for line in lines)
    against = compared[0] if compared else None
    years, years_unknown = _years(view, share, against, asked.rent_decline)
    return AssetReport(
        view=view,
        cost=cost,
        measured=measured_utilisation(session, [device.id for device in view.devices], now),
        books_wall_hour=None if share is None else wall_hour_cost(view.asset, share, View.ACCOUNTING),
        books_used_hour=None if share is None else used_hour_cost(view.asset, share, View.ACCOUNTING),
        rents=compared,
        rents_unknown=rents_unknown,
        rents_left_out=found.left_out,
        against=against,
        years=years,
        years_unknown=years_unknown,
    )


def _rents(session: Session, view: AssetView, now: datetime, roles: Set[str]) -> tuple[Rents, str]:
    """The rents of the asset's GPU in its currency, list prices and negotiated ones; and why there are none."""
    if view.gpu_key is None:
        return Rents((), Counter()), NO_GPU
    priced = find_prices(session, PriceFilter(gpu_key=view.gpu_key), now, now, limit=None)
    negotiated = [each.priced for each in negotiated_offers(session, priced, now, now, roles)]
    convert = converter(session, view.currency, now.astimezone(UTC).date(), now)
    found = rents([*priced, *negotiated], convert)
    return found, "" if found.found else NO_OFFERS


def _offered(rent: Rent) -> RentLine:
    offer, price, conversion = rent.item.offer, rent.item.price, rent.conversion
    which = f"{rent.rank.value} of {rent.num_offers} offers" if rent.num_offers > 1 else "the only offer"
    region = "" if offer.region == UNSTATED_REGION else f" {offer.zone or offer.region}"
    is_converted = bool(conversion.legs)
    return RentLine(
        words=f"{offer.kind.value.replace('_', ' ')}, {which}",
        rent_per_hour=rent.per_gpu_hour,
        kind=offer.kind,
        rank=rent.rank,
        offer_id=rent.item.offer_id,
        price_id=rent.item.price_id,
        place=f"{offer.provider} {offer.instance_type}{region}",
        source=None if price is None else price.source,
        source_date=None if price is None else price.source_date,
        original=conversion.original if is_converted else None,
        original_currency=conversion.original_currency if is_converted else None,
        rate=conversion.rate,
        rate_date=conversion.rate_date,
        rate_source=conversion.source or None,
    )


def _compared(line: RentLine, view: AssetView, share: Decimal | None, decline: Decimal) -> RentLine:
    """The line with what can be said of owning against it, and why the rest cannot."""
    found, why = _own_or_rent(line, view, share, decline)
    if found is not None:
        point, payback = found.break_even_utilisation, found.payback_years
        unknown = {
            **({} if point is not None else {"break_even_utilisation": NEVER}),
            **({} if payback is not None else {"payback_years": "the savings never bring back the price"}),
        }
        return replace(
            line,
            break_even_utilisation=point,
            net_present_value=found.net_present_value,
            payback_years=payback,
            unknown=unknown,
        )
    point = break_even_utilisation(view.asset, line.rent_per_hour) if decline == 0 else None
    unknown = {"net_present_value": why, "payback_years": why}
    if point is None:
        unknown["break_even_utilisation"] = NEVER if decline == 0 else why
    return replace(line, break_even_utilisation=point, unknown=unknown)


def _own_or_rent(
    line: RentLine, view: AssetView, share: Decimal | None, decline: Decimal
) -> tuple[OwnOrRent | None, str]:
    if share is None:
        return None, NO_USE
    if view.asset.years != int(view.asset.years):
        return None, HALF_YEARS
    lead = view.lead_years
    return own_or_rent(view.asset, share, line.rent_per_hour, rent_decline=decline, lead_years=lead), ""


def _years(
    view: AssetView, share: Decimal | None, against: RentLine | None, decline: Decimal
) -> tuple[tuple[Year, ...], str]:
    if against is None:
        return (), "there is no rent to hold it against"
    if share is None:
        return (), NO_USE
    if view.asset.years != int(view.asset.years):
        return (), HALF_YEARS
    lead = view.lead_years
    return years_of(view.asset, share, against.rent_per_hour, rent_decline=decline, lead_years=lead), ""
