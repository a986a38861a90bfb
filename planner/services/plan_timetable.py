"""When a plan's demands run: its timetable to the minute, in hours from its start and by the calendar."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from planner.estimates.interruptions import RESTART_SECONDS
from planner.plans.runs import Run, Runs
from planner.plans.schedule import Schedule
from planner.plans.shares import shares
from planner.plans.to_the_minute import minute_runs
from planner.services.plans import PlanView, unpriced_supplies
from planner.units import HOUR, format_money, format_seconds


@dataclass(frozen=True, slots=True)
class TimetableRun:
    """A demand on one kind of GPU without a break; moments are None where the plan's slots repeat, as they have no
    date."""

    demand: str
    is_service: bool
    gpu: str
    num_gpus: int
    num_units: int
    supplies: tuple[str, ...]
    from_hours: float
    until_hours: float
    from_at: datetime | None
    until_at: datetime | None


@dataclass(frozen=True, slots=True)
class TooFew:
    """A job that takes more GPUs at once than the plan ever holds for it, so that it cannot run as planned."""

    demand: str
    num_gpus: int
    held: int


@dataclass(frozen=True, slots=True)
class PlanTimetable:
    """The runs of a plan by their start.

    `late_hours`: by how much the latest ends after its slot or its deadline, as gangs of such sizes do not fit beside
    each other. `is_scheduled`: the jobs were scheduled anew for that reason, on what the plan uses; `cost` is then that
    of this timetable and `cost_bound` what none on the same supplies can fall below (null: as the plan says).
    `num_stops` is how often a job stops and goes on later or on another kind of GPU, `stops_cost` what that would cost
    at an assumed restart each time (in no sum; null: unknown). `notes` say so, and what else must be known to read it.
    `too_few`: jobs that cannot run as planned (a large question is planned by GPU-hours alone).
    """

    plan_id: str
    starts_at: datetime | None
    runs: tuple[TimetableRun, ...]
    late_hours: float
    notes: tuple[str, ...]
    is_scheduled: bool = False
    cost: float | None = None
    cost_bound: float | None = None
    late: tuple[str, ...] = ()
    num_stops: int = 0
    stops_cost: float | None = None
    too_few: tuple[TooFew, ...] = ()


def timetable_of(view: PlanView) -> PlanTimetable:
    """The timetable of a plan; of one that was not found it has no runs, and a note says why."""
    repeats = bool(view.request.horizon.repeats)
    begin = None if repeats else view.request.starts_at or view.created_at
    if view.plan is None or not view.plan.is_found:
        return PlanTimetable(view.id, begin, (), 0.0, (view.reason or f"no plan yet: the search is {view.state}",))
    written = view.to_the_minute
    scheduled = None if written is None else written.schedule
    found = minute_runs(view.request, view.plan, written)
    services = {service.name for service in view.request.services}
    stops, stops_cost = _stops(view, found)
    notes = _late_notes(view, found, scheduled)
    if stops:
        words = "an unknown amount" if stops_cost is None else format_money(stops_cost, view.request.currency)
        notes.append(
            f"Jobs stop and go on later or elsewhere {stops} times, which the plan takes to cost nothing: at a restart "
            f"of {format_seconds(RESTART_SECONDS)} each time (assumed) it would cost {words}."
        )
    if repeats:
        notes.append("Slots of this plan stand for many like them: each is shown once, without a date.")
    return PlanTimetable(
        plan_id=view.id,
        starts_at=begin,
        runs=tuple(_dated(run, run.demand in services, begin) for run in found.runs),
        late_hours=found.late_hours,
        notes=tuple(notes),
        is_scheduled=scheduled is not None,
        cost=None if scheduled is None else scheduled.cost,
        cost_bound=None if scheduled is None else scheduled.cost_bound,
        late=() if scheduled is None else scheduled.late,
        num_stops=stops,
        stops_cost=stops_cost,
        too_few=tuple(TooFew(name, gang, held) for name, (gang, held) in found.too_few.items()),
    )


def _late_notes(view: PlanView, found: Runs, scheduled: Schedule | None) -> list[str]:
    late = format_seconds(found.late_hours * HOUR)
    if scheduled is None:
        if not found.late_hours:
            return []
        words = (
            f"Gangs of these sizes do not fit beside each other in every slot: up to {late} of a run lie over what "
            "follows, so jobs end that much later."
        )
        why = "" if view.to_the_minute is None else view.to_the_minute.reason
        return [f"{words} No better timetable was made: {why}." if why else words]
    money = view.request.currency
    cost, bound = format_money(scheduled.cost, money), format_money(scheduled.cost_bound, money)
    words = (
        "Gangs of these sizes do not fit beside each other as the plan counts their hours, so they were scheduled once "
        f"more on what it uses: this timetable costs {cost}, and none on the same GPUs costs less than {bound}."
    )
    if not scheduled.late:
        return [words]
    return [f"{words} {len(scheduled.late)} end late, by up to {late}: {', '.join(scheduled.late[:5])}."]


def _stops(view: PlanView, found: Runs) -> tuple[int, float | None]:
    """How often a divisible job goes on after a pause or on another kind of GPU, and what a restart each time costs at
    what its GPU-hours cost on average; None where a cost of use is unknown."""
    if view.plan is None:
        return 0, None
    flowing = {job.name for job in view.request.jobs if job.is_divisible and job.copies == 1}
    rates = {each.demand: each.cost / each.gpu_hours for each in shares(view.request, view.plan) if each.gpu_hours}
    last: dict[str, Run] = {}
    stops, costs = 0, []
    for run in sorted(found.runs, key=lambda run: run.from_hours):
        before = last.get(run.demand)
        last[run.demand] = run
        if run.demand in flowing and before is not None:
            stops += 1
            costs.append(rates.get(run.demand, 0.0) * run.num_gpus * RESTART_SECONDS / HOUR)
    return stops, None if unpriced_supplies(view) else math.fsum(costs)


def moment_of(begin: datetime | None, hours: float) -> datetime | None:
    """That many hours after the beginning; None where there is no beginning, and beyond the calendar."""
    try:
        return None if begin is None else begin + timedelta(hours=hours)
    except OverflowError:
        return None


def _dated(run: Run, is_service: bool, begin: datetime | None) -> TimetableRun:
    return TimetableRun(
        demand=run.demand,
        is_service=is_service,
        gpu=run.gpu,
        num_gpus=run.num_gpus,
        num_units=run.num_units,
        supplies=run.supplies,
        from_hours=run.from_hours,
        until_hours=run.until_hours,
        from_at=moment_of(begin, run.from_hours),
        until_at=moment_of(begin, run.until_hours),
    )
