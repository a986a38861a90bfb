"""A first plan from the relaxed program: whole numbers chosen near its fractions, the rest solved again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.plans.linear import Answer, ShouldStop, gap_of, solve_lp
from planner.plans.program.draft import Draft
from planner.plans.program.services import unit_of
from planner.plans.program.sources import committed_terms

Array = NDArray[np.float64]
WHOLE = 1e-6
NEAR = 0.03  # of the bound: a first plan this good is not sought twice


def first_plan(draft: Draft, relaxed: Answer, seconds: float, should_stop: ShouldStop | None) -> Answer | None:
    """The better plan of two roundings of the relaxed one; None where neither can be completed."""
    best: Answer | None = None
    for share in (0.5, 0.0):  # commitments to the nearest number, then up
        found = _completed(draft, _rounded(draft, relaxed, share), seconds, should_stop)
        if found.objective is not None and (best is None or best.objective is None or found.objective < best.objective):
            best = found
        is_near = best is not None and gap_of(best.objective or 0.0, relaxed.objective or 0.0) <= NEAR
        if is_near or not draft.committed or (should_stop is not None and should_stop()):
            break
    return best


def _completed(draft: Draft, fixed: dict[int, float], seconds: float, should_stop: ShouldStop | None) -> Answer:
    """The best plan with these whole numbers; shared instances, which follow from all else, are rounded up after it."""
    found = solve_lp(draft.model, seconds, should_stop, fixed)
    if not draft.rented or found.values is None:
        return found
    whole = {column: float(math.ceil(found.values[column] - WHOLE)) for column in draft.rented.values()}
    again = solve_lp(draft.model, seconds, should_stop, fixed | whole)
    return replace(again, seconds=found.seconds + again.seconds)


def polish(draft: Draft, values: Array, should_stop: ShouldStop | None = None) -> Answer:
    """The best plan with these whole numbers, with the duals of its rows."""
    fixed = {column: float(round(values[column])) for column in draft.model.integers}
    return solve_lp(draft.model, fixed=fixed, should_stop=should_stop)


def _rounded(draft: Draft, relaxed: Answer, share: float) -> dict[int, float]:
    values = relaxed.values
    if values is None:
        return {}
    fixed = {column: float(math.ceil(values[column] - WHOLE)) for column in draft.model.integers}
    fixed = {column: value for column, value in fixed.items() if column not in set(draft.rented.values())}
    fixed |= _commitments(draft, values, share)
    fixed |= _starts(draft, values)
    fixed |= _instances(draft, relaxed, _room(draft, values, fixed))
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


def _room(draft: Draft, values: Array, fixed: dict[int, float]) -> dict[tuple[int, int], float]:
    """GPU-hours of each limited pool and slot that jobs leave to services, with these commitments."""
    services = set(draft.instances.values())
    room: dict[tuple[int, int], float] = {}
    for place, slot in draft.capacity_rows:
        pool = draft.pools[place]
        there = 0.0
        for number, source in enumerate(pool.sources):
            if source.is_committed:
                there += sum(fixed[c] * hours for c, hours in committed_terms(draft, pool, number, slot))
            else:
                gpus = source.quota if source.gpus is None else min(float(source.gpus[slot]), source.quota)
                there += gpus * float(draft.request.horizon.slot_hours[slot])
        taken = sum(values[c] * hours for c, hours in draft.uses[place, slot] if c not in services)
        room[place, slot] = there - float(taken)
    return room


def _starts(draft: Draft, values: Array) -> dict[int, float]:
    """Each whole job at its most likely start, or dropped."""
    best: dict[int, tuple[float, int]] = {}
    fixed: dict[int, float] = {}
    for (place, _, _), column in draft.starts.items():
        fixed[column] = 0.0
        best[place] = max(best.get(place, (-1.0, -1)), (float(values[column]), -column))
    for place, column in draft.dropped.items():
        if place in best:
            is_dropped = float(values[column]) > best[place][0]
            fixed[column] = float(is_dropped)
            if is_dropped:
                del best[place]
    fixed.update({-minus: 1.0 for _, minus in best.values()})
    return fixed


def _instances(draft: Draft, relaxed: Answer, room: dict[tuple[int, int], float]) -> dict[int, float]:
    """Whole units of each service and slot: the fractions' floors, the rest by what is cheapest at the LP's prices.

    A pool that is limited gives no more than its room, which is used up as services are served.
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
        price = _price(draft, relaxed, column, pool, slot, hours)
        options.setdefault((place, slot), []).append(_Option(column, pool, price, rate, hours))
    for (place, slot), mine in options.items():
        service = draft.request.services[place]
        missing = service.needed(slot) - sum(fixed[option.column] * option.rate for option in mine)
        if (place, slot) in draft.unserved:
            missing -= float(values[draft.unserved[place, slot]])
        while missing > WHOLE * max(1.0, service.needed(slot)):
            open_ = [option for option in mine if room.get((option.pool, slot), math.inf) >= option.hours * (1 - WHOLE)]
            if not open_:
                break
            best = min(open_, key=lambda each: (math.ceil(missing / each.rate - WHOLE) * each.price, each.column))
            fixed[best.column] += 1.0
            missing -= best.rate
            if (best.pool, slot) in room:
                room[best.pool, slot] -= best.hours
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
