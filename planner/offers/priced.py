"""An offer together with the price that holds for it: what lists, filters and estimates work with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal

from planner.offers.offer import Offer, Price

_DIVISION = Context(prec=28, rounding=ROUND_HALF_EVEN)


def per_gpu_hour(amount: Decimal, num_gpus: Decimal) -> Decimal:
    """The amount per hour of one GPU: exact where the quotient ends, else to 28 digits, and never in binary."""
    return _DIVISION.divide(amount, num_gpus)


@dataclass(frozen=True, slots=True)
class PricedOffer:
    """An offer and its price at a moment; `price` is None where none was known, its amount None once withdrawn."""

    offer_id: int
    offer: Offer
    price_id: int | None
    price: Price | None

    @property
    def per_gpu_hour(self) -> Decimal | None:
        """In the offer's currency; for a fraction of a GPU what a whole one would cost at that rate."""
        if self.price is None or self.price.amount is None:
            return None
        return per_gpu_hour(self.price.amount, self.offer.num_gpus)

    def age_days(self, now: datetime) -> int | None:
        """Whole days (UTC) since the date that the source states; None without a price."""
        return None if self.price is None else (now.astimezone(UTC).date() - self.price.source_date).days
