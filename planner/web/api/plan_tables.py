"""Plans as flat tables for spreadsheets; the columns are part of the interface (docs/rest.md)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from planner.plans.horizon import Horizon
from planner.plans.solution import ANY_GPU, Plan
from planner.services.plan_setbacks import setback_of
from planner.services.plan_timetable import PlanTimetable, moment_of
from planner.services.plan_tracking import Tracking
from planner.services.plans import PlanSummary, PlanView
from planner.web.exports import Table

PLAN_COLUMNS = (
    *("plan_id", "created_at", "name", "parent_id", "root_id", "state", "stage", "currency", "cost", "bound", "gap"),
    "unknown_reason",
)
LINE_COLUMNS = (
    *("plan_id", "plan", "state", "stage", "currency", "line", "item", "gpu", "num_gpus", "gpu_hours", "from_hours"),
    *("until_hours", "from_at", "until_at", "cost", "cost_beyond", "unknown_reason"),
)
TIMETABLE_COLUMNS = (
    *("plan_id", "demand", "is_service", "gpu", "num_gpus", "num_units", "supplies", "from_hours", "until_hours"),
    *("from_at", "until_at", "unknown_reason"),
)
TRACKING_COLUMNS = (
    *("plan_id", "at", "currency", "demand", "standing", "planned_gpus", "planned_hours", "actual_gpu", "actual_hours"),
    *("time_deviation", "planned_cost", "actual_cost", "cost_is", "cost_deviation", "pace", "planned_end_hours"),
    *("ended_hours", "due_hours", "is_late", "actual_id", "unknown_reason"),
)
Row = list[Any]
UNPRICED = "what the use of {} costs is unknown, and in no sum"


@dataclass(frozen=True, slots=True)
class _Line:
    """A part of a plan between two moments of it, in hours from its start; None is unknown, or does not apply."""

    sort: str
    item: str
    from_hours: float
    until_hours: float
    gpu: str | None = None
    num_gpus: int | None = None
    gpu_hours: float | None = None
    cost: float | None = None
    cost_beyond: float | None = None
    unknown: str = ""


def plans_table(found: list[PlanSummary], next_after: str | None) -> Table:
    """One line per plan with the cost of the best answer so far."""
    return Table("plans", PLAN_COLUMNS, plan_rows(found), next_after)


def plan_rows(found: list[PlanSummary]) -> list[Row]:
    """The cells of PLAN_COLUMNS."""
    return [_summary(item) for item in found]


def plan_lines_table(view: PlanView, unpriced: Collection[str]) -> Table:
    """The plan's total, then its parts. One whose slots repeat covers hours of typical days, which have no dates."""
    return Table(f"plan-{view.id}", LINE_COLUMNS, line_rows(view, unpriced))


def line_rows(view: PlanView, unpriced: Collection[str]) -> list[Row]:
    """The cells of LINE_COLUMNS."""
    head = (view.id, view.name, view.state, view.stage, view.request.currency)
    begin = None if view.request.horizon.repeats else view.request.starts_at or view.created_at
    parts = () if view.plan is None else _parts(view, view.plan, unpriced)
    return [[*head, *_cells(line, begin)] for line in (_total(view, unpriced), *parts)]


def timetable_table(found: PlanTimetable) -> Table:
    """One line per run, by its start; where there is none, a line that says why."""
    nothing = "; ".join(found.notes) or "nothing runs"
    reason = "" if found.starts_at else "slots of this plan repeat: they have no date"
    rows = [
        [
            *(found.plan_id, run.demand, run.is_service, run.gpu, run.num_gpus, run.num_units),
            *("; ".join(run.supplies), run.from_hours, run.until_hours, run.from_at, run.until_at, reason),
        ]
        for run in found.runs
    ] or [[found.plan_id, *(None,) * (len(TIMETABLE_COLUMNS) - 2), nothing]]
    return Table(f"plan-{found.plan_id}-timetable", TIMETABLE_COLUMNS, rows)


def tracking_table(found: Tracking) -> Table:
    """One line per demand: planned beside happened, deviations as shares of what was planned."""
    rows = [
        [
            *(found.plan_id, found.at, found.currency, row.demand, row.standing, "; ".join(row.planned_gpus)),
            *(row.planned_hours, row.actual_gpu, row.actual_hours, row.time_deviation, row.planned_cost),
            *(row.actual_cost, row.cost_is, row.cost_deviation, row.pace, row.planned_end_hours, row.ended_hours),
            *(row.due_hours, row.is_late, row.row, row.reason),
        ]
        for row in found.demands
    ]
    return Table(f"plan-{found.plan_id}-tracking", TRACKING_COLUMNS, rows)


def _summary(item: PlanSummary) -> Row:
    progress = item.progress
    cost, bound, gap = (None,) * 3 if progress is None else (progress.cost, progress.bound, progress.gap)
    return [
        *(item.id, item.created_at, item.name, item.parent_id, item.root_id, item.state, item.stage, item.currency),
        *(cost, bound, gap, _why_no_cost(item.state, item.reason) if cost is None else ""),
    ]


def _total(view: PlanView, unpriced: Collection[str]) -> _Line:
    hours, found = view.request.horizon.hours, view.plan
    if found is None or found.cost is None:
        return _Line("total", view.name, 0.0, hours, unknown=_why_no_cost(view.state, view.reason))
    beyond = sum(item.cost_beyond for item in found.commitments)
    left_out = UNPRICED.format(", ".join(sorted(unpriced))) if unpriced else ""
    return _Line("total", view.name, 0.0, hours, cost=found.cost, cost_beyond=beyond, unknown=left_out)


def _parts(view: PlanView, plan: Plan, unpriced: Collection[str]) -> Iterator[_Line]:
    horizon, hours = view.request.horizon, view.request.horizon.hours
    gpus = {supply.name: supply.gpu for supply in view.request.supplies}
    for name, cost in plan.costs.items():
        yield _Line("component", name, 0.0, hours, cost=cost)
    for held in plan.commitments:
        span = (held.from_hours, held.until_hours, gpus[held.supply], held.num_gpus)
        yield _Line("commitment", held.supply, *span, cost=held.cost, cost_beyond=held.cost_beyond)
    for use in plan.uses:
        is_known = use.supply not in unpriced
        yield _Line(
            "use",
            use.supply,
            plan.edges[use.slot],
            plan.edges[use.slot + 1],
            gpus[use.supply],
            gpu_hours=use.gpu_hours * _happenings(horizon, plan.edges[use.slot]),
            cost=use.cost if is_known else None,
            unknown="" if is_known else UNPRICED.format(use.supply),
        )
    for run in plan.assignments:
        gpu_hours = run.num_gpus * run.hours * _happenings(horizon, run.from_hours)
        yield _Line("assignment", run.demand, run.from_hours, run.until_hours, run.gpu, run.num_gpus, gpu_hours)
    gave_way = {item.demand: item.reason for item in plan.refusals if item.supply == ANY_GPU}
    setback = setback_of(view.sources, plan)
    if setback is not None:
        start = -setback.elapsed_hours
        yield _Line("settled before", setback.name, start, 0.0, cost=setback.settled)
        for lost in setback.lost:
            yield _Line("lost", lost.demand, -lost.hours, 0.0, lost.gpu, gpu_hours=lost.gpu_hours, cost=lost.cost)
    for name in plan.dropped:
        reason = gave_way.get(name, "it was cheaper to pay for not doing it")
        yield _Line("dropped", name, 0.0, hours, unknown=reason)
    for short in plan.shortfalls:
        yield _Line("short", short.service, short.from_hours, short.until_hours, unknown=short.sentence)


def _cells(line: _Line, begin: datetime | None) -> Row:
    moments = (moment_of(begin, line.from_hours), moment_of(begin, line.until_hours))
    return [
        *(line.sort, line.item, line.gpu, line.num_gpus, line.gpu_hours, line.from_hours, line.until_hours, *moments),
        *(line.cost, line.cost_beyond, line.unknown),
    ]


def _happenings(horizon: Horizon, hour: float) -> float:
    """How often the slot of that hour happens."""
    return float(horizon.weights[horizon.slot_of(hour)]) if horizon.repeats else 1.0


def _why_no_cost(state: str, reason: str) -> str:
    return reason or f"the search is {state}"
