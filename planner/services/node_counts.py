"""How many nodes a training job needs: its question asked again of twice as many of each offer, and twice again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from planner import units
from planner.errors import InvalidInput
from planner.estimates.choices import common_lacks
from planner.estimates.estimate import Answer, Option, Placement
from planner.estimates.limits import apply_limits
from planner.jobs.job import TrainingJob
from planner.services.estimates import EstimateView, answered, get_estimate
from planner.services.requests import EstimateRequest, parse
from planner.store.engine import Session

COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True, slots=True)
class Reached:
    """One option with so many nodes: where, the middle of its time in seconds and of its cost (None: unknown)."""

    placement: Placement
    seconds: float
    cost: float | None


@dataclass(frozen=True, slots=True)
class NodeCount:
    """What so many nodes of one offer reach: the best by the goal inside the limits, the fastest of all, and what the
    most places without an option lack where there is none at all (else empty)."""

    num_nodes: int
    num_inside: int  # options inside the limits
    best: Reached | None
    fastest: Reached | None
    reason: str


@dataclass(frozen=True, slots=True)
class NodeCounts:
    """The table, the fewest nodes with an option inside all limits, and the answer in a sentence."""

    estimate_id: str
    as_of: datetime
    sentence: str
    fewest: int | None
    counts: tuple[NodeCount, ...]


def node_counts(session: Session, estimate_id: str) -> NodeCounts:
    """The job of a stored estimate on 1, 2, 4 … 256 nodes, at the prices of then and by the measurements of now.

    Nothing is stored. Raises NotFound, and InvalidInput for a job that is no training: a service is sized instead.
    """
    view = get_estimate(session, estimate_id)
    if not isinstance(view.job, TrainingJob):
        raise InvalidInput.of("estimate_id", "only training is asked of more nodes; of a service, sizing tells it")
    asked = parse(EstimateRequest, {**view.request, "as_of": view.as_of})
    limits = asked.limits(view.as_of)
    counts = []
    for num_nodes in COUNTS:
        every = answered(session, asked.model_copy(update={"nodes": num_nodes}), view.known_at)
        counts.append(_count(num_nodes, every, apply_limits(every, limits)))
    fewest = next((one.num_nodes for one in counts if one.best is not None), None)
    return NodeCounts(view.id, view.as_of, _sentence(view, counts, fewest), fewest, tuple(counts))


def _count(num_nodes: int, every: Answer, inside: Answer) -> NodeCount:
    fastest = min(every.options, key=_seconds, default=None)
    return NodeCount(
        num_nodes=num_nodes,
        num_inside=len(inside.options),
        best=_reached(inside.options[0]) if inside.options else None,
        fastest=None if fastest is None else _reached(fastest),
        reason="" if fastest is not None else _why(every),
    )


def _why(answer: Answer) -> str:
    """What the most places lack, in the words of the one that stands for them."""
    lacks = common_lacks(answer)
    return lacks[0].first.reason if lacks else "no offer passes the filters"


def _seconds(option: Option) -> float:
    return float("inf") if option.seconds is None else option.seconds.mid


def _reached(option: Option) -> Reached:
    return Reached(option.placement, _seconds(option), None if option.cost is None else option.cost.mid)


def _sentence(view: EstimateView, counts: Sequence[NodeCount], fewest: int | None) -> str:
    """ "16 nodes are the fewest that keep the limits: …", or how near the fastest comes."""
    is_limited = any(view.request.get(name) is not None for name in ("deadline", "budget", "power_limit"))
    if fewest is not None and is_limited:
        found = next(one.best for one in counts if one.num_nodes == fewest)
        nodes = "1 node is" if fewest == 1 else f"{fewest} nodes are"
        return f"{nodes} the fewest that keep what was asked: {_told(found)}."
    fastest = min((one.fastest for one in counts if one.fastest is not None), key=lambda one: one.seconds, default=None)
    if fastest is None:
        return f"On none of 1 to {COUNTS[-1]} nodes of an offer can this job run."
    if fewest is None:
        return f"No number of nodes up to {COUNTS[-1]} keeps what was asked; the fastest is {_told(fastest)}."
    priced = [one.best for one in counts if one.best is not None and one.best.cost is not None]
    cheapest = min(priced, key=lambda one: one.cost or 0.0, default=None)
    least = "" if cheapest is None else f"The cheapest is {_told(cheapest)}; the"
    return f"{least or 'The'} fastest is {_told(fastest)}."


def _told(found: Reached | None) -> str:
    if found is None:
        return "nothing"
    currency = found.placement.currency
    cost = "a cost that is unknown" if found.cost is None else units.format_money(found.cost, currency)
    return f"{found.placement.title}, {units.format_seconds(found.seconds)} and {cost}"
