"""What a setback costs: a plan of the rest beside the one before, with what was spent and lost by then."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from planner.plans import codec
from planner.plans.replan import done_share, job_at_pace
from planner.plans.request import PlanRequest
from planner.plans.runs import Run
from planner.plans.setback import Lost, lost_work, settled_by
from planner.plans.solution import Plan
from planner.services.documents import document
from planner.services.plan_actuals import Frozen
from planner.units import HOUR, format_seconds


@dataclass(frozen=True, slots=True)
class Before:
    """The plan that a plan of the rest goes on from: what it was to cost, what it has cost for good by then."""

    plan_id: str
    name: str
    elapsed_hours: float
    planned: float
    settled: float
    gone: tuple[str, ...] = ()
    lost: tuple[Lost, ...] = ()


@dataclass(frozen=True, slots=True)
class Setback:
    """A plan of the rest beside the one that it goes on from. Money in the plan's currency.

    `settled` is what that one has cost by then by its own timetable (spent, paid ahead, left undone for good), `rest`
    what the rest costs now, `total` both, and `extra` the total beyond what was planned: the price of what happened, of
    which `lost_cost` is what the lost work had cost. Null: the rest has no plan. A gap of either plan is in `extra`
    too: it lies between `extra_low` and `extra` were the rest planned at its bound.
    """

    plan_id: str
    name: str
    elapsed_hours: float
    gone: tuple[str, ...]
    planned: float
    settled: float
    rest: float | None
    total: float | None
    extra: float | None
    extra_low: float | None
    lost_cost: float
    lost: tuple[Lost, ...]


def before(plan_id: str, name: str, request: PlanRequest, plan: Plan, elapsed: float, gone: Collection[str]) -> Before:
    """What is kept of a plan beside the plan of its rest. Raises ValueError for a plan that was not found."""
    if plan.cost is None:
        raise ValueError("there is no plan to go on from")
    return Before(plan_id, name, elapsed, plan.cost, settled_by(request, plan, elapsed, gone), tuple(gone))


def setback_of(sources: Mapping[str, Any], plan: Plan | None) -> Setback | None:
    """What a plan of the rest costs in all; None for a plan that goes on from no other."""
    stored = sources.get("before")
    if stored is None:
        return None
    known = codec.from_document(Before, stored)
    rest = None if plan is None else plan.cost
    total = None if rest is None else known.settled + rest
    low = None if plan is None or plan.bound is None else known.settled + plan.bound - known.planned
    return Setback(
        plan_id=known.plan_id,
        name=known.name,
        elapsed_hours=known.elapsed_hours,
        gone=known.gone,
        planned=known.planned,
        settled=known.settled,
        rest=rest,
        total=total,
        extra=None if total is None else total - known.planned,
        extra_low=low if total is not None else None,
        lost_cost=sum(item.cost for item in known.lost),
        lost=known.lost,
    )


def with_lost(known: Before, lost: tuple[Lost, ...]) -> dict[str, Any]:
    """The same with the work that was lost, as JSON values."""
    found: dict[str, Any] = document(replace(known, lost=lost))
    return found


def lost_of(
    request: PlanRequest,
    plan: Plan,
    runs: Collection[Run],
    elapsed: float,
    seconds: float,
    gone: Collection[str],
    settled: Collection[str],
    paces: Mapping[str, tuple[str, float]],
) -> tuple[tuple[Lost, ...], dict[str, float]]:
    """The work that is lost, and how much of each such job is done without it; nothing of jobs that are `settled`."""
    jobs = tuple(job_at_pace(job, paces.get(job.name)) for job in request.jobs)
    paced = replace(request, jobs=jobs)
    lost = tuple(
        item
        for item in lost_work(paced, plan, runs, elapsed, seconds / HOUR, gone)
        if item.demand not in settled and item.hours > 0
    )
    by_name = {job.name: job for job in jobs}
    done = {item.demand: max(done_share(by_name[item.demand], plan, elapsed, {}) - item.share, 0.0) for item in lost}
    return lost, done


def told(frozen: Collection[Frozen], lost: Collection[Lost], done: Mapping[str, float]) -> list[Frozen]:
    """What has happened of each job, with what of it was lost."""
    hours = {item.demand: item.hours for item in lost}
    return [
        replace(
            item,
            share=done[item.demand],
            words=f"{item.words}; its last {format_seconds(hours[item.demand] * HOUR)} are lost, as stated",
        )
        if item.demand in hours
        else item
        for item in frozen
    ]
