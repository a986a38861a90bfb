"""Whole jobs given their starts one after the other, each where the relaxed plan wants it most and there is room."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from planner.plans.program.draft import Draft
from planner.plans.program.jobs import option_on

Array = NDArray[np.float64]
EPSILON = 1e-6
LEFT_OUT = 0.5  # of a job that the relaxed plan leaves undone: beyond it the first plan does, too


def choose_starts(draft: Draft, values: Array, there: Mapping[tuple[int, int], float]) -> dict[int, float]:
    """A start for each whole job, or that it is dropped, as values of its columns.

    `there` is what each limited pool has in a slot, in GPU-hours. The urgent and the large choose first, at first
    beside all that the relaxed plan has in the pool, then beside its services alone, since work that flows can flow
    elsewhere. Where there is no room a job that may be dropped is; another takes its likeliest start all the same.
    """
    starts: dict[int, list[tuple[int, int, int]]] = {}
    for (place, pool, slot), column in draft.starts.items():
        starts.setdefault(place, []).append((column, pool, slot))
    fixed = dict.fromkeys(draft.starts.values(), 0.0)
    rooms = _rooms(draft, values, there)
    for place in sorted(starts, key=lambda place: _turn(draft, place)):
        may_drop = draft.dropped.get(place)
        likely = sorted(starts[place], key=lambda item: (-float(values[item[0]]), item[0]))
        chosen = None
        if may_drop is None or values[may_drop] <= LEFT_OUT:
            chosen = _first_with_room(draft, place, likely, rooms)
        if may_drop is not None:
            fixed[may_drop] = float(chosen is None)
        elif chosen is None:
            chosen = likely[0]
        if chosen is not None:
            fixed[chosen[0]] = 1.0
            inside, gpus = held_slots(draft, place, *chosen[1:])
            for room in rooms:
                room[chosen[1]][inside] -= gpus
    return fixed


def _turn(draft: Draft, place: int) -> tuple[bool, int, float]:
    job = draft.request.jobs[place]
    size = max(work.num_gpus * work.hours for work in job.options)
    return job.drop_cost is not None, -job.priority, -size


def _rooms(draft: Draft, values: Array, there: Mapping[tuple[int, int], float]) -> tuple[list[Array], list[Array]]:
    """GPUs free at any moment, by pool and slot: beside all else of the relaxed plan, and beside its services alone."""
    hours = draft.request.horizon.slot_hours
    beside_all = [np.full(len(hours), np.inf) for _ in draft.pools]
    beside_services = [room.copy() for room in beside_all]
    whole, flowing = set(draft.starts.values()), set(draft.runs.values())
    for (pool, slot), gpu_hours in there.items():
        uses = [(column, values[column] * weight) for column, weight in draft.uses[pool, slot] if column not in whole]
        served = sum(taken for column, taken in uses if column not in flowing)
        beside_services[pool][slot] = (gpu_hours - served) / hours[slot]
        beside_all[pool][slot] = (gpu_hours - sum(taken for _, taken in uses)) / hours[slot]
    return beside_all, beside_services


def _first_with_room(
    draft: Draft, place: int, likely: list[tuple[int, int, int]], rooms: tuple[list[Array], list[Array]]
) -> tuple[int, int, int] | None:
    for room in rooms:
        for start in likely:
            inside, gpus = held_slots(draft, place, *start[1:])
            if room[start[1]][inside].min() >= gpus - EPSILON:
                return start
    return None


def held_slots(draft: Draft, place: int, pool_place: int, slot: int) -> tuple[slice, int]:
    """The slots that a job begun so runs in, and the GPUs that it holds."""
    pool, edges = draft.pools[pool_place], draft.request.horizon.edges
    option = option_on(draft.request.jobs[place], pool.gpu)
    end = edges[slot] + option.hours / pool.work_share
    return slice(slot, max(bisect_left(edges, end - EPSILON), slot + 1)), pool.taken(option.num_gpus)
