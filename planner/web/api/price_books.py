"""The API of negotiated price books: listed for roles, added, shown, withdrawn."""

from __future__ import annotations

from dataclasses import dataclass

from flask import url_for

from planner.offers.negotiated import Book
from planner.services.price_books import add_price_book, get_price_book, list_price_books, withdraw_price_book
from planner.services.requests.price_books import PriceBookRequest, RolesQuery
from planner.web.api.resources import api
from planner.web.database import now, session


@dataclass(frozen=True, slots=True)
class BookList:
    """The books that these roles may see. There are no accounts yet: a role is what the request says of itself."""

    roles: list[str]
    books: list[Book]


@api.get("/price-books", tag="price books", answers=BookList, query=RolesQuery)
def list_all_price_books(query: RolesQuery) -> BookList:
    """Negotiated price books with their terms, oldest first: those open to all, and those of the role named.

    There are no accounts yet, so `role` is taken at its word. With `valid_at` only those that hold then.
    """
    books = list_price_books(session(), query.known_at or now(), query.roles)
    held = [book for book in books if query.valid_at is None or book.holds_at(query.valid_at)]
    return BookList(sorted(query.roles), held)


@api.post(
    "/price-books", tag="price books", answers=Book, body=PriceBookRequest, status=201, location=True, problems=(413,)
)
def add_one_price_book(body: PriceBookRequest) -> tuple[Book, str]:
    """Add a price book with its terms and effective dates. A book is never changed: withdraw it and add another."""
    made = add_price_book(session(), body, now())
    return made, url_for("api.get_one_price_book", book_id=made.id)


@api.get("/price-books/<book_id>", tag="price books", answers=Book, query=RolesQuery)
def get_one_price_book(book_id: str, query: RolesQuery) -> Book:
    """One price book; not there for those whose role may not see it."""
    return get_price_book(session(), book_id, query.known_at or now(), query.roles)


@api.delete("/price-books/<book_id>", tag="price books", answers=None, status=204, query=RolesQuery)
def withdraw_one_price_book(book_id: str, query: RolesQuery) -> None:
    """Let a price book count no more; what was known before stays so, and estimates made with it stay as they are."""
    withdraw_price_book(session(), book_id, now(), query.roles)
