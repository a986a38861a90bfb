"""The same request under the same key gets the same answer, and does its work once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from planner.errors import Conflict, InvalidInput
from planner.store import idempotency as store
from planner.store.engine import Session

KEPT = timedelta(days=7)
HEADER = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """What a request was answered with."""

    status: int
    headers: Mapping[str, str]
    body: str


def earlier_answer(session: Session, key: str, fingerprint: str, now: datetime) -> GivenAnswer | None:
    """What the same request was answered under that key; raises InvalidInput where the key was another request's."""
    row = store.get_answer(session, key)
    if row is None or row.created_at < now - KEPT:
        return None
    if row.fingerprint != fingerprint:
        raise InvalidInput.of(HEADER, f"was used for another request ({row.operation}); give each request its own key")
    return GivenAnswer(row.status, row.headers, row.body)


def keep_answer(
    session: Session, key: str, operation: str, fingerprint: str, answer: GivenAnswer, now: datetime
) -> None:
    """Keep the answer with the work it tells of, in one transaction. Raises Conflict where two came at once."""
    store.forget_before(session, now - KEPT)
    is_kept = store.add_answer(
        session,
        key=key,
        operation=operation,
        fingerprint=fingerprint,
        status=answer.status,
        headers=dict(answer.headers),
        body=answer.body,
        created_at=now,
    )
    if not is_kept:
        raise Conflict(f"a request with the same {HEADER} is being answered; ask again in a moment")
