"""Offers side by side: by how much the others are dearer, and what the cheapest gives up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from planner.offers.comparison import compare
from planner.offers.offer import Offer, OfferKind, Price, Upfront
from planner.offers.priced import PricedOffer

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
OFFER = Offer(
    provider="aws",
    region="us-east-1",
    zone="",
    instance_type="p5.48xlarge",
    kind=OfferKind.ON_DEMAND,
    currency="USD",
    gpu_name="H100",
    gpu_key="H100-80GB-SXM",
    num_gpus=Decimal(8),
    vcpus=Decimal(192),
    memory_bytes=2 * 2**40,
)


def item(offer_id: int, amount: str | None, stated: date = date(2026, 11, 1), **changes: Any) -> PricedOffer:
    value = None if amount is None else Decimal(amount)
    price = Price(value, NOW, NOW, "a list", stated, "" if value else "the source lists it no longer")
    return PricedOffer(offer_id, replace(OFFER, **changes), offer_id, price)


def test_a_spot_offer_is_cheaper_because_it_may_be_taken_away() -> None:
    found = compare([item(1, "16"), item(2, "8", kind=OfferKind.SPOT)], NOW)
    dear, cheap = found.against
    assert found.cheapest_id == 2
    assert (dear.dearer, dear.per_gpu_hour) == (Decimal(1), Decimal(2))
    assert dear.reasons == ("the cheapest is a spot offer: it may be taken away at any time",)
    assert (cheap.dearer, cheap.reasons) == (Decimal(0), ())


def test_what_bears_on_price_is_said_and_what_is_unknown_is_not() -> None:
    cheap = item(
        *(2, "4"),
        date(2026, 1, 1),
        kind=OfferKind.RESERVED_3Y,
        upfront=Upfront.ALL,
        provider="lambda",
        region="us-west-1",
        num_gpus=Decimal(4),
        vcpus=Decimal(32),
        memory_bytes=None,
        host_included=False,
        is_available=False,
    )
    (reasons, _) = (against.reasons for against in compare([item(1, "16"), cheap], NOW).against)
    assert reasons == (
        "the cheapest is paid for three years, used or not",
        "all of the cheapest is paid upfront",
        "the cheapest covers the GPU alone: CPU, memory and chassis come on top",
        "the cheapest comes as 4 GPUs, not 8",
        "the cheapest has fewer vCPUs per GPU",
        "another region: us-west-1",
        "another provider: lambda",
        "the cheapest could not be had when its source was read",
        "the prices are stated 304 days apart",
    )


def test_an_unknown_price_and_another_currency_are_not_compared() -> None:
    found = compare([item(1, "16"), item(2, None), item(3, "1", currency="EUR"), item(4, "20")], NOW)
    assert found.cheapest_id == 1
    assert [against.dearer for against in found.against] == [Decimal(0), None, None, Decimal("0.25")]
    assert found.against[1].unknown == "the source lists it no longer"
    assert "no rate is assumed" in found.against[2].unknown


def test_without_any_price_there_is_no_cheapest() -> None:
    assert compare([item(1, None), item(2, None)], NOW).cheapest_id is None


def test_the_same_offer_for_another_price_is_not_explained_away() -> None:
    dear, _ = compare([item(1, "16"), item(2, "8")], NOW).against
    assert (dear.dearer, dear.reasons) == (Decimal(1), ())


def test_a_property_differs_only_where_it_is_known_of_both() -> None:
    rows = {row.name: row for row in compare([item(1, "16"), item(2, "8", vcpus=None, gpu_key=None)], NOW).rows}
    assert (rows["vCPUs"].values, rows["vCPUs"].differs) == (("192", None), False)
    assert rows["GPU"].differs
    assert not rows["Provider"].differs
