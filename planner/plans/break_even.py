"""Where own and rent change places: the utilisation at which a commitment costs what renting does, and after how long.

A committed GPU costs `commitment_per_hour` in every hour of its term and `running_per_hour` in those that it is used;
a rented one costs its price in those that it is used. They cost the same at

    u* = commitment / ((rent − running) · availability)

of the time; above 1, renting is always cheaper.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from planner.plans.request import PlanRequest
from planner.plans.solution import Plan
from planner.plans.supply import COMMITTED, RENTED, Kind, Supply


@dataclass(frozen=True, slots=True)
class BreakEven:
    """A commitment beside the cheapest rent of the same GPU (None: none is on offer), all per GPU.

    `utilisation` is u*: used more, the commitment is cheaper; None where renting is cheaper even if always used, or
    nothing can be rented. `planned` is how much of what the plan commits to it uses; where it commits to none, how much
    a first one would be: the share of time in which at least one such GPU is rented.
    """

    supply: str
    gpu: str
    kind: Kind
    commitment_per_hour: float
    rent: str | None
    rent_per_hour: float | None
    utilisation: float | None
    planned: float | None
    is_taken: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Way:
    """One way to have a GPU: paid at the start of every `term_hours` (None: never again), and per hour of the clock."""

    name: str
    kind: Kind
    upfront: float
    per_hour: float
    term_hours: float | None

    def paid_by(self, hours: float) -> float:
        """What has been paid by an hour; at a term's very end the next one has not begun."""
        begun = 1 if self.term_hours is None else max(math.ceil(hours / self.term_hours - 1e-9), 1)
        return self.upfront * begun + self.per_hour * hours


@dataclass(frozen=True, slots=True)
class Crossover:
    """From when on one way has cost less than renting, and how long it must be needed to pay for itself.

    `cheaper_from_hours`: what has been paid for it is less from then on; `needed_hours`: its whole term costs what
    renting for so long does. None: not within its term.
    """

    name: str
    cheaper_from_hours: float | None
    needed_hours: float | None


def break_evens(request: PlanRequest, plan: Plan) -> tuple[BreakEven, ...]:
    """Every reservation and purchase on offer, in the request's order."""
    return tuple(_break_even(request, plan, supply) for supply in request.supplies if supply.kind in COMMITTED)


def cheapest_rent(request: PlanRequest, gpu: str) -> Supply | None:
    """The cheapest on-demand offer of a GPU, or spot where there is none, per hour of work; None: it is not rented."""
    found = [supply for supply in request.supplies if supply.gpu == gpu and supply.kind in RENTED]
    found = [supply for supply in found if supply.num_gpus != 0]
    steady = [supply for supply in found if supply.kind is Kind.ON_DEMAND]
    return min(steady or found, key=rent_per_hour, default=None)


def rent_per_hour(supply: Supply) -> float:
    """What an hour of work costs on a rented supply."""
    return supply.running_per_hour / supply.work_share


def planned_use(request: PlanRequest, plan: Plan, supply: Supply) -> tuple[float | None, bool]:
    """How much of a commitment is used, or how much a first one would be; and whether the plan takes it."""
    lengths = [end - start for start, end in zip(plan.edges, plan.edges[1:], strict=False)]
    repeats = request.horizon.repeats
    weights = list(repeats) if len(repeats) == len(lengths) else [1.0] * len(lengths)
    held = 0.0
    for item in plan.commitments:
        if item.supply == supply.name:
            for slot, length in enumerate(lengths):
                inside = min(plan.edges[slot + 1], item.until_hours) - max(plan.edges[slot], item.from_hours)
                held += item.num_gpus * max(0.0, min(inside, length)) * weights[slot]
    if held > 0:
        used = math.fsum(use.gpu_hours * weights[use.slot] for use in plan.uses if use.supply == supply.name)
        return used / (held * supply.availability), True
    rented = {each.name for each in request.supplies if each.gpu == supply.gpu and each.kind in RENTED}
    by_slot = [0.0] * len(lengths)
    for use in plan.uses:
        if use.supply in rented:
            by_slot[use.slot] += use.gpu_hours
    whole = math.fsum(length * weight for length, weight in zip(lengths, weights, strict=True))
    first = math.fsum(
        min(hours, length) * weight for hours, length, weight in zip(by_slot, lengths, weights, strict=True)
    )
    return first / whole if whole > 0 else None, False


def ways_of(request: PlanRequest, gpu: str, use: float) -> tuple[Way, ...]:
    """Every way to have one GPU of a kind that is used `use` of the time: the cheapest rent first, then commitments."""
    if not 0 < use <= 1:
        raise ValueError(f"use is a share of the time above 0 and at most 1, not {use}")
    found = []
    rent = cheapest_rent(request, gpu)
    if rent is not None:
        found.append(Way(rent.name, rent.kind, 0.0, rent_per_hour(rent) * use, None))
    for supply in request.supplies:
        if supply.gpu != gpu or supply.kind not in COMMITTED or supply.num_gpus == 0:
            continue
        if supply.kind is Kind.RESERVED:
            found.append(Way(supply.name, supply.kind, supply.upfront, supply.price_per_hour, supply.term_hours))
        else:
            per_hour = supply.fixed_per_hour + supply.running_per_hour * use
            found.append(Way(supply.name, supply.kind, supply.capex or 0.0, per_hour, supply.life_hours))
    return tuple(found)


def crossovers(ways: Iterable[Way]) -> tuple[Crossover, ...]:
    """Each commitment against the rent among the ways; empty where nothing is rented."""
    known = list(ways)
    rent = next((way for way in known if way.kind in RENTED), None)
    if rent is None:
        return ()
    return tuple(_crossover(way, rent) for way in known if way.kind in COMMITTED)


def _crossover(way: Way, rent: Way) -> Crossover:
    term = way.term_hours or math.inf
    saved = rent.per_hour - way.per_hour
    cheaper = way.upfront / saved if saved > 0 else math.inf
    whole = way.upfront + way.per_hour * term
    needed = whole / rent.per_hour if rent.per_hour > 0 else math.inf
    return Crossover(way.name, cheaper if cheaper <= term else None, needed if needed <= term else None)


def _break_even(request: PlanRequest, plan: Plan, supply: Supply) -> BreakEven:
    rent = cheapest_rent(request, supply.gpu)
    planned, is_taken = planned_use(request, plan, supply)
    each = supply.commitment_per_hour
    price = None if rent is None else rent_per_hour(rent)
    saved = math.nan if price is None else (price - supply.running_per_hour) * supply.availability
    utilisation = each / saved if saved > 0 and each <= saved else None
    name = None if rent is None else rent.name
    sentence = _sentence(request.currency, supply, rent, utilisation, planned, is_taken)
    return BreakEven(supply.name, supply.gpu, supply.kind, each, name, price, utilisation, planned, is_taken, sentence)


def _sentence(
    currency: str, supply: Supply, rent: Supply | None, utilisation: float | None, planned: float | None, is_taken: bool
) -> str:
    if rent is None:
        return f"{supply.gpu} cannot be rented, so there is nothing to compare {supply.name} with"
    beside = f"{rent.name} at {rent_per_hour(rent):,.4g} {currency} an hour of work"
    if utilisation is None:
        return f"{supply.name} costs more than {beside}, even if it is always used"
    what = "this plan uses it" if is_taken else "a first one would be used"
    use = "" if planned is None else f"; {what} {planned:.0%} of the time"
    return f"{supply.name} is cheaper than {beside} when it is used more than {utilisation:.0%} of the time{use}"
