"""Negotiated price books: a share off the list price, or an amount of one's own, for the offers that a term is for."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from planner.errors import FieldProblem, InvalidInput
from planner.offers.offer import Offer, OfferKind, Price
from planner.units import plain_decimal

_HIGHEST = Decimal(10) ** 8
NEGOTIABLE = frozenset(OfferKind) - {OfferKind.OWNED, OfferKind.NEGOTIATED}


@dataclass(frozen=True, slots=True)
class Term:
    """Which offers, and what they cost: `discount` off the list price, or `amount` per hour in `currency`.

    A field that is None does not matter. With `per_gpu` the amount is for one GPU. Raises InvalidInput.
    """

    provider: str
    region: str | None = None
    instance_type: str | None = None
    gpu_key: str | None = None
    kind: OfferKind | None = None
    discount: Decimal | None = None  # 0.15 is 15 % off
    amount: Decimal | None = None
    currency: str | None = None
    per_gpu: bool = False

    def __post_init__(self) -> None:
        problems = []
        if (self.discount is None) == (self.amount is None):
            problems.append(FieldProblem("discount", "give either a discount or an amount"))
        if self.discount is not None and not (self.discount.is_finite() and 0 < self.discount < 1):
            problems.append(FieldProblem("discount", f"{self.discount} is not a share between 0 and 1"))
        if self.amount is not None and not (self.amount.is_finite() and 0 < self.amount <= _HIGHEST):
            problems.append(FieldProblem("amount", f"{self.amount} is not a price above 0"))
        if self.amount is not None and self.currency is None:
            problems.append(FieldProblem("currency", "an amount needs its currency"))
        if self.kind is not None and self.kind not in NEGOTIABLE:
            problems.append(FieldProblem("kind", f"{self.kind.value} has no list price to negotiate"))
        if problems:
            raise InvalidInput(problems)

    def applies_to(self, offer: Offer) -> bool:
        """Whether every field given is that of the offer."""
        if offer.kind not in NEGOTIABLE or self.provider != offer.provider:
            return False
        wanted = ((self.region, offer.region), (self.instance_type, offer.instance_type), (self.gpu_key, offer.gpu_key))
        if any(asked is not None and asked != found for asked, found in wanted):
            return False
        if self.kind is not None:
            return self.kind is offer.kind
        return offer.kind is not OfferKind.SPOT  # a bid is not negotiated unless the term says so

    @property
    def num_given(self) -> int:
        """How many fields narrow it down; the narrowest term counts."""
        return sum(value is not None for value in (self.region, self.instance_type, self.gpu_key, self.kind))


@dataclass(frozen=True, slots=True)
class Book:
    """Terms that hold from `valid_from` until `valid_until` (None: open), for `roles` only unless there are none."""

    id: str
    name: str
    source: str
    valid_from: datetime
    valid_until: datetime | None
    recorded_at: datetime
    roles: frozenset[str]
    terms: tuple[Term, ...]

    def holds_at(self, moment: datetime) -> bool:
        return self.valid_from <= moment and (self.valid_until is None or moment < self.valid_until)

    def is_open_to(self, roles: Set[str]) -> bool:
        """Whether somebody with these roles may see it."""
        return not self.roles or not self.roles.isdisjoint(roles)


@dataclass(frozen=True, slots=True)
class NegotiatedPrice:
    """What an offer costs by a book, and the list price it stands beside (None where only the book has one)."""

    book_id: str
    book_name: str
    price: Price
    currency: str
    list_price: Price | None


def negotiated_price(
    offer: Offer, list_price: Price | None, books: Iterable[Book], moment: datetime, roles: Set[str]
) -> NegotiatedPrice | None:
    """The price by the narrowest term that holds and is open to the roles; of equally narrow ones the lowest.

    None where no term is for the offer, or where it is a discount on a list price that is not known. Amounts in
    another currency than the offer's are compared with no other: of those the first by book and term is taken.
    """
    found = []
    for book in books:
        if not (book.holds_at(moment) and book.is_open_to(roles)):
            continue
        for term in book.terms:
            priced = _by_term(book, term, offer, list_price) if term.applies_to(offer) else None
            if priced is not None:
                found.append((term.num_given, priced))
    if not found:
        return None
    narrowest = max(given for given, _ in found)
    chosen = [priced for given, priced in found if given == narrowest]
    same = [priced for priced in chosen if priced.currency == chosen[0].currency]
    return min(same, key=lambda priced: priced.price.amount or Decimal(0))


def _by_term(book: Book, term: Term, offer: Offer, list_price: Price | None) -> NegotiatedPrice | None:
    if term.amount is not None and term.currency is not None:
        amount = term.amount * offer.num_gpus if term.per_gpu else term.amount
        each = " per GPU" if term.per_gpu else ""
        words = f"{plain_decimal(term.amount)} {term.currency} an hour{each}"
        price = Price(amount, book.valid_from, book.recorded_at, _source(book, words), book.recorded_at.date())
        return NegotiatedPrice(book.id, book.name, price, term.currency, list_price)
    if term.discount is None or list_price is None or list_price.amount is None:
        return None
    price = Price(
        amount=list_price.amount * (1 - term.discount),
        valid_from=max(book.valid_from, list_price.valid_from),
        recorded_at=max(book.recorded_at, list_price.recorded_at),
        source=_source(book, f"{plain_decimal(term.discount * 100)} % off the list price of {list_price.source}"),
        source_date=list_price.source_date,
    )
    return NegotiatedPrice(book.id, book.name, price, offer.currency, list_price)


def _source(book: Book, words: str) -> str:
    return f"{book.name} ({book.source}): {words}"[:500]
