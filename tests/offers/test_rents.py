"""The rents of a GPU are real offers of it: the cheapest and the middle one of each kind, in one currency."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import partial

from planner.offers.currency import Conversion, Rate, convert
from planner.offers.offer import OfferKind
from planner.offers.priced import PricedOffer
from planner.offers.rents import Rank, rents
from tests.builders import offer, price

DAY = date(2026, 7, 20)
RATE = Rate("EUR", "USD", Decimal("1.10"), DAY, "a bank")


def in_dollars(amount: Decimal, currency: str) -> Conversion:
    return convert(amount, currency, "USD", DAY, [RATE])


def priced(offer_id: int, amount: str | None, **changes: object) -> PricedOffer:
    return PricedOffer(offer_id, offer(**changes), offer_id, price(amount))


def test_the_cheapest_and_the_median_of_each_kind_are_per_gpu_hour() -> None:
    offers = [priced(number, amount) for number, amount in enumerate(["40", "16", "24", "32"], start=1)]
    offers.append(priced(9, "8", kind=OfferKind.SPOT))
    found = rents(offers, in_dollars).found
    assert [(rent.kind, rent.rank, rent.per_gpu_hour, rent.item.offer_id, rent.num_offers) for rent in found] == [
        (OfferKind.ON_DEMAND, Rank.CHEAPEST, Decimal(2), 2, 4),
        (OfferKind.ON_DEMAND, Rank.MEDIAN, Decimal(3), 3, 4),
        (OfferKind.SPOT, Rank.CHEAPEST, Decimal(1), 9, 1),
    ]


def test_a_median_that_costs_the_same_as_the_cheapest_is_not_said_twice() -> None:
    offers = [priced(number, amount) for number, amount in enumerate(["16", "16", "16", "40"], start=1)]
    assert [rent.rank for rent in rents(offers, in_dollars).found] == [Rank.CHEAPEST]


def test_another_currency_is_converted_and_keeps_its_own_amount_and_rate() -> None:
    (found,) = rents([priced(1, "16", currency="EUR")], in_dollars).found
    assert found.per_gpu_hour == Decimal("2.2")
    assert (found.conversion.original, found.conversion.rate) == (Decimal(2), Decimal("1.10"))


def test_what_cannot_be_compared_is_counted_by_its_reason_and_never_taken_for_1_to_1() -> None:
    offers = [
        priced(1, None),
        priced(2, "16", host_included=False),
        priced(3, "16", currency="CHF"),
        priced(4, "16", currency="CHF"),
        priced(5, "16", kind=OfferKind.OWNED),
    ]
    found = rents(offers, partial(in_dollars))
    assert found.found == ()
    assert found.left_out == {
        "its price is not known": 1,
        "its price is for the GPU without a host": 1,
        "no exchange rate from CHF is known": 2,
    }
