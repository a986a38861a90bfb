"""Commitments raised where a job that must be done finds all the GPUs of its gang nowhere: a rounding of them is first
of all to be possible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.plans.program.commitments import in_force
from planner.plans.program.draft import Draft
from planner.plans.program.jobs import option_on
from planner.plans.program.pools import Pool
from planner.plans.program.whole_gangs import held_at_once

Array = NDArray[np.float64]
Fixed = dict[int, float]
MOST_MOMENTS = 12  # of a job's time, at which it is tried what would have to be held
EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class _Way:
    """Commitments to be raised, by column, so that enough is held for a job; what that costs more."""

    raised: Fixed
    cost: float


def raised(draft: Draft, fixed: Mapping[int, float]) -> Fixed:
    """The commitments of `fixed` that must be larger, each job in turn served at the least cost more; the largest job
    first. What serves none is left as it is."""
    now = dict(fixed)
    found: Fixed = {}
    for job in sorted(_must_flow(draft), key=lambda place: -_size(draft, place)):
        slots = _slots(draft, job)
        if any(_is_done(draft, job, draft.pools[pool], mine, now) for pool, mine in slots.items()):
            continue
        ways = [way for pool, mine in slots.items() for way in _ways(draft, job, draft.pools[pool], mine, now)]
        if ways:
            best = min(ways, key=lambda way: way.cost)
            now.update(best.raised)
            found.update(best.raised)
    return found


def _must_flow(draft: Draft) -> list[int]:
    return [
        place
        for place, job in enumerate(draft.request.jobs)
        if job.is_divisible and job.drop_cost is None and job.options
    ]


def _size(draft: Draft, place: int) -> int:
    return min(work.num_gpus for work in draft.request.jobs[place].options)


def _slots(draft: Draft, job: int) -> dict[int, list[tuple[int, int]]]:
    """By pool the slots that a job may run in, with its columns."""
    found: dict[int, list[tuple[int, int]]] = {}
    for (place, pool, slot), column in draft.runs.items():
        if place == job:
            found.setdefault(pool, []).append((slot, column))
    return found


def _is_done(draft: Draft, job: int, pool: Pool, slots: list[tuple[int, int]], fixed: Mapping[int, float]) -> bool:
    """Whether the whole gang is there for long enough for all of the job."""
    option = option_on(draft.request.jobs[job], pool.gpu)
    gang, done = pool.taken(option.num_gpus), 0.0
    for slot, column in slots:
        terms, there = held_at_once(draft, pool, slot)
        if there + sum(fixed[c] * gpus for c, gpus in terms) >= gang - EPSILON:
            done += draft.model.upper[column] * float(draft.request.horizon.weights[slot])
    return done * pool.work_share >= option.hours * (1 - EPSILON)


def _ways(draft: Draft, job: int, pool: Pool, slots: list[tuple[int, int]], fixed: Mapping[int, float]) -> list[_Way]:
    """What could be raised so that the gang is there at some moment, the cheapest first, where that is long enough."""
    gang = pool.taken(option_on(draft.request.jobs[job], pool.gpu).num_gpus)
    found = []
    for slot, _ in slots[:: max(len(slots) // MOST_MOMENTS, 1)]:
        terms, there = held_at_once(draft, pool, slot)
        missing = gang - there - sum(fixed[c] * gpus for c, gpus in terms)
        if not terms or missing <= EPSILON:
            continue
        more: Fixed = {}
        cost = 0.0
        for column, gpus in sorted(terms, key=lambda term: draft.model.costs[term[0]] / term[1]):
            number = min(-(-missing // gpus), _room(draft, column, fixed))
            if number > 0:
                more[column] = fixed[column] + number
                cost += number * draft.model.costs[column]
                missing -= number * gpus
            if missing <= EPSILON:
                break
        if missing <= EPSILON and _is_done(draft, job, pool, slots, {**fixed, **more}):
            found.append(_Way(more, cost))
    return found


def _room(draft: Draft, column: int, fixed: Mapping[int, float]) -> float:
    """How many more of a commitment can be had beside those of the same supply that are in force with it."""
    pool, place, start = next(key for key, each in draft.committed.items() if each == column)
    supply = draft.pools[pool].sources[place].first
    mine = in_force(supply, start, draft) > 0
    most: Array = np.zeros(len(mine))
    for (other_pool, other_place, other), each in draft.committed.items():
        if (other_pool, other_place) == (pool, place):
            most += fixed[each] * ((in_force(supply, other, draft) > 0) & mine)
    return draft.model.upper[column] - float(most.max())
