"""Suites that people put together: versions are added, none is changed."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from planner.store.tables import SuiteRow


def get_suite(session: Session, name: str, version: int | None = None) -> SuiteRow | None:
    """That version of the suite, the newest where none is named."""
    query = select(SuiteRow).where(SuiteRow.name == name)
    if version is not None:
        query = query.where(SuiteRow.version == version)
    return session.execute(query.order_by(SuiteRow.version.desc()).limit(1)).scalar_one_or_none()


def newest_suites(session: Session) -> list[SuiteRow]:
    """The newest version of each, by name."""
    newest = select(func.max(SuiteRow.id)).group_by(SuiteRow.name)
    return list(session.execute(select(SuiteRow).where(SuiteRow.id.in_(newest)).order_by(SuiteRow.name)).scalars())
