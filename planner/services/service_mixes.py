"""The cheapest mix of GPU kinds for a service, as shown: what is rented, what goes where, and what others lost on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from planner import units
from planner.estimates.load.buckets import bucketed
from planner.estimates.load.demand import Demand, TraceDemand
from planner.estimates.load.engine import EnginePolicy
from planner.estimates.load.sizing import Terms, Way
from planner.plans.mix import NoMix
from planner.plans.service_mix import BUSY_SHARE, ServiceMix, group_cost, group_gpus, service_mix


@dataclass(frozen=True, slots=True)
class MixPart:
    """So many units of one kind: their GPUs, cost and the part of their time that is used."""

    title: str
    num_units: int
    num_gpus: int
    cost_per_hour: float
    requests_per_second: float
    busy_share: float


@dataclass(frozen=True, slots=True)
class Route:
    """Requests of about one size: how many per second go to each kind."""

    prompt_tokens: int
    output_tokens: int
    requests_per_second: float
    to: dict[str, float]


@dataclass(frozen=True, slots=True)
class MixLoser:
    """A kind that is left out: what it would cost alone (None: it cannot serve alone) and what it lost on."""

    title: str
    alone_per_hour: float | None
    why_not: str


@dataclass(frozen=True, slots=True)
class MixView:
    """The mix, proven the cheapest where `is_optimal`; `reason` says why there is none."""

    sentence: str
    cost_per_hour: float | None
    bound_per_hour: float | None
    is_optimal: bool
    currency: str
    best_alone_per_hour: float | None
    parts: tuple[MixPart, ...]
    routes: tuple[Route, ...]
    losers: tuple[MixLoser, ...]
    busy_share: float
    reason: str = ""


def mix_of(ways: Sequence[Way], demand: Demand, terms: Terms, policy: EnginePolicy, currency: str) -> MixView | None:
    """The mix for the sizes of a trace; None for requests that are all alike."""
    if not isinstance(demand, TraceDemand):
        return None
    buckets = bucketed(demand.requests)
    busy = min(BUSY_SHARE, 1.0 - terms.headroom)
    found = service_mix(ways, buckets, demand.rate, terms.level, policy, busy)
    if isinstance(found, NoMix):
        sizes = [
            f"{buckets[place].prompt_tokens:,} in, {buckets[place].output_tokens:,} out" for place in found.buckets
        ]
        reason = f"{found.reason}{f': {sizes[0]}' if len(sizes) == 1 else ''}"
        if len(sizes) > 1:
            reason = (
                f"{len(sizes)} of {len(buckets)} sizes, among them {sizes[0]}, are served by no kind within the level"
            )
        return MixView("No mix serves these requests.", None, None, False, currency, None, (), (), (), busy, reason)
    return _view(found, demand.rate, currency)


def _view(found: ServiceMix, rate: float, currency: str) -> MixView:
    mix = found.mix
    ways = dict(zip(found.names, found.ways, strict=True))
    parts = tuple(
        MixPart(
            title=name,
            num_units=number * ways[name].units_per_group,
            num_gpus=number * group_gpus(ways[name]),
            cost_per_hour=number * group_cost(ways[name]),
            requests_per_second=sum(mix.routed[name]),
            busy_share=mix.busy[name],
        )
        for name, number in mix.counts.items()
    )
    routes = tuple(
        Route(
            prompt_tokens=bucket.prompt_tokens,
            output_tokens=bucket.output_tokens,
            requests_per_second=rate * bucket.share,
            to={name: routed[place] for name, routed in mix.routed.items() if routed[place] > 0},
        )
        for place, bucket in enumerate(found.buckets)
    )
    alone = [cost for cost in mix.alone_per_hour.values() if cost is not None]
    best_alone = min(alone, default=None)
    sentence = f"{' and '.join(f'{part.num_units} × {part.title}' for part in parts)}"
    sentence += f" at {units.format_money(mix.cost_per_hour, currency)} an hour"
    if best_alone is not None and best_alone > mix.cost_per_hour * (1 + 1e-9):
        sentence += f", {1 - mix.cost_per_hour / best_alone:.0%} less than the cheapest single kind"
    return MixView(
        sentence=f"{sentence}.",
        cost_per_hour=mix.cost_per_hour,
        bound_per_hour=mix.bound_per_hour,
        is_optimal=mix.is_optimal,
        currency=currency,
        best_alone_per_hour=best_alone,
        parts=parts,
        routes=routes,
        losers=tuple(MixLoser(name, mix.alone_per_hour[name], why) for name, why in mix.why_not.items()),
        busy_share=found.busy_share,
    )
