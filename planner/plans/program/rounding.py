"""A first plan from the relaxed program: whole numbers chosen near its fractions, the rest solved again."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from planner.plans.linear import Answer, ShouldStop, solve_lp
from planner.plans.program.draft import Draft
from planner.plans.program.services import unit_of

Array = NDArray[np.float64]
WHOLE = 1e-6


def first_plan(draft: Draft, relaxed: Answer, seconds: float, should_stop: ShouldStop | None) -> Answer | None:
    """The best plan among few roundings of the relaxed one; None where none of them can be completed."""
    best: Answer | None = None
    for share in (0.5, 0.0):  # commitments to the nearest number, then up
        fixed = _rounded(draft, relaxed, share)
        found = solve_lp(draft.model, seconds, should_stop, fixed, "ipm" if len(fixed) > 2000 else "choose")
        if found.objective is not None and (best is None or best.objective is None or found.objective < best.objective):
            best = found
        if should_stop is not None and should_stop():
            break
        if not draft.committed:
            break
    return best


def polish(draft: Draft, values: Array, should_stop: ShouldStop | None = None) -> Answer:
    """The best plan with these whole numbers, with the duals of its rows."""
    fixed = {column: float(round(values[column])) for column in draft.model.integers}
    return solve_lp(draft.model, fixed=fixed, should_stop=should_stop)


def _rounded(draft: Draft, relaxed: Answer, share: float) -> dict[int, float]:
    values = relaxed.values
    if values is None:
        return {}
    fixed: dict[int, float] = {}
    for column in draft.model.integers:
        fixed[column] = float(math.ceil(values[column] - WHOLE))
    for column in draft.committed.values():
        down = math.floor(values[column] + WHOLE)
        fixed[column] = float(down + (values[column] - down > max(share, WHOLE)))
    fixed |= _starts(draft, values)
    fixed |= _instances(draft, relaxed)
    return fixed


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


def _instances(draft: Draft, relaxed: Answer) -> dict[int, float]:
    """Whole units of each service and slot: the fractions' floors, the rest by what is cheapest at the LP's prices."""
    values, duals = relaxed.values, relaxed.row_duals
    if values is None:
        return {}
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (place, pool, slot), column in draft.instances.items():
        groups.setdefault((place, slot), []).append((pool, column))
    fixed: dict[int, float] = {}
    for (place, slot), options in groups.items():
        service = draft.request.services[place]
        missing = service.needed(slot)
        if (place, slot) in draft.unserved:
            missing -= float(values[draft.unserved[place, slot]])
        priced = []
        for pool, column in options:
            gpus, rate = unit_of(service, draft.pools[pool])
            units = float(math.floor(values[column] + WHOLE))
            fixed[column] = units
            missing -= units * rate
            row = draft.capacity_rows.get((pool, slot))
            scarce = 0.0 if row is None or duals is None else -float(duals[row])
            held = gpus * float(draft.request.horizon.slot_hours[slot])
            priced.append((draft.model.costs[column] + scarce * held, rate, column))
        while missing > WHOLE * max(1.0, service.needed(slot)):
            _, rate, column = min(priced, key=lambda item: (math.ceil(missing / item[1] - WHOLE) * item[0], item[2]))
            fixed[column] += 1.0
            missing -= rate
    return fixed
