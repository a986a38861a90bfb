"""Plans for demand that is not known: commitments are tried in sampled worlds, and those of least regret are chosen.

A world scales the hours of jobs and the demand of services. Commitments are kept; all else (what is rented, what
runs where) is decided anew in each, as it would be. Regret is what a candidate costs beyond the best one of that world.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.plans.linear import ShouldStop
from planner.plans.plan import plan
from planner.plans.request import PlanRequest
from planner.plans.sensitivity import scaled_demand, scaled_hours
from planner.plans.solution import Plan
from planner.plans.supply import COMMITTED

QUANTILES = (0.5, 0.8, 0.95)  # of demand, that candidates are planned for
RENT_ONLY = "rent only"
MISSED = 10.0  # times the dearest plan of a world: what a candidate that cannot meet it is charged, so that it loses


@dataclass(frozen=True, slots=True)
class World:
    """One way that things may turn out: factors on the hours of jobs and on the demand of services."""

    hours: float
    demand: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """Commitments (GPUs by supply) and how they fare: costs by world (None: they do not suffice there)."""

    name: str
    commitments: Mapping[str, int]
    costs: tuple[float | None, ...]
    mean_cost: float | None
    p95_cost: float | None
    largest_regret: float
    num_missed: int


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate of least largest regret, the others by regret after it, and the worlds they were tried in."""

    best: Candidate
    others: tuple[Candidate, ...]
    worlds: tuple[World, ...]

    @property
    def runner_up(self) -> Candidate | None:
        return self.others[0] if self.others else None


def sample_worlds(num_worlds: int, spread: float, seed: int) -> tuple[World, ...]:
    """Log-normal factors of median 1: 16 % of worlds lie above 1 + spread."""
    if num_worlds < 1 or not (math.isfinite(spread) and spread >= 0):
        raise ValueError("at least one world and a spread that is not negative are needed")
    random = np.random.default_rng(seed)
    factors = np.exp(random.normal(0.0, math.log1p(spread), size=(num_worlds, 2)))
    return tuple(World(float(hours), float(demand)) for hours, demand in factors)


def in_world(request: PlanRequest, world: World) -> PlanRequest:
    """The request as it is in one world."""
    return scaled_demand(scaled_hours(request, world.hours), world.demand)


def choose(
    request: PlanRequest,
    worlds: Sequence[World],
    *,
    gap: float = 0.01,
    seconds: float = 10.0,
    should_stop: ShouldStop | None = None,
    make: Callable[..., Plan] = plan,
) -> Choice:
    """The commitments of least regret over the worlds, among: those best at quantiles of demand, and none.

    `seconds` is for each of the (candidates + 1) · worlds plans.
    """
    candidates: dict[str, dict[str, int]] = {RENT_ONLY: _commitments_of(request, None)}
    for quantile in QUANTILES:
        world = World(
            float(np.quantile([each.hours for each in worlds], quantile)),
            float(np.quantile([each.demand for each in worlds], quantile)),
        )
        found = make(in_world(request, world), gap=gap, seconds=seconds, should_stop=should_stop)
        if found.is_found:
            _add_candidate(candidates, f"{quantile:.0%}", _commitments_of(request, found))
    costs: dict[str, list[float | None]] = {name: [] for name in candidates}
    best: list[float] = []
    for world in worlds:
        asked = in_world(request, world)
        for name, fixed in candidates.items():
            kept = replace(asked, fixed=fixed)
            costs[name].append(make(kept, gap=gap, seconds=seconds, should_stop=should_stop).cost)
        free = make(asked, gap=gap, seconds=seconds, should_stop=should_stop)
        known = [cost for cost in (free.bound, *(row[-1] for row in costs.values())) if cost is not None]
        best.append(min(known, default=0.0))
    ranked = sorted(
        (_candidate(name, candidates[name], costs[name], best) for name in candidates),
        key=lambda each: (each.num_missed, each.largest_regret),
    )
    return Choice(ranked[0], tuple(ranked[1:]), tuple(worlds))


def _add_candidate(candidates: dict[str, dict[str, int]], quantile: str, commitments: dict[str, int]) -> None:
    """One more candidate; commitments that are known already keep their place under both names."""
    same = next((known for known, held in candidates.items() if held == commitments), None)
    if same is None:
        candidates[f"planned for the {quantile} demand"] = commitments
    elif same == RENT_ONLY:
        candidates[f"{RENT_ONLY}, as planned for the {quantile} demand"] = candidates.pop(same)
    else:
        candidates[f"{same.removesuffix(' demand')}, {quantile} demand"] = candidates.pop(same)


def _commitments_of(request: PlanRequest, found: Plan | None) -> dict[str, int]:
    """GPUs by every supply that can be committed, those not taken as 0."""
    fixed = {supply.name: 0 for supply in request.supplies if supply.kind in COMMITTED}
    for item in found.commitments if found is not None else ():
        fixed[item.supply] += item.num_gpus
    return fixed


def _candidate(
    name: str, commitments: Mapping[str, int], costs: Sequence[float | None], best: Sequence[float]
) -> Candidate:
    met = [cost for cost in costs if cost is not None]
    regrets = [
        cost - least if cost is not None else MISSED * max(best) for cost, least in zip(costs, best, strict=True)
    ]
    return Candidate(
        name=name,
        commitments=commitments,
        costs=tuple(costs),
        mean_cost=float(np.mean(met)) if len(met) == len(costs) else None,
        p95_cost=float(np.quantile(met, 0.95)) if len(met) == len(costs) else None,
        largest_regret=max(regrets),
        num_missed=len(costs) - len(met),
    )
