"""Second choices: what a plan becomes when one of the offers that it uses is sold out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from planner.plans.linear import ShouldStop
from planner.plans.plan import plan
from planner.plans.request import PlanRequest
from planner.plans.solution import Plan
from planner.plans.supply import Kind, Supply

MOST_TRIED = 12  # of the offers used, those that most money goes to
LEAST_SECONDS = 0.02  # that a plan is reckoned to take, however small
MORE = 0.01  # of the plan's GPU-hours: less than this is not told as a substitute


@dataclass(frozen=True, slots=True)
class SecondChoice:
    """The plan without one supply: its cost and bound (None: there is no plan then, for `reason`), and what it takes
    instead, in GPU-hours more than before, the most first.

    `extra` is the cost beyond that of the plan; below 0 where the search got nearer to the least cost this time.
    """

    supply: str
    cost: float | None
    bound: float | None
    extra: float | None
    instead: Mapping[str, float]
    reason: str


def second_choices(
    request: PlanRequest,
    found: Plan,
    *,
    gap: float = 0.01,
    seconds: float = 10.0,
    seconds_in_all: float = math.inf,
    should_stop: ShouldStop | None = None,
    make: Callable[..., Plan] = plan,
) -> tuple[tuple[SecondChoice, ...], tuple[str, ...], float]:
    """The plan solved once more without each supply that is used and could be sold out; those left untried; and the
    seconds of solving that it took.

    What is owned cannot be sold out; what is committed to already (`fixed`) is not tried either.
    """
    spent = 0.0
    wanted = used_offers(request, found)
    tried: list[SecondChoice] = []
    for number, name in enumerate(wanted):
        late = spent >= seconds_in_all
        if number >= MOST_TRIED or late or (should_stop is not None and should_stop()):
            return tuple(tried), tuple(wanted[number:]), spent
        other = make(without(request, (name,)), gap=gap, seconds=seconds, should_stop=should_stop)
        spent += max(other.seconds, LEAST_SECONDS)
        tried.append(_choice(request, name, found, other))
    return tuple(tried), (), spent


def used_offers(request: PlanRequest, found: Plan) -> list[str]:
    """Supplies that the plan uses or commits to and that could be sold out, those that cost most first."""
    costs: dict[str, float] = {}
    for use in found.uses:
        costs[use.supply] = costs.get(use.supply, 0.0) + use.cost
    for item in found.commitments:
        costs[item.supply] = costs.get(item.supply, 0.0) + item.cost
    fixed = request.fixed or {}
    open_ = {supply.name for supply in request.supplies if supply.kind is not Kind.OWNED and not fixed.get(supply.name)}
    return sorted((name for name in costs if name in open_), key=lambda name: (-costs[name], name))


def without(request: PlanRequest, names: tuple[str, ...]) -> PlanRequest:
    """The request with none to be had of some supplies. Raises ValueError for a name that it does not have."""
    unknown = set(names) - {supply.name for supply in request.supplies}
    if unknown:
        raise ValueError(f"there is no supply {sorted(unknown)[0]!r}")

    def sold_out(supply: Supply) -> Supply:
        return replace(supply, num_gpus=0) if supply.name in names else supply

    fixed = {name: number for name, number in (request.fixed or {}).items() if name not in names}
    supplies = tuple(sold_out(supply) for supply in request.supplies)
    return replace(request, supplies=supplies, fixed=fixed if request.fixed is not None else None)


def _choice(request: PlanRequest, name: str, found: Plan, other: Plan) -> SecondChoice:
    if other.cost is None or found.cost is None:
        reason = other.clash.reason if other.clash is not None else "no plan was found without it in this time"
        return SecondChoice(name, None, other.bound, None, {}, reason)
    before, after = _gpu_hours(request, found), _gpu_hours(request, other)
    least = MORE * max(sum(before.values()), 1e-9)
    more = {each: after[each] - before.get(each, 0.0) for each in after}
    instead = dict(sorted(((n, h) for n, h in more.items() if h > least), key=lambda item: -item[1]))
    return SecondChoice(name, other.cost, other.bound, other.cost - found.cost, instead, "")


def _gpu_hours(request: PlanRequest, found: Plan) -> dict[str, float]:
    repeats = request.horizon.repeats
    hours: dict[str, float] = {}
    for use in found.uses:
        weight = repeats[use.slot] if len(repeats) == len(found.edges) - 1 else 1.0
        hours[use.supply] = hours.get(use.supply, 0.0) + use.gpu_hours * weight
    return hours
