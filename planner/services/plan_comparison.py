"""A plan and its scenarios side by side: what each costs, what it commits to, and against the first one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from planner.errors import NotFound
from planner.plans.solution import Plan
from planner.plans.supply import Kind
from planner.services.plan_setbacks import setback_of
from planner.services.plans import PlanView, get_plan, list_plans
from planner.store.engine import Session

MOST_COMPARED = 12


@dataclass(frozen=True, slots=True)
class ComparedPlan:
    """One plan of a family. Money in the plan's own currency, null where no plan was found.

    `settled_before` is what the plan that it goes on from had cost by then (null: it goes on from none);
    `against_first` is both together less the cost of the family's first plan. GPU-hours are by the way of getting them.
    """

    id: str
    name: str
    created_at: datetime
    state: str
    reason: str
    stage: str
    currency: str
    cost: float | None
    bound: float | None
    gap: float | None
    cost_beyond: float | None
    settled_before: float | None
    against_first: float | None
    costs: dict[str, float]
    gpu_hours: dict[str, float]
    commitments: tuple[str, ...]
    dropped: tuple[str, ...]
    finish_hours: float | None


def compare_family(session: Session, plan_id: str) -> tuple[ComparedPlan, ...]:
    """The plan's whole family, oldest first, at most MOST_COMPARED of the newest. Raises NotFound."""
    root = get_plan(session, plan_id).root_id
    listed = list_plans(session, limit=MOST_COMPARED, root_id=root)
    if not listed:
        raise NotFound(f"there is no plan {plan_id!r}")
    views = [get_plan(session, item.id) for item in reversed(listed)]
    first = views[0].plan
    return tuple(_compared(view, first) for view in views)


def _compared(view: PlanView, first: Plan | None) -> ComparedPlan:
    found = view.plan
    cost = None if found is None else found.cost
    base = None if first is None else first.cost
    setback = setback_of(view.sources, found)
    settled = None if setback is None else setback.settled
    return ComparedPlan(
        id=view.id,
        name=view.name,
        created_at=view.created_at,
        state=view.state,
        reason=view.reason,
        stage=view.stage,
        currency=view.request.currency,
        cost=cost,
        bound=None if found is None else found.bound,
        gap=None if found is None else found.gap,
        cost_beyond=None if found is None else sum(item.cost_beyond for item in found.commitments),
        settled_before=settled,
        against_first=None if cost is None or base is None else cost + (settled or 0.0) - base,
        costs={} if found is None else dict(found.costs),
        gpu_hours={} if found is None else _gpu_hours(view, found),
        commitments=() if found is None else tuple(f"{item.num_gpus} × {item.supply}" for item in found.commitments),
        dropped=() if found is None else found.dropped,
        finish_hours=None if found is None else found.finish_hours,
    )


def _gpu_hours(view: PlanView, found: Plan) -> dict[str, float]:
    kinds = {supply.name: supply.kind for supply in view.request.supplies}
    weights = view.request.horizon.weights
    hours = dict.fromkeys(Kind, 0.0)
    for use in found.uses:
        weight = float(weights[use.slot]) if use.slot < len(weights) else 1.0
        hours[kinds[use.supply]] += use.gpu_hours * weight
    return {kind.value: total for kind, total in hours.items() if total > 0}
