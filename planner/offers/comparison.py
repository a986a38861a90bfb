"""Offers side by side: what differs, by how much a GPU-hour is cheaper, and what the cheaper one gives up for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal

from planner.offers.offer import UNSTATED_REGION, Offer, OfferKind, Upfront
from planner.offers.priced import PricedOffer
from planner.units import plain_decimal

STALE_DAYS = 30  # two stated dates further apart than this are no like for like
_RATIO = Context(prec=6, rounding=ROUND_HALF_EVEN)
_BOUND = {OfferKind.RESERVED_1Y: "one year", OfferKind.RESERVED_3Y: "three years"}


@dataclass(frozen=True, slots=True)
class Row:
    """One property of the offers in words, None where it is unknown; `differs` compares only what is known."""

    name: str
    values: tuple[str | None, ...]

    @property
    def differs(self) -> bool:
        return len({value for value in self.values if value is not None}) > 1

    @property
    def is_known(self) -> bool:
        """Of at least one of the offers."""
        return any(value is not None for value in self.values)


@dataclass(frozen=True, slots=True)
class Against:
    """An offer against the cheapest GPU-hour: its price, share above (0.25: a quarter dearer), and why, in words.

    `dearer` None: one of the prices is unknown or in another currency, as `unknown` says. `reasons` are facts of the
    two offers that bear on price; where there are none, nothing that is known explains the difference.
    """

    offer_id: int
    per_gpu_hour: Decimal | None
    dearer: Decimal | None
    unknown: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Offers in the order asked for; `cheapest_id` None: no two prices can be compared."""

    rows: tuple[Row, ...]
    against: tuple[Against, ...]
    cheapest_id: int | None


def compare(items: Sequence[PricedOffer], now: datetime) -> Comparison:
    """The offers side by side. The cheapest is that of the currency in which most of them are priced."""
    cheapest = _cheapest(items)
    return Comparison(
        rows=tuple(Row(name, tuple(say(item) for item in items)) for name, say in _PROPERTIES.items()),
        against=tuple(_against(item, cheapest, now) for item in items),
        cheapest_id=None if cheapest is None else cheapest.offer_id,
    )


def _cheapest(items: Sequence[PricedOffer]) -> PricedOffer | None:
    priced = [item for item in items if item.per_gpu_hour is not None]
    if not priced:
        return None
    currencies = [item.offer.currency for item in priced]
    currency = max(currencies, key=currencies.count)
    return min((item for item in priced if item.offer.currency == currency), key=lambda item: item.per_gpu_hour or 0)


def _against(item: PricedOffer, cheapest: PricedOffer | None, now: datetime) -> Against:
    price = item.per_gpu_hour
    if cheapest is None or price is None:
        reason = item.price.reason if item.price is not None else "no price held at that moment"
        return Against(item.offer_id, None, None, reason, ())
    if item.offer.currency != cheapest.offer.currency:
        words = f"it is priced in {item.offer.currency}, the cheapest in {cheapest.offer.currency}; no rate is assumed"
        return Against(item.offer_id, price, None, words, ())
    least = cheapest.per_gpu_hour or Decimal(0)
    dearer = _RATIO.divide(price - least, least)
    return Against(item.offer_id, price, dearer, "", tuple(_reasons(item, cheapest, now)) if dearer else ())


def _reasons(item: PricedOffer, cheapest: PricedOffer, now: datetime) -> list[str]:
    """What the cheapest gives up, or has other than this offer, as far as both are known."""
    dear, cheap = item.offer, cheapest.offer
    found = [*_bindings(dear, cheap)]
    if dear.gpu_key != cheap.gpu_key:
        found.append(f"the cheapest has another GPU: {cheap.gpu_key or cheap.gpu_name}")
    if dear.host_included and not cheap.host_included:
        found.append("the cheapest covers the GPU alone: CPU, memory and chassis come on top")
    if cheap.interruptions_per_hour and not dear.interruptions_per_hour:
        found.append(f"the cheapest is interrupted {plain_decimal(cheap.interruptions_per_hour)} times an hour")
    if cheap.num_gpus != dear.num_gpus:
        noun = "GPU" if cheap.num_gpus == 1 else "GPUs"
        found.append(
            f"the cheapest comes as {plain_decimal(cheap.num_gpus)} {noun}, not {plain_decimal(dear.num_gpus)}"
        )
    found += _sizes(dear, cheap)
    if dear.region != cheap.region and UNSTATED_REGION not in (dear.region, cheap.region):
        found.append(f"another region: {cheap.region}")
    if dear.provider != cheap.provider:
        found.append(f"another provider: {cheap.provider}")
    if cheap.is_available is False:
        found.append("the cheapest could not be had when its source was read")
    ages = [each.age_days(now) for each in (item, cheapest)]
    if None not in ages and abs((ages[0] or 0) - (ages[1] or 0)) > STALE_DAYS:
        found.append(f"the prices are stated {abs((ages[0] or 0) - (ages[1] or 0))} days apart")
    return found


def _bindings(dear: Offer, cheap: Offer) -> list[str]:
    found = []
    if cheap.kind is OfferKind.SPOT and dear.kind is not OfferKind.SPOT:
        found.append("the cheapest is a spot offer: it may be taken away at any time")
    if cheap.kind in _BOUND and cheap.kind is not dear.kind:
        found.append(f"the cheapest is paid for {_BOUND[cheap.kind]}, used or not")
    if cheap.upfront in (Upfront.PART, Upfront.ALL) and cheap.upfront is not dear.upfront:
        found.append(f"{'part' if cheap.upfront is Upfront.PART else 'all'} of the cheapest is paid upfront")
    if cheap.kind is OfferKind.NEGOTIATED and dear.kind is not OfferKind.NEGOTIATED:
        found.append("the cheapest is a negotiated price")
    return found


def _sizes(dear: Offer, cheap: Offer) -> list[str]:
    """Less host per GPU, where both say how much."""
    found = []
    if dear.vcpus and cheap.vcpus and cheap.vcpus / cheap.num_gpus < dear.vcpus / dear.num_gpus:
        found.append("the cheapest has fewer vCPUs per GPU")
    memory = [Decimal(offer.memory_bytes or 0) / offer.num_gpus for offer in (cheap, dear)]
    if 0 < memory[0] < memory[1]:
        found.append("the cheapest has less host memory per GPU")
    if dear.interconnect and cheap.interconnect and dear.interconnect != cheap.interconnect:
        found.append(f"another network between machines: {cheap.interconnect}")
    return found


def _yes_no(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"


def _hours(seconds: int | None) -> str | None:
    return None if seconds is None else f"{plain_decimal(Decimal(seconds) / 3600)} h"


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else plain_decimal(value)


def _gib(value: int | None) -> str | None:
    return None if value is None else f"{value / 2**30:,.0f} GiB"


_PROPERTIES: dict[str, Callable[[PricedOffer], str | None]] = {
    "Provider": lambda item: item.offer.provider,
    "Region": lambda item: None if item.offer.region == UNSTATED_REGION else item.offer.region,
    "Zone": lambda item: item.offer.zone or "all of the region",
    "Kind": lambda item: item.offer.kind.value.replace("_", " "),
    "Paid upfront": lambda item: item.offer.upfront.value or None,
    "GPU": lambda item: item.offer.gpu_key or f"{item.offer.gpu_name} (not in the catalogue)",
    "GPUs": lambda item: plain_decimal(item.offer.num_gpus),
    "vCPUs": lambda item: _plain(item.offer.vcpus),
    "Host memory": lambda item: _gib(item.offer.memory_bytes),
    "Covers": lambda item: "host and GPU" if item.offer.host_included else "the GPU alone",
    "Between machines": lambda item: item.offer.interconnect or None,
    "Could be had": lambda item: _yes_no(item.offer.is_available),
    "Quota": lambda item: _plain(item.offer.quota_gpus),
    "Shortest term": lambda item: _hours(item.offer.minimum_term_seconds),
    "Lead time": lambda item: _hours(item.offer.lead_time_seconds),
    "Interruptions per hour": lambda item: _plain(item.offer.interruptions_per_hour),
}
