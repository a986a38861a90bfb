"""Prices over time and side by side, and what a GPU-hour buys in work once a device of that GPU is calibrated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from statistics import median_low

from planner.errors import InvalidInput
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Dtype
from planner.offers.comparison import Comparison, compare
from planner.offers.market import MarketPoint, PricedHour, Step, change_moments, evenly, market, steps
from planner.offers.offer import OfferKind
from planner.offers.priced import PricedOffer
from planner.services.fits import newest_fits
from planner.services.offers import get_offer, price_history
from planner.store import market as store
from planner.store.engine import Session

DTYPE = Dtype.BF16  # in which work is counted: what most training and serving runs in
NUM_POINTS = 60
MOST_COMPARED = 6
_SIX_DIGITS = Context(prec=6, rounding=ROUND_HALF_EVEN)
_PETA = Decimal(10) ** 15


@dataclass(frozen=True, slots=True)
class EffectiveRate:
    """What calibrated devices of a GPU reach on large matrix products, FLOP/s in bf16: the middle one of them.

    An even number takes the lower of the two in the middle, so that `fit_id` is where the figure was measured.
    """

    gpu_key: str
    flops_per_second: float
    fit_id: str
    num_devices: int


@dataclass(frozen=True, slots=True)
class EffectivePrice:
    """What 10¹⁵ floating-point operations per second, as measured, cost for an hour; None with the reason."""

    amount: Decimal | None
    unknown: str
    fit_id: str | None


@dataclass(frozen=True, slots=True)
class OfferSteps:
    """What held for an offer until `as_of`, as far as was known at `known_at`."""

    item: PricedOffer
    as_of: datetime
    known_at: datetime
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class GpuMarket:
    """The GPU-hour of one GPU over its offers of one kind and currency, at evenly spaced moments up to `as_of`.

    `points` are those at which anything is different; `others` counts the offers of the same GPU and kind that are
    priced in other currencies and so are not in it.
    """

    gpu_key: str
    kind: OfferKind
    currency: str
    as_of: datetime
    known_at: datetime
    points: tuple[MarketPoint, ...]
    others: Mapping[str, int]


def effective_rates(session: Session) -> dict[str, EffectiveRate]:
    """By GPU key, from the newest fit of each device."""
    measured: dict[str, list[tuple[float, str]]] = {}
    for fit_id, fit in newest_fits(session).values():
        rate = fit.matmul.get(DTYPE)
        if rate is not None and fit.gpu_key:
            measured.setdefault(fit.gpu_key, []).append((float(rate.peak), fit_id))
    return {key: EffectiveRate(key, *median_low(found), len(found)) for key, found in measured.items()}


def effective_price(item: PricedOffer, rates: Mapping[str, EffectiveRate]) -> EffectivePrice:
    """The price of measured work at this offer."""
    key, per_hour = item.offer.gpu_key, item.per_gpu_hour
    if per_hour is None:
        return EffectivePrice(None, "its price is not known", None)
    if key is None:
        return EffectivePrice(None, "the catalogue does not know its GPU", None)
    if key not in rates:
        return EffectivePrice(None, "no device of this GPU is calibrated in bf16", None)
    rate = rates[key]
    amount = _SIX_DIGITS.divide(per_hour * _PETA, Decimal(rate.flops_per_second))
    return EffectivePrice(amount, "", rate.fit_id)


def offer_steps(session: Session, offer_id: int, as_of: datetime, known_at: datetime) -> OfferSteps:
    """The steps of one offer's price; raises NotFound."""
    item = get_offer(session, offer_id, as_of, known_at)
    return OfferSteps(item, as_of, known_at, tuple(steps(price_history(session, offer_id, known_at), as_of)))


def gpu_market(
    session: Session,
    gpu_key: str,
    kind: OfferKind,
    as_of: datetime,
    known_at: datetime,
    currency: str | None = None,
) -> GpuMarket:
    """Lowest, middle and highest GPU-hour over time; without `currency` that of most offers. Raises NotFound."""
    load_catalogue().get(gpu_key)
    counts = store.currencies_of(session, gpu_key, kind)
    chosen = currency or max(counts, key=lambda code: counts[code], default="USD")
    prices = [PricedHour(*row) for row in store.priced_hours(session, gpu_key, kind, chosen, as_of, known_at)]
    points = market(prices, evenly(prices[0].valid_from, as_of, NUM_POINTS)) if prices else []
    others = {code: number for code, number in counts.items() if code != chosen}
    return GpuMarket(gpu_key, kind, chosen, as_of, known_at, tuple(change_moments(points)), others)


def compare_offers(
    session: Session, offer_ids: Sequence[int], as_of: datetime, known_at: datetime, now: datetime
) -> tuple[list[PricedOffer], Comparison]:
    """These offers side by side. Raises NotFound, and InvalidInput for fewer than two or more than six."""
    wanted = list(dict.fromkeys(offer_ids))
    if not 2 <= len(wanted) <= MOST_COMPARED:
        raise InvalidInput.of("offer", f"choose 2 to {MOST_COMPARED} different offers, not {len(wanted)}")
    items = [get_offer(session, offer_id, as_of, known_at) for offer_id in wanted]
    return items, compare(items, now)


def prices_of_work(items: Iterable[PricedOffer], rates: Mapping[str, EffectiveRate]) -> dict[int, EffectivePrice]:
    """The price of measured work by offer id."""
    return {item.offer_id: effective_price(item, rates) for item in items}
