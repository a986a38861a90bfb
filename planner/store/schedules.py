"""Schedules of calibration and the due times that became runs."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from planner.calibration.run_states import RunState
from planner.store.tables import PauseRow, RunRow, ScheduleRow


def schedules(session: Session, *, enabled_only: bool = False) -> list[ScheduleRow]:
    """The schedules that are not archived, by name."""
    query = select(ScheduleRow).where(ScheduleRow.archived_at.is_(None))
    if enabled_only:
        query = query.where(ScheduleRow.enabled)
    return list(session.execute(query.order_by(ScheduleRow.name, ScheduleRow.id)).scalars())


def get_schedule(session: Session, schedule_id: str, *, lock: bool = False) -> ScheduleRow | None:
    """The schedule of that id unless it is archived, locked until the transaction ends where asked."""
    query = select(ScheduleRow).where(ScheduleRow.id == schedule_id, ScheduleRow.archived_at.is_(None))
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return session.execute(query).scalar_one_or_none()


def last_due(session: Session, schedule_id: str) -> datetime | None:
    """The latest due time that became a run."""
    return session.execute(select(func.max(RunRow.due_at)).where(RunRow.schedule_id == schedule_id)).scalar_one()


def last_runs(session: Session) -> dict[str, RunRow]:
    """The newest run by schedule id."""
    newest = select(func.max(RunRow.id)).where(RunRow.schedule_id.is_not(None)).group_by(RunRow.schedule_id)
    rows = session.execute(select(RunRow).where(RunRow.id.in_(newest))).scalars()
    return {row.schedule_id: row for row in rows if row.schedule_id is not None}


def runs_since(session: Session, schedule_id: str, moment: datetime) -> list[RunRow]:
    """The schedule's runs that were asked for at that moment or later."""
    query = select(RunRow).where(RunRow.schedule_id == schedule_id, RunRow.created_at >= moment)
    return list(session.execute(query.order_by(RunRow.id)).scalars())


def queued_runs(session: Session, schedule_id: str) -> list[RunRow]:
    """The schedule's runs that no worker has yet, locked until the transaction ends."""
    query = select(RunRow).where(RunRow.schedule_id == schedule_id, RunRow.state == RunState.QUEUED)
    return list(session.execute(query.order_by(RunRow.id).with_for_update()).scalars())


def newest_pause(session: Session) -> PauseRow | None:
    """The last time that all schedules were paused or resumed, None where they never were."""
    return session.execute(select(PauseRow).order_by(PauseRow.id.desc()).limit(1)).scalar_one_or_none()
