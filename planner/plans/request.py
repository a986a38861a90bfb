"""The whole question of a plan: what must be done, what can be had, over which time, within which limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from planner.errors import FieldProblem, InvalidInput
from planner.plans import codec
from planner.plans.demand import Demand, Job, Service
from planner.plans.horizon import Horizon
from planner.plans.supply import Limits, Supply

NO_LIMITS = Limits()
MOST_CHOICES = 20_000_000  # slots × supplies × demands; a plan of a month by the hour has 2.5 million


class Goal(StrEnum):
    """What a plan is to make least: cost; or the time when the last job ends, and then cost."""

    COST = "cost"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """A question that a plan answers. `fixed` sets commitments (GPUs by supply name) that are decided already.

    Where not all demands can be met, the answer is those that clash; or, where it may `leave_least_urgent`, a plan for
    as many as can be, by their priority.
    """

    horizon: Horizon
    supplies: tuple[Supply, ...]
    jobs: tuple[Job, ...] = ()
    services: tuple[Service, ...] = ()
    limits: Limits = NO_LIMITS
    goal: Goal = Goal.COST
    currency: str = "USD"
    starts_at: datetime | None = None
    fixed: Mapping[str, int] | None = None
    leave_least_urgent: bool = False

    def __post_init__(self) -> None:
        problems = [*_size(self), *_names(self), *_demands(self)]
        if problems:
            raise InvalidInput(problems)

    @property
    def demands(self) -> tuple[Demand, ...]:
        """Jobs and services."""
        return (*self.jobs, *self.services)

    def to_document(self) -> dict[str, Any]:
        """The request as JSON values."""
        document: dict[str, Any] = codec.to_document(self)
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The request that `to_document` wrote; raises InvalidInput naming each field that cannot be used."""
        return codec.from_document(cls, document)


def _size(request: PlanRequest) -> list[FieldProblem]:
    """A request that no search could hold is refused before it is built."""
    demands = len(request.jobs) + len(request.services)
    size = request.horizon.num_slots * max(len(request.supplies), 1) * max(demands, 1)
    if size <= MOST_CHOICES:
        return []
    words = (
        f"{request.horizon.num_slots:,} slots × {len(request.supplies):,} supplies × {demands:,} demands are too many"
    )
    return [FieldProblem("horizon", f"{words}: at most {MOST_CHOICES:,} together; take longer slots or fewer demands")]


def _names(request: PlanRequest) -> list[FieldProblem]:
    problems = []
    for field, items in (("supplies", request.supplies), ("jobs", request.jobs + request.services)):
        seen: set[str] = set()
        for item in items:
            if not item.name or item.name in seen:
                problems.append(FieldProblem(field, f"the name {item.name!r} must be there once and not be empty"))
            seen.add(item.name)
    by_name = {supply.name: supply for supply in request.supplies}
    for name in request.fixed or {}:
        if name not in by_name:
            problems.append(FieldProblem("fixed", f"there is no supply {name!r}"))
    return problems


def _demands(request: PlanRequest) -> list[FieldProblem]:
    problems = []
    if not request.jobs and not request.services:
        problems.append(FieldProblem("jobs", "at least one job or service is needed"))
    names = {job.name for job in request.jobs}
    for place, job in enumerate(request.jobs):
        field = f"jobs.{place}"
        unknown = [name for name in job.after if name not in names or name == job.name]
        if unknown:
            problems.append(FieldProblem(f"{field}.after", f"no other job is named {unknown[0]!r}"))
        if job.release_hours >= request.horizon.hours:
            problems.append(FieldProblem(f"{field}.release_hours", "must lie within the horizon"))
    cycle = _cycle(request.jobs)
    if cycle:
        problems.append(FieldProblem("jobs", f"{' waits for '.join(cycle)}: none of them can begin"))
    for place, service in enumerate(request.services):
        if len(service.demand) != request.horizon.num_slots:
            words = f"{len(service.demand)} levels for {request.horizon.num_slots} slots"
            problems.append(FieldProblem(f"services.{place}.demand", words))
    if request.goal is Goal.TIME and request.leave_least_urgent:
        problems.append(FieldProblem("leave_least_urgent", "goes with the least cost: the least time is of all jobs"))
    if request.goal is Goal.TIME and request.services:
        problems.append(FieldProblem("goal", "the least time is asked for jobs only: a service has no end"))
    return problems


def _cycle(jobs: tuple[Job, ...]) -> list[str]:
    """Jobs that wait for each other in a ring, the first named twice; none: empty."""
    waits = {job.name: job.after for job in jobs}
    done: set[str] = set()
    for start in waits:
        path: list[str] = []
        stack = [(start, iter(waits[start]))]
        path.append(start)
        while stack:
            name, others = stack[-1]
            for other in others:
                if other in path:
                    return [*path[path.index(other) :], other]
                if other in waits and other not in done:
                    stack.append((other, iter(waits[other])))
                    path.append(other)
                    break
            else:
                stack.pop()
                path.pop()
                done.add(name)
    return []
