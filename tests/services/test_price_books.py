"""Negotiated books are kept with dates and roles, and stand beside list prices in estimates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from planner.errors import InvalidInput, NotFound
from planner.offers.offer import OfferKind
from planner.services.estimates import make_estimate
from planner.services.offers import PriceFilter, find_prices, sync_price_book
from planner.services.price_books import (
    add_price_book,
    get_price_book,
    list_price_books,
    negotiated_offers,
    withdraw_price_book,
)
from planner.services.requests import EstimateRequest, parse
from planner.services.requests.price_books import PriceBookRequest
from planner.store.engine import Session

FINANCE = frozenset({"finance"})


def book(**changes: Any) -> PriceBookRequest:
    base = {
        "name": "Enterprise agreement",
        "source": "contract 4711",
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2027-01-01T00:00:00Z",
        "terms": [
            {"provider": "aws", "discount": "15 %"},
            {"provider": "gcp", "gpu_key": "H100-80GB-SXM", "amount": "2.10", "currency": "USD", "per_gpu": True},
        ],
    }
    return parse(PriceBookRequest, base | changes)


def test_a_book_comes_back_as_it_was_given(session: Session, now: datetime) -> None:
    added = add_price_book(session, book(roles=["finance"]), now)
    session.expire_all()
    assert get_price_book(session, added.id, now, FINANCE) == added
    assert added.terms[0].discount == Decimal("0.15")


def test_who_may_not_see_a_book_does_not_find_it(session: Session, now: datetime) -> None:
    added = add_price_book(session, book(roles=["finance"]), now)
    assert list_price_books(session, now) == []
    for roles in (frozenset(), frozenset({"guest"})):
        with pytest.raises(NotFound, match="there is no price book"):
            get_price_book(session, added.id, now, roles)
        with pytest.raises(NotFound):
            withdraw_price_book(session, added.id, now, roles)
    assert [found.id for found in list_price_books(session, now, FINANCE)] == [added.id]


def test_a_withdrawn_book_counts_no_more_but_was_known_before(session: Session, now: datetime) -> None:
    added = add_price_book(session, book(), now)
    later = now + timedelta(days=1)
    withdraw_price_book(session, added.id, later)
    assert list_price_books(session, later) == []
    assert [found.id for found in list_price_books(session, now)] == [added.id]
    assert list_price_books(session, now - timedelta(seconds=1)) == []
    with pytest.raises(NotFound):
        withdraw_price_book(session, added.id, later + timedelta(days=1))


def test_offers_of_a_provider_cost_what_the_book_says(session: Session, now: datetime) -> None:
    sync_price_book(session, now)
    add_price_book(session, book(), now)
    priced = find_prices(session, PriceFilter(), now, now, limit=None)
    found = {entry.item.offer_id: entry for entry in negotiated_offers(session, priced, now, now)}
    expected = {
        item.offer_id
        for item in priced
        if item.offer.kind is OfferKind.ON_DEMAND
        and (item.offer.provider == "aws" or (item.offer.provider, item.offer.gpu_key) == ("gcp", "H100-80GB-SXM"))
    }
    assert set(found) == expected
    for entry in found.values():
        amount, listed = entry.negotiated.price.amount, entry.item.price
        assert listed is not None
        assert listed.amount is not None
        if entry.item.offer.provider == "aws":
            assert amount == listed.amount * Decimal("0.85")
        else:
            assert amount == Decimal("2.10") * entry.item.offer.num_gpus


def test_a_book_holds_within_its_dates_only(session: Session, now: datetime) -> None:
    sync_price_book(session, now)
    add_price_book(session, book(valid_from="2026-11-01T00:00:00Z"), now)
    priced = find_prices(session, PriceFilter(provider="aws"), now, now, limit=None)
    assert negotiated_offers(session, priced, now, now)
    assert negotiated_offers(session, priced, datetime(2026, 10, 31, tzinfo=UTC), now) == []
    assert negotiated_offers(session, priced, datetime(2027, 1, 1, tzinfo=UTC), now) == []


def test_an_estimate_shows_negotiated_prices_beside_those_of_the_list(session: Session, now: datetime) -> None:
    sync_price_book(session, now)
    add_price_book(session, book(roles=["finance"]), now)
    request = EstimateRequest(preset="serve-small", providers=("aws",), offer_kinds=("on_demand", "negotiated"))
    open_to_all = make_estimate(session, request, now, "test")
    assert {o.placement.offer.kind for o in open_to_all.answer.options if o.placement.offer} == {OfferKind.ON_DEMAND}
    found = make_estimate(session, request, now, "test", FINANCE)
    by_kind: dict[OfferKind, dict[int | None, Decimal | None]] = {}
    for option in found.answer.options:
        assert option.placement.offer is not None
        assert option.placement.price is not None
        mine = by_kind.setdefault(option.placement.offer.kind, {})
        mine[option.placement.offer_id] = option.placement.price.amount
    assert by_kind[OfferKind.NEGOTIATED].keys() == by_kind[OfferKind.ON_DEMAND].keys()
    for offer_id, amount in by_kind[OfferKind.NEGOTIATED].items():
        assert amount == (by_kind[OfferKind.ON_DEMAND][offer_id] or Decimal(0)) * Decimal("0.85")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"terms": []}, "terms"),
        ({"terms": [{"provider": "aws"}]}, "discount"),
        ({"terms": [{"provider": "aws", "discount": "1"}]}, "discount"),
        ({"terms": [{"provider": "aws", "amount": "1"}]}, "currency"),
        ({"terms": [{"provider": "aws", "discount": "0.1", "gpu_key": "H1000"}]}, "terms.0.gpu_key"),
        ({"valid_until": "2025-01-01T00:00:00Z"}, "valid_until"),
        ({"valid_from": "2026-01-01T00:00:00"}, "valid_from"),
        ({"name": ""}, "name"),
    ],
)
def test_a_book_that_cannot_be_is_refused_by_field(
    session: Session, now: datetime, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        add_price_book(session, book(**changes), now)
    assert field in {problem.field for problem in refused.value.problems}
