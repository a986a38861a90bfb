"""Jobs and estimates: rows that are added once and read ever after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from ulid import ULID

from planner.store.span import EVER, Span
from planner.store.tables import EstimateRow, JobRow

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class StoredEstimate:
    """An estimate row with its job's."""

    id: str
    created_at: datetime
    as_of: datetime
    known_at: datetime
    job_id: str
    job_kind: str
    job_name: str
    job_spec: dict[str, Any]
    request: dict[str, Any]
    result: dict[str, Any]
    price_ids: tuple[int, ...]
    fit_ids: tuple[str, ...]
    catalogue_version: str
    code_version: str
    track_records: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ListedEstimate:
    """What a list shows of an estimate, without its answer."""

    id: str
    created_at: datetime
    as_of: datetime
    job_kind: str
    job_name: str
    summary: dict[str, Any]


def add(
    session: Session,
    *,
    job_kind: str,
    job_name: str,
    job_spec: dict[str, Any],
    created_at: datetime,
    as_of: datetime,
    known_at: datetime,
    request: dict[str, Any],
    summary: dict[str, Any],
    result: dict[str, Any],
    price_ids: list[int],
    fit_ids: list[str],
    catalogue_version: str,
    code_version: str,
    track_records: dict[str, Any] | None,
) -> StoredEstimate:
    """Append the job and its estimate."""
    job = JobRow(id=_new_id(created_at), kind=job_kind, name=job_name, spec=job_spec, created_at=created_at)
    session.add(job)
    session.flush()
    row = EstimateRow(
        id=_new_id(created_at),
        job_id=job.id,
        created_at=created_at,
        as_of=as_of,
        known_at=known_at,
        request=request,
        summary=summary,
        result=result,
        price_ids=price_ids,
        fit_ids=fit_ids,
        catalogue_version=catalogue_version,
        code_version=code_version,
        track_records=track_records,
    )
    session.add(row)
    session.flush()
    return _stored(row, job)


def get(session: Session, estimate_id: str) -> StoredEstimate | None:
    """The estimate of that id."""
    query = select(EstimateRow, JobRow).join(JobRow, JobRow.id == EstimateRow.job_id)
    found = session.execute(query.where(EstimateRow.id == estimate_id)).one_or_none()
    return None if found is None else _stored(*found)


def newest(
    session: Session, limit: int | None, after: str | None = None, span: Span = EVER, kind: str | None = None
) -> list[ListedEstimate]:
    """The newest first, by id (ids grow with time); `after` leaves out that one and all newer ones."""
    columns = (EstimateRow.id, EstimateRow.created_at, EstimateRow.as_of, JobRow.kind, JobRow.name, EstimateRow.summary)
    query = select(*columns).join(JobRow, JobRow.id == EstimateRow.job_id).order_by(EstimateRow.id.desc()).limit(limit)
    query = query.where(*span.holds(EstimateRow.created_at))
    if after is not None:
        query = query.where(EstimateRow.id < after)
    if kind is not None:
        query = query.where(JobRow.kind == kind)
    return [ListedEstimate(*row) for row in session.execute(query)]


def oldest(session: Session, before: datetime | None, known_at: datetime | None) -> Iterator[ListedEstimate]:
    """The oldest first, a chunk at a time: those asked as of a moment before `before`, and made by `known_at`."""
    columns = (EstimateRow.id, EstimateRow.created_at, EstimateRow.as_of, JobRow.kind, JobRow.name, EstimateRow.summary)
    query = select(*columns).join(JobRow, JobRow.id == EstimateRow.job_id).order_by(EstimateRow.id)
    if before is not None:
        query = query.where(EstimateRow.as_of < before)
    if known_at is not None:
        query = query.where(EstimateRow.created_at <= known_at)
    return (ListedEstimate(*row) for row in session.execute(query.execution_options(yield_per=_CHUNK)))


def _new_id(moment: datetime) -> str:
    return str(ULID.from_datetime(moment))


def _stored(row: EstimateRow, job: JobRow) -> StoredEstimate:
    return StoredEstimate(
        id=row.id,
        created_at=row.created_at,
        as_of=row.as_of,
        known_at=row.known_at,
        job_id=job.id,
        job_kind=job.kind,
        job_name=job.name,
        job_spec=job.spec,
        request=row.request,
        result=row.result,
        price_ids=tuple(row.price_ids),
        fit_ids=tuple(row.fit_ids),
        catalogue_version=row.catalogue_version,
        code_version=row.code_version,
        track_records=row.track_records,
    )
