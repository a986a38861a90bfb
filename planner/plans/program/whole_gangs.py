"""No gang without all of its GPUs: divisible jobs run on committed ones only while so many are held at once.

Hours alone would let a gang of sixteen run every other hour on eight GPUs that were bought for it. Where commitments
decide how many GPUs a pool has, a choice for each size of gang and each stretch of time, in which the same commitments
are in force, says whether so many are there. Beside it, for whole jobs as well: a job's part on a pool asks for that
part of its gang in commitments, which makes the relaxed program's bound less low where gangs are large.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import groupby

from planner.plans.program.commitments import in_force, start_slots
from planner.plans.program.draft import Draft
from planner.plans.program.jobs import option_on
from planner.plans.program.pools import Pool

Terms = tuple[tuple[int, float], ...]
MOST_COLUMNS = 15_000
TINY = 1e-9


def add_whole_gangs(draft: Draft) -> None:
    """The choices and rows for every pool whose GPUs are committed to, at least in part; none in a large program, of
    which no first plan would be found in time."""
    if draft.model.num_columns > MOST_COLUMNS:
        return
    for pool in draft.pools:
        if any(source.is_committed for source in pool.sources):
            _add_choices(draft, pool)
            _add_parts(draft, pool)


def held_at_once(draft: Draft, pool: Pool, slot: int) -> tuple[Terms, float]:
    """GPUs of a pool in a slot: by commitments in force in it as terms, and those that are there without one.

    Infinite where a source that is not committed is never short. Failures are not taken off: on average hours are lost
    to them, a node is there or not.
    """
    known = draft.at_once.get((pool.place, slot))
    if known is None:
        known = draft.at_once[pool.place, slot] = _held_at_once(draft, pool, slot)
    return known


def _held_at_once(draft: Draft, pool: Pool, slot: int) -> tuple[Terms, float]:
    terms: list[tuple[int, float]] = []
    there = 0.0
    for place, source in enumerate(pool.sources):
        supply = source.first
        if source.is_committed:
            terms += [
                (draft.committed[pool.place, place, start], float(supply.gpus_per_instance))
                for start in start_slots(supply, draft)
                if in_force(supply, start, draft)[slot] > 0
            ]
        elif source.gpus is None:
            there += source.quota
        else:
            there += min(float(source.gpus[slot]), source.quota)
    return tuple(terms), there


def _add_choices(draft: Draft, pool: Pool) -> None:
    """For each size: GPUs held >= size · choice, and hours that gangs of it run <= most · choice."""
    gangs: dict[int, list[tuple[int, int]]] = defaultdict(list)  # by slot: gang, column
    for (job, place, slot), column in draft.runs.items():
        if place == pool.place:
            gangs[slot].append((_gang(draft, job, pool), column))
    held = {slot: held_at_once(draft, pool, slot) for slot in sorted(gangs)}
    for (terms, there), slots_alike in groupby(held, key=held.__getitem__):
        slots = list(slots_alike)
        for gang in sorted({gang for slot in slots for gang, _ in gangs[slot]}):
            if not _may_be_short(gang, terms, there):
                continue
            is_there = draft.model.column(upper=1.0, whole=True)
            draft.gangs[pool.place, gang, slots[0]] = is_there
            draft.model.row([*terms, (is_there, -float(gang))], lower=-there)
            for slot in slots:
                mine = [column for size, column in gangs[slot] if size == gang]
                if not mine:
                    continue
                hours = float(draft.request.horizon.slot_hours[slot])
                most = math.fsum(draft.model.upper[column] for column in mine)
                if pool.most is not None and math.isfinite(pool.most[slot]):
                    most = min(most, float(pool.most[slot] // gang) * hours)
                running = [(column, 1.0) for column in mine]
                draft.row_of(slot, ("gang", pool.place, gang), [*running, (is_there, -most)], upper=0.0)


def _add_parts(draft: Draft, pool: Pool) -> None:
    """GPUs of all commitments that a job may run on >= what its gang lacks · its part on the pool; and those of
    supplies that begin once, beside as many of the others as there can be at a time."""
    slots, parts = _parts(draft, pool)
    for job, terms in parts.items():
        gang = _gang(draft, job, pool)
        held: dict[int, float] = {}
        most = 0.0
        for slot in slots[job]:
            mine, there = held_at_once(draft, pool, slot)
            held.update(mine)
            most = max(most, there)
        if not _may_be_short(gang, tuple(held.items()), most):
            continue
        draft.model.row([*held.items(), *((column, -(gang - most) * part) for column, part in terms)], lower=0.0)
        long, at_once = _long(draft, pool, held)
        if at_once and gang > most + at_once:
            rest = gang - most - at_once
            draft.model.row([*long.items(), *((column, -rest * part) for column, part in terms)], lower=0.0)


def _long(draft: Draft, pool: Pool, held: Mapping[int, float]) -> tuple[dict[int, float], float]:
    """Of the commitments of a pool those of supplies that begin at one time only, and how many GPUs all others can
    have at once."""
    long: dict[int, float] = {}
    at_once = 0.0
    for place, source in enumerate(pool.sources):
        if not source.is_committed:
            continue
        starts = start_slots(source.first, draft)
        columns = [draft.committed[pool.place, place, start] for start in starts]
        if len(columns) == 1:
            long |= {column: held[column] for column in columns if column in held}
        elif any(column in held for column in columns):
            at_once += math.inf if source.first.num_gpus is None else float(source.first.num_gpus)
    return long, at_once


def _parts(draft: Draft, pool: Pool) -> tuple[dict[int, set[int]], dict[int, list[tuple[int, float]]]]:
    """By job the slots in which it may run in a pool, and what part of it each of its columns is."""
    horizon = draft.request.horizon
    slots: dict[int, set[int]] = defaultdict(set)
    parts: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for job, slot, column, part in _columns(draft, pool):
        slots[job].add(slot)
        parts[job].append((column, part))
    for (job, place, slot), _ in draft.starts.items():
        if place == pool.place:
            hours = option_on(draft.request.jobs[job], pool.gpu).hours / pool.work_share
            slots[job].update(range(slot, horizon.slot_of(horizon.edges[slot] + hours - TINY) + 1))
    return slots, parts


def _columns(draft: Draft, pool: Pool) -> Iterator[tuple[int, int, int, float]]:
    """Job, slot, column and the part of the job that a unit of the column is."""
    for (job, place, slot), column in draft.runs.items():
        if place == pool.place:
            hours = option_on(draft.request.jobs[job], pool.gpu).hours
            yield job, slot, column, pool.work_share / hours * float(draft.request.horizon.weights[slot])
    for (job, place, slot), column in draft.starts.items():
        if place == pool.place:
            yield job, slot, column, 1.0


def _gang(draft: Draft, job: int, pool: Pool) -> int:
    return pool.taken(option_on(draft.request.jobs[job], pool.gpu).num_gpus)


def _may_be_short(gang: int, terms: Terms, there: float) -> bool:
    """Whether there could be some GPUs and yet too few for a gang: one commitment alone does not hold it."""
    return gang > there + TINY and bool(terms) and gang > min(gpus for _, gpus in terms)
