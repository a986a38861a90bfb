"""Exchange rates: appended, with when they were recorded; and those that wait for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import islice

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from planner.offers.currency import Rate
from planner.store.tables import FxRateRow, HeldRateRow

_CHUNK = 500


def append_rates(session: Session, rates: Iterable[Rate], recorded_at: datetime) -> tuple[int, int]:
    """Append the rates that say something new; how many were new and how many were known already.

    A rate that differs from the last one recorded for its pair and day is a correction, and appended.
    """
    num_added = num_known = 0
    for chunk in _chunks(rates):
        known = _known_around(session, chunk)
        new = {}
        for rate in chunk:
            key = (rate.base, rate.quote, rate.rate_date)
            if known.get(key) != round(rate.rate, 12):
                new[key] = rate
        rows = [
            {
                "base": rate.base,
                "quote": rate.quote,
                "rate": rate.rate,
                "rate_date": rate.rate_date,
                "source": rate.source,
                "recorded_at": recorded_at,
            }
            for rate in new.values()
        ]
        if rows:
            session.execute(insert(FxRateRow), rows)
        num_added += len(rows)
        num_known += len(chunk) - len(rows)
    return num_added, num_known


def _known_around(session: Session, chunk: Sequence[Rate]) -> dict[tuple[str, str, date], Decimal]:
    """The last rate recorded of each pair and day that the chunk spans: a range of the index for each pair of it."""
    days = [rate.rate_date for rate in chunk]
    query = select(FxRateRow.base, FxRateRow.quote, FxRateRow.rate_date, FxRateRow.rate).where(
        FxRateRow.base.in_({rate.base for rate in chunk}),
        FxRateRow.quote.in_({rate.quote for rate in chunk}),
        FxRateRow.rate_date.between(min(days), max(days)),
    )
    rows = session.execute(query.order_by(FxRateRow.recorded_at))
    return {(row.base, row.quote, row.rate_date): row.rate for row in rows}


def newest_recorded_at(session: Session) -> datetime | None:
    """When the last rate was recorded."""
    return session.execute(select(func.max(FxRateRow.recorded_at))).scalar_one()


def rates_between(session: Session, first: date, last: date, known_at: datetime) -> list[Rate]:
    """The rates of those days as far as was known then, as they were recorded."""
    query = select(FxRateRow).where(
        FxRateRow.rate_date >= first, FxRateRow.rate_date <= last, FxRateRow.recorded_at <= known_at
    )
    return [_rate(row) for row in session.scalars(query.order_by(FxRateRow.recorded_at, FxRateRow.id))]


def newest_rates(
    session: Session, base: str | None, quote: str | None, limit: int | None, before: int | None
) -> list[tuple[int, Rate, datetime]]:
    """Rates with id and when they were recorded, the last one first; `before` leaves out that id and later ones."""
    query = select(FxRateRow)
    if base is not None:
        query = query.where(FxRateRow.base == base)
    if quote is not None:
        query = query.where(FxRateRow.quote == quote)
    if before is not None:
        query = query.where(FxRateRow.id < before)
    rows = session.scalars(query.order_by(FxRateRow.id.desc()).limit(limit))
    return [(row.id, _rate(row), row.recorded_at) for row in rows]


def rates_of_pair(session: Session, first: str, second: str) -> Iterator[Rate]:
    """Every rate between two currencies, whichever is the base, as they were recorded."""
    query = select(FxRateRow).where(FxRateRow.base.in_((first, second)), FxRateRow.quote.in_((first, second)))
    rows = session.scalars(query.order_by(FxRateRow.recorded_at, FxRateRow.id).execution_options(yield_per=_CHUNK))
    return map(_rate, rows)


def hold(session: Session, rate: Rate, compared_with: Decimal, compared_date: date, recorded_at: datetime) -> None:
    """Let the rate wait for a person."""
    row = {
        "base": rate.base,
        "quote": rate.quote,
        "rate": rate.rate,
        "rate_date": rate.rate_date,
        "source": rate.source,
        "recorded_at": recorded_at,
        "compared_with": str(compared_with),
        "compared_date": compared_date,
    }
    session.execute(insert(HeldRateRow), [row])


def held_like(session: Session, rate: Rate) -> HeldRateRow | None:
    """The same rate of the same pair and day that was held before, the last one."""
    query = select(HeldRateRow).where(
        HeldRateRow.base == rate.base, HeldRateRow.quote == rate.quote, HeldRateRow.rate_date == rate.rate_date
    )
    rows = session.scalars(query.order_by(HeldRateRow.id.desc()))
    return next((row for row in rows if row.rate == round(rate.rate, 12)), None)


def held_rates(session: Session, *, waiting: bool, limit: int, after: int) -> list[HeldRateRow]:
    """Held rates in the order in which they came; those only that wait, or all."""
    query = select(HeldRateRow).where(HeldRateRow.id > after)
    if waiting:
        query = query.where(HeldRateRow.decision.is_(None))
    return list(session.scalars(query.order_by(HeldRateRow.id).limit(limit)))


def waiting_rates(session: Session, ids: Sequence[int] | None) -> Iterator[HeldRateRow]:
    """The held rates of these ids that wait, all that wait for None, locked until the transaction ends."""
    query = select(HeldRateRow).where(HeldRateRow.decision.is_(None))
    if ids is not None:
        query = query.where(HeldRateRow.id.in_(ids))
    return iter(session.scalars(query.order_by(HeldRateRow.id).with_for_update()).all())


def num_waiting(session: Session) -> int:
    """How many rates wait for a person."""
    query = select(func.count()).select_from(HeldRateRow).where(HeldRateRow.decision.is_(None))
    return session.execute(query).scalar_one()


def currencies(session: Session) -> list[str]:
    """Every currency that a rate is known of."""
    query = select(FxRateRow.base).union(select(FxRateRow.quote))
    return sorted(session.scalars(query))


def _rate(row: FxRateRow) -> Rate:
    return Rate(row.base, row.quote, row.rate, row.rate_date, row.source)


def _chunks(rates: Iterable[Rate]) -> Iterator[list[Rate]]:
    iterator = iter(rates)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
