"""Negotiated price books: those that a role may see, one with its terms, and a file to add one from."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from planner.errors import InvalidInput
from planner.services.price_books import (
    add_price_book,
    get_price_book,
    list_price_books,
    num_hidden_books,
    withdraw_price_book,
)
from planner.services.requests import parse
from planner.services.requests.price_books import PriceBookRequest, RolesQuery
from planner.web.api.layer import json_object
from planner.web.database import now, session
from planner.web.forms import Form
from planner.web.pages.blueprint import pages
from planner.web.queries import read_query

EXAMPLE = """{
  "name": "Enterprise agreement", "source": "contract 4711",
  "valid_from": "2026-01-01T00:00:00Z",
  "valid_until": "2027-01-01T00:00:00Z",
  "roles": ["finance"],
  "terms": [
    {"provider": "aws", "discount": "15 %"},
    {"provider": "gcp", "gpu_key": "H100-80GB-SXM",
     "amount": "2.10", "currency": "USD", "per_gpu": true}
  ]
}"""


@pages.get("/price-books")
def price_books_page() -> tuple[str, int]:
    """The books that are open to all, and those of the role named."""
    query, form = read_query(RolesQuery)
    return _page(query or RolesQuery(), form, 422 if query is None else 200)


@pages.post("/price-books")
def add_price_book_by_file() -> Response | tuple[str, int]:
    """Add the book of a JSON file."""
    form = Form.sent()
    try:
        book = add_price_book(session(), parse(PriceBookRequest, _sent_book(form)), now())
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _page(RolesQuery(), form, 422)
    flash(f"{book.name} is added with {len(book.terms):,} terms.", "good")
    return redirect(url_for("pages.price_book_page", book_id=book.id, role=min(book.roles, default=None)), 303)


@pages.get("/price-books/<book_id>")
def price_book_page(book_id: str) -> tuple[str, int]:
    """One book with its terms."""
    query, form = read_query(RolesQuery)
    asked = query or RolesQuery()
    book = get_price_book(session(), book_id, asked.known_at or now(), asked.roles)
    page = render_template("price_books/show.html", book=book, form=form, query=asked, is_held=book.holds_at(now()))
    return page, 422 if query is None else 200


@pages.post("/price-books/<book_id>/withdraw")
def withdraw_price_book_by_form(book_id: str) -> Response:
    """Let a book count no more."""
    form = Form.sent()
    asked = parse(RolesQuery, form.given(RolesQuery))
    withdraw_price_book(session(), book_id, now(), asked.roles)
    flash("The book counts no more. Estimates made with it stay as they are.", "good")
    return redirect(url_for("pages.price_books_page", role=asked.role), 303)


def _sent_book(form: Form) -> dict[str, object]:
    """The JSON object of the one file that was sent. Raises InvalidInput."""
    sent = request.files.getlist("file")
    unknown = [name for name in (*form.values, *request.files) if name != "file"]
    if unknown:
        raise InvalidInput.of(unknown[0], "is not a field of this form")
    if len(sent) != 1 or not sent[0].filename:
        raise InvalidInput.of("file", "choose one file")
    content = sent[0].read()
    if not content:
        raise InvalidInput.of("file", "is empty")
    try:
        return json_object(content)
    except ValueError as error:
        raise InvalidInput.of("file", f"is not JSON: {error}") from None


def _page(query: RolesQuery, form: Form, status: int) -> tuple[str, int]:
    known_at = query.known_at or now()
    page = render_template(
        "price_books/list.html",
        form=form,
        query=query,
        books=list_price_books(session(), known_at, query.roles),
        num_hidden=num_hidden_books(session(), known_at, query.roles),
        example=EXAMPLE,
    )
    return page, status
