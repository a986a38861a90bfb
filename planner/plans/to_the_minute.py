"""A plan whose gangs do not all fit beside each other, written to the minute with what that costs and its bound.

A plan counts hours by the slot. Where its gangs cannot keep to them, the jobs are scheduled once more on what the plan
has decided to use: its commitments are there and paid for, what it does not use is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from planner.plans import codec
from planner.plans.demand import Job, Work
from planner.plans.linear import ShouldStop
from planner.plans.program.packing import is_chain
from planner.plans.program.pools import gang_of, why_not
from planner.plans.request import PlanRequest
from planner.plans.runs import Run, Runs, runs_of
from planner.plans.schedule import NOT_FLOWS, Schedule, is_of_flows, schedule
from planner.plans.solution import Plan
from planner.plans.supply import COMMITTED, Kind, Supply

SAME = 1e-6


@dataclass(frozen=True, slots=True)
class ToTheMinute:
    """The timetable of a plan whose gangs do not fit as its slots have them; None with the `reason` why there is none.

    `committed` is what the plan's commitments cost, which is in the schedule's cost and its bound as well. The bound
    is that of timetables on what the plan uses; on other supplies one may cost less.
    """

    schedule: Schedule | None
    reason: str = ""
    committed: float = 0.0

    def to_document(self) -> dict[str, Any]:
        """The timetable as JSON values."""
        document: dict[str, Any] = codec.to_document(self)
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The timetable that `to_document` wrote."""
        return codec.from_document(cls, document)


def to_the_minute(request: PlanRequest, plan: Plan, should_stop: ShouldStop | None = None) -> ToTheMinute | None:
    """The timetable where that of the plan's own slots ends late; None where it does not, and so nothing is lost."""
    if not plan.is_found or not runs_of(request, plan).late_hours:
        return None
    reason = _not_for(request, plan)
    if reason:
        return ToTheMinute(None, reason)
    found = schedule(_settled(request, plan), should_stop)
    if should_stop is not None and should_stop() and not isinstance(found, Schedule):
        return ToTheMinute(None, "there was no time left to look for one")
    if not isinstance(found, Schedule):
        return ToTheMinute(None, found.reason)
    committed = sum(item.cost for item in plan.commitments)
    costs = replace(found, cost=found.cost + committed, cost_bound=found.cost_bound + committed)
    return ToTheMinute(costs, committed=committed)


def minute_runs(request: PlanRequest, plan: Plan, written: ToTheMinute | None) -> Runs:
    """The runs of a plan to the minute: as scheduled where they were, else as its slots have them.

    Of a schedule each with the supplies that it may draw on; late is then what ends after it is due.
    """
    if written is None or written.schedule is None:
        return runs_of(request, plan)
    names: dict[str, tuple[str, ...]] = {}
    for supply in _in_use(request, plan):
        names[supply.gpu] = (*names.get(supply.gpu, ()), supply.name)
    end = request.horizon.hours
    due = {job.name: end if job.deadline_hours is None else job.deadline_hours for job in request.jobs}
    runs = tuple(
        Run(each.demand, each.gpu, each.num_gpus, 1, names.get(each.gpu, ()), each.from_hours, each.until_hours)
        for each in written.schedule.stretches
    )
    late = max((run.until_hours - due[run.demand] for run in runs), default=0.0)
    return Runs(runs, late if written.schedule.late and late > 0 else 0.0)


def _not_for(request: PlanRequest, plan: Plan) -> str:
    """Why what a plan has decided on cannot be scheduled to the minute; empty where it may be."""
    if not is_of_flows(request):
        return NOT_FLOWS
    runs = {item.demand for item in plan.assignments}
    if any(request.horizon.repeats):
        return "slots of this plan stand for many like them"
    if set(plan.dropped) & runs:
        return "a part of a job is left undone, and which one is not decided"
    if any(item.from_hours > SAME or item.until_hours < plan.edges[-1] - SAME for item in plan.commitments):
        return "a commitment begins or ends within the span"
    if request.limits.budgets or request.limits.power_cap_kw is not None:
        return "budgets and power caps are kept by the slot only"
    supplies = _in_use(request, plan)
    for supply in supplies:
        gangs = {gang_of(job, supply.gpu) for job in request.jobs if why_not(job, supply) is None}
        rests = [gang % supply.gpus_per_instance for gang in gangs if gang % supply.gpus_per_instance]
        if supply.shared and not is_chain(rests, supply.gpus_per_instance):
            return f"which gangs share an instance of {supply.name} is decided by the slot"
    if any(quota.covers(supply) for quota in request.limits.quotas for supply in supplies):
        return "quotas are kept by the slot only"
    return ""


def _in_use(request: PlanRequest, plan: Plan) -> list[Supply]:
    used = {use.supply for use in plan.uses if use.gpu_hours > 0} | {item.supply for item in plan.commitments}
    return [supply for supply in request.supplies if supply.name in used]


def _settled(request: PlanRequest, plan: Plan) -> PlanRequest:
    """The question that is left once the plan's choice of supplies, commitments and jobs is made."""
    held: dict[str, int] = {}
    for item in plan.commitments:
        held[item.supply] = held.get(item.supply, 0) + item.num_gpus
    supplies = tuple(_there(supply, held.get(supply.name, 0)) for supply in _in_use(request, plan))
    kept = [job for job in request.jobs if job.name not in plan.dropped]
    jobs = tuple(replace(job, drop_cost=None, options=_options(job, supplies)) for job in kept)
    limits = replace(request.limits, quotas=(), providers=(), regions=())
    return replace(request, supplies=supplies, jobs=jobs, limits=limits, fixed=None, leave_least_urgent=False)


def _options(job: Job, supplies: Iterable[Supply]) -> tuple[Work, ...]:
    """The options that a supply is there for."""
    there = {supply.gpu for supply in supplies if why_not(job, supply) is None}
    return tuple(work for work in job.options if work.gpu in there)


def _there(supply: Supply, num_gpus: int) -> Supply:
    """A supply as it is once its commitment is decided: GPUs that are there, of which only use costs."""
    if supply.kind not in COMMITTED:
        return supply
    return replace(
        supply,
        kind=Kind.OWNED,
        num_gpus=num_gpus,
        price_per_hour=supply.running_per_hour,
        lead_time_hours=0.0,
        from_hours=0.0,
        term_hours=None,
        upfront=0.0,
        capex=None,
        life_hours=None,
    )
