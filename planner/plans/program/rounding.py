"""A first plan from the relaxed program: whole numbers chosen near its fractions, the rest solved again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.plans.linear import Answer, ShouldStop, Status, gap_of, solve_lp
from planner.plans.program.commitments import committed_terms
from planner.plans.program.draft import Draft
from planner.plans.program.raising import raised
from planner.plans.program.services import unit_of
from planner.plans.program.starting import choose_starts
from planner.plans.program.whole_gangs import held_at_once

Array = NDArray[np.float64]
WHOLE = 1e-6
NOTHING = 1e-12  # hours
NEAR = 0.03  # of the bound: a first plan this good is not sought twice


def first_plan(
    draft: Draft, relaxed: Answer, seconds: float, should_stop: ShouldStop | None, is_quick: bool = False
) -> Answer | None:
    """The better plan of two roundings of the relaxed one; None where neither can be completed.

    Quick: the first of them that can, with no job in a slot of a limited pool where the relaxed plan has none of it.
    """
    best: Answer | None = None
    near = 1.0 if is_quick else NEAR
    for share in (0.5, 0.0):  # commitments to the nearest number, then up
        fixed = _rounded(draft, relaxed, share)
        found = _in_some_way(draft, relaxed, fixed, is_quick, seconds, should_stop)
        if found.objective is not None and (best is None or best.objective is None or found.objective < best.objective):
            best = found
        is_near = best is not None and gap_of(best.objective or 0.0, relaxed.objective or 0.0) <= near
        if is_near or not draft.committed or (should_stop is not None and should_stop()):
            break
    return best


def _in_some_way(
    draft: Draft,
    relaxed: Answer,
    fixed: dict[int, float],
    is_quick: bool,
    seconds: float,
    should_stop: ShouldStop | None,
) -> Answer:
    """A plan with these whole numbers, or with less of what may give way: the quicker ways first."""
    narrow = _idle(draft, relaxed.values) if is_quick else {}
    ways: list[Callable[[], Answer]] = [lambda: _completed(draft, narrow | fixed, seconds, should_stop)]
    jobs = {column for (place, _, _), column in draft.starts.items() if place in draft.dropped}
    served = {column for (place, _, slot), column in draft.instances.items() if (place, slot) in draft.unserved}
    if narrow:
        ways.append(lambda: _with_less(draft, fixed, jobs, narrow, seconds, should_stop))
        ways.append(lambda: _completed(draft, fixed, seconds, should_stop))
    ways.append(lambda: _with_less(draft, fixed, jobs, {}, seconds, should_stop))
    ways.append(lambda: _with_less(draft, fixed, jobs | served, {}, seconds, should_stop))
    spent = 0.0
    for way in ways:
        found = way()
        spent += found.seconds
        if found.objective is not None or (should_stop is not None and should_stop()):
            break
    return replace(found, seconds=spent)


def _idle(draft: Draft, values: Array | None) -> dict[int, float]:
    """Jobs kept out of slots of limited pools in which these values have nothing of them."""
    if values is None:
        return {}
    limited = {pool.place for pool in draft.pools if pool.most is not None}
    return {column: 0.0 for (_, pool, _), column in draft.runs.items() if pool in limited and values[column] <= NOTHING}


def _completed(draft: Draft, fixed: dict[int, float], seconds: float, should_stop: ShouldStop | None) -> Answer:
    """The best plan with these whole numbers; shared instances, which follow from all else, are rounded up after it."""
    found = solve_lp(draft.model, seconds, should_stop, fixed)
    if not draft.rented or found.values is None:
        return found
    whole = {column: float(math.ceil(found.values[column] - WHOLE)) for column in draft.rented.values()}
    again = solve_lp(draft.model, seconds, should_stop, fixed | whole)
    return replace(again, seconds=found.seconds + again.seconds)


def _with_less(
    draft: Draft,
    fixed: dict[int, float],
    give: set[int],
    narrow: dict[int, float],
    seconds: float,
    should_stop: ShouldStop | None,
) -> Answer:
    """A plan with these whole numbers but for some that give way: as much of those as fits."""
    may_drop = set(draft.dropped.values())
    if not give:
        return Answer(Status.INFEASIBLE, None, None, None, 0.0)
    pinned = narrow | {c: value for c, value in fixed.items() if c not in give and c not in may_drop}
    most = {column: value for column, value in fixed.items() if column in give}
    found = solve_lp(draft.model, seconds, should_stop, pinned, most)
    if found.values is None:
        return found
    less = {column: float(math.floor(found.values[column] + WHOLE)) for column in most}
    done = {place for (place, _, _), column in draft.starts.items() if less.get(column, 0.0) > 0}
    whole = {place for place, _, _ in draft.starts}
    for place, column in draft.dropped.items():
        if place in whole:
            less[column] = float(place not in done)
    again = _completed(draft, pinned | less, seconds, should_stop)
    return replace(again, seconds=found.seconds + again.seconds)


def polish(draft: Draft, values: Array, should_stop: ShouldStop | None = None) -> Answer:
    """The best plan with these whole numbers, with the duals of its rows."""
    fixed = {column: float(round(values[column])) for column in draft.model.integers}
    return solve_lp(draft.model, fixed=fixed, should_stop=should_stop)


def _rounded(draft: Draft, relaxed: Answer, share: float) -> dict[int, float]:
    values = relaxed.values
    if values is None:
        return {}
    later = set(draft.rented.values())
    fixed = {c: float(math.ceil(values[c] - WHOLE)) for c in draft.model.integers if c not in later}
    fixed |= _commitments(draft, values, share)
    if draft.gangs:
        fixed |= raised(draft, fixed)
        fixed |= _gangs(draft, fixed)
    there = _there(draft, fixed)
    fixed |= choose_starts(draft, values, there)
    room, beside_starts = _rooms(draft, values, fixed, there)
    fixed |= _instances(draft, relaxed, room, beside_starts)
    return fixed


def _commitments(draft: Draft, values: Array, share: float) -> dict[int, float]:
    """Each supply's commitments in order of their start, so that their running sum is the relaxed one's, rounded."""
    fixed: dict[int, float] = {}
    sums: dict[tuple[int, int], tuple[float, float]] = {}
    for (pool, place, _), column in sorted(draft.committed.items()):
        wanted, given = sums.get((pool, place), (0.0, 0.0))
        wanted += float(values[column])
        down = math.floor(wanted + WHOLE)
        target = down + (wanted - down > max(share, WHOLE))
        fixed[column] = max(target - given, 0.0)
        sums[pool, place] = wanted, given + fixed[column]
    return fixed


def _gangs(draft: Draft, fixed: dict[int, float]) -> dict[int, float]:
    """Which sizes of gang have all of their GPUs with these commitments."""
    found = {}
    for (place, gang, slot), column in draft.gangs.items():
        terms, there = held_at_once(draft, draft.pools[place], slot)
        held = there + sum(fixed[committed] * gpus for committed, gpus in terms)
        found[column] = float(held >= gang - WHOLE)
    return found


def _there(draft: Draft, fixed: dict[int, float]) -> dict[tuple[int, int], float]:
    """GPU-hours of each limited pool and slot with these commitments."""
    found: dict[tuple[int, int], float] = {}
    for place, slot in draft.capacity_rows:
        pool = draft.pools[place]
        there = 0.0
        for number, source in enumerate(pool.sources):
            if source.is_committed:
                there += sum(fixed[c] * hours for c, hours in committed_terms(draft, pool, number, slot))
            else:
                gpus = source.quota if source.gpus is None else min(float(source.gpus[slot]), source.quota)
                there += gpus * float(draft.request.horizon.slot_hours[slot])
        found[place, slot] = there
    return found


Room = dict[tuple[int, int], float]


def _rooms(draft: Draft, values: Array, fixed: dict[int, float], there: Room) -> tuple[Room, Room]:
    """GPU-hours of each limited pool and slot that jobs leave to services, whole ones as fixed: beside what flows as
    relaxed, and where all that flows gives way."""
    services, whole = set(draft.instances.values()), set(draft.starts.values())
    beside_all, beside_starts = {}, {}
    for key, gpu_hours in there.items():
        taken, flowing = 0.0, 0.0
        for column, hours in draft.uses[key]:
            if column in whole:
                taken += fixed[column] * hours
            elif column not in services:
                flowing += float(values[column]) * hours
        beside_starts[key] = gpu_hours - taken
        beside_all[key] = gpu_hours - taken - flowing
    return beside_all, beside_starts


def _instances(draft: Draft, relaxed: Answer, room: Room, beside_starts: Room) -> dict[int, float]:
    """Whole units of each service and slot: the fractions' floors, the rest by what is cheapest at the LP's prices.

    A pool that is limited gives no more than its room, which is used up as services are served; for the rest, work
    that flows is asked to give way.
    """
    values = relaxed.values
    if values is None:
        return {}
    options: dict[tuple[int, int], list[_Option]] = {}
    fixed: dict[int, float] = {}
    for (place, pool, slot), column in draft.instances.items():
        gpus, rate = unit_of(draft.request.services[place], draft.pools[pool])
        hours = gpus * float(draft.request.horizon.slot_hours[slot])
        there = room.get((pool, slot), math.inf)
        units = math.floor(max(min(float(values[column]), there / hours), 0.0) + WHOLE)
        fixed[column] = float(units)
        if (pool, slot) in room:
            room[pool, slot] -= units * hours
            beside_starts[pool, slot] -= units * hours
        price = _price(draft, relaxed, column, pool, slot, hours)
        options.setdefault((place, slot), []).append(_Option(column, pool, price, rate, hours))
    for (place, slot), mine in options.items():
        service = draft.request.services[place]
        missing = service.needed(slot) - sum(fixed[option.column] * option.rate for option in mine)
        if (place, slot) in draft.unserved:
            missing -= float(values[draft.unserved[place, slot]])
        while missing > WHOLE * max(1.0, service.needed(slot)):
            open_ = [o for o in mine if beside_starts.get((o.pool, slot), math.inf) >= o.hours * (1 - WHOLE)]
            if not open_:
                break
            best = min(open_, key=lambda each: (math.ceil(missing / each.rate - WHOLE) * each.price, each.column))
            fixed[best.column] += 1.0
            missing -= best.rate
            if (best.pool, slot) in room:
                beside_starts[best.pool, slot] -= best.hours
    return fixed


@dataclass(frozen=True, slots=True)
class _Option:
    """A unit of a service in a pool and slot: what it costs at the relaxed plan's prices, what it serves and takes."""

    column: int
    pool: int
    price: float
    rate: float
    hours: float


def _price(draft: Draft, relaxed: Answer, column: int, pool: int, slot: int, hours: float) -> float:
    """What a unit costs: its own price and what its GPUs are worth, at least the cheapest that is left in the pool.

    Where the relaxed plan uses none of a pool, the dual may be 0 though its first GPU costs something.
    """
    row = draft.capacity_rows.get((pool, slot))
    if row is None or relaxed.row_duals is None or relaxed.values is None:
        return draft.model.costs[column]
    worth = -float(relaxed.row_duals[row])
    return draft.model.costs[column] + max(worth, _next_price(draft, relaxed.values, pool, slot)) * hours


def _next_price(draft: Draft, values: Array, pool: int, slot: int) -> float:
    """The price of the cheapest GPU-hour of a pool that the relaxed plan leaves unused in a slot."""
    weight = float(draft.request.horizon.weights[slot])
    for place, source in enumerate(draft.pools[pool].sources):
        column = draft.used.get((pool, place, slot))
        if column is not None and values[column] < draft.model.upper[column] - WHOLE and not source.is_committed:
            return source.price * weight
    return 0.0
