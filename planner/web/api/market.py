"""The API of prices over time and side by side, with their tables as CSV."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from planner.offers.comparison import Comparison
from planner.offers.market import Step
from planner.offers.priced import PricedOffer
from planner.services.market import (
    EffectivePrice,
    GpuMarket,
    compare_offers,
    effective_rates,
    gpu_market,
    offer_steps,
    prices_of_work,
)
from planner.services.offers import price_history
from planner.services.requests.prices import CompareListQuery, MarketQuery
from planner.web.api import views
from planner.web.api.resources import OFFER, api
from planner.web.database import now, session
from planner.web.exports import Table
from planner.web.queries import MomentQuery

HISTORY_COLUMNS = (
    *("price_id", "valid_from", "price_per_hour", "currency", "unknown_reason", "recorded_at", "source"),
    *("source_date", "known_at"),
)
MARKET_COLUMNS = (
    *("at", "gpu_key", "kind", "currency", "num_offers", "lowest", "median", "highest", "lowest_offer_id"),
    *("as_of", "known_at"),
)
COMPARISON_COLUMNS = (
    *("offer_id", "provider", "instance_type", "region", "kind", "currency", "per_gpu_hour", "dearer"),
    *("unknown_reason", "reasons", "per_effective_pflop_hour", "as_of", "known_at"),
)


@dataclass(frozen=True, slots=True)
class OfferSteps:
    """What held for an offer: each step until the next one; an amount of null is unknown, as its reason says."""

    offer_id: int
    currency: str
    as_of: datetime
    known_at: datetime
    steps: list[Step]


@dataclass(frozen=True, slots=True)
class ComparedOffer:
    """One of the offers compared. `dearer` is a share: 0.25 is a quarter dearer than the cheapest."""

    item: views.OfferPrice
    dearer: Decimal | None
    unknown: str
    reasons: tuple[str, ...]
    per_effective_pflop_hour: EffectivePrice


@dataclass(frozen=True, slots=True)
class OfferComparison:
    as_of: datetime
    known_at: datetime
    cheapest_id: int | None
    offers: list[ComparedOffer]
    differing: list[str]


@api.get(f"/prices/{OFFER}/steps", tag="prices", answers=OfferSteps, query=MomentQuery)
def get_price_steps(offer_id: int, query: MomentQuery) -> OfferSteps:
    """What held for one offer from when until when, up to `as_of` and as far as was known at `known_at`."""
    found = offer_steps(session(), offer_id, query.as_of or now(), query.known_at or now())
    return OfferSteps(offer_id, found.item.offer.currency, found.as_of, found.known_at, list(found.steps))


@api.table(f"/prices/{OFFER}/history", tag="prices", query=MomentQuery)
def get_price_history_table(offer_id: int, query: MomentQuery) -> Table:
    """Every price of one offer that was known at `known_at` as CSV, corrected ones too."""
    known_at = query.known_at or now()
    item = offer_steps(session(), offer_id, query.as_of or now(), known_at).item
    rows = [
        [
            *(price_id, price.valid_from, price.amount, item.offer.currency, price.reason, price.recorded_at),
            *(price.source, price.source_date, known_at),
        ]
        for price_id, price in price_history(session(), offer_id, known_at)
    ]
    return Table(f"offer-{offer_id}-prices", HISTORY_COLUMNS, rows)


@api.get("/gpus/<key>/prices", tag="prices", answers=GpuMarket, query=MarketQuery, problems=(404,))
def get_gpu_prices(key: str, query: MarketQuery) -> GpuMarket:
    """The lowest, middle and highest GPU-hour of one GPU over its offers of one kind and currency, over time.

    `points` are those of 60 evenly spaced moments up to `as_of` at which anything is different. Without `currency`
    that of most offers is taken; `others` counts the offers in other currencies, which are not in it.
    """
    return _market(key, query)


@api.table("/gpus/<key>/prices", tag="prices", query=MarketQuery)
def get_gpu_prices_table(key: str, query: MarketQuery) -> Table:
    """The same as CSV."""
    found = _market(key, query)
    rows = [
        [
            *(point.at, found.gpu_key, found.kind, found.currency, point.num_offers, point.lowest, point.median),
            *(point.highest, point.lowest_offer_id, found.as_of, found.known_at),
        ]
        for point in found.points
    ]
    return Table(f"{key}-{found.kind.value}-prices", MARKET_COLUMNS, rows)


@api.get("/prices/compare", tag="prices", answers=OfferComparison, query=CompareListQuery, problems=(404,))
def compare_some_offers(query: CompareListQuery) -> OfferComparison:
    """Two to six offers side by side (`offers=12,14`): how much dearer than the cheapest GPU-hour, and why.

    Prices of different currencies are not compared: no rate is assumed. The reasons are facts of the two offers that
    bear on price.
    """
    as_of, known_at = query.as_of or now(), query.known_at or now()
    items, comparison, work = _compared(query, as_of, known_at)
    offers = [
        ComparedOffer(
            views.offer_price(item, known_at), found.dearer, found.unknown, found.reasons, work[item.offer_id]
        )
        for item, found in zip(items, comparison.against, strict=True)
    ]
    differing = [row.name for row in comparison.rows if row.differs]
    return OfferComparison(as_of, known_at, comparison.cheapest_id, offers, differing)


@api.table("/prices/compare", tag="prices", query=CompareListQuery, problems=(404,))
def compare_offers_table(query: CompareListQuery) -> Table:
    """The same as CSV, one line per offer."""
    as_of, known_at = query.as_of or now(), query.known_at or now()
    items, comparison, work = _compared(query, as_of, known_at)
    rows = [
        [
            *(item.offer_id, item.offer.provider, item.offer.instance_type, item.offer.region, item.offer.kind),
            *(item.offer.currency, found.per_gpu_hour, found.dearer, found.unknown, "; ".join(found.reasons)),
            *(work[item.offer_id].amount, as_of, known_at),
        ]
        for item, found in zip(items, comparison.against, strict=True)
    ]
    return Table("compared-offers", COMPARISON_COLUMNS, rows)


def _market(key: str, query: MarketQuery) -> GpuMarket:
    return gpu_market(session(), key, query.kind, query.as_of or now(), query.known_at or now(), query.currency)


def _compared(
    query: CompareListQuery, as_of: datetime, known_at: datetime
) -> tuple[list[PricedOffer], Comparison, dict[int, EffectivePrice]]:
    items, comparison = compare_offers(session(), query.offer_ids, as_of, known_at, now())
    return items, comparison, prices_of_work(items, effective_rates(session()))
