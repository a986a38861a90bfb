"""When a plan's demands run: its timetable to the minute, in hours from its start and by the calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from planner.plans.runs import Run, runs_of
from planner.services.plans import PlanView
from planner.units import HOUR, format_seconds


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
class PlanTimetable:
    """The runs of a plan by their start. `late_hours`: by how much the latest ends after its slot, over what follows,
    as gangs of such sizes do not fit beside each other; `notes` say so, and what else must be known to read it."""

    plan_id: str
    starts_at: datetime | None
    runs: tuple[TimetableRun, ...]
    late_hours: float
    notes: tuple[str, ...]


def timetable_of(view: PlanView) -> PlanTimetable:
    """The timetable of a plan; of one that was not found it has no runs, and a note says why."""
    repeats = bool(view.request.horizon.repeats)
    begin = None if repeats else view.request.starts_at or view.created_at
    if view.plan is None or not view.plan.is_found:
        return PlanTimetable(view.id, begin, (), 0.0, (view.reason or f"no plan yet: the search is {view.state}",))
    found = runs_of(view.request, view.plan)
    services = {service.name for service in view.request.services}
    notes = []
    if found.late_hours:
        late = format_seconds(found.late_hours * HOUR)
        notes.append(
            f"Gangs of these sizes do not fit beside each other in every slot: up to {late} of a run lie over what "
            "follows, so jobs end that much later."
        )
    if repeats:
        notes.append("Slots of this plan stand for many like them: each is shown once, without a date.")
    runs = tuple(_dated(run, run.demand in services, begin) for run in found.runs)
    return PlanTimetable(view.id, begin, runs, found.late_hours, tuple(notes))


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
