"""What an outcome costs by an offer: its price per hour × hours, exactly, and why where that is not known."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from planner import units
from planner.estimates.estimate import Placement
from planner.estimates.outcome import Outcome
from planner.offers.offer import OfferKind
from planner.quantity import Basis, Quantity, weakest

SECONDS_PER_HOUR = Decimal(3600)
MILLION = 1e6
THOUSAND = 1e3


@dataclass(frozen=True, slots=True)
class Cost:
    """The costs of an option in the offer's currency; None where unknown, with the reason."""

    total: Quantity | None  # of a service: per hour
    per_hour: Quantity | None
    per_million_tokens: Quantity | None
    reason: str = ""
    notes: tuple[str, ...] = ()
    per_thousand_requests: Quantity | None = None  # of inference alone


def cost_of(outcome: Outcome, placement: Placement) -> Cost:
    """The cost of the outcome on the placement. GPU time is the only component so far; storage and traffic are none."""
    amount = None if placement.price is None else placement.price.amount
    if amount is None:
        return Cost(None, None, None, _why_unknown(placement))
    basis = Basis.ASSUMED if placement.is_cost_assumed else Basis.DERIVED
    amount *= placement.num_nodes
    per_hour = Quantity.exact(float(amount), f"{placement.currency}/h", basis)
    paid = outcome.paid_seconds or outcome.seconds
    total = per_hour if paid is None else _rented(amount, paid, placement.currency, basis)
    per_second = float(amount) / units.HOUR
    per_million = _each(per_second * MILLION, outcome.tokens_per_second, f"{placement.currency}/Mtoken", basis)
    requests = outcome.extras.get("requests_per_second")
    per_thousand = None
    if requests is not None:
        per_thousand = _each(per_second * THOUSAND, requests, f"{placement.currency}/thousand", basis)
    return Cost(total, per_hour, per_million, notes=_notes(placement), per_thousand_requests=per_thousand)


def _each(amount: float, rate: Quantity, unit: str, basis: Basis) -> Quantity:
    """An amount per second over a rate: the ends change places."""
    return Quantity(
        amount / rate.high, amount / rate.mid, amount / rate.low, unit, weakest((rate.basis, basis)), rate.causes
    )


def hours_cost(amount_per_hour: Decimal, seconds: float) -> Decimal:
    """Price × hours, unrounded: billing steps of a provider are not known to the price book."""
    return amount_per_hour * Decimal(repr(seconds)) / SECONDS_PER_HOUR


def _rented(amount: Decimal, seconds: Quantity, currency: str, basis: Basis) -> Quantity:
    low, mid, high = (float(hours_cost(amount, value)) for value in (seconds.low, seconds.mid, seconds.high))
    return Quantity(low, mid, high, currency, weakest((seconds.basis, basis)), seconds.causes)


def _why_unknown(placement: Placement) -> str:
    if placement.device_id is not None:
        return "what an hour of this attached device costs has not been entered"
    if placement.price is None:
        return "the price book has no price of this offer for that moment"
    return placement.price.reason or "the price is not known"


def _notes(placement: Placement) -> tuple[str, ...]:
    offer, price = placement.offer, placement.price
    if offer is not None and offer.kind is OfferKind.OWNED and price is not None:
        return (f"What an hour costs is taken from {price.source}.",)
    if offer is not None and not offer.host_included:
        return ("The price is for the GPU alone; CPU and memory of the host cost extra.",)
    return ()
