"""Actuals: appended rows of what finished jobs took; a row that another replaces is kept and no longer counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, aliased
from ulid import ULID

from planner.store.span import EVER, Span
from planner.store.tables import ActualRow

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class NewActual:
    """An actual before it has an id. Exactly one of `estimate_id` and `run_id` is set."""

    recorded_at: datetime
    measured_at: datetime | None
    source: str
    reference: str | None  # the sender's own id, unique within the source; None: the row's id
    estimate_id: str | None
    run_id: str | None
    option_position: int | None
    title: str
    job_kind: str
    family: str
    gpu_key: str
    basis: str
    measured: Mapping[str, Any]
    predicted: Mapping[str, Any]
    note: str
    code_version: str
    replaces_id: str | None = None


@dataclass(frozen=True, slots=True)
class StoredActual(NewActual):
    """A row of the ledger; `replaced_by` is the id of the row that corrects it."""

    id: str = ""
    replaced_by: str | None = None


def add(session: Session, new: NewActual) -> StoredActual:
    """Append a row."""
    row_id = str(ULID.from_datetime(new.recorded_at))
    values = asdict(new) | {"reference": new.reference or row_id}
    session.add(ActualRow(id=row_id, **values))
    session.flush()
    return StoredActual(**values, id=row_id)


def by_reference(session: Session, source: str, reference: str) -> StoredActual | None:
    """The row that this source entered under that reference."""
    return _one(session, ActualRow.source == source, ActualRow.reference == reference)


def get(session: Session, actual_id: str) -> StoredActual | None:
    """The row of that id."""
    return _one(session, ActualRow.id == actual_id)


def newest(
    session: Session,
    limit: int | None,
    *,
    after: str | None = None,
    estimate_id: str | None = None,
    run_id: str | None = None,
    job_kind: str | None = None,
    counted_only: bool = False,
    span: Span = EVER,
) -> list[StoredActual]:
    """The newest first, by id; `after` leaves out that one and all newer ones, `counted_only` what was replaced."""
    later = aliased(ActualRow)
    query = (
        select(ActualRow, later.id)
        .outerjoin(later, later.replaces_id == ActualRow.id)
        .order_by(ActualRow.id.desc())
        .limit(limit)
        .where(*span.holds(ActualRow.recorded_at))
    )
    for column, value in (
        (ActualRow.estimate_id, estimate_id),
        (ActualRow.run_id, run_id),
        (ActualRow.job_kind, job_kind),
    ):
        if value is not None:
            query = query.where(column == value)
    if after is not None:
        query = query.where(ActualRow.id < after)
    if counted_only:
        query = query.where(later.id.is_(None))
    return [_stored(row, replaced_by) for row, replaced_by in session.execute(query)]


def jobs_that_ended(session: Session, since: datetime | None, known_at: datetime | None) -> Iterator[StoredActual]:
    """The rows of finished jobs that count, the oldest first, a chunk at a time; calibration runs are no jobs.

    Those that ended from `since` on (that were entered then, where their end is unknown); with `known_at` as far as
    was known then: what was entered later is left out, and what was replaced later still counts.
    """
    later = aliased(ActualRow)
    joined = later.replaces_id == ActualRow.id
    if known_at is not None:
        joined = and_(joined, later.recorded_at <= known_at)
    query = select(ActualRow).outerjoin(later, joined).where(later.id.is_(None), ActualRow.estimate_id.is_not(None))
    if known_at is not None:
        query = query.where(ActualRow.recorded_at <= known_at)
    if since is not None:
        query = query.where(func.coalesce(ActualRow.measured_at, ActualRow.recorded_at) >= since)
    rows = session.scalars(query.order_by(ActualRow.id).execution_options(yield_per=_CHUNK))
    return (_stored(row, None) for row in rows)


def _one(session: Session, *conditions: Any) -> StoredActual | None:
    later = aliased(ActualRow)
    query = select(ActualRow, later.id).outerjoin(later, later.replaces_id == ActualRow.id).where(*conditions)
    found = session.execute(query).one_or_none()
    return None if found is None else _stored(*found)


def _stored(row: ActualRow, replaced_by: str | None) -> StoredActual:
    values = {field.name: getattr(row, field.name) for field in fields(NewActual)}
    return StoredActual(**values, id=row.id, replaced_by=replaced_by)
