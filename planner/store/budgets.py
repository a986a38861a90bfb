"""Budgets: appended; one that another revises is kept, and one that was withdrawn counts no more from then on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased
from ulid import ULID

from planner.store.tables import BudgetRow


@dataclass(frozen=True, slots=True)
class NewBudget:
    """A budget before it has an id; `terms` are JSON."""

    recorded_at: datetime
    recorded_by: str
    name: str
    currency: str
    from_month: str
    until_month: str
    terms: dict[str, Any]
    note: str
    replaces_id: str | None


@dataclass(frozen=True, slots=True)
class StoredBudget(NewBudget):
    """A budget as far as was known at a moment: `replaced_by` and `withdrawn_at` are None where they came later."""

    id: str = ""
    replaced_by: str | None = None
    withdrawn_at: datetime | None = None


def add(session: Session, new: NewBudget) -> str | None:
    """Append a budget; its id. None where another one replaces the same budget, also at this moment."""
    row = BudgetRow(
        id=str(ULID.from_datetime(new.recorded_at)),
        recorded_at=new.recorded_at,
        recorded_by=new.recorded_by,
        name=new.name,
        currency=new.currency,
        from_month=new.from_month,
        until_month=new.until_month,
        terms=new.terms,
        note=new.note,
        replaces_id=new.replaces_id,
    )
    try:
        with session.begin_nested():
            session.add(row)
            session.flush()
    except IntegrityError:
        return None
    return row.id


def get(session: Session, budget_id: str, known_at: datetime) -> StoredBudget | None:
    """The budget of that id, as far as was known then."""
    found = session.execute(_known(known_at).where(BudgetRow.id == budget_id)).one_or_none()
    return None if found is None else _stored(found[0], found[1], known_at)


def newest(
    session: Session,
    known_at: datetime,
    limit: int | None,
    *,
    after: str | None = None,
    month: str | None = None,
    with_replaced: bool = False,
) -> list[StoredBudget]:
    """The newest first, by id: those of a month, without those replaced or withdrawn unless they are wanted."""
    query = _known(known_at).order_by(BudgetRow.id.desc()).limit(limit)
    if after is not None:
        query = query.where(BudgetRow.id < after)
    if month is not None:
        query = query.where(BudgetRow.from_month <= month, BudgetRow.until_month >= month)
    if not with_replaced:
        is_there = or_(BudgetRow.withdrawn_at.is_(None), BudgetRow.withdrawn_at > known_at)
        query = query.where(_later.id.is_(None), is_there)
    return [_stored(row, replaced_by, known_at) for row, replaced_by in session.execute(query)]


def withdraw(session: Session, budget_id: str, at: datetime) -> bool:
    """Let a budget count no more; False where there is none that still does."""
    ended = update(BudgetRow).where(BudgetRow.id == budget_id, BudgetRow.withdrawn_at.is_(None)).values(withdrawn_at=at)
    return session.execute(ended.returning(BudgetRow.id)).first() is not None


_later = aliased(BudgetRow)


def _known(known_at: datetime) -> Select[BudgetRow, str]:
    """Each budget that was recorded by then, with the id of the one that had replaced it by then."""
    joined = and_(_later.replaces_id == BudgetRow.id, _later.recorded_at <= known_at)
    return select(BudgetRow, _later.id).outerjoin(_later, joined).where(BudgetRow.recorded_at <= known_at)


def _stored(row: BudgetRow, replaced_by: str | None, known_at: datetime) -> StoredBudget:
    withdrawn = row.withdrawn_at
    return StoredBudget(
        recorded_at=row.recorded_at,
        recorded_by=row.recorded_by,
        name=row.name,
        currency=row.currency,
        from_month=row.from_month,
        until_month=row.until_month,
        terms=row.terms,
        note=row.note,
        replaces_id=row.replaces_id,
        id=row.id,
        replaced_by=replaced_by,
        withdrawn_at=None if withdrawn is None or withdrawn > known_at else withdrawn,
    )
