"""A row of an import beside what is known of its offer, from the database and from the rows before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from planner.offers.change_guard import change_in_words
from planner.offers.quote import Quote
from planner.services.import_checks import as_kept, place_of
from planner.store import price_imports as store
from planner.units import plain_decimal


@dataclass(frozen=True, slots=True)
class Point:
    """A price of this import that was accepted in the batch at hand and is not in the database yet."""

    valid_from: datetime
    amount: Decimal | None
    reason: str
    source_date: date

    @classmethod
    def of(cls, quote: Quote) -> Point:
        amount = None if quote.amount is None else as_kept(quote.amount)
        return cls(quote.valid_from, amount, quote.reason, quote.source_date)


@dataclass(frozen=True, slots=True)
class Line:
    """A quote of a known offer, and what is known of that offer at its moment."""

    offer_id: int
    quote: Quote
    known: store.Known


@dataclass(frozen=True, slots=True)
class Suspect:
    """A price that may be a slip of the source."""

    line: Line
    before: Decimal
    after: Decimal
    reason: str

    @property
    def change(self) -> str:
        before, after = plain_decimal(self.before), plain_decimal(self.after)
        return f"{before} → {after} ({change_in_words(self.before, self.after)})"

    def logged(self, reason: str) -> store.LoggedRow:
        quote = self.line.quote
        return store.LoggedRow(
            place=place_of(quote.row),
            outcome=store.HELD,
            reason=reason,
            offer_id=self.line.offer_id,
            amount=self.after,
            compared_with=self.before,
            valid_from=quote.valid_from,
            source=quote.source,
            source_date=quote.source_date,
        )


def with_points(known: store.Known, points: list[Point], moment: datetime, import_id: str) -> store.Known:
    """What is known of an offer at `moment` once the batch's own accepted prices count too."""
    held = max((p for p in points if p.valid_from <= moment), key=lambda p: p.valid_from, default=None)
    if held is not None and (known.holds_from is None or held.valid_from >= known.holds_from):
        known = known._replace(
            holds_from=held.valid_from,
            amount=held.amount,
            reason=held.reason,
            source_date=held.source_date,
            import_id=import_id,
        )
    priced = [p for p in points if p.amount is not None]
    nearest = _nearest(priced, known.compared_from, moment)
    return known if nearest is None else known._replace(compared_from=nearest.valid_from, compared_with=nearest.amount)


def _nearest(priced: list[Point], known_from: datetime | None, moment: datetime) -> Point | None:
    """The point to compare with instead of the one known: the last until the moment, else the first after it."""
    until = max((p for p in priced if p.valid_from <= moment), key=lambda p: p.valid_from, default=None)
    has_until = known_from is not None and known_from <= moment
    if until is not None:
        return until if known_from is None or not has_until or until.valid_from >= known_from else None
    if has_until:
        return None
    after = min((p for p in priced if p.valid_from > moment), key=lambda p: p.valid_from, default=None)
    return after if after is not None and (known_from is None or after.valid_from <= known_from) else None


def new_price(offer_id: int, quote: Quote) -> store.NewPrice:
    return store.NewPrice(offer_id, quote.amount, quote.reason, quote.valid_from, quote.source, quote.source_date)
