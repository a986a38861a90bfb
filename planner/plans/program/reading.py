"""A program's values read back as a plan: each GPU-hour given a supply, each component its cost."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.plans.program.commitments import in_force
from planner.plans.program.draft import Draft
from planner.plans.program.jobs import option_on
from planner.plans.program.pools import Pool
from planner.plans.program.services import replica_on, unit_of
from planner.plans.solution import Assignment, Commitment, Use
from planner.plans.supply import Kind, Supply

Array = NDArray[np.float64]
TINY = 1e-7  # of an hour: the solver's own tolerance
COMPONENTS = ("on_demand", "spot", "reserved", "purchase", "running", "shortage")


@dataclass
class Reading:
    """What the values of a program mean. All costs are over all happenings of their slots."""

    costs: dict[str, float] = field(default_factory=dict)
    commitments: list[Commitment] = field(default_factory=list)
    assignments: list[Assignment] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    finish_hours: float | None = None


def read(draft: Draft, values: Array) -> Reading:
    """The plan in a program's values, costed anew from what is used and committed, not from the objective."""
    reading = Reading()
    parts: dict[str, list[float]] = defaultdict(list)
    taken: dict[tuple[int, int], list[float]] = defaultdict(list)
    held = _assign(draft, values, taken)
    names = _draw(draft, values, taken, reading, parts)
    _commit(draft, values, reading, parts)
    _shortage(draft, values, reading, parts)
    edges = draft.request.horizon.edges
    for demand, pool, start, end, num_gpus, hours, units, slot in held:
        supplies: dict[str, None] = {}
        while slot < len(edges) - 1 and edges[slot] < end:  # a job that runs whole draws on all of its slots
            supplies.update(dict.fromkeys(names.get((pool.place, slot), ())))
            slot += 1
        reading.assignments.append(
            Assignment(demand, pool.gpu, tuple(supplies), start, end, num_gpus, hours, units, pool.place)
        )
    reading.assignments.sort(key=lambda item: (item.from_hours, item.demand, item.gpu))
    reading.costs = {name: math.fsum(parts.get(name, ())) for name in COMPONENTS}
    reading.finish_hours = _finish(draft, held)
    return reading


Held = tuple[str, Pool, float, float, int, float, int, int]


def _assign(draft: Draft, values: Array, taken: dict[tuple[int, int], list[float]]) -> list[Held]:
    """What runs where, and the GPU-hours that it takes of each pool in each slot."""
    horizon = draft.request.horizon
    found: list[Held] = []
    for (place, pool_place, slot), column in draft.runs.items():
        hours = float(values[column])
        if hours <= TINY:
            continue
        job, pool = draft.request.jobs[place], draft.pools[pool_place]
        gpus = pool.taken(option_on(job, pool.gpu).num_gpus)
        taken[pool_place, slot].append(gpus * hours)
        start, end = horizon.edges[slot], horizon.edges[slot + 1]
        found.append((job.name, pool, start, end, gpus, hours, 1, slot))
    for (place, pool_place, slot), column in draft.starts.items():
        if values[column] > 0.5:
            found.append(_whole(draft, values, place, draft.pools[pool_place], slot, taken))
    for (place, pool_place, slot), column in draft.instances.items():
        units = round(float(values[column]))
        if units:
            service, pool = draft.request.services[place], draft.pools[pool_place]
            gpus, _ = unit_of(service, pool)
            length = float(horizon.slot_hours[slot])
            taken[pool_place, slot].append(gpus * units * length)
            start, end = horizon.edges[slot], horizon.edges[slot + 1]
            count = units * max(gpus // replica_on(service, pool.gpu).num_gpus, 1)
            found.append((service.name, pool, start, end, gpus * units, length, count, slot))
    return found


def _whole(
    draft: Draft, values: Array, place: int, pool: Pool, slot: int, taken: dict[tuple[int, int], list[float]]
) -> Held:
    horizon = draft.request.horizon
    job = draft.request.jobs[place]
    option = option_on(job, pool.gpu)
    hours = option.hours / pool.work_share
    start = horizon.edges[slot]
    if pool.flat_price is not None:
        waiting = draft.waits.get(place)
        start = job.release_hours if waiting is None else max(float(values[waiting]), job.release_hours)
    gpus = pool.taken(option.num_gpus)
    overlap = horizon.overlap(start, start + hours)
    for at in np.flatnonzero(overlap > 1e-9):
        taken[pool.place, int(at)].append(gpus * float(overlap[at]))
    return job.name, pool, start, start + hours, gpus, hours, 1, slot


def _draw(
    draft: Draft,
    values: Array,
    taken: dict[tuple[int, int], list[float]],
    reading: Reading,
    parts: dict[str, list[float]],
) -> dict[tuple[int, int], tuple[str, ...]]:
    """Each pool's GPU-hours drawn from its supplies: free ones first, then as the program's values say."""
    names: dict[tuple[int, int], tuple[str, ...]] = {}
    weights = draft.request.horizon.weights
    for (pool_place, slot), amounts in sorted(taken.items()):
        pool = draft.pools[pool_place]
        need = math.fsum(amounts)
        drawn: list[tuple[int, Supply, float]] = []
        for place, supply, there in _offers(draft, values, pool, slot):
            part = min(need, there)
            if part <= TINY:
                continue
            need -= part
            drawn.append((place, supply, part))
        for place, supply, part in drawn:
            filled = _filled(draft, values, pool, place, slot, math.fsum(p for at, _, p in drawn if at == place))
            money = part * supply.running_per_hour * float(weights[slot]) / filled
            parts[_component(supply)].append(money)
            reading.uses.append(Use(supply.name, slot, part, money))
        names[pool_place, slot] = tuple(dict.fromkeys(supply.name for _, supply, _ in drawn))
    return names


def _filled(draft: Draft, values: Array, pool: Pool, place: int, slot: int, drawn: float) -> float:
    """How full the instances of a source are that are paid whole; 1 where each GPU-hour is paid by itself."""
    column = draft.rented.get((pool.place, place, slot))
    if column is None:
        return 1.0
    block = pool.sources[place].first.gpus_per_instance
    paid = max(round(float(values[column])), 1) * block * float(draft.request.horizon.slot_hours[slot])
    return drawn / paid


def _offers(draft: Draft, values: Array, pool: Pool, slot: int) -> list[tuple[int, Supply, float]]:
    """What each supply of a pool gives in a slot, cheapest first; the last one takes what the tolerance leaves."""
    if pool.flat_price is not None:
        return [(0, pool.sources[0].first, math.inf)]
    hours = float(draft.request.horizon.slot_hours[slot])
    found: list[tuple[int, Supply, float]] = []
    for place, source in enumerate(pool.sources):
        column = draft.used.get((pool.place, place, slot))
        if source.is_committed:
            there = math.fsum(
                float(values[c])
                * source.first.gpus_per_instance
                * source.first.availability
                * float(in_force(source.first, start, draft)[slot])
                for (p, s, start), c in draft.committed.items()
                if (p, s) == (pool.place, place)
            )
            found.append((place, source.first, min(there, float(values[column])) if column is not None else there))
        elif column is not None:
            left = float(values[column])
            for member in source.members:
                most = math.inf if source.gpus is None or member.num_gpus is None else member.num_gpus * hours
                found.append((place, member, min(left, most)))
                left -= min(left, most)
    return found


def _component(supply: Supply) -> str:
    return {Kind.ON_DEMAND: "on_demand", Kind.SPOT: "spot"}.get(supply.kind, "running")


def _commit(draft: Draft, values: Array, reading: Reading, parts: dict[str, list[float]]) -> None:
    horizon = draft.request.horizon
    for (pool, place, slot), column in draft.committed.items():
        count = round(float(values[column]))
        if not count:
            continue
        supply = draft.pools[pool].sources[place].first
        held = in_force(supply, slot, draft)
        start = horizon.edges[slot]
        arrived = start + (supply.lead_time_hours if supply.kind is Kind.PURCHASE else 0.0)
        length = (supply.term_hours if supply.kind is Kind.RESERVED else supply.life_hours) or 0.0
        gpus = count * supply.gpus_per_instance
        cost = gpus * supply.commitment_per_hour * float((held * horizon.weights).sum())
        beyond = gpus * supply.commitment_per_hour * (length - float(held.sum()))
        reading.commitments.append(Commitment(supply.name, gpus, arrived, arrived + length, cost, max(beyond, 0.0)))
        parts[supply.kind.value].append(cost)


def _shortage(draft: Draft, values: Array, reading: Reading, parts: dict[str, list[float]]) -> None:
    for place, column in draft.dropped.items():
        share = float(values[column])
        if share > TINY:
            job = draft.request.jobs[place]
            reading.dropped.append(job.name)
            parts["shortage"].append(share * (job.drop_cost or 0.0))
    for (place, slot), column in draft.unserved.items():
        missing = float(values[column])
        if missing > TINY:
            service = draft.request.services[place]
            hours = draft.paid(float(draft.request.horizon.slot_hours[slot]), slot)
            parts["shortage"].append(missing * hours * (service.drop_cost or 0.0))


def _finish(draft: Draft, held: list[Held]) -> float | None:
    """When the last job has ended: to the hour for whole jobs, to its slot's end for divisible ones."""
    jobs = {job.name for job in draft.request.jobs}
    return max((item[3] for item in held if item[0] in jobs), default=None)
