"""Leases: a named right with an end on the database's clock and a fence number that rises with every claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from planner.store.engine import database_now
from planner.store.tables import LeaseRow

LONG_AGO = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Lease:
    """A held lease. Whoever shows a smaller fence than the newest is a zombie, and its words are not taken."""

    name: str
    holder: str
    fence: int
    expires_at: datetime


def claim(
    session: Session, name: str, holder: str, boot_id: str, term: timedelta, run_id: str | None = None
) -> Lease | None:
    """Take the lease if nobody holds it (or the holder's time is up, or it is ours already); None otherwise."""
    _ensure(session, name)
    now = database_now(session)
    free = or_(LeaseRow.holder.is_(None), LeaseRow.expires_at <= now, LeaseRow.holder == holder)
    change = (
        update(LeaseRow)
        .where(LeaseRow.name == name, free)
        .values(holder=holder, boot_id=boot_id, run_id=run_id, fence=LeaseRow.fence + 1, expires_at=now + term)
        .returning(LeaseRow.fence)
    )
    fence = session.execute(change).scalar_one_or_none()
    return None if fence is None else Lease(name, holder, fence, now + term)


def claim_all(
    session: Session, names: Sequence[str], holder: str, boot_id: str, term: timedelta, run_id: str | None = None
) -> tuple[Lease, ...] | None:
    """Take all of these leases, in their order, or none where one of them is not free.

    All are locked in the order of their names before the first is taken, as everybody locks several: of two who want
    the same ones, one waits and then finds them taken.
    """
    for name in sorted(names):
        _ensure(session, name)
    now = database_now(session)
    query = select(LeaseRow).where(LeaseRow.name.in_(names)).order_by(LeaseRow.name).with_for_update()
    rows = session.execute(query, execution_options={"populate_existing": True}).scalars().all()
    if not all(row.holder in (None, holder) or row.expires_at <= now for row in rows):
        return None
    taken = {name: claim(session, name, holder, boot_id, term, run_id) for name in sorted(names)}
    leases = tuple(lease for name in names if (lease := taken[name]) is not None)
    if len(leases) < len(names):
        raise AssertionError("a lease that was locked and free is taken")
    return leases


def renew(session: Session, lease: Lease, term: timedelta) -> Lease | None:
    """Push the end out; None where the lease is ours no more, or its time is up already."""
    now = database_now(session)
    change = (
        update(LeaseRow)
        .where(LeaseRow.name == lease.name, LeaseRow.fence == lease.fence, LeaseRow.expires_at > now)
        .values(expires_at=now + term)
        .returning(LeaseRow.fence)
    )
    if session.execute(change).scalar_one_or_none() is None:
        return None
    return Lease(lease.name, lease.holder, lease.fence, now + term)


def release(session: Session, lease: Lease) -> None:
    """Give the lease back, if it is still ours."""
    revoke(session, lease.name, lease.fence)


def is_current(session: Session, name: str, fence: int) -> bool:
    """Whether `fence` is still the newest of this lease; locks the row until the transaction ends."""
    newest = session.execute(select(LeaseRow.fence).where(LeaseRow.name == name).with_for_update()).scalar_one_or_none()
    return newest == fence


def end_of(session: Session, name: str) -> datetime | None:
    """When the lease runs out unless it is renewed; None while nobody holds it now, by the database's clock."""
    now = database_now(session)
    found = select(LeaseRow.expires_at).where(
        LeaseRow.name == name, LeaseRow.holder.is_not(None), LeaseRow.expires_at > now
    )
    return session.execute(found).scalar_one_or_none()


def revoke(session: Session, name: str, fence: int) -> None:
    """Take the lease from a holder that is known to be gone; if it lives after all, its next renewal fails."""
    change = update(LeaseRow).where(LeaseRow.name == name, LeaseRow.fence == fence)
    session.execute(change.values(holder=None, run_id=None, expires_at=LONG_AGO))


def _ensure(session: Session, name: str) -> None:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = insert(LeaseRow).values(name=name, holder=None, boot_id=None, run_id=None, fence=0, expires_at=LONG_AGO)
    session.execute(row.on_conflict_do_nothing(index_elements=["name"]))
