"""Rents to hold an owned GPU against: of the offers of one GPU the cheapest and the middle one of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from planner.offers.currency import Conversion, MissingRate
from planner.offers.offer import OfferKind
from planner.offers.priced import PricedOffer

Convert = Callable[[Decimal, str], Conversion]
KINDS = (
    *(OfferKind.ON_DEMAND, OfferKind.SPOT, OfferKind.RESERVED_1Y, OfferKind.RESERVED_3Y),
    OfferKind.NEGOTIATED,
)


class Rank(StrEnum):
    """Which offer of its kind a rent is taken from."""

    CHEAPEST = "cheapest"
    MEDIAN = "median"  # of an even number the lower one, so that it is an offer that there is


@dataclass(frozen=True, slots=True)
class Rent:
    """What an hour of one GPU costs by an offer, in the currency asked for; `num_offers` are of its kind."""

    rank: Rank
    kind: OfferKind
    per_gpu_hour: Decimal
    item: PricedOffer
    conversion: Conversion
    num_offers: int


@dataclass(frozen=True, slots=True)
class Rents:
    """The rents found, kind by kind, and how many offers could not be compared, by reason."""

    found: tuple[Rent, ...]
    left_out: Counter[str]


def rents(priced: Iterable[PricedOffer], convert: Convert) -> Rents:
    """The cheapest offer of each kind, and the median one where it is dearer, per GPU-hour with the host; owned offers
    are no rents.
    """
    left_out: Counter[str] = Counter()
    by_kind: dict[OfferKind, list[tuple[Decimal, int, PricedOffer, Conversion]]] = {}
    for item in priced:
        conversion = _comparable(item, convert, left_out)
        if conversion is not None:
            by_kind.setdefault(item.offer.kind, []).append((conversion.amount, item.offer_id, item, conversion))
    found: list[Rent] = []
    for kind in KINDS:
        offers = sorted(by_kind.get(kind, []), key=lambda each: each[:2])
        if not offers:
            continue
        found.append(_rent(Rank.CHEAPEST, kind, offers[0], len(offers)))
        middle = offers[(len(offers) - 1) // 2]
        if middle[0] > offers[0][0]:
            found.append(_rent(Rank.MEDIAN, kind, middle, len(offers)))
    return Rents(tuple(found), left_out)


def _comparable(item: PricedOffer, convert: Convert, left_out: Counter[str]) -> Conversion | None:
    """The price per GPU-hour in the wanted currency; None, and counted, where there is none to compare."""
    if item.offer.kind not in KINDS:
        return None
    amount = item.per_gpu_hour
    if amount is None:
        left_out["its price is not known"] += 1
    elif not item.offer.host_included:
        left_out["its price is for the GPU without a host"] += 1
    else:
        try:
            return convert(amount, item.offer.currency)
        except MissingRate:
            left_out[f"no exchange rate from {item.offer.currency} is known"] += 1
    return None


def _rent(rank: Rank, kind: OfferKind, chosen: tuple[Decimal, int, PricedOffer, Conversion], of: int) -> Rent:
    amount, _, item, conversion = chosen
    return Rent(rank, kind, amount, item, conversion, of)
