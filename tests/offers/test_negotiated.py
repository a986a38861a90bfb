"""Negotiated books: the narrowest term that holds and may be seen gives the price."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from planner.errors import InvalidInput
from planner.offers.negotiated import Book, Term, negotiated_price
from planner.offers.offer import OfferKind
from tests.builders import offer, price

NOW = datetime(2026, 11, 21, tzinfo=UTC)
EVERYONE: frozenset[str] = frozenset()


def book(*terms: Term, **changes: Any) -> Book:
    base = Book(
        id="B1",
        name="Enterprise agreement",
        source="contract 4711",
        valid_from=datetime(2026, 1, 1, tzinfo=UTC),
        valid_until=datetime(2027, 1, 1, tzinfo=UTC),
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        roles=frozenset(),
        terms=terms,
    )
    return replace(base, **changes)


def amount(*books: Book, moment: datetime = NOW, roles: frozenset[str] = EVERYONE, **changes: Any) -> Decimal | None:
    found = negotiated_price(offer(**changes), price("55.04"), books, moment, roles)
    return None if found is None else found.price.amount


FIFTEEN_OFF = Term("aws", discount=Decimal("0.15"))


def test_a_discount_is_off_the_list_price_and_says_so() -> None:
    found = negotiated_price(offer(), price("55.04"), [book(FIFTEEN_OFF)], NOW, EVERYONE)
    assert found is not None
    assert found.price.amount == Decimal("46.7840")
    assert found.price.source == "Enterprise agreement (contract 4711): 15 % off the list price of a price list"
    assert found.list_price == price("55.04")
    assert found.price.source_date == price("55.04").source_date


def test_an_amount_stands_by_itself_for_the_machine_or_for_each_gpu() -> None:
    machine = Term("aws", amount=Decimal("40"), currency="USD")
    each = Term("aws", amount=Decimal("5.5"), currency="EUR", per_gpu=True)
    assert amount(book(machine)) == 40
    found = negotiated_price(offer(), None, [book(each)], NOW, EVERYONE)
    assert found is not None
    assert (found.price.amount, found.currency, found.list_price) == (Decimal("44.0"), "EUR", None)


def test_a_discount_on_an_unknown_price_is_unknown() -> None:
    assert negotiated_price(offer(), None, [book(FIFTEEN_OFF)], NOW, EVERYONE) is None
    assert negotiated_price(offer(), price(None), [book(FIFTEEN_OFF)], NOW, EVERYONE) is None


def test_the_narrowest_term_counts_and_of_equal_ones_the_lowest() -> None:
    narrow = Term("aws", gpu_key="H100-80GB-SXM", discount=Decimal("0.05"))
    narrower = Term("aws", gpu_key="H100-80GB-SXM", region="us-east-1", discount=Decimal("0.01"))
    assert amount(book(FIFTEEN_OFF, narrow)) == Decimal("52.2880")
    assert amount(book(FIFTEEN_OFF, narrow), book(narrower, id="B2")) == Decimal("54.4896")
    assert amount(book(FIFTEEN_OFF), book(Term("aws", discount=Decimal("0.2")), id="B2")) == Decimal("44.0320")


@pytest.mark.parametrize(
    "changes",
    [
        {"provider": "gcp"},
        {"kind": OfferKind.SPOT},
        {"kind": OfferKind.NEGOTIATED},
        {"kind": OfferKind.OWNED},
    ],
)
def test_a_term_leaves_other_providers_and_spot_alone(changes: dict[str, Any]) -> None:
    assert amount(book(FIFTEEN_OFF), **changes) is None


def test_spot_is_negotiated_where_the_term_names_it() -> None:
    assert amount(book(replace(FIFTEEN_OFF, kind=OfferKind.SPOT)), kind=OfferKind.SPOT) == Decimal("46.7840")


@pytest.mark.parametrize(
    ("moment", "holds"),
    [
        (datetime(2025, 12, 31, 23, 59, tzinfo=UTC), False),
        (datetime(2026, 1, 1, tzinfo=UTC), True),
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), True),
        (datetime(2027, 1, 1, tzinfo=UTC), False),
    ],
)
def test_a_book_holds_from_its_first_moment_until_its_last(moment: datetime, holds: bool) -> None:
    assert (amount(book(FIFTEEN_OFF), moment=moment) is not None) is holds
    assert amount(book(FIFTEEN_OFF, valid_until=None), moment=datetime(2036, 1, 1, tzinfo=UTC)) is not None


def test_a_book_for_some_roles_is_for_these_alone() -> None:
    closed = book(FIFTEEN_OFF, roles=frozenset({"finance", "planning"}))
    assert amount(closed) is None
    assert amount(closed, roles=frozenset({"guest"})) is None
    assert amount(closed, roles=frozenset({"guest", "finance"})) is not None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "discount"),
        ({"discount": Decimal("0.1"), "amount": Decimal(1), "currency": "USD"}, "discount"),
        ({"discount": Decimal(1)}, "discount"),
        ({"discount": Decimal(0)}, "discount"),
        ({"amount": Decimal(0), "currency": "USD"}, "amount"),
        ({"amount": Decimal(1)}, "currency"),
        ({"discount": Decimal("0.1"), "kind": OfferKind.OWNED}, "kind"),
    ],
)
def test_a_term_that_cannot_be_is_refused_by_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Term("aws", **fields)
    assert [problem.field for problem in refused.value.problems] == [field]
