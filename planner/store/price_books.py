"""Negotiated price books: rows ↔ dataclasses. A book is added and withdrawn, never changed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, or_, select, update
from sqlalchemy.orm import Session

from planner.offers.negotiated import Book, Term
from planner.offers.offer import OfferKind
from planner.store.tables import PriceBookRow, PriceBookTermRow

_TERM_FIELDS = (
    *("provider", "region", "instance_type", "gpu_key", "kind"),
    *("discount", "amount", "currency", "per_gpu"),
)


def add_book(session: Session, book: Book) -> None:
    """Add a book with its terms."""
    row = {
        "id": book.id,
        "name": book.name,
        "source": book.source,
        "roles": sorted(book.roles),
        "valid_from": book.valid_from,
        "valid_until": book.valid_until,
        "recorded_at": book.recorded_at,
        "withdrawn_at": None,
    }
    session.execute(insert(PriceBookRow), [row])
    terms = [{"book_id": book.id, **{name: getattr(term, name) for name in _TERM_FIELDS}} for term in book.terms]
    session.execute(insert(PriceBookTermRow), terms)


def withdraw(session: Session, book_id: str, at: datetime) -> bool:
    """Let the book be unknown from that moment on; False where there is none, or it was withdrawn already."""
    change = update(PriceBookRow).where(PriceBookRow.id == book_id, PriceBookRow.withdrawn_at.is_(None))
    return session.execute(change.values(withdrawn_at=at).returning(PriceBookRow.id)).first() is not None


def books(session: Session, known_at: datetime, book_id: str | None = None) -> list[Book]:
    """The books known at that moment and not withdrawn by then, oldest first."""
    query = select(PriceBookRow).where(
        PriceBookRow.recorded_at <= known_at,
        or_(PriceBookRow.withdrawn_at.is_(None), PriceBookRow.withdrawn_at > known_at),
    )
    if book_id is not None:
        query = query.where(PriceBookRow.id == book_id)
    rows = list(session.scalars(query.order_by(PriceBookRow.recorded_at, PriceBookRow.id)))
    terms: dict[str, list[Term]] = {}
    found = select(PriceBookTermRow).where(PriceBookTermRow.book_id.in_([row.id for row in rows]))
    for term in session.scalars(found.order_by(PriceBookTermRow.id)):
        values = {name: getattr(term, name) for name in _TERM_FIELDS}
        kind = None if term.kind is None else OfferKind(term.kind)
        terms.setdefault(term.book_id, []).append(Term(**values | {"kind": kind}))
    return [
        Book(
            id=row.id,
            name=row.name,
            source=row.source,
            valid_from=row.valid_from,
            valid_until=row.valid_until,
            recorded_at=row.recorded_at,
            roles=frozenset(row.roles),
            terms=tuple(terms.get(row.id, ())),
        )
        for row in rows
    ]
