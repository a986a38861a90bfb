"""What goes wrong with the supplies of a plan, gone for good or until they are back, and what that costs in all."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from planner.errors import InvalidInput
from planner.plans.replan import done_share, is_given_up
from planner.plans.request import PlanRequest
from planner.plans.runs import Run
from planner.plans.shares import shares, spent_by
from planner.plans.solution import Commitment, Plan
from planner.plans.supply import Kind, Supply

TINY = 1e-9


def without(request: PlanRequest, gone: Collection[str], until_hours: Mapping[str, float] | None = None) -> PlanRequest:
    """The question with these supplies gone: for good, or until they are back (supply → hours from its start).

    What was committed of one that is gone is committed no more. Raises InvalidInput for a supply that there is not.
    """
    back = dict(until_hours or {})
    lost = {*gone, *back}
    unknown = sorted(lost - {supply.name for supply in request.supplies})
    if unknown:
        raise InvalidInput.of("gone", f"there is no supply {unknown[0]!r}")
    supplies = []
    for supply in request.supplies:
        if supply.name in back:
            supply = replace(supply, from_hours=max(supply.from_hours, back[supply.name]))
        elif supply.name in lost:
            supply = replace(supply, num_gpus=0)
        supplies.append(supply)
    kept = {name: number for name, number in (request.fixed or {}).items() if name not in set(gone) - set(back)}
    return replace(request, supplies=tuple(supplies), fixed=kept)


@dataclass(frozen=True, slots=True)
class Lost:
    """Work of a job that must be done again: hours of its gang, the share of the job, and what they had cost at what
    its GPU-hours cost on average."""

    demand: str
    gpu: str
    hours: float
    gpu_hours: float
    share: float
    cost: float


def lost_work(
    request: PlanRequest, plan: Plan, runs: Iterable[Run], elapsed: float, hours: float, gone: Collection[str] = ()
) -> tuple[Lost, ...]:
    """What each job that is under way at a moment loses, at most its last `hours` and what it ran without a break.

    Where supplies are `gone`, only jobs that run on one of them then lose work; where none is, all do.
    """
    jobs = {job.name: job for job in request.jobs}
    work_shares = {supply.name: supply.work_share for supply in request.supplies}
    rates = {each.demand: each.cost / each.gpu_hours for each in shares(request, plan) if each.gpu_hours}
    found: dict[str, Lost] = {}
    for run in runs:
        is_under_way = run.demand in jobs and run.from_hours < elapsed - TINY and elapsed <= run.until_hours + TINY
        if not is_under_way or (gone and not set(run.supplies) & set(gone)):
            continue
        option = next(work for work in jobs[run.demand].options if work.gpu == run.gpu)
        lost = min(hours, elapsed - run.from_hours)
        speed = max((work_shares[name] for name in run.supplies), default=1.0) / option.hours
        gpu_hours = lost * run.num_gpus
        before = found.get(run.demand, Lost(run.demand, run.gpu, 0.0, 0.0, 0.0, 0.0))
        found[run.demand] = Lost(
            demand=run.demand,
            gpu=run.gpu,
            hours=max(before.hours, lost),
            gpu_hours=before.gpu_hours + gpu_hours,
            share=before.share + lost * speed * max(run.num_gpus // option.num_gpus, 1) / jobs[run.demand].copies,
            cost=before.cost + gpu_hours * rates.get(run.demand, 0.0),
        )
    return tuple(found.values())


def settled_by(request: PlanRequest, plan: Plan, elapsed: float, gone: Collection[str] = ()) -> float:
    """What a plan has cost for good by a moment: money spent, what stayed undone, and what is paid ahead.

    With the cost of the rest as it was planned it adds up to the plan's cost. Paid ahead are upfront parts of
    reservations for hours to come, and purchases that are gone.
    """
    by_name = {supply.name: supply for supply in request.supplies}
    ahead = math.fsum(_ahead(item, by_name[item.supply], plan, elapsed, gone) for item in plan.commitments)
    return spent_by(plan, elapsed) + ahead + _short_by(request, plan, elapsed)


def _ahead(item: Commitment, supply: Supply, plan: Plan, elapsed: float, gone: Collection[str]) -> float:
    hours = max(min(item.until_hours, plan.edges[-1]) - max(elapsed, item.from_hours), 0.0)
    if supply.kind is Kind.RESERVED:
        return item.num_gpus * supply.upfront / (supply.term_hours or 1.0) * hours
    return item.num_gpus * supply.commitment_per_hour * hours if supply.name in gone else 0.0


def _short_by(request: PlanRequest, plan: Plan, elapsed: float) -> float:
    """The price of jobs whose time is over undone, and of demand that went unserved."""
    parts = [
        (job.drop_cost or 0.0) * (1 - done_share(job, plan, elapsed, {}))
        for job in request.jobs
        if is_given_up(job, plan, elapsed)
    ]
    rates = {(service.name, each.gpu): each.rate for service in request.services for each in service.replicas}
    served: dict[tuple[str, float], float] = {}
    for item in plan.assignments:
        key = item.demand, item.from_hours
        served[key] = served.get(key, 0.0) + item.num_units * rates.get((item.demand, item.gpu), 0.0)
    for service in request.services:
        for start, end in pairwise(plan.edges):
            over = min(max(elapsed - start, 0.0), end - start)
            if service.drop_cost is not None and over > 0:
                needed = service.needed(request.horizon.slot_of((start + end) / 2))
                missing = needed - served.get((service.name, start), 0.0)
                parts.append(service.drop_cost * over * missing if missing > TINY * max(needed, 1.0) else 0.0)
    return math.fsum(parts)
