"""A person's word on a suspect run: it counts after all and draws a fit, or it does not."""

from __future__ import annotations

from datetime import datetime

from planner.errors import Conflict
from planner.services.fits import append_fit
from planner.services.runs import RunDetail, get_run
from planner.store import runs as store
from planner.store.engine import Session
from planner.store.tables import RunReviewRow


def review_run(
    session: Session, run_id: str, accepted: bool, reason: str, now: datetime, code_version: str, actor: str = "user"
) -> RunDetail:
    """Decide once of a suspect run; accepted, its samples draw a new fit. Raises NotFound, or Conflict."""
    run = get_run(session, run_id)
    if run.review is not None:
        raise Conflict(f"run {run_id} was decided on already, by {run.review.actor}")
    if not run.may_be_reviewed:
        raise Conflict(f"run {run_id} is {run.state}: only a suspect run with samples is reviewed")
    session.add(RunReviewRow(run_id=run_id, at=now, accepted=accepted, actor=actor, reason=reason))
    session.flush()
    row = store.get_run(session, run_id, lock=True)
    if accepted and row is not None:
        append_fit(session, row, code_version, now)
    return get_run(session, run_id)
