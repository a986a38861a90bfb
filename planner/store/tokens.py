"""Tokens: rows found by the hash of their secret, never by the secret itself."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from planner.store.tables import TokenRow


def by_hash(session: Session, secret_hash: str) -> TokenRow | None:
    """The token whose secret has that hash."""
    return session.execute(select(TokenRow).where(TokenRow.secret_hash == secret_hash)).scalar_one_or_none()


def newest(session: Session) -> list[TokenRow]:
    """Every token, the newest first."""
    return list(session.scalars(select(TokenRow).order_by(TokenRow.id.desc())))


def note_use(session: Session, token_id: str, at: datetime) -> None:
    """Remember when a token was last used."""
    session.execute(update(TokenRow).where(TokenRow.id == token_id).values(last_used_at=at))


def revoke(session: Session, token_id: str, at: datetime) -> bool:
    """End a token; False where there is none that has not been ended already."""
    ended = update(TokenRow).where(TokenRow.id == token_id, TokenRow.revoked_at.is_(None)).values(revoked_at=at)
    return session.execute(ended.returning(TokenRow.id)).first() is not None
