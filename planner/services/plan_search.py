"""What a worker does with plans that wait: takes one under a lease, says how far the search is, stores the answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from planner.errors import InvalidInput
from planner.plans.outlook import USUAL_SPREAD, Outlook
from planner.plans.request import PlanRequest
from planner.plans.solution import Outcome, Plan
from planner.plans.to_the_minute import ToTheMinute
from planner.services.documents import document
from planner.services.plans import SearchProgress, stored_plan
from planner.store import leases
from planner.store import plans as store
from planner.store.engine import Session
from planner.store.leases import Lease

NINE_IN_TEN = 3.29  # standard deviations between the ends of a range that holds nine times in ten
END_STATES: Mapping[Outcome, str] = {
    Outcome.OPTIMAL: "solved",
    Outcome.FEASIBLE: "solved",
    Outcome.INFEASIBLE: "infeasible",
    Outcome.STOPPED: "failed",
}


@dataclass(frozen=True, slots=True)
class ClaimedPlan:
    """A plan that a worker solves: its input, its limits and the lease it is held by."""

    id: str
    request: PlanRequest
    gap: float
    seconds: float
    spread: float
    lease: Lease


def claim_plan(session: Session, worker_id: str, boot_id: str, term: timedelta, now: datetime) -> ClaimedPlan | None:
    """The oldest plan that waits or was left behind, under a lease of its own; None where there is none."""
    plan_id = store.next_to_solve(session, now)
    if plan_id is None:
        return None
    lease = leases.claim(session, _lease_name(plan_id), worker_id, boot_id, term)
    if lease is None:
        return None
    found = stored_plan(session, plan_id)
    if found.state not in store.WAITING:  # somebody ended it between the two looks
        leases.release(session, lease)
        return None
    try:
        request = PlanRequest.from_document(found.request)
    except (
        InvalidInput
    ) as error:  # written by other code: it fails for good, or it would hold up all that wait behind it
        reason = f"this code cannot read the question: {error}"
        store.change(session, plan_id, state="failed", reason=reason, finished_at=now)
        leases.release(session, lease)
        return None
    store.change(session, plan_id, state="solving", worker_id=worker_id, started_at=found.started_at or now)
    return ClaimedPlan(plan_id, request, found.gap, found.seconds, spread_of(found.sources), lease)


def note_search(
    session: Session, claim: ClaimedPlan, progress: SearchProgress | None, term: timedelta
) -> tuple[Lease | None, bool]:
    """Keep the lease and tell how far the search is: the renewed lease (None: it is lost), and whether to stop."""
    lease = leases.renew(session, claim.lease, term)
    if lease is None:
        return None, True
    if progress is not None:
        store.change(session, claim.id, progress=document(progress))
    return lease, stored_plan(session, claim.id).cancel_requested_at is not None


def finish_search(
    session: Session,
    claim: ClaimedPlan,
    plan: Plan | None,
    reason: str,
    now: datetime,
    outlook: Outlook | None = None,
    timetable: ToTheMinute | None = None,
) -> bool:
    """Store what was found; False, and nothing stored, where the lease is somebody else's by now."""
    if leases.renew(session, claim.lease, timedelta(seconds=30)) is None:
        return False
    found = stored_plan(session, claim.id)
    state = "failed" if plan is None else END_STATES[plan.outcome]
    if found.cancel_requested_at is not None and state in ("solved", "failed"):
        state, reason = "cancelled", reason or "cancelled: the best plan so far is kept"
    if plan is not None and not reason:
        reason = _reason(plan)
    progress = found.progress
    if plan is not None and plan.is_found:
        progress = document(SearchProgress(plan.cost, plan.bound, plan.gap, plan.seconds, "ended"))
    store.change(
        session,
        claim.id,
        state=state,
        reason=reason,
        progress=progress,
        result=_result(plan, outlook, timetable),
        finished_at=now,
    )
    leases.release(session, claim.lease)
    return True


def _reason(plan: Plan) -> str:
    if plan.clash is not None:
        return plan.clash.reason
    if plan.outcome is Outcome.INFEASIBLE:
        return "no plan meets all demands within what may be used"
    if plan.outcome is Outcome.STOPPED:
        return "the time was over before a first plan was found"
    return ""


def spread_of(sources: Mapping[str, Any]) -> float:
    """The usual standard deviation of the demands' figures: a range of nine in ten is 3.29 of them wide."""
    widths = [
        math.log(option["high"] / option["low"]) / NINE_IN_TEN
        for demand in sources.get("demands", ())
        for option in demand["options"]
        if option["low"] > 0
    ]
    return math.expm1(median(widths)) if widths else USUAL_SPREAD


def _result(plan: Plan | None, outlook: Outlook | None, timetable: ToTheMinute | None) -> dict[str, Any] | None:
    if plan is None:
        return None
    return {
        "plan": plan.to_document(),
        "outlook": None if outlook is None else outlook.to_document(),
        "timetable": None if timetable is None else timetable.to_document(),
    }


def _lease_name(plan_id: str) -> str:
    return f"plan:{plan_id}"
