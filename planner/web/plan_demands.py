"""What a plan does with each demand: where and when it runs, what it costs, why nowhere else; a page of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from planner.plans.demand import Demand, Job
from planner.plans.shares import Share, shares
from planner.plans.solution import Plan
from planner.services.plans import PlanView

PER_PAGE = 25


@dataclass(frozen=True, slots=True)
class DemandRow:
    """One demand; None where it does not run. `spare_hours` lie between its end and its deadline."""

    name: str
    gpus: tuple[str, ...]
    from_hours: float | None
    until_hours: float | None
    spare_hours: float | None
    gpu_hours: float | None
    cost: float | None
    reasons: tuple[str, ...]
    is_left: bool

    @property
    def is_done(self) -> bool:
        return self.from_hours is not None


@dataclass(frozen=True, slots=True)
class DemandPage:
    """The demands that are shown: those whose name holds `find`, `page` of `num_pages` counted from 1."""

    rows: tuple[DemandRow, ...]
    find: str
    page: int
    num_pages: int
    num_found: int
    num_all: int

    @property
    def names(self) -> frozenset[str]:
        return frozenset(row.name for row in self.rows)


def every_demand(view: PlanView, plan: Plan) -> DemandPage:
    """All demands on one page, for paper."""
    return demand_page(view, plan, "", 1, max(len(view.request.demands), 1))


def demand_page(view: PlanView, plan: Plan, find: str, page: int, per_page: int = PER_PAGE) -> DemandPage:
    """A page of the demands in the order of the question; those left undone come first."""
    wanted = find.strip().casefold()
    found = [demand for demand in view.request.demands if wanted in demand.name.casefold()]
    left = set(plan.dropped)
    found.sort(key=lambda demand: demand.name not in left)
    num_pages = max(1, -(-len(found) // per_page))
    page = min(max(page, 1), num_pages)
    shown = found[(page - 1) * per_page : page * per_page]
    by_name = {share.demand: share for share in shares(view.request, plan)}
    reasons = _reasons(plan, {demand.name for demand in shown})
    rows = tuple(_row(demand, by_name.get(demand.name), reasons.get(demand.name, ()), view, left) for demand in shown)
    return DemandPage(rows, find.strip(), page, num_pages, len(found), len(view.request.demands))


def _row(demand: Demand, share: Share | None, reasons: Sequence[str], view: PlanView, left: set[str]) -> DemandRow:
    is_left = demand.name in left
    if share is None:
        return DemandRow(demand.name, (), None, None, None, None, None, tuple(reasons), is_left)
    due = None
    if isinstance(demand, Job):
        due = view.request.horizon.hours if demand.deadline_hours is None else demand.deadline_hours
    return DemandRow(
        name=demand.name,
        gpus=share.gpus,
        from_hours=share.from_hours,
        until_hours=share.until_hours,
        spare_hours=None if due is None or view.request.horizon.repeats else max(due - share.until_hours, 0.0),
        gpu_hours=share.gpu_hours,
        cost=share.cost,
        reasons=tuple(reasons),
        is_left=is_left,
    )


def _reasons(plan: Plan, names: set[str]) -> Mapping[str, tuple[str, ...]]:
    """Why each demand is not on the kinds of GPU that it could run on, second choice first."""
    found: dict[str, tuple[str, ...]] = {}
    for refusal in plan.refusals:
        if refusal.demand in names:
            found[refusal.demand] = (*found.get(refusal.demand, ()), f"{refusal.supply}: {refusal.reason}")
    return found
