"""Where not all demands can be met: the most urgent ones that can, as much of each priority as there is room for.

Priority by priority, the highest first, the least that must be left undone is sought with what is more urgent kept as
it is; a job counts by the least GPU-hours that it takes, a service by the GPU-hours of the demand that goes unserved.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.plans.clash import impossible
from planner.plans.demand import Job, Service
from planner.plans.linear import ShouldStop, solve_mip
from planner.plans.program.build import build
from planner.plans.program.draft import Draft
from planner.plans.request import Goal, PlanRequest
from planner.plans.solution import ANY_GPU, Refusal, Shortfall

Array = NDArray[np.float64]
SLACK = 1e-6  # of what a priority leaves undone, for the solver's tolerance
WHOLE = 0.5
LEAST_SHORT = 1e-6  # of a slot's demand
GAP = 0.01


@dataclass(frozen=True, slots=True)
class Triage:
    """What is kept, as a question that has a plan, and what is not."""

    kept: PlanRequest
    left_undone: tuple[Refusal, ...]
    short: tuple[Shortfall, ...]
    seconds: float


def triage(request: PlanRequest, seconds: float, should_stop: ShouldStop | None = None) -> Triage | None:
    """The most urgent demands of a refined request that can be met together; None where that was not found in time.

    A job that waits for one that is left undone is left undone, too. Demands with a `drop_cost` give way to all that
    have none, and are left to the plan.
    """
    asked = replace(request, goal=Goal.COST)
    draft, _ = build(_all_droppable(asked))
    model, weights = draft.model, _weights(draft, asked)
    model.integers = sorted({*model.integers, *draft.dropped.values()})
    levels = sorted({level for level, _ in weights.values()}, reverse=True)
    values, spent = _nothing_done(draft), 0.0
    for level in levels:
        here = {column: weight for column, (at, weight) in weights.items() if at == level}
        model.costs = [here.get(column, 0.0) for column in range(model.num_columns)]
        left = max(seconds - spent, 1.0) / (len(levels) - levels.index(level))
        found = solve_mip(model, GAP, left, values, should_stop=should_stop)
        spent += found.seconds
        if found.values is None or found.objective is None:
            return None
        values = found.values
        model.row(list(here.items()), upper=found.objective * (1 + SLACK) + SLACK)
    undone = {
        asked.jobs[place].name
        for place, column in draft.dropped.items()
        if column in weights and values[column] > WHOLE
    }
    undone = _with_those_that_wait(asked, undone)
    missing = {key: float(values[column]) for key, column in draft.unserved.items() if column in weights}
    services = tuple(_served(asked, place, missing) for place in range(len(asked.services)))
    jobs = tuple(job for job in request.jobs if job.name not in undone)
    if not jobs and not any(any(service.demand) for service in services):
        return None
    refused = tuple(_refused(job, asked, undone) for job in request.jobs if job.name in undone)
    return Triage(replace(request, jobs=jobs, services=services), refused, _shortfalls(asked, missing), spent)


def _nothing_done(draft: Draft) -> Array:
    """The answer that leaves everything undone."""
    values = np.zeros(draft.model.num_columns)
    for column in (*draft.dropped.values(), *draft.unserved.values()):
        values[column] = draft.model.upper[column]
    return values


def _all_droppable(request: PlanRequest) -> PlanRequest:
    """The request in which everything may be left undone; what that costs is set priority by priority."""
    jobs = tuple(replace(job, drop_cost=1.0) for job in request.jobs)
    services = tuple(replace(service, drop_cost=1.0) for service in request.services)
    return replace(request, jobs=jobs, services=services)


def _weights(draft: Draft, request: PlanRequest) -> dict[int, tuple[int, float]]:
    """Of each column that leaves undone what must be done: its priority, and the GPU-hours that it stands for."""
    found: dict[int, tuple[int, float]] = {}
    for place, column in draft.dropped.items():
        job = request.jobs[place]
        if job.drop_cost is None:
            hours = min((work.num_gpus * work.hours for work in job.options), default=1.0)
            found[column] = job.priority, hours
    for (place, slot), column in draft.unserved.items():
        service = request.services[place]
        if service.drop_cost is None:
            per_unit = min((replica.num_gpus / replica.rate for replica in service.replicas), default=1.0)
            hours = draft.paid(float(request.horizon.slot_hours[slot]), slot)
            found[column] = service.priority, per_unit * hours
    return found


def _with_those_that_wait(request: PlanRequest, undone: Collection[str]) -> set[str]:
    found = set(undone)
    while True:
        more = {job.name for job in request.jobs if job.name not in found and found & set(job.after)}
        if not more:
            return found
        found |= more


def _served(request: PlanRequest, place: int, missing: Mapping[tuple[int, int], float]) -> Service:
    """The service with the demand that is served; its headroom is counted in what is missing."""
    service = request.services[place]
    demand = tuple(
        max(level - missing.get((place, slot), 0.0) / (1.0 + service.headroom), 0.0)
        if missing.get((place, slot), 0.0) > LEAST_SHORT * service.needed(slot)
        else level
        for slot, level in enumerate(service.demand)
    )
    return replace(service, demand=demand)


def _shortfalls(request: PlanRequest, missing: Mapping[tuple[int, int], float]) -> tuple[Shortfall, ...]:
    """Slots in a row in which a service is short, as one."""
    edges = request.horizon.edges
    found: list[Shortfall] = []
    for (place, slot), lacking in sorted(missing.items()):
        service = request.services[place]
        share = lacking / service.needed(slot)
        if share <= LEAST_SHORT:
            continue
        last = found[-1] if found else None
        if last is not None and last.service == service.name and last.until_hours == edges[slot]:
            found[-1] = replace(last, until_hours=edges[slot + 1], most_share=max(last.most_share, share))
        else:
            found.append(Shortfall(service.name, edges[slot], edges[slot + 1], share))
    return tuple(found)


def _refused(job: Job, request: PlanRequest, undone: Collection[str]) -> Refusal:
    """Why a job is left undone, in words."""
    missing = [name for name in job.after if name in undone]
    if missing:
        reason = f"it waits for {missing[0]}, which is left undone"
    elif fault := impossible(job, request):
        reason = f"it cannot be done at all: {fault}"
    elif any(other.priority > job.priority for other in request.demands if other.drop_cost is None):
        reason = "there is not room for everything, and what is more urgent was kept"
    else:
        reason = "there is not room for everything of this priority; what was kept fills it better"
    return Refusal(ANY_GPU, reason, job.name)
