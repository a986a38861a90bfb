"""Gangs in instances: which sizes fit beside each other in one, so that what is held can be laid out in whole ones."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from planner.plans.program.commitments import committed_terms
from planner.plans.program.draft import Draft
from planner.plans.program.jobs import option_on
from planner.plans.program.pools import Pool, gang_of
from planner.plans.program.services import unit_of

MOST_PATTERNS = 60  # ways to fill an instance that are told apart; with more, large gangs are counted only
Term = tuple[int, float]


def add_packing(draft: Draft) -> None:
    """Where all of a pool is in instances of one size that gangs share: they are filled by patterns.

    Σ over patterns of (gangs of a size in it) · hours ≥ hours that gangs of the size run, Σ hours of patterns ≤ hours
    of instances. A gang larger than an instance fills whole ones and shares its rest. Exact as far as gangs may change
    places within a slot; at one moment it may ask for an instance less than there must be.
    """
    for pool in draft.pools:
        blocks = {source.first.gpus_per_instance for source in pool.sources}
        if pool.block == 1 and len(blocks) == 1 and max(blocks) > 1:
            _pack(draft, pool, blocks.pop())


def patterns_of(sizes: Sequence[int], block: int) -> list[tuple[int, ...]]:
    """The ways to fill an instance of `block` GPUs with gangs of these sizes to which none can be added: how many of
    each. Largest size first, in the order of `sizes` sorted down."""
    ordered = sorted(set(sizes), reverse=True)

    def fill(place: int, left: int) -> Iterator[tuple[int, ...]]:
        if place == len(ordered) - 1:
            yield (left // ordered[place],)
            return
        for count in range(left // ordered[place], -1, -1):
            for rest in fill(place + 1, left - count * ordered[place]):
                yield (count, *rest)

    def is_full(counts: tuple[int, ...]) -> bool:
        left = block - sum(count * size for count, size in zip(counts, ordered, strict=True))
        return left < ordered[-1]

    return [counts for counts in fill(0, block) if is_full(counts)] if ordered else []


def is_chain(sizes: Sequence[int], block: int) -> bool:
    """Whether each size divides the next larger one, and the largest an instance: then GPUs alone say what fits."""
    return all(larger % smaller == 0 for smaller, larger in pairwise([*sorted(set(sizes)), block]))


def _pack(draft: Draft, pool: Pool, block: int) -> None:
    demands = [demand for demand in draft.request.demands if demand.name in pool.users]
    rests = {gang_of(demand, pool.gpu) % block for demand in demands} - {0}
    if is_chain(list(rests), block):
        return
    gangs = _gangs(draft, pool)
    for slot in range(draft.request.horizon.num_slots):
        uses = draft.uses.get((pool.place, slot), [])
        rests = {gangs[column] % block for column, _ in uses} - {0}
        if not rests or is_chain(list(rests), block):
            continue
        found = patterns_of(list(rests), block)
        if len(found) <= MOST_PATTERNS:
            _by_patterns(draft, pool, block, slot, gangs, found)
        else:
            _by_large_gangs(draft, pool, block, slot, gangs)


def _by_patterns(
    draft: Draft, pool: Pool, block: int, slot: int, gangs: dict[int, int], patterns: list[tuple[int, ...]]
) -> None:
    runs: dict[int, list[Term]] = defaultdict(list)
    whole: list[Term] = []
    for column, weight in draft.uses[pool.place, slot]:
        number, rest = divmod(gangs[column], block)
        hours = weight / gangs[column]
        if rest:
            runs[rest].append((column, hours))
        if number:
            whole.append((column, number * hours))
    columns = []
    for place in range(len(patterns)):
        column = draft.model.column()
        draft.patterns[pool.place, place, slot] = column
        columns.append(column)
    for at, size in enumerate(sorted(runs, reverse=True)):
        given = [
            (column, -float(pattern[at])) for column, pattern in zip(columns, patterns, strict=True) if pattern[at]
        ]
        draft.row_of(slot, ("pattern", pool.place, size), [*runs[size], *given], upper=0.0)
    terms, there = _instances(draft, pool, block, slot)
    held = [*((column, 1.0) for column in columns), *whole, *((column, -hours) for column, hours in terms)]
    draft.row_of(slot, ("filled", pool.place), held, upper=there)


def _by_large_gangs(draft: Draft, pool: Pool, block: int, slot: int, gangs: dict[int, int]) -> None:
    """At most k gangs of more than 1/(k+1) of an instance to each (gangs no larger than an instance)."""
    terms, there = _instances(draft, pool, block, slot)
    for k in (1, 2, 3):
        uses = draft.uses[pool.place, slot]
        large = [(column, weight) for column, weight in uses if block / (k + 1) < gangs[column] <= block]
        if large and min(gangs[column] for column, _ in large) * k < block:
            runs = [(column, weight / gangs[column]) for column, weight in large]
            room = [(column, -k * hours) for column, hours in terms]
            draft.row_of(slot, ("packing", pool.place, k), [*runs, *room], upper=k * there)


def _instances(draft: Draft, pool: Pool, block: int, slot: int) -> tuple[list[Term], float]:
    """Hours of instances that a pool has in a slot: by columns that are decided, and those that are there anyway."""
    hours = float(draft.request.horizon.slot_hours[slot])
    terms: list[Term] = []
    there = 0.0
    for place, source in enumerate(pool.sources):
        rented = draft.rented.get((pool.place, place, slot))
        if source.is_committed:
            terms += [(column, gpu_hours / block) for column, gpu_hours in committed_terms(draft, pool, place, slot)]
        elif rented is not None:
            terms.append((rented, hours))
        elif source.gpus is not None:
            there += float(source.gpus[slot]) / block * hours
        else:
            there = math.inf
    return terms, there


def _gangs(draft: Draft, pool: Pool) -> dict[int, int]:
    """GPUs of one gang, by each column that holds some of the pool."""
    found = {}
    for (place, pool_place, _), column in (*draft.runs.items(), *draft.starts.items()):
        if pool_place == pool.place:
            found[column] = pool.taken(option_on(draft.request.jobs[place], pool.gpu).num_gpus)
    for (place, pool_place, _), column in draft.instances.items():
        if pool_place == pool.place:
            found[column] = unit_of(draft.request.services[place], pool)[0]
    return found
