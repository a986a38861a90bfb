"""Negotiated price books: kept with their dates and roles, and laid beside the list prices they are about."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, replace
from datetime import datetime

from ulid import ULID

from planner.errors import InvalidInput, NotFound
from planner.hardware.catalogue import load_catalogue
from planner.offers.negotiated import Book, NegotiatedPrice, Term, negotiated_price
from planner.offers.offer import OfferKind
from planner.services.offers import PricedOffer
from planner.services.requests.price_books import PriceBookRequest
from planner.store import price_books as store
from planner.store.engine import Session

NO_ROLES: Set[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NegotiatedOffer:
    """An offer, and what it costs by a book."""

    item: PricedOffer
    negotiated: NegotiatedPrice

    @property
    def priced(self) -> PricedOffer:
        """The offer at the book's price; the id of the list price stays with it where there is one."""
        offer = replace(self.item.offer, kind=OfferKind.NEGOTIATED, currency=self.negotiated.currency)
        return replace(self.item, offer=offer, price=self.negotiated.price)


def add_price_book(session: Session, request: PriceBookRequest, now: datetime) -> Book:
    """Keep a book. Raises InvalidInput for a term that cannot be."""
    gpus = load_catalogue().gpus
    for number, term in enumerate(request.terms):
        if term.gpu_key is not None and term.gpu_key not in gpus:
            raise InvalidInput.of(f"terms.{number}.gpu_key", f"the catalogue has no GPU {term.gpu_key!r}")
    book = Book(
        id=str(ULID.from_datetime(now)),
        name=request.name,
        source=request.source,
        valid_from=request.valid_from,
        valid_until=request.valid_until,
        recorded_at=now,
        roles=frozenset(request.roles),
        terms=tuple(Term(**dict(term)) for term in request.terms),
    )
    store.add_book(session, book)
    return book


def withdraw_price_book(session: Session, book_id: str, now: datetime, roles: Set[str] = NO_ROLES) -> None:
    """Let the book count no more; what was known before it was withdrawn stays so. Raises NotFound."""
    get_price_book(session, book_id, now, roles)
    if not store.withdraw(session, book_id, now):
        raise NotFound(f"there is no price book {book_id!r}")


def list_price_books(session: Session, known_at: datetime, roles: Set[str] = NO_ROLES) -> list[Book]:
    """The books that somebody with these roles may see, oldest first."""
    return [book for book in store.books(session, known_at) if book.is_open_to(roles)]


def num_hidden_books(session: Session, known_at: datetime, roles: Set[str] = NO_ROLES) -> int:
    """How many books there are that somebody with these roles may not see."""
    return sum(not book.is_open_to(roles) for book in store.books(session, known_at))


def get_price_book(session: Session, book_id: str, known_at: datetime, roles: Set[str] = NO_ROLES) -> Book:
    """The book of that id; raises NotFound, also where the roles may not see it."""
    for book in store.books(session, known_at, book_id):
        if book.is_open_to(roles):
            return book
    raise NotFound(f"there is no price book {book_id!r}")


def negotiated_offers(
    session: Session,
    priced: Iterable[PricedOffer],
    as_of: datetime,
    known_at: datetime,
    roles: Set[str] = NO_ROLES,
) -> list[NegotiatedOffer]:
    """Of these offers, those that a book is about, each with what it costs by the book at that moment."""
    books = [book for book in list_price_books(session, known_at, roles) if book.holds_at(as_of)]
    if not books:
        return []
    found = ((item, negotiated_price(item.offer, item.price, books, as_of, roles)) for item in priced)
    return [NegotiatedOffer(item, price) for item, price in found if price is not None]
