"""Answers that were given under an Idempotency-Key."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from planner.store.tables import IdempotencyRow


def get_answer(session: Session, key: str) -> IdempotencyRow | None:
    """What was answered under that key."""
    return session.get(IdempotencyRow, key)


def add_answer(session: Session, **values: Any) -> bool:
    """Keep an answer; False where another request has the key meanwhile."""
    kind: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = kind.insert(IdempotencyRow).values(**values).on_conflict_do_nothing(index_elements=["key"])
    return bool(session.execute(statement.returning(IdempotencyRow.key)).first())


def forget_before(session: Session, moment: datetime) -> None:
    """Forget answers given before that moment."""
    session.execute(delete(IdempotencyRow).where(IdempotencyRow.created_at < moment))
