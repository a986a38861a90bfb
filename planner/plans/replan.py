"""What is left of a question some hours into its plan: what happened stays, what is to come is asked again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta

from planner.errors import FieldProblem, InvalidInput
from planner.plans.demand import Job
from planner.plans.horizon import Horizon
from planner.plans.request import PlanRequest
from planner.plans.solution import Plan
from planner.plans.supply import COMMITTED, Budget, Kind, Outage, Supply

DONE = 1e-6  # share of a job below which nothing of it is left


def remaining(
    request: PlanRequest,
    plan: Plan,
    elapsed_hours: float,
    done: Mapping[str, float] | None = None,
    paces: Mapping[str, tuple[str, float]] | None = None,
) -> PlanRequest:
    """The question from `elapsed_hours` on, its clock starting there.

    Work counts as done as far as the plan had it done by then, or as `done` says (job → share). `paces` are measured:
    job → (GPU, measured ÷ predicted time), by which its hours on that GPU were and will be longer. What was committed
    to stays committed, for the rest of its term. Raises InvalidInput for a horizon that repeats, a moment outside it, a
    job that should have ended by then and has not, and where nothing is left.
    """
    if request.horizon.repeats:
        raise InvalidInput.of("at", "a plan of typical days has no moment in it: ask a new one")
    if not 0 <= elapsed_hours < request.horizon.hours:
        raise InvalidInput.of("at", f"must lie within the plan's {request.horizon.hours:g} hours")
    unknown = set(done or {}) - {job.name for job in request.jobs}
    if unknown:
        raise InvalidInput.of("done", f"there is no job {sorted(unknown)[0]!r}")
    request = replace(request, jobs=tuple(job_at_pace(job, (paces or {}).get(job.name)) for job in request.jobs))
    shares = {job.name: done_share(job, plan, elapsed_hours, done or {}) for job in request.jobs}
    left = [job for job in request.jobs if shares[job.name] < 1 - DONE and not is_given_up(job, plan, elapsed_hours)]
    late = [job for job in left if job.deadline_hours is not None and job.deadline_hours <= elapsed_hours]
    if late:
        words = "should have ended by then: give it a new deadline, or say what of it is done"
        raise InvalidInput([FieldProblem("done", f"{job.name} {words}") for job in late])
    names = {job.name for job in left}
    jobs = [_rest(job, shares[job.name], names, plan, elapsed_hours) for job in left]
    first = request.horizon.slot_of(elapsed_hours)
    services = [replace(service, demand=service.demand[first:]) for service in request.services]
    if not jobs and not services:
        raise InvalidInput.of("at", "everything is done by then: there is nothing left to plan")
    edges = (0.0, *(edge - elapsed_hours for edge in request.horizon.edges if edge > elapsed_hours + 1e-9))
    held = {supply.name: 0 for supply in request.supplies if supply.kind in COMMITTED}
    for item in plan.commitments:
        held[item.supply] += item.num_gpus
    limits = replace(
        request.limits,
        budgets=tuple(_budget(budget, plan, elapsed_hours) for budget in request.limits.budgets),
    )
    return replace(
        request,
        horizon=Horizon(edges),
        supplies=tuple(_later(supply, plan, elapsed_hours) for supply in request.supplies),
        jobs=tuple(jobs),
        services=tuple(services),
        limits=limits,
        starts_at=None if request.starts_at is None else request.starts_at + timedelta(hours=elapsed_hours),
        fixed={**(request.fixed or {}), **{name: number for name, number in held.items() if number}},
    )


def job_at_pace(job: Job, pace: tuple[str, float] | None) -> Job:
    """The job with its hours on one GPU as they were measured."""
    if pace is None:
        return job
    gpu, factor = pace
    slower = [replace(work, hours=work.hours * factor) if work.gpu == gpu else work for work in job.options]
    return replace(job, options=tuple(slower))


def done_share(job: Job, plan: Plan, elapsed: float, done: Mapping[str, float]) -> float:
    """How much of a job is done by a moment: as `done` says, or as its plan had it done."""
    if job.name in done:
        share = done[job.name]
        if not 0 <= share <= 1:
            raise InvalidInput.of("done", f"{job.name}: a share lies between 0 and 1, not {share}")
        return share
    hours = {work.gpu: work.hours for work in job.options}
    by_then, in_all = 0.0, 0.0
    for item in plan.assignments:
        if item.demand == job.name:
            part = min(max(elapsed - item.from_hours, 0.0) / (item.until_hours - item.from_hours), 1.0)
            whole = item.hours * item.num_units / hours[item.gpu]
            by_then, in_all = by_then + part * whole, in_all + whole
    return min(by_then / max(in_all, 1.0), 1.0)  # spot takes more hours than the work has


def is_given_up(job: Job, plan: Plan, elapsed: float) -> bool:
    """Whether the plan leaves a job undone, in part or whole, and its time is over by a moment."""
    return job.name in plan.dropped and job.deadline_hours is not None and job.deadline_hours <= elapsed


def _rest(job: Job, share: float, left: Collection[str], plan: Plan, elapsed: float) -> Job:
    """The job with the work that is left, beside those that are `left`; one that runs whole and has begun stays where
    it is. Leaving the rest of a divisible job undone costs that part."""
    begun = {item.gpu for item in plan.assignments if item.demand == job.name and item.from_hours < elapsed}
    kept = [work for work in job.options if job.is_divisible or not begun or work.gpu in begun]
    return replace(
        job,
        options=tuple(replace(work, hours=work.hours * (1 - share)) for work in kept),
        release_hours=max(0.0, job.release_hours - elapsed),
        deadline_hours=None if job.deadline_hours is None else job.deadline_hours - elapsed,
        after=tuple(name for name in job.after if name in left),
        drop_cost=None if job.drop_cost is None else job.drop_cost * (1 - share if job.is_divisible else 1.0),
    )


def _later(supply: Supply, plan: Plan, elapsed: float) -> Supply:
    """The supply on the new clock; what is committed keeps the rest of its term."""
    changes: dict[str, object] = {
        "from_hours": max(0.0, supply.from_hours - elapsed),
        "until_hours": None if supply.until_hours is None else max(0.0, supply.until_hours - elapsed),
        "outages": tuple(
            Outage(max(0.0, item.from_hours - elapsed), item.until_hours - elapsed, item.num_gpus)
            for item in supply.outages
            if item.until_hours > elapsed
        ),
    }
    ends = [item.until_hours for item in plan.commitments if item.supply == supply.name]
    if ends and supply.kind is Kind.RESERVED:
        changes["term_hours"] = max(min(ends) - elapsed, 1e-6)
        changes["upfront"] = 0.0  # paid already
    if ends and supply.kind is Kind.PURCHASE:
        changes["lead_time_hours"] = max(0.0, supply.lead_time_hours - elapsed)
    return replace(supply, **changes)  # type: ignore[arg-type]


def _budget(budget: Budget, plan: Plan, elapsed: float) -> Budget:
    """What is left of a budget: less what was used of it by then, and what commitments cost until then."""
    edges = plan.edges
    spent = sum(
        use.cost
        for use in plan.uses
        if budget.from_hours <= edges[use.slot] < budget.until_hours and edges[use.slot] < elapsed
    )
    for item in plan.commitments:
        held = min(item.until_hours, edges[-1]) - item.from_hours
        over = min(item.until_hours, budget.until_hours, elapsed) - max(item.from_hours, budget.from_hours)
        spent += item.cost * max(over, 0.0) / held if held > 0 else 0.0
    return replace(
        budget,
        from_hours=max(0.0, budget.from_hours - elapsed),
        until_hours=max(0.0, budget.until_hours - elapsed),
        amount=max(0.0, budget.amount - spent),
    )
