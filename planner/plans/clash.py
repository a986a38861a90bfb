"""Why there is no plan: the fewest demands found that cannot all be met, and what stands in their way.

Every demand is made droppable and the least that must be dropped is sought; the duals of that program prove that the
demands they touch clash, and leaving each out in turn makes the set irreducible.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations

from planner.plans.demand import Demand, Job
from planner.plans.linear import Answer, ShouldStop, Status, solve_lp, solve_mip
from planner.plans.program.build import build
from planner.plans.program.draft import Draft
from planner.plans.program.jobs import window
from planner.plans.program.pools import gather, why_not
from planner.plans.request import Goal, PlanRequest
from planner.plans.solution import Clash

EPSILON = 1e-7
SECONDS = 5.0  # for one question whether some demands can be met
FEW = 10  # demands among which all pairs are tried


def find_clash(request: PlanRequest, should_stop: ShouldStop | None = None) -> Clash | None:
    """The clash of a refined request without a plan; None where there is none, or it was stopped."""
    request = replace(request, goal=Goal.COST)
    for demand in _by_name(request).values():
        reason = impossible(demand, request)
        if reason and demand.drop_cost is None:
            return Clash((demand.name,), f"{demand.name} cannot be met at all: {reason}")
    names = _suspects(request, should_stop)
    if names is None:
        return None
    if len(names) <= FEW:
        for size in (1, 2):
            for few in combinations(names, size):
                if not _possible(request, few, should_stop):
                    return Clash(few, _reason(request, few, should_stop))
    for name in _least_urgent_first(request, names):
        if should_stop is not None and should_stop():
            break
        fewer = [other for other in names if other != name]
        if fewer and not _possible(request, fewer, should_stop):
            names = fewer
    return Clash(tuple(names), _reason(request, names, should_stop))


def impossible(demand: Demand, request: PlanRequest) -> str:
    """Why a demand cannot be met even alone, for the plainest of reasons; empty: it may be."""
    reasons = [option_fault(demand, gpu, request) for gpu in gpus_of(demand)]
    if all(reasons):
        return "; ".join(reasons) if reasons else "it names no GPU that it runs on"
    return ""


def gpus_of(demand: Demand) -> list[str]:
    """The kinds of GPU that a demand may run on."""
    return [option.gpu for option in (demand.options if isinstance(demand, Job) else demand.replicas)]


def option_fault(demand: Demand, gpu: str, request: PlanRequest) -> str:
    """Why a demand cannot be met on one kind of GPU alone; empty: it can, as far as this shows."""
    supplies = [supply for supply in request.supplies if supply.gpu == gpu]
    if not supplies:
        return f"{gpu}: none is on offer"
    pools, left = gather(_alone(request, demand))
    mine = [pool for pool in pools if pool.gpu == gpu]
    if not mine:
        barred = {item.supply: item.reason for item in left}
        reasons = {why_not(demand, supply) or barred.get(supply.name, "it cannot be had") for supply in supplies}
        return f"{gpu}: {', '.join(sorted(reasons))}"
    options = demand.options if isinstance(demand, Job) else demand.replicas
    option = next(each for each in options if each.gpu == gpu)
    most = max(math.inf if pool.most is None else float(pool.most.max()) for pool in mine)
    if option.num_gpus > most:
        return f"{gpu}: takes {option.num_gpus} at once, and there are never more than {most:,.0f}"
    if isinstance(demand, Job):
        start, end = window(demand, request.horizon)
        hours = min(work.hours / pool.work_share for work in demand.options if work.gpu == gpu for pool in mine)
        if hours > (end - start) * demand.copies * (1 + EPSILON) and request.horizon.weights.max() == 1:
            return f"{gpu}: takes {hours:,.1f} h, and there are {(end - start) * demand.copies:,.1f} h"
    return ""


def _alone(request: PlanRequest, demand: Demand) -> PlanRequest:
    if isinstance(demand, Job):
        return replace(request, jobs=(replace(demand, after=()),), services=())
    return replace(request, jobs=(), services=(demand,))


def _by_name(request: PlanRequest) -> dict[str, Demand]:
    return {demand.name: demand for demand in request.demands}


def _suspects(request: PlanRequest, should_stop: ShouldStop | None) -> list[str] | None:
    """Demands that clash by the duals of the relaxed program; all of them where only whole numbers clash."""
    draft, answer = _least_dropped(request, should_stop)
    if answer.objective is None or answer.row_duals is None:
        return None
    if answer.objective <= EPSILON:
        return list(_by_name(request)) if not _possible(request, list(_by_name(request)), should_stop) else None
    duals = answer.row_duals
    found = [request.jobs[place].name for place, row in draft.work_rows.items() if abs(duals[row]) > EPSILON]
    found += list(
        dict.fromkeys(
            request.services[place].name
            for (place, slot), row in draft.demand_rows.items()
            if abs(duals[row]) * max(request.services[place].needed(slot), 1.0) > EPSILON  # a dual is of one unit
        )
    )
    return found if not _possible(request, found, should_stop) else list(_by_name(request))


def _least_dropped(request: PlanRequest, should_stop: ShouldStop | None) -> tuple[Draft, Answer]:
    """The relaxed program that leaves least undone; nothing else costs, nor what may be dropped anyway."""
    jobs = tuple(replace(job, drop_cost=float(job.drop_cost is None)) for job in request.jobs)
    services = tuple(
        replace(service, drop_cost=float(service.drop_cost is None) / max(sum(service.demand), 1.0))
        for service in request.services
    )
    draft, _ = build(replace(request, jobs=jobs, services=services))
    costs = [0.0] * draft.model.num_columns
    for column in (*draft.dropped.values(), *draft.unserved.values()):
        costs[column] = draft.model.costs[column]
    draft.model.costs = costs
    return draft, solve_lp(draft.model, should_stop=should_stop)


def _possible(request: PlanRequest, names: Iterable[str], should_stop: ShouldStop | None) -> bool:
    """Whether these demands can be met together without the others; what stays open within the time counts as yes."""
    kept = set(names)
    if not kept:
        return True
    jobs = tuple(
        replace(job, after=tuple(other for other in job.after if other in kept))
        for job in request.jobs
        if job.name in kept
    )
    services = tuple(service for service in request.services if service.name in kept)
    draft, _ = build(replace(request, jobs=jobs, services=services))
    draft.model.costs = [0.0] * draft.model.num_columns
    relaxed = solve_lp(draft.model, SECONDS, should_stop)
    if relaxed.status is Status.INFEASIBLE:
        return False
    if not draft.model.integers:
        return True
    return solve_mip(draft.model, 1.0, SECONDS, should_stop=should_stop).status is not Status.INFEASIBLE


def _least_urgent_first(request: PlanRequest, names: Sequence[str]) -> list[str]:
    demands = _by_name(request)
    return sorted(names, key=lambda name: demands[name].priority)


def _reason(request: PlanRequest, names: Sequence[str], should_stop: ShouldStop | None) -> str:
    """What stands in their way: kinds of GPU between hours, budgets, quotas, power."""
    kept = set(names)
    jobs = tuple(
        replace(job, after=tuple(n for n in job.after if n in kept)) for job in request.jobs if job.name in kept
    )
    services = tuple(service for service in request.services if service.name in kept)
    draft, answer = _least_dropped(replace(request, jobs=jobs, services=services), should_stop)
    who = f"{names[0]} cannot be met" if len(names) == 1 else f"{', '.join(names)} cannot all be met"
    if answer.row_duals is None or (answer.objective or 0.0) <= EPSILON:
        return f"{who}: as whole jobs and whole replicas they do not fit"
    tight = _tight(draft, answer)
    return f"{who}: there is not enough of {'; '.join(tight)}" if tight else f"{who}: their own time does not suffice"


def _tight(draft: Draft, answer: Answer) -> list[str]:
    duals = answer.row_duals
    if duals is None:
        return []
    edges = draft.request.horizon.edges
    spans: dict[str, list[tuple[float, float]]] = {}
    for (pool, slot), row in draft.capacity_rows.items():
        if abs(duals[row]) > EPSILON:
            spans.setdefault(draft.pools[pool].gpu, []).append((edges[slot], edges[slot + 1]))
    for (number, slot), row in draft.quota_rows.items():
        if abs(duals[row]) > EPSILON:
            name = f"the quota {draft.request.limits.quotas[number].name}"
            spans.setdefault(name, []).append((edges[slot], edges[slot + 1]))
    for slot, row in draft.power_rows.items():
        if abs(duals[row]) > EPSILON:
            spans.setdefault("power", []).append((edges[slot], edges[slot + 1]))
    words = [
        f"{name} between hour {min(s for s, _ in span):g} and {max(e for _, e in span):g}"
        for name, span in sorted(spans.items())
    ]
    words += [
        f"the budget {draft.request.limits.budgets[number].name}"
        for number, row in draft.budget_rows.items()
        if abs(duals[row]) > EPSILON
    ]
    return words
