"""What else is worth knowing of a plan: what moves its cost, what if an offer is sold out, and other worlds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from planner.plans import codec
from planner.plans.linear import ShouldStop
from planner.plans.plan import plan
from planner.plans.request import PlanRequest
from planner.plans.second_choice import SecondChoice, second_choices, used_offers
from planner.plans.sensitivity import DEFAULT_RANGES, Swing, tornado
from planner.plans.solution import Plan
from planner.plans.supply import COMMITTED
from planner.plans.worlds import QUANTILES, Candidate, choose, sample_worlds

NUM_WORLDS = 12
SEED = 1
USUAL_SPREAD = 0.2
LEAST_GAP = 0.01


@dataclass(frozen=True, slots=True)
class Outlook:
    """What moves the cost (`swings`, the widest first), the plan without each offer that it uses, and `candidates` for
    commitments, that of least regret first.

    Each candidate is tried in `num_worlds` worlds whose hours and demand vary by `spread`, a standard deviation;
    `left_out` says what there was no time for.
    """

    swings: tuple[Swing, ...]
    candidates: tuple[Candidate, ...]
    num_worlds: int
    spread: float
    left_out: tuple[str, ...]
    second_choices: tuple[SecondChoice, ...] = ()

    def to_document(self) -> dict[str, Any]:
        """The outlook as JSON values."""
        document: dict[str, Any] = codec.to_document(self)
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The outlook that `to_document` wrote."""
        return codec.from_document(cls, document)


def outlook(
    request: PlanRequest, found: Plan, seconds: float, spread: float, gap: float, should_stop: ShouldStop | None = None
) -> Outlook:
    """What moves the cost of a plan that was found, and its commitments in sampled worlds, within about `seconds`.

    What would take longer is left out and said: each plan is reckoned to take as long as the first one did.
    """
    each = max(found.seconds, 0.02)
    gap = max(gap, LEAST_GAP)
    left_out = []
    swings: tuple[Swing, ...] = ()
    needed = 2 * len(DEFAULT_RANGES) * each
    if needed <= seconds:
        swings = tornado(request, gap=gap, seconds=max(2 * each, 1.0))
        seconds -= needed
    else:
        left_out.append(f"what moves the cost would take about {needed:.0f} s; {seconds:.0f} s were left")
    others, spent = _second_choices(request, found, seconds, each, gap, should_stop, left_out)
    seconds -= spent
    candidates: tuple[Candidate, ...] = ()
    can_commit = any(supply.kind in COMMITTED for supply in request.supplies)
    again = ((len(QUANTILES) + 2) * NUM_WORLDS + len(QUANTILES)) * each
    stopped = should_stop is not None and should_stop()
    if not can_commit:
        left_out.append("nothing can be bought or reserved, so there is no commitment to regret")
    elif again > seconds or stopped:
        left_out.append(f"other worlds would take about {again:.0f} s; there was no time for them")
    else:
        worlds = sample_worlds(NUM_WORLDS, spread, SEED)
        choice = choose(request, worlds, gap=gap, seconds=max(2 * each, 1.0), should_stop=should_stop, make=plan)
        candidates = (choice.best, *choice.others)
    return Outlook(swings, candidates, NUM_WORLDS if candidates else 0, spread, tuple(left_out), others)


def _second_choices(
    request: PlanRequest,
    found: Plan,
    seconds: float,
    each: float,
    gap: float,
    should_stop: ShouldStop | None,
    left_out: list[str],
) -> tuple[tuple[SecondChoice, ...], float]:
    """The plan without each offer that it uses, as far as there is time (the others are said in `left_out`), and the
    seconds that it took."""
    if each > seconds:
        names = used_offers(request, found)
        if names:
            left_out.append(f"{len(names)} offers were not tried as sold out: each would take about {each:.0f} s")
        return (), 0.0
    limit = max(2 * each, 1.0)
    tried, untried, spent = second_choices(
        request, found, gap=gap, seconds=limit, seconds_in_all=seconds, should_stop=should_stop
    )
    if untried:
        left_out.append(f"not tried as sold out, for want of time: {', '.join(untried)}")
    return tried, spent
