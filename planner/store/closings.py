"""Months that were closed: added once with their charges, and read ever after."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from planner.store.tables import ClosingRow


@dataclass(frozen=True, slots=True)
class StoredClosing:
    """A closed month ("2026-10") without its charges."""

    month: str
    closed_at: datetime
    closed_by: str
    note: str
    code_version: str
    num_charges: int
    num_unknown: int


def add(session: Session, closing: StoredClosing, booked: dict[str, Any]) -> bool:
    """Close a month with these charges; False where it is closed already, also by somebody at this moment."""
    try:
        with session.begin_nested():
            session.add(ClosingRow(**asdict(closing), booked=booked))
            session.flush()
    except IntegrityError:
        return False
    return True


def closed(session: Session, known_at: datetime) -> list[StoredClosing]:
    """The months that were closed by then, the newest first."""
    columns = [getattr(ClosingRow, name) for name in StoredClosing.__slots__]
    query = select(*columns).where(ClosingRow.closed_at <= known_at).order_by(ClosingRow.month.desc())
    return [StoredClosing(*row) for row in session.execute(query)]


def booked(session: Session, month: str, known_at: datetime) -> dict[str, Any] | None:
    """The charges of a month as it was closed; None where it had not been by then."""
    query = select(ClosingRow.booked).where(ClosingRow.month == month, ClosingRow.closed_at <= known_at)
    return session.execute(query).scalar_one_or_none()
