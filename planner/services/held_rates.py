"""Exchange rates that wait for a person, since they are far from what was known: looked at, approved or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from planner.errors import Conflict
from planner.offers.change_guard import change_in_words
from planner.offers.currency import Rate
from planner.services.fx import next_moment
from planner.store import fx as store
from planner.store import offers as offer_store
from planner.store.engine import Session
from planner.store.tables import HeldRateRow


@dataclass(frozen=True, slots=True)
class HeldRate:
    """A rate that was held, what it was held against, and what was decided; None while it waits."""

    id: int
    rate: Rate
    recorded_at: datetime
    compared_with: Decimal
    compared_date: date
    change: str
    decision: str | None
    decided_at: datetime | None
    decided_by: str | None


def list_held_rates(session: Session, *, waiting: bool = False, limit: int = 100, after: int = 0) -> list[HeldRate]:
    """Held rates in the order in which they came; with `waiting` those only on which nobody decided yet."""
    return [_view(row) for row in store.held_rates(session, waiting=waiting, limit=limit, after=after)]


def num_waiting_rates(session: Session) -> int:
    """How many rates wait for a person."""
    return store.num_waiting(session)


def approve_rates(session: Session, now: datetime, ids: Sequence[int] | None, actor: str) -> int:
    """Let the rates of these ids count from now on, all that wait for None; how many. Raises Conflict.

    They are recorded now: what was converted before stays as it was known.
    """
    offer_store.lock_writers(session)
    rows = _decide(session, now, ids, "approved", actor)
    rates = [Rate(row.base, row.quote, row.rate, row.rate_date, row.source) for row in rows]
    store.append_rates(session, rates, next_moment(session, now))
    return len(rows)


def refuse_rates(session: Session, now: datetime, ids: Sequence[int] | None, actor: str) -> int:
    """Decide that these rates are wrong; the same ones are refused from now on. How many. Raises Conflict."""
    offer_store.lock_writers(session)
    return len(_decide(session, now, ids, "refused", actor))


def _decide(session: Session, now: datetime, ids: Sequence[int] | None, decision: str, actor: str) -> list[HeldRateRow]:
    rows = list(store.waiting_rates(session, ids))
    if ids is not None and (missing := sorted(set(ids) - {row.id for row in rows})):
        raise Conflict(f"no rate {missing[0]} waits for a decision")
    for row in rows:
        row.decision, row.decided_at, row.decided_by = decision, now, actor
    session.flush()
    return rows


def _view(row: HeldRateRow) -> HeldRate:
    compared_with = Decimal(row.compared_with)
    return HeldRate(
        id=row.id,
        rate=Rate(row.base, row.quote, row.rate, row.rate_date, row.source),
        recorded_at=row.recorded_at,
        compared_with=compared_with,
        compared_date=row.compared_date,
        change=change_in_words(compared_with, row.rate),
        decision=row.decision,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
    )
