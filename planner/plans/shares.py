"""What each demand of a plan costs: what is used by the GPU-hours taken of it, commitments by those used of them."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from planner.plans.request import PlanRequest
from planner.plans.solution import Assignment, Plan


@dataclass(frozen=True, slots=True)
class Share:
    """A demand's part of a plan: GPU-hours, hours its gangs run, cost of use and of commitments, from when until when.

    All over every happening of its slots, in the plan's currency.
    """

    demand: str
    gpus: tuple[str, ...]
    gpu_hours: float
    run_hours: float
    use_cost: float
    commitment_cost: float
    from_hours: float
    until_hours: float

    @property
    def cost(self) -> float:
        """Use and commitments together."""
        return self.use_cost + self.commitment_cost


def shares(request: PlanRequest, plan: Plan) -> tuple[Share, ...]:
    """Every demand that runs, in the request's order.

    A slot's uses are parted by the GPU-hours that each demand takes of the pool in it; a commitment by the GPU-hours
    used of it, so that an idle part is paid by those who use the rest. The shares add up to the plan's cost less its
    shortage and less the commitments that nobody uses.
    """
    taken, weights = _taken(plan), _weights(request, plan)
    use_cost, commitment_cost = _parted(request, plan, taken, weights)
    gpu_hours: dict[str, list[float]] = defaultdict(list)
    for (name, _, slot), hours in taken.items():
        gpu_hours[name].append(hours * weights[slot])
    pieces: dict[str, list[Assignment]] = defaultdict(list)
    for item in plan.assignments:
        pieces[item.demand].append(item)
    return tuple(
        Share(
            demand=demand.name,
            gpus=tuple(dict.fromkeys(item.gpu for item in pieces[demand.name])),
            gpu_hours=math.fsum(gpu_hours[demand.name]),
            run_hours=math.fsum(item.hours for item in pieces[demand.name]),
            use_cost=math.fsum(use_cost[demand.name]),
            commitment_cost=math.fsum(commitment_cost[demand.name]),
            from_hours=min(item.from_hours for item in pieces[demand.name]),
            until_hours=max(item.until_hours for item in pieces[demand.name]),
        )
        for demand in request.demands
        if demand.name in pieces
    )


Parts = dict[str, list[float]]


def _parted(
    request: PlanRequest, plan: Plan, taken: Mapping[tuple[str, int, int], float], weights: Sequence[float]
) -> tuple[Parts, Parts]:
    """The pieces of each demand's cost of use, and of commitments."""
    pools, committed = _pools(request, plan), _committed(plan)
    by_place: dict[tuple[int, int], list[tuple[str, float]]] = defaultdict(list)
    whole: dict[tuple[int, int], float] = defaultdict(float)
    for (name, pool, slot), hours in taken.items():
        by_place[pool, slot].append((name, hours))
        whole[pool, slot] += hours
    used: dict[str, float] = defaultdict(float)
    for use in plan.uses:
        used[use.supply] += use.gpu_hours * weights[use.slot]
    use_cost: Parts = defaultdict(list)
    commitment_cost: Parts = defaultdict(list)
    for use in plan.uses:
        place = pools.get(use.supply, -1), use.slot
        held = committed.get(use.supply, 0.0)
        rent = held * use.gpu_hours * weights[use.slot] / used[use.supply] if held else 0.0
        for name, hours in by_place[place]:
            part = hours / whole[place]
            use_cost[name].append(use.cost * part)
            commitment_cost[name].append(rent * part)
    return use_cost, commitment_cost


def idle_commitments(plan: Plan) -> dict[str, float]:
    """Commitments of which not one GPU-hour is used, with what they cost: it is in no demand's share."""
    used = {use.supply for use in plan.uses if use.gpu_hours > 0}
    return {supply: cost for supply, cost in _committed(plan).items() if supply not in used}


def spent_by(plan: Plan, hours: float) -> float:
    """What the plan has spent by a moment: uses by the part of their slot, commitments by the hour they are held."""
    parts = []
    for use in plan.uses:
        start, end = plan.edges[use.slot], plan.edges[use.slot + 1]
        parts.append(use.cost * min(max(hours - start, 0.0) / (end - start), 1.0))
    last = plan.edges[-1]
    for item in plan.commitments:
        end = min(item.until_hours, last)
        held = end - item.from_hours
        parts.append(item.cost * min(max(hours - item.from_hours, 0.0) / held, 1.0) if held > 0 else 0.0)
    return math.fsum(parts)


def _committed(plan: Plan) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for item in plan.commitments:
        found[item.supply] += item.cost
    return found


def _pools(request: PlanRequest, plan: Plan) -> dict[str, int]:
    """The pool of each supply that is used: told by the assignments that drew on it."""
    found: dict[str, int] = {}
    for item in plan.assignments:
        for name in item.supplies:
            found.setdefault(name, item.pool)
    kinds = {supply.name: supply.gpu for supply in request.supplies}
    for use in plan.uses:
        if use.supply not in found:  # drawn on in later slots of a job that runs whole
            same = [item.pool for item in plan.assignments if item.gpu == kinds.get(use.supply)]
            found[use.supply] = same[0] if same else -1
    return found


def _taken(plan: Plan) -> dict[tuple[str, int, int], float]:
    """GPU-hours by demand, pool and slot."""
    found: dict[tuple[str, int, int], float] = defaultdict(float)
    edges = plan.edges
    for item in plan.assignments:
        length = item.until_hours - item.from_hours
        slot = max(bisect_right(edges, item.from_hours) - 1, 0)
        while slot < len(edges) - 1 and edges[slot] < item.until_hours:
            inside = min(edges[slot + 1], item.until_hours) - max(edges[slot], item.from_hours)
            if inside > 0:
                found[item.demand, item.pool, slot] += item.num_gpus * item.hours * inside / length
            slot += 1
    return found


def _weights(request: PlanRequest, plan: Plan) -> list[float]:
    """How often each slot of the plan happens; slots that were cut finer happen once."""
    num_slots = len(plan.edges) - 1
    repeats = request.horizon.repeats
    return list(repeats) if len(repeats) == num_slots else [1.0] * num_slots
