"""What is kept of the ends of runs: late results, reviews, and the earlier runs that judging a new one needs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from planner.calibration.run_states import RunState
from planner.store.tables import LateResultRow, RunReviewRow, RunRow


def newest_ended_runs(session: Session, device_id: str, limit: int) -> list[RunRow]:
    """The device's newest runs that a worker had and that have ended, newest first."""
    ends = [state for state in RunState if state.is_final]
    query = select(RunRow).where(RunRow.device_id == device_id, RunRow.state.in_(ends), RunRow.fence.is_not(None))
    return list(session.execute(query.order_by(RunRow.id.desc()).limit(limit)).scalars())


def runs_ended_since(session: Session, device_id: str, moment: datetime) -> list[RunRow]:
    """The device's runs that ended at that moment or later."""
    query = select(RunRow).where(RunRow.device_id == device_id, RunRow.finished_at >= moment)
    return list(session.execute(query).scalars())


def add_late_result(
    session: Session,
    run_id: str,
    fence: int,
    worker_id: str,
    state: RunState,
    reason: str,
    document: Mapping[str, Any],
    at: datetime,
) -> bool:
    """Keep what came too late, once for each claim; False where it is kept already, or its run is not known at all."""
    known = select(LateResultRow.id).where(LateResultRow.run_id == run_id, LateResultRow.fence == fence)
    if session.get(RunRow, run_id) is None or session.execute(known).first() is not None:
        return False
    session.add(
        LateResultRow(
            run_id=run_id,
            fence=fence,
            worker_id=worker_id,
            received_at=at,
            state=state.value,
            reason=reason,
            document=dict(document),
        )
    )
    session.flush()
    return True


def late_results_of(session: Session, run_id: str) -> list[LateResultRow]:
    """What came too late for that run, oldest first."""
    query = select(LateResultRow).where(LateResultRow.run_id == run_id).order_by(LateResultRow.id)
    return list(session.execute(query).scalars())


def review_of(session: Session, run_id: str) -> RunReviewRow | None:
    """What a person decided of the run, None while nobody has."""
    return session.execute(select(RunReviewRow).where(RunReviewRow.run_id == run_id)).scalar_one_or_none()
