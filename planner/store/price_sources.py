"""Price sources that are read again by a rule, and how that went the last time."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from planner.store.tables import PriceSourceRow


def price_sources(session: Session, *, lock: bool = False) -> list[PriceSourceRow]:
    """All of them by name, locked until the transaction ends where asked."""
    query = select(PriceSourceRow).order_by(PriceSourceRow.name)
    return list(session.scalars(query.with_for_update() if lock else query))


def get_price_source(session: Session, name: str, *, lock: bool = False) -> PriceSourceRow | None:
    """The source of that name, once it was given a rule."""
    query = select(PriceSourceRow).where(PriceSourceRow.name == name)
    return session.scalars(query.with_for_update() if lock else query).one_or_none()
