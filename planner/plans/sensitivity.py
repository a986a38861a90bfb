"""What moves a plan's cost: one figure at a time made lower and higher, and where buying and renting change places."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from planner.plans.demand import Job, Service
from planner.plans.plan import plan
from planner.plans.request import PlanRequest
from planner.plans.solution import Plan
from planner.plans.supply import COMMITTED, RENTED, Kind, Supply

Change = Callable[[PlanRequest, float], PlanRequest]


@dataclass(frozen=True, slots=True)
class Swing:
    """The plan's cost with one figure scaled; None: with it there is no plan."""

    figure: str
    low_factor: float
    high_factor: float
    low_cost: float | None
    high_cost: float | None

    @property
    def width(self) -> float | None:
        """How far the cost moves between the two ends."""
        if self.low_cost is None or self.high_cost is None:
            return None
        return abs(self.high_cost - self.low_cost)


@dataclass(frozen=True, slots=True)
class Flip:
    """The factor on all rents from which on a commitment is taken; None: it is taken, or not, at all factors tried."""

    supply: str
    factor: float | None
    is_taken_now: bool


def tornado(
    request: PlanRequest,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    *,
    gap: float = 0.005,
    seconds: float = 20.0,
    make: Callable[..., Plan] = plan,
) -> tuple[Swing, ...]:
    """The cost's swing for each figure of `FIGURES` scaled by the two factors of its range, the widest first.

    A swing in which one end has no plan at all comes first: nothing moves the answer more.
    """
    swings = []
    for name, (low, high) in (DEFAULT_RANGES if ranges is None else ranges).items():
        if name not in FIGURES:
            raise ValueError(f"{name!r} is not a figure; there are {', '.join(FIGURES)}")
        ends = [make(FIGURES[name](request, factor), gap=gap, seconds=seconds).cost for factor in (low, high)]
        swings.append(Swing(name, low, high, ends[0], ends[1]))
    return tuple(sorted(swings, key=lambda each: -(float("inf") if each.width is None else each.width)))


def own_or_rent_flip(
    request: PlanRequest,
    supply: str,
    *,
    least: float = 0.1,
    most: float = 10.0,
    steps: int = 12,
    gap: float = 0.0,
    seconds: float = 20.0,
) -> Flip:
    """By which factor all rents would have to change for a commitment to be taken (if it is not) or dropped (if it is).

    Found by halving on the logarithm of the factor, to within (most / least)^(1 / 2^steps).
    """

    def taken(factor: float) -> bool:
        found = plan(scaled_rents(request, factor), gap=gap, seconds=seconds)
        return any(item.supply == supply for item in found.commitments)

    if supply not in {item.name for item in request.supplies if item.kind in COMMITTED}:
        raise ValueError(f"{supply!r} is no reservation or purchase of this request")
    now = taken(1.0)
    if taken(least) == taken(most):
        return Flip(supply, None, now)
    low, high = least, most
    for _ in range(steps):
        middle = (low * high) ** 0.5
        if taken(middle):
            high = middle
        else:
            low = middle
    return Flip(supply, (low * high) ** 0.5, now)


def scaled_rents(request: PlanRequest, factor: float) -> PlanRequest:
    """The request with all on-demand and spot prices scaled."""
    return _supplies(request, lambda s: replace(s, price_per_hour=s.price_per_hour * factor), RENTED)


def scaled_commitments(request: PlanRequest, factor: float) -> PlanRequest:
    """The request with all that reservations and purchases cost scaled."""

    def dearer(supply: Supply) -> Supply:
        fixed = supply.fixed_per_hour * factor
        if supply.kind is Kind.RESERVED:
            return replace(supply, price_per_hour=supply.price_per_hour * factor, upfront=supply.upfront * factor)
        return replace(supply, capex=(supply.capex or 0.0) * factor, fixed_per_hour=fixed)

    return _supplies(request, dearer, COMMITTED)


def scaled_hours(request: PlanRequest, factor: float) -> PlanRequest:
    """The request with all jobs longer or shorter: how good the estimates are."""

    def longer(job: Job) -> Job:
        return replace(job, options=tuple(replace(work, hours=work.hours * factor) for work in job.options))

    return replace(request, jobs=tuple(longer(job) for job in request.jobs))


def scaled_demand(request: PlanRequest, factor: float) -> PlanRequest:
    """The request with all services asked for more or less."""

    def busier(service: Service) -> Service:
        return replace(service, demand=tuple(level * factor for level in service.demand))

    return replace(request, services=tuple(busier(service) for service in request.services))


FIGURES: Mapping[str, Change] = {
    "rents": scaled_rents,
    "commitments": scaled_commitments,
    "hours of jobs": scaled_hours,
    "demand of services": scaled_demand,
}
DEFAULT_RANGES: Mapping[str, tuple[float, float]] = dict.fromkeys(FIGURES, (0.8, 1.2))  # a choice, to be edited


def _supplies(request: PlanRequest, change: Callable[[Supply], Supply], kinds: frozenset[Kind]) -> PlanRequest:
    changed = tuple(change(supply) if supply.kind in kinds else supply for supply in request.supplies)
    return replace(request, supplies=changed)
