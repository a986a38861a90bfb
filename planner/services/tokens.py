"""Tokens by which programs on other computers ask the API: made once, shown once, ended by time or by a person."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from ulid import ULID

from planner.errors import NotFound
from planner.services.requests.tokens import Scope, TokenRequest
from planner.store import tokens as store
from planner.store.engine import Session
from planner.store.tables import TokenRow

SHOWN = 14  # characters of a secret by which its token is told from others
USE_NOTED_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token without its secret; `prefix` is how that begins."""

    id: str
    name: str
    prefix: str
    scopes: tuple[Scope, ...]
    actor: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None  # to the hour; None: never
    revoked_at: datetime | None

    def allows(self, scope: Scope) -> bool:
        """Whether it may do that."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def is_live(self, now: datetime) -> bool:
        """Whether it counts: it has neither expired nor been revoked."""
        return self.revoked_at is None and now < self.expires_at

    def use_is_news(self, now: datetime) -> bool:
        """Whether its last use is so long ago that this one is to be noted."""
        return self.last_used_at is None or now - self.last_used_at >= USE_NOTED_EVERY


def keep_token(session: Session, request: TokenRequest, secret: str, now: datetime, actor: str) -> TokenView:
    """Keep a token of that secret, which must be random and is not kept: only its hash is."""
    row = TokenRow(
        id=str(ULID.from_datetime(now)),
        name=request.name,
        prefix=secret[:SHOWN],
        secret_hash=_hash(secret),
        scopes=[scope.value for scope in dict.fromkeys(request.scopes)],
        actor=actor,
        created_at=now,
        expires_at=now + timedelta(days=request.days),
        last_used_at=None,
        revoked_at=None,
    )
    session.add(row)
    session.flush()
    return _view(row)


def find_token(session: Session, secret: str, now: datetime) -> TokenView | None:
    """The token of that secret; None where there is none, or none any more."""
    row = store.by_hash(session, _hash(secret))
    found = None if row is None else _view(row)
    return found if found is not None and found.is_live(now) else None


def note_use(session: Session, token: TokenView, now: datetime) -> None:
    """Remember that a token was used."""
    store.note_use(session, token.id, now)


def list_tokens(session: Session) -> list[TokenView]:
    """Every token, ended ones too, the newest first."""
    return [_view(row) for row in store.newest(session)]


def revoke_token(session: Session, token_id: str, now: datetime) -> None:
    """End a token at once. Raises NotFound where there is none that lives."""
    if not store.revoke(session, token_id, now):
        raise NotFound(f"there is no token {token_id!r} that could be ended")


def _hash(secret: str) -> str:
    """A plain hash is enough for 256 random bits: there is nothing to guess from."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _view(row: TokenRow) -> TokenView:
    return TokenView(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        scopes=tuple(Scope(scope) for scope in row.scopes),
        actor=row.actor,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
