"""Capacity plans: rows ↔ dataclasses. What was asked is never changed; what was found grows until the search ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session, aliased
from ulid import ULID

from planner.store.span import EVER, Span
from planner.store.tables import LeaseRow, PlanRow, PlanStageRow

WAITING = ("queued", "solving")
ENDED = ("solved", "infeasible", "cancelled", "failed")


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan row with the stage that its decision is at."""

    id: str
    name: str
    parent_id: str | None
    root_id: str
    created_at: datetime
    asked: Mapping[str, Any]
    request: Mapping[str, Any]
    sources: Mapping[str, Any]
    gap: float
    seconds: float
    state: str
    reason: str
    progress: Mapping[str, Any] | None
    result: Mapping[str, Any] | None
    worker_id: str | None
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    code_version: str
    stage: str


@dataclass(frozen=True, slots=True)
class ListedPlan:
    """What a list shows of a plan."""

    id: str
    name: str
    parent_id: str | None
    root_id: str
    created_at: datetime
    state: str
    reason: str
    progress: Mapping[str, Any] | None
    stage: str
    currency: str


@dataclass(frozen=True, slots=True)
class StoredStage:
    """One step of the decision on a plan."""

    at: datetime
    stage: str
    actor: str
    note: str


def add(
    session: Session,
    *,
    name: str,
    parent: StoredPlan | None,
    created_at: datetime,
    asked: Mapping[str, Any],
    request: Mapping[str, Any],
    sources: Mapping[str, Any],
    gap: float,
    seconds: float,
    code_version: str,
    actor: str,
    client: str,
) -> StoredPlan:
    """Append a plan as a draft that waits to be solved."""
    row_id = str(ULID.from_datetime(created_at))
    row = PlanRow(
        id=row_id,
        name=name,
        parent_id=None if parent is None else parent.id,
        root_id=row_id if parent is None else parent.root_id,
        created_at=created_at,
        asked=dict(asked),
        request=dict(request),
        sources=dict(sources),
        gap=gap,
        seconds=seconds,
        state="queued",
        reason="",
        progress=None,
        result=None,
        worker_id=None,
        started_at=None,
        finished_at=None,
        cancel_requested_at=None,
        code_version=code_version,
        client=client,
    )
    session.add(row)
    session.flush()
    add_stage(session, row_id, created_at, "draft", actor, "")
    return _stored(row, "draft")


def get(session: Session, plan_id: str) -> StoredPlan | None:
    """The plan of that id."""
    row = session.get(PlanRow, plan_id, populate_existing=True)
    return None if row is None else _stored(row, _stage_of(session, plan_id))


def newest(
    session: Session, limit: int | None, after: str | None = None, root_id: str | None = None, span: Span = EVER
) -> list[ListedPlan]:
    """The newest first; `after` is the id of the last one already seen; `root_id`: one family of scenarios."""
    apart = ("stage", "currency")
    columns = [getattr(PlanRow, field.name) for field in fields(ListedPlan) if field.name not in apart]
    currency = PlanRow.request["currency"].as_string().label("currency")
    last = (
        select(PlanStageRow.stage)
        .where(PlanStageRow.plan_id == PlanRow.id)
        .order_by(PlanStageRow.id.desc())
        .limit(1)
        .scalar_subquery()
        .label("stage")
    )
    query = select(*columns, last, currency).order_by(PlanRow.id.desc()).limit(limit)
    query = query.where(*span.holds(PlanRow.created_at))
    if after is not None:
        query = query.where(PlanRow.id < after)
    if root_id is not None:
        query = query.where(PlanRow.root_id == root_id)
    return [ListedPlan(**values) for values in session.execute(query).mappings()]


def waiting_by_client(session: Session) -> dict[str, tuple[int, float]]:
    """How many plans of each client wait or are being solved, and for how many seconds of searching they ask."""
    query = select(PlanRow.client, func.count(), func.sum(PlanRow.seconds)).where(PlanRow.state.in_(WAITING))
    return {client: (number, seconds) for client, number, seconds in session.execute(query.group_by(PlanRow.client))}


def next_to_solve(session: Session, now: datetime) -> str | None:
    """A plan that waits, or that was being solved by somebody whose lease has run out: the oldest of the client whose
    last search began longest ago, so that clients take turns."""
    lease = (
        select(LeaseRow.name)
        .where(LeaseRow.name == "plan:" + PlanRow.id, LeaseRow.holder.is_not(None), LeaseRow.expires_at > now)
        .exists()
    )
    free = or_(PlanRow.state == "queued", (PlanRow.state == "solving") & ~lease)
    other = aliased(PlanRow)
    last = select(func.max(other.started_at)).where(other.client == PlanRow.client).scalar_subquery()
    query = select(PlanRow.id).where(free).order_by(last.asc().nulls_first(), PlanRow.id)
    return session.execute(query.limit(1)).scalar_one_or_none()


def change(session: Session, plan_id: str, **values: Any) -> None:
    """Set what has been found so far, or the state."""
    session.execute(update(PlanRow).where(PlanRow.id == plan_id).values(**values))


def ask_to_cancel(session: Session, plan_id: str, at: datetime) -> bool:
    """Note the wish; False where the search has ended already."""
    wish = update(PlanRow).where(PlanRow.id == plan_id, PlanRow.state.in_(WAITING))
    return session.execute(wish.values(cancel_requested_at=at).returning(PlanRow.id)).first() is not None


def add_stage(session: Session, plan_id: str, at: datetime, stage: str, actor: str, note: str) -> None:
    """Append a step of the decision."""
    session.add(PlanStageRow(plan_id=plan_id, at=at, stage=stage, actor=actor, note=note))
    session.flush()


def stages(session: Session, plan_id: str) -> list[StoredStage]:
    """Every step of the decision, oldest first."""
    query = select(PlanStageRow).where(PlanStageRow.plan_id == plan_id).order_by(PlanStageRow.id)
    return [StoredStage(row.at, row.stage, row.actor, row.note) for row in session.scalars(query)]


def _stage_of(session: Session, plan_id: str) -> str:
    found = stages(session, plan_id)
    return found[-1].stage if found else "draft"


def _stored(row: PlanRow, stage: str) -> StoredPlan:
    values = {field.name: getattr(row, field.name) for field in fields(StoredPlan) if field.name != "stage"}
    return StoredPlan(**values, stage=stage)
