"""What moves a plan's cost: one figure at a time made lower and higher."""

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
