"""Which demand runs where from when until when: the hours of a plan's slots written out as a timetable to the minute.

The program says for how many hours of a slot a job holds its gang; here these hours become stretches that do not
collide, on no more GPUs than the supplies have that the plan draws on. Jobs that run whole, and services, are as the
plan has them. Gangs that do not fit beside each other end after their slot, over what follows there, and the timetable
says by how much.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from planner.plans.horizon import Horizon
from planner.plans.program.pools import gpus_by_slot
from planner.plans.request import PlanRequest
from planner.plans.solution import Assignment, Plan
from planner.plans.supply import COMMITTED
from planner.plans.timetable import Task, open_shop

TINY = 1e-9
SECOND = 1 / 3600  # stretches that lie less than this apart are one


@dataclass(frozen=True, slots=True)
class Run:
    """A demand that holds `num_gpus` of a kind without a break: hours from the plan's start. A service has `num_units`
    replicas or instances; `supplies` are those that the plan drew on for it."""

    demand: str
    gpu: str
    num_gpus: int
    num_units: int
    supplies: tuple[str, ...]
    from_hours: float
    until_hours: float


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs by their start; `late_hours`: by how much the latest of them ends after its slot (0: all fit).

    `too_few` are demands whose gang is larger than what the plan ever holds for it: GPUs of the gang, and held.
    """

    runs: tuple[Run, ...]
    late_hours: float
    too_few: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def of(self, demands: Iterable[str]) -> tuple[Run, ...]:
        """Those of some demands."""
        wanted = set(demands)
        return tuple(run for run in self.runs if run.demand in wanted)


def runs_of(request: PlanRequest, plan: Plan) -> Runs:
    """The timetable of a plan. One whose slots repeat has that of one happening of each slot."""
    copies = {job.name: job.copies for job in request.jobs}
    rooms = _Rooms(request, plan)
    services = {service.name for service in request.services}
    whole = {job.name for job in request.jobs if not job.is_divisible} | services
    found = [_run(item) for item in plan.assignments if item.demand in whole]
    by_slot: dict[int, list[Assignment]] = defaultdict(list)
    holding: dict[int, list[Assignment]] = defaultdict(list)
    for item in plan.assignments:
        for slot in rooms.slots(item):
            (holding if item.demand in whole else by_slot)[slot].append(item)
    flowing: dict[str, list[tuple[Run, float]]] = defaultdict(list)
    for slot, items in sorted(by_slot.items()):
        for run, over in _written(items, copies, rooms.parts(slot, items, holding[slot])):
            flowing[run.demand].append((run, over))
    late = 0.0
    for demand, runs in flowing.items():
        for run, over in _in_turn(runs, copies[demand]):
            late = max(late, over)
            found.append(run)
    return Runs(_joined(found), late if late > SECOND else 0.0, rooms.too_few)


def _in_turn(runs: Sequence[tuple[Run, float]], copies: int) -> Iterator[tuple[Run, float]]:
    """The runs of a demand, no more at once than it has copies: what would begin while those before it run late begins
    when the first of them ends, and is as much later itself."""
    busy_until = [-math.inf] * copies
    for run, over in sorted(runs, key=lambda each: each[0].from_hours):
        shift = max(0.0, busy_until[0] - run.from_hours)
        shift = shift if shift > TINY else 0.0
        yield replace(run, from_hours=run.from_hours + shift, until_hours=run.until_hours + shift), over + shift
        heapq.heapreplace(busy_until, run.until_hours + shift)


def _run(item: Assignment) -> Run:
    return Run(item.demand, item.gpu, item.num_gpus, item.num_units, item.supplies, item.from_hours, item.until_hours)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a slot in which nobody who holds GPUs begins or ends, and what is free of each pool in it."""

    from_hours: float
    until_hours: float
    room: Mapping[str, float]


def _written(
    items: Sequence[Assignment], copies: Mapping[str, int], parts: Sequence[_Part]
) -> Iterator[tuple[Run, float]]:
    """The runs of a slot's flowing jobs, each with the hours by which it ends after the slot: what a part has no room
    or no time for waits for the next one, and after the last there is no other."""
    start, end = parts[0].from_hours, parts[-1].until_hours
    gangs = list(_gangs(items, copies, end - start))
    by_name = {(name, str(item.pool)): item for item, name, _ in gangs}
    left = {(name, str(item.pool)): hours for item, name, hours in gangs}
    for part in parts:
        is_last = part is parts[-1]
        tasks = [
            Task(name, pool, by_name[name, pool].num_gpus, hours)
            for (name, pool), hours in left.items()
            if hours > TINY and (is_last or by_name[name, pool].num_gpus <= part.room[pool])
        ]
        room = dict(part.room)
        for task in tasks:
            room[task.gpu] = max(room[task.gpu], float(task.num_gpus))
        for each in open_shop(tasks, room, end - part.from_hours):
            begun, ended = part.from_hours + each.from_hours, part.from_hours + each.until_hours
            ended = ended if is_last else min(ended, part.until_hours)
            if ended - begun > TINY:
                left[each.demand, each.gpu] -= ended - begun
                run = _run(by_name[each.demand, each.gpu])
                yield replace(run, from_hours=begun, until_hours=ended), ended - end


def _gangs(
    items: Sequence[Assignment], copies: Mapping[str, int], length: float
) -> Iterator[tuple[Assignment, str, float]]:
    """Each piece with the name of the gang that runs it, and its hours: one gang of a job is filled after the other,
    so that no more run at once than there are copies."""
    filled: dict[str, tuple[int, float]] = {}
    for item in items:
        number, used = filled.get(item.demand, (1, 0.0))
        left = item.hours
        while left > TINY:
            is_last = number >= copies[item.demand]
            part = left if is_last else min(left, length - used)
            if part > TINY:
                yield item, f"{item.demand} {number}", part
            left, used = left - part, used + part
            if used >= length - TINY and not is_last:
                number, used = number + 1, 0.0
        filled[item.demand] = number, used


class _Rooms:
    """How many GPUs there are in a slot of what the plan draws on in it."""

    def __init__(self, request: PlanRequest, plan: Plan) -> None:
        self.edges = plan.edges
        self.plan, self.quotas = plan, request.limits.quotas
        self.horizon = Horizon(plan.edges)
        self.supplies = {supply.name: supply for supply in request.supplies}
        self.there: dict[str, NDArray[np.float64] | None] = {}
        self.of_pool: dict[int, set[str]] = defaultdict(set)
        self.drawn: dict[int, set[str]] = defaultdict(set)
        self.too_few: dict[str, tuple[int, int]] = {}
        for item in plan.assignments:
            self.of_pool[item.pool].update(item.supplies)
        for use in plan.uses:
            self.drawn[use.slot].add(use.supply)

    def slots(self, item: Assignment) -> range:
        """The slots that an assignment lies in."""
        first = max(bisect_right(self.edges, item.from_hours + TINY) - 1, 0)
        return range(first, max(bisect_left(self.edges, item.until_hours - TINY), first + 1))

    def parts(self, slot: int, items: Sequence[Assignment], holding: Sequence[Assignment]) -> tuple[_Part, ...]:
        """The slot by what jobs that flow may take of each pool of theirs, by its number, beside who holds GPUs."""
        start, end = self.edges[slot], self.edges[slot + 1]
        times = {hour for held in holding for hour in (held.from_hours, held.until_hours)}
        edges = [start, *sorted(hour for hour in times if start + SECOND < hour < end - SECOND), end]
        pools = {item.pool for item in items}
        there = {
            pool: math.fsum(self._num_gpus(name, slot) for name in self.of_pool[pool] & self.drawn[slot])
            for pool in pools
        }
        for item in items:
            self._note_too_few(item, slot)
        found = []
        for first, last in pairwise(edges):
            middle = (first + last) / 2
            here = [held for held in holding if held.from_hours < middle < held.until_hours]
            room = {str(p): there[p] - sum(held.num_gpus for held in here if held.pool == p) for p in pools}
            found.append(_Part(first, last, room))
        return tuple(found)

    def _note_too_few(self, item: Assignment, slot: int) -> None:
        """Whether a gang asks for more than its pool may hold in a slot, failures aside."""
        held = math.fsum(self._most_gpus(name, slot) for name in self.of_pool[item.pool])
        if held < item.num_gpus / max(item.num_units, 1) - TINY:
            self.too_few[item.demand] = item.num_gpus, round(held)

    def _most_gpus(self, name: str, slot: int) -> float:
        """GPUs of a supply that are held in a part of a slot, broken ones with them; what is rented, as many as there
        are."""
        supply = self.supplies[name]
        if supply.kind not in COMMITTED:
            return self._num_gpus(name, slot)
        start, end = self.edges[slot], self.edges[slot + 1]
        return math.fsum(
            c.num_gpus
            for c in self.plan.commitments
            if c.supply == name and c.from_hours < end - TINY and start < c.until_hours - TINY
        )

    def _num_gpus(self, name: str, slot: int) -> float:
        supply = self.supplies[name]
        middle = (self.edges[slot] + self.edges[slot + 1]) / 2
        if supply.kind in COMMITTED:
            held = (c for c in self.plan.commitments if c.supply == name and c.from_hours <= middle < c.until_hours)
            return math.floor(sum(c.num_gpus for c in held) * supply.availability + TINY)
        if name not in self.there:
            self.there[name] = gpus_by_slot(supply, self.horizon)
        there = self.there[name]
        quota = min((float(quota.num_gpus) for quota in self.quotas if quota.covers(supply)), default=math.inf)
        return quota if there is None else min(float(there[slot]), quota)


def _joined(runs: Sequence[Run]) -> tuple[Run, ...]:
    """By their start; runs of one demand that follow each other on as many GPUs of the same kind are one."""
    last: dict[tuple[str, str, int, int], Run] = {}
    found: list[Run] = []
    for run in sorted(runs, key=lambda run: run.from_hours):
        key = run.demand, run.gpu, run.num_gpus, run.num_units
        before = last.get(key)
        if before is not None and abs(run.from_hours - before.until_hours) < SECOND:
            names = tuple(dict.fromkeys((*before.supplies, *run.supplies)))
            last[key] = replace(before, until_hours=run.until_hours, supplies=names)
            continue
        if before is not None:
            found.append(before)
        last[key] = run
    return tuple(sorted((*found, *last.values()), key=lambda run: (run.from_hours, run.demand, run.gpu)))
