"""A plan beside what happened: for each demand what was planned, what the ledger says, and how far they lie apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from planner.plans.demand import Job
from planner.plans.request import PlanRequest
from planner.plans.shares import Share, shares, spent_by
from planner.plans.solution import Plan

SAME = 1e-9


class Standing(StrEnum):
    """How far a demand is, by the ledger where it says something, by the timetable otherwise."""

    DONE = "done"  # the ledger has its whole time
    PACED = "paced"  # the ledger has its pace, not its whole time
    NOT_ENTERED = "not_entered"  # it should have ended by now, and the ledger has nothing of it
    UNDER_WAY = "under_way"
    TO_COME = "to_come"
    LEFT_UNDONE = "left_undone"


class Known(StrEnum):
    """Where an actual figure comes from."""

    MEASURED = "measured"
    DERIVED = "derived"  # measured time at the plan's own price of an hour
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Happened:
    """What the ledger says of one job: whole hours, cost, and its pace (measured ÷ predicted time; above 1: slower).

    None: that figure was not measured. `ended_hours` is when, from the plan's start.
    """

    row: str
    gpu: str
    hours: float | None = None
    cost: float | None = None
    pace: float | None = None
    ended_hours: float | None = None


@dataclass(frozen=True, slots=True)
class Tracked:
    """One demand, planned against happened. Deviations are actual ÷ planned − 1; None is unknown, for `reason`."""

    demand: str
    standing: Standing
    planned_gpus: tuple[str, ...]
    planned_hours: float | None
    planned_cost: float | None
    planned_end_hours: float | None
    due_hours: float | None
    actual_gpu: str
    actual_hours: float | None
    actual_cost: float | None
    cost_is: Known
    pace: float | None
    ended_hours: float | None
    is_late: bool | None
    row: str
    reason: str
    time_deviation: float | None = field(init=False, default=None)  # of the pace where only that was measured
    cost_deviation: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        pace = None if self.pace is None else self.pace - 1
        time = _deviation(self.actual_hours, self.planned_hours)
        object.__setattr__(self, "time_deviation", pace if time is None else time)
        object.__setattr__(self, "cost_deviation", _deviation(self.actual_cost, self.planned_cost))


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the demands of which both figures are known, and how many are left out of each for want of one.

    `planned_spent` is what the plan has spent by now; `num_over` counts those that should have ended by now.
    """

    planned_spent: float
    planned_hours: float
    actual_hours: float
    num_hours: int
    num_hours_unknown: int
    planned_cost: float
    actual_cost: float
    num_cost: int
    num_cost_unknown: int
    num_over: int
    hours_deviation: float | None = field(init=False, default=None)  # of the sums; None where nothing is known
    cost_deviation: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hours_deviation", _deviation(self.actual_hours, self.planned_hours))
        object.__setattr__(self, "cost_deviation", _deviation(self.actual_cost, self.planned_cost))


def _deviation(actual: float | None, planned: float | None) -> float | None:
    """actual ÷ planned − 1; None where one of them is unknown, or nothing was planned."""
    return None if actual is None or not planned else actual / planned - 1


def track(
    request: PlanRequest,
    plan: Plan,
    elapsed_hours: float,
    happened: Mapping[str, Happened],
    why_unknown: Mapping[str, str] | None = None,
    unpriced: Collection[str] = (),
) -> tuple[tuple[Tracked, ...], Totals]:
    """Every job and service of a plan at a moment, and the sums over those that should have ended or have.

    `happened` is by demand; `why_unknown` says why nothing can be known of one. `unpriced` are supplies whose use costs
    what nobody knows: the planned cost of demands on them is unknown too.
    """
    planned = {share.demand: share for share in shares(request, plan)}
    free = {item.demand for item in plan.assignments if set(item.supplies) & set(unpriced)}
    rows = []
    for demand in request.demands:
        reason = (why_unknown or {}).get(demand.name, "")
        share, actual = planned.get(demand.name), happened.get(demand.name)
        due = demand.deadline_hours if isinstance(demand, Job) else None
        row = _tracked(demand.name, isinstance(demand, Job), due, share, actual, elapsed_hours, reason)
        rows.append(_without_cost(row) if demand.name in free else row)
    return tuple(rows), _totals(plan, elapsed_hours, rows)


def _tracked(
    name: str, is_job: bool, due: float | None, share: Share | None, actual: Happened | None, now: float, reason: str
) -> Tracked:
    standing = _standing(is_job, share, actual, now)
    hours = None if actual is None else actual.hours
    cost, cost_is = _cost(share, actual)
    ended = None if actual is None else actual.ended_hours
    if standing is Standing.DONE and cost is None and not reason:
        reason = "its cost was not measured, and it ran on a GPU that it was not planned on"
    if standing is Standing.NOT_ENTERED and not reason:
        reason = "it should have ended by now; the ledger has no row of it"
    if standing is Standing.PACED and not reason:
        reason = "its pace was measured, its whole time was not"
    return Tracked(
        demand=name,
        standing=standing,
        planned_gpus=() if share is None else share.gpus,
        planned_hours=None if share is None else share.run_hours,
        planned_cost=None if share is None else share.cost,
        planned_end_hours=None if share is None else share.until_hours,
        due_hours=due,
        actual_gpu="" if actual is None else actual.gpu,
        actual_hours=hours,
        actual_cost=cost,
        cost_is=cost_is,
        pace=None if actual is None else actual.pace,
        ended_hours=ended,
        is_late=None if ended is None or due is None or hours is None else ended > due + SAME,
        row="" if actual is None else actual.row,
        reason=reason,
    )


def _without_cost(row: Tracked) -> Tracked:
    """The row with its planned cost unknown, and what was derived of it."""
    words = "what its own GPUs cost to use is unknown"
    reason = f"{row.reason}; {words}" if row.reason else words
    if row.cost_is is Known.MEASURED:
        return replace(row, planned_cost=None, reason=reason)
    return replace(row, planned_cost=None, actual_cost=None, cost_is=Known.UNKNOWN, reason=reason)


def _standing(is_job: bool, share: Share | None, actual: Happened | None, now: float) -> Standing:
    if actual is not None and actual.hours is not None:
        return Standing.DONE
    if share is None:
        return Standing.LEFT_UNDONE
    if actual is not None and actual.pace is not None:
        return Standing.PACED
    if share.until_hours <= now + SAME:
        return Standing.NOT_ENTERED
    return Standing.TO_COME if share.from_hours >= now and is_job else Standing.UNDER_WAY


def _cost(share: Share | None, actual: Happened | None) -> tuple[float | None, Known]:
    if actual is None:
        return None, Known.UNKNOWN
    if actual.cost is not None:
        return actual.cost, Known.MEASURED
    if actual.hours is None or share is None or not share.run_hours or share.gpus != (actual.gpu,):
        return None, Known.UNKNOWN
    return share.cost * actual.hours / share.run_hours, Known.DERIVED


def _totals(plan: Plan, now: float, rows: list[Tracked]) -> Totals:
    over = [row for row in rows if _is_over(row, now)]
    timed = [(row.planned_hours, row.actual_hours) for row in over]
    paid = [(row.planned_cost, row.actual_cost) for row in over]
    known_hours = [(p, a) for p, a in timed if p is not None and a is not None]
    known_costs = [(p, a) for p, a in paid if p is not None and a is not None]
    return Totals(
        planned_spent=spent_by(plan, now),
        planned_hours=sum(p for p, _ in known_hours),
        actual_hours=sum(a for _, a in known_hours),
        num_hours=len(known_hours),
        num_hours_unknown=len(over) - len(known_hours),
        planned_cost=sum(p for p, _ in known_costs),
        actual_cost=sum(a for _, a in known_costs),
        num_cost=len(known_costs),
        num_cost_unknown=len(over) - len(known_costs),
        num_over=len(over),
    )


def _is_over(row: Tracked, now: float) -> bool:
    """Whether it has ended, or should have by the timetable."""
    if row.standing is Standing.PACED:
        return row.planned_end_hours is not None and row.planned_end_hours <= now + SAME
    return row.standing in (Standing.DONE, Standing.NOT_ENTERED)
