"""Timetables by list: jobs whole, one after the other in some order, each where it ends first or costs least in time.

A simple planner's way. It beats a timetable that moves jobs about where few large gangs must fit beside each other, so
it is tried beside that one. Orders are the usual ones, and then exchanges of two jobs as long as they help.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from planner.plans.demand import Job, Work
from planner.plans.linear import ShouldStop
from planner.plans.lineups.shop import held
from planner.plans.program.pools import gpus_by_slot
from planner.plans.request import PlanRequest
from planner.plans.supply import Supply
from planner.plans.timetable import Stretch

EXCHANGES = 400  # of two jobs, tried in all
MOST_WORK = 40_000  # jobs × exchanges: larger instances try fewer
SEED = 1
SAME = 1e-9

Score = Callable[[tuple[Stretch, ...]], tuple[float, ...]]


def best_list_schedule(
    request: PlanRequest, score: Score, should_stop: ShouldStop | None = None
) -> tuple[Stretch, ...] | None:
    """The timetable of least score that was found; None where supply comes and goes, or a job has no room at all.

    `score` of a timetable is compared as a tuple, the first figure first.
    """
    kinds = _kinds(request)
    if kinds is None:
        return None
    best: tuple[tuple[float, ...], tuple[Stretch, ...], tuple[int, ...], bool] | None = None
    for order, is_cheap in _starts(request):
        found = _in_order(request, kinds, order, is_cheap)
        if found is not None and (best is None or score(found) < best[0]):
            best = (score(found), found, order, is_cheap)
    if best is None:
        return None
    random = np.random.default_rng(SEED)
    size = len(request.jobs)
    for _ in range(min(EXCHANGES, MOST_WORK // max(size, 1)) if size > 1 else 0):
        if should_stop is not None and should_stop():
            break
        one, other = (int(place) for place in random.choice(size, 2, replace=False))
        order_list = list(best[2])
        order_list[one], order_list[other] = order_list[other], order_list[one]
        found = _in_order(request, kinds, tuple(order_list), best[3])
        if found is not None and score(found) <= best[0]:
            best = (score(found), found, tuple(order_list), best[3])
    return best[1]


@dataclass(frozen=True, slots=True)
class _Kind:
    """GPUs of one supply that are there throughout; None: as many as are wanted."""

    supply: Supply
    num_gpus: int | None

    def hours(self, work: Work) -> float:
        return work.hours / self.supply.work_share

    def cost(self, work: Work) -> float:
        return self.hours(work) * self.held(work) * self.supply.running_per_hour

    def held(self, work: Work) -> int:
        """GPUs that the gang holds: whole instances where they are not shared."""
        return held(self.supply, work.num_gpus)


def _kinds(request: PlanRequest) -> dict[str, _Kind] | None:
    found = {}
    for supply in request.supplies:
        there = gpus_by_slot(supply, request.horizon)
        if there is not None and there.min() != there.max():
            return None
        found[supply.gpu] = _Kind(supply, None if there is None or np.isinf(there).any() else int(there[0]))
    return found


def _starts(request: PlanRequest) -> Iterator[tuple[tuple[int, ...], bool]]:
    """Orders of jobs to begin with, each for the soonest and for the cheapest choice of a GPU."""
    jobs = request.jobs
    shortest = [min(work.hours for work in job.options) for job in jobs]
    largest = [max(work.num_gpus for work in job.options) for job in jobs]
    due = [request.horizon.hours if job.deadline_hours is None else job.deadline_hours for job in jobs]
    keys: Sequence[Callable[[int], tuple[float, ...]]] = (
        lambda place: (jobs[place].release_hours,),
        lambda place: (-shortest[place],),
        lambda place: (-shortest[place] * largest[place],),
        lambda place: (-largest[place], -shortest[place]),
        lambda place: (due[place] - shortest[place], -largest[place]),
        lambda place: (len(jobs[place].options), -shortest[place]),
    )
    for key in keys:
        order = tuple(sorted(range(len(jobs)), key=key))
        yield order, False
        yield order, True


def _in_order(
    request: PlanRequest, kinds: dict[str, _Kind], order: Sequence[int], is_cheap: bool
) -> tuple[Stretch, ...] | None:
    """Each job as early as the GPUs that it takes are free; cheap: on the cheapest kind on which it is in time."""
    free = {gpu: [0.0] * kind.num_gpus for gpu, kind in kinds.items() if kind.num_gpus is not None}
    found = []
    for place in order:
        job = request.jobs[place]
        choices = [choice for work in job.options if (choice := _choice(job, work, kinds, free)) is not None]
        if not choices:
            return None
        due = request.horizon.hours if job.deadline_hours is None else job.deadline_hours
        in_time = [choice for choice in choices if choice[1] <= due + SAME] if is_cheap else []
        start, end, work = (
            min(in_time, key=lambda choice: (kinds[choice[2].gpu].cost(choice[2]), choice[1]))
            if in_time
            else min(choices, key=lambda choice: (choice[1], kinds[choice[2].gpu].cost(choice[2])))
        )
        if work.gpu in free:
            mine = free[work.gpu]
            gpus = kinds[work.gpu].held(work)
            mine[:gpus] = [end] * gpus
            mine.sort()
        found.append(Stretch(job.name, work.gpu, kinds[work.gpu].held(work), start, end))
    return tuple(found)


def _choice(
    job: Job, work: Work, kinds: dict[str, _Kind], free: dict[str, list[float]]
) -> tuple[float, float, Work] | None:
    """When a job would start and end on one kind of GPU; None: it has too few."""
    kind = kinds.get(work.gpu)
    if kind is None or (kind.num_gpus is not None and kind.held(work) > kind.num_gpus):
        return None
    start = job.release_hours
    if work.gpu in free:
        start = max(start, free[work.gpu][kind.held(work) - 1])
    return start, start + kind.hours(work), work
