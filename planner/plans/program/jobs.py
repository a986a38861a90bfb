"""The columns and rows of jobs: work that flows by the hour, or starts that are chosen once."""

from __future__ import annotations

import math

import numpy as np

from planner.plans.demand import Job, Work
from planner.plans.horizon import Horizon
from planner.plans.program.draft import Draft
from planner.plans.program.pools import Pool
from planner.plans.request import Goal

TINY = 1e-9


def window(job: Job, horizon: Horizon) -> tuple[float, float]:
    """Between which hours a job may run."""
    return job.release_hours, min(horizon.hours, math.inf if job.deadline_hours is None else job.deadline_hours)


def option_on(job: Job, gpu: str) -> Work:
    return next(work for work in job.options if work.gpu == gpu)


def add_jobs(draft: Draft) -> None:
    """All jobs: their columns, that their work gets done, and who waits for whom."""
    for place, job in enumerate(draft.request.jobs):
        if job.drop_cost is not None:
            draft.dropped[place] = draft.model.column(upper=1.0, whole=not job.is_divisible)
            slot = draft.request.horizon.slot_of(window(job, draft.request.horizon)[1] - TINY)
            draft.charge(draft.dropped[place], slot, job.drop_cost, is_spent=False)
        if job.is_divisible:
            _add_flow(draft, place, job)
        else:
            _add_starts(draft, place, job)
    _add_order(draft)
    _add_finish(draft)


def _add_flow(draft: Draft, place: int, job: Job) -> None:
    """Σ_pools,slots hours · work share / hours needed = 1 (more would cost nothing on free GPUs, and mean nothing),
    and in each slot no more gangs at once than allowed."""
    horizon = draft.request.horizon
    start, end = window(job, horizon)
    free = horizon.overlap(start, end)
    work: list[tuple[int, float]] = []
    ways = []
    for pool in draft.pools_of(job.name):
        option = option_on(job, pool.gpu)
        gpus = pool.taken(option.num_gpus)
        has_room = None if pool.most is None else (pool.most >= gpus).tolist()
        ways.append((pool, float(gpus), pool.work_share / option.hours, has_room))
    for slot in np.flatnonzero(free > TINY).tolist():
        most, repeats = float(free[slot]) * job.copies, float(horizon.weights[slot])
        at_once = []
        for pool, taken, speed, has_room in ways:
            if has_room is not None and not has_room[slot]:
                continue
            column = draft.model.column(upper=most)
            draft.runs[place, pool.place, slot] = column
            draft.take(pool, slot, column, taken)
            work.append((column, speed * repeats))
            at_once.append((column, 1.0))
        if slot == horizon.num_slots - 1 and draft.last_slot is not None and at_once:
            draft.model.row([*at_once, (draft.last_slot, -float(job.copies))], upper=0.0)
        elif len(at_once) > 1:
            draft.row_of(slot, ("at once", place), at_once, upper=most)
    if place in draft.dropped:
        work.append((draft.dropped[place], 1.0))
    draft.work_rows[place] = draft.model.row(work, lower=1.0, upper=1.0)


def _add_starts(draft: Draft, place: int, job: Job) -> None:
    """Σ starts = 1; a start is paid for by the hour, and where GPUs are limited holds them through its last slot.

    Where a pool's price never changes and it is never short, only waiting for other jobs can delay a start: one column
    chooses the pool, and another the hour.
    """
    horizon = draft.request.horizon
    start, end = window(job, horizon)
    chosen: list[tuple[int, float]] = []
    begins: list[tuple[int, float]] = []
    lasts: list[tuple[int, float]] = []
    at_will: list[int] = []
    for pool in draft.pools_of(job.name):
        option = option_on(job, pool.gpu)
        hours = option.hours / pool.work_share
        slots = _start_slots(draft, pool, start, end, hours)
        for slot in slots:
            if not _has_room(pool, option.num_gpus, horizon, slot, hours):
                continue
            column = draft.model.column(upper=1.0, whole=True)
            draft.starts[place, pool.place, slot] = column
            _hold(draft, pool, column, slot, start, option, hours)
            chosen.append((column, 1.0))
            lasts.append((column, hours))
            if pool.flat_price is not None:
                at_will.append(column)
            else:
                begins.append((column, horizon.edges[slot]))
    if place in draft.dropped:
        chosen.append((draft.dropped[place], 1.0))
    draft.work_rows[place] = draft.model.row(chosen, lower=1.0, upper=1.0)
    is_ordered = bool(job.after) or any(job.name in other.after for other in draft.request.jobs)
    if at_will and (is_ordered or draft.request.goal is Goal.TIME):
        waiting = draft.model.column(upper=end)
        draft.waits[place] = waiting
        draft.model.row([(waiting, 1.0), *((column, -start) for column in at_will)], lower=0.0)
        draft.model.row([(waiting, 1.0), *((column, -end) for column in at_will)], upper=0.0)
        begins.append((waiting, 1.0))
    else:
        begins.extend((column, start) for column in at_will)
    draft.begins[place] = begins
    draft.ends[place] = [*begins, *lasts]
    if is_ordered or draft.request.goal is Goal.TIME:
        draft.model.row(draft.ends[place], upper=end)


def _start_slots(draft: Draft, pool: Pool, start: float, end: float, hours: float) -> list[int]:
    """Slots at whose edge a job may start and end in time; where price and supply never change: the first one."""
    edges = draft.request.horizon.edges
    if start + hours > end + TINY:
        return []
    if pool.flat_price is not None:
        return [draft.request.horizon.slot_of(start)]
    allowed = {*draft.request.horizon.starts, start} if draft.request.horizon.starts else set(edges)
    return [
        slot
        for slot, edge in enumerate(edges[:-1])
        if edge >= start - TINY and edge + hours <= end + TINY and edge in allowed
    ]


def _has_room(pool: Pool, num_gpus: int, horizon: Horizon, slot: int, hours: float) -> bool:
    if pool.most is None:
        return True
    held = horizon.overlap(horizon.edges[slot], horizon.edges[slot] + hours) > TINY
    return bool((pool.most[held] >= pool.taken(num_gpus)).all())


def _hold(draft: Draft, pool: Pool, column: int, slot: int, release: float, option: Work, hours: float) -> None:
    horizon = draft.request.horizon
    gpus = pool.taken(option.num_gpus)
    first = release if pool.flat_price is not None else horizon.edges[slot]
    overlap = horizon.overlap(first, first + hours)
    for held in range(slot, horizon.num_slots):
        if overlap[held] <= TINY:
            break
        draft.take(pool, held, column, gpus * float(overlap[held]))
        if pool.flat_price is None:
            draft.peaks[pool.place, held].append((column, float(gpus)))


def _add_order(draft: Draft) -> None:
    """A job begins when those it waits for have ended."""
    places = {job.name: place for place, job in enumerate(draft.request.jobs)}
    done: dict[int, list[int]] = {}
    for place, job in enumerate(draft.request.jobs):
        for name in job.after:
            other = places[name]
            if not job.is_divisible and not draft.request.jobs[other].is_divisible:
                ended = [(column, -weight) for column, weight in draft.ends[other]]
                draft.model.row([*draft.begins[place], *ended], lower=0.0)
                continue
            if other not in done:
                done[other] = _add_done(draft, other)
            _wait_for(draft, place, job, done[other])


def _add_done(draft: Draft, place: int) -> list[int]:
    """For each slot: 1 only if the job has ended by the slot's first edge."""
    horizon = draft.request.horizon
    job = draft.request.jobs[place]
    columns = [draft.model.column(upper=1.0, whole=True) for _ in range(horizon.num_slots)]
    for slot, column in enumerate(columns):
        if slot:
            draft.model.row([(column, 1.0), (columns[slot - 1], -1.0)], lower=0.0)
        if job.is_divisible:
            running = [(c, 1.0) for (j, _, s), c in draft.runs.items() if j == place and s == slot]
            most = float(horizon.slot_hours[slot]) * job.copies
            draft.model.row([*running, (column, most)], upper=most)
        else:
            late = horizon.hours
            draft.model.row([*draft.ends[place], (column, late)], upper=horizon.edges[slot] + late)
    return columns


def _wait_for(draft: Draft, place: int, job: Job, done: list[int]) -> None:
    horizon = draft.request.horizon
    for slot, column in enumerate(done):
        if job.is_divisible:
            running = [(c, 1.0) for (j, _, s), c in draft.runs.items() if j == place and s == slot]
            if running:
                most = float(horizon.slot_hours[slot]) * job.copies
                draft.model.row([*running, (column, -most)], upper=0.0)
        else:
            edge = horizon.edges[slot + 1]
            draft.model.row([*draft.begins[place], (column, edge)], lower=edge)


def _add_finish(draft: Draft) -> None:
    """A column for the hour by which the last job ends: whole jobs to the hour, divisible ones to their slot's end."""
    if draft.request.goal is not Goal.TIME:
        return
    draft.finish = draft.model.column()
    for terms in draft.ends.values():
        draft.model.row([(draft.finish, 1.0), *((column, -weight) for column, weight in terms)], lower=0.0)
    horizon = draft.request.horizon
    running: dict[int, list[tuple[int, float]]] = {}
    for (_, _, slot), column in draft.runs.items():
        running.setdefault(slot, []).append((column, 1.0))
    for slot, terms in running.items():
        is_used = draft.model.column(upper=1.0, whole=True)
        most = sum(draft.model.upper[column] for column, _ in terms)
        draft.model.row([*terms, (is_used, -most)], upper=0.0)
        draft.model.row([(draft.finish, 1.0), (is_used, -horizon.edges[slot + 1])], lower=0.0)
