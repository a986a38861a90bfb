"""A request as a program: its time cut where anything changes, its pools, columns and rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.plans.demand import Job
from planner.plans.horizon import Horizon
from planner.plans.program.draft import Draft
from planner.plans.program.jobs import add_jobs
from planner.plans.program.pools import Left, gather
from planner.plans.program.services import add_services
from planner.plans.program.sources import add_supply
from planner.plans.request import Goal, PlanRequest

SAME_HOUR = 1e-9


def build(request: PlanRequest, open_end: bool = False) -> tuple[Draft, tuple[Left, ...]]:
    """The program of a refined request; `open_end`: how much of the last slot is used is a column to be made least."""
    pools, left = gather(request)
    draft = Draft(request, pools)
    if open_end:
        draft.last_slot = draft.model.column(upper=float(request.horizon.slot_hours[-1]))
    add_jobs(draft)
    add_services(draft)
    add_supply(draft)
    return draft, left


def refined(request: PlanRequest) -> PlanRequest:
    """The same request with a slot's edge wherever a job may begin or must end, or supply comes or goes."""
    return on_edges(request, (*request.horizon.edges, *events(request)))


def events(request: PlanRequest) -> list[float]:
    """Hours at which what may be done, or can be had, changes."""
    found: list[float] = []
    for job in request.jobs:
        found += [job.release_hours, *([] if job.deadline_hours is None else [job.deadline_hours])]
    for supply in request.supplies:
        found.append(supply.from_hours + supply.lead_time_hours)
        found += [] if supply.until_hours is None else [supply.until_hours]
        found += [hour for outage in supply.outages for hour in (outage.from_hours, outage.until_hours)]
    for budget in request.limits.budgets:
        found += [budget.from_hours, budget.until_hours]
    return found


def on_edges(request: PlanRequest, wanted: tuple[float, ...]) -> PlanRequest:
    """The request with these edges as well as those of the horizon within it; demand and repeats follow their slots."""
    horizon = request.horizon
    if any(request.horizon.repeats):
        return request
    inside = [hour for hour in wanted if 0 < hour < horizon.hours]
    edges = [0.0]
    for hour in sorted({*inside, *horizon.edges}):
        if hour - edges[-1] > SAME_HOUR:
            edges.append(hour)
    edges[-1] = horizon.hours
    if tuple(edges) == horizon.edges:
        return request
    return _with_horizon(request, Horizon(tuple(edges), starts=horizon.starts or horizon.edges))


def cut_at(request: PlanRequest, hours: float) -> PlanRequest:
    """The request with all of its jobs due by an hour, and nothing after it."""
    edges = [edge for edge in request.horizon.edges if edge < hours - SAME_HOUR]
    cut = _with_horizon(request, Horizon((*edges, hours), starts=request.horizon.starts))
    return replace(cut, jobs=tuple(_due(job, hours) for job in request.jobs))


def coarse(request: PlanRequest) -> PlanRequest:
    """The request of jobs alone with edges at events only: work flows within a slot, so others add nothing."""
    edges = sorted({hour for hour in events(request) if 0 < hour < request.horizon.hours})
    kept = [0.0]
    for hour in [*edges, request.horizon.hours]:
        if hour - kept[-1] > SAME_HOUR:
            kept.append(hour)
    return _with_horizon(replace(request, goal=Goal.COST), Horizon(tuple(kept)))


def _due(job: Job, hours: float) -> Job:
    due = hours if job.deadline_hours is None else min(job.deadline_hours, hours)
    return replace(job, deadline_hours=due)


def _with_horizon(request: PlanRequest, horizon: Horizon) -> PlanRequest:
    middles = (np.array(horizon.edges[1:]) + np.array(horizon.edges[:-1])) / 2
    slots = [request.horizon.slot_of(float(middle)) for middle in middles]
    services = tuple(
        replace(service, demand=tuple(service.demand[slot] for slot in slots)) for service in request.services
    )
    return replace(request, horizon=horizon, services=services)
