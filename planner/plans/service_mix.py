"""The cheapest mix of GPU kinds for a service's sizes of requests: throughputs by bucket from the model, then exactly.

A bucket's requests are taken at its upper edges. What one replica serves of them is the fullest steady batch whose mean
time per token keeps the level, and nothing where a request of that size, alone, is already slower than the level. The
queue is not in it, so a share of each replica's time is kept free.

What is rented is a group of units: the nodes of a replica that lies on several, else one unit with as many replicas as
it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from planner.estimates.load.arrivals import Sizes
from planner.estimates.load.buckets import Bucket
from planner.estimates.load.demand import RandomDemand
from planner.estimates.load.engine import EnginePolicy
from planner.estimates.load.level import ServiceLevel, below_floor
from planner.estimates.load.saturation import fullest, least_waits
from planner.estimates.load.sizing import Way
from planner.estimates.load.step_table import StepTable
from planner.plans.mix import GroupOffer, Mix, NoMix, solve_mix

BUSY_SHARE = 0.7  # assumed: of a replica's time, the rest is for the queue
MAX_KINDS = 40


@dataclass(frozen=True, slots=True)
class ServiceMix:
    """The mix, the kinds it was chosen from in the order of their names, and the buckets in the order of its routes."""

    mix: Mix
    ways: tuple[Way, ...]  # of each kind, cheapest offer first
    names: tuple[str, ...]
    buckets: tuple[Bucket, ...]
    throughputs: tuple[tuple[float, ...], ...]  # requests/s of one group that is rented, per kind and bucket
    busy_share: float

    @property
    def num_gpus(self) -> int:
        """GPUs that are paid."""
        ways = dict(zip(self.names, self.ways, strict=True))
        return sum(group_gpus(ways[name]) * number for name, number in self.mix.counts.items())


def group_gpus(way: Way) -> int:
    """GPUs of a group."""
    return way.units_per_group * way.unit_gpus


def group_cost(way: Way) -> float:
    """What a group costs per hour; 0 only where a unit costs nothing. Raises ValueError for an unknown price."""
    if way.cost_per_unit_hour is None:
        raise ValueError(f"{way.title} has no price")
    return way.units_per_group * way.cost_per_unit_hour


def service_mix(
    ways: Sequence[Way],
    buckets: Sequence[Bucket],
    rate: float,
    level: ServiceLevel,
    policy: EnginePolicy,
    busy_share: float = BUSY_SHARE,
) -> ServiceMix | NoMix:
    """The cheapest groups of the ways for `rate` requests/s of these sizes. Of equal replicas in equal units only the
    cheapest offer takes part, of all kinds the MAX_KINDS that serve a request the cheapest."""
    kinds = _cheapest_of_each(ways)
    alike = [RandomDemand(1.0, Sizes.fixed(each.prompt_tokens, each.output_tokens), number=2) for each in buckets]
    tables = {id(way.table): (way.table, policy.for_groups(way.groups)) for way in kinds}
    known = {key: [_throughput(table, one, level, own) for one in alike] for key, (table, own) in tables.items()}
    rated = [
        (way, tuple(group_gpus(way) // way.gpus_per_replica * speed for speed in known[id(way.table)])) for way in kinds
    ]
    rated = [(way, speeds) for way, speeds in rated if any(speeds)]
    rated.sort(key=lambda pair: _cost_of_a_request(pair[0], pair[1], buckets))
    rated = rated[:MAX_KINDS]
    if not rated:
        return NoMix(
            "no kind with a known price serves any of these sizes within the level", tuple(range(len(buckets)))
        )
    names = tuple(f"{way.title} ({way.layout})" for way, _ in rated)
    offers = [
        GroupOffer(
            name, group_cost(way), speeds, None if way.max_units is None else way.max_units // way.units_per_group
        )
        for name, (way, speeds) in zip(names, rated, strict=True)
    ]
    found = solve_mix([rate * bucket.share for bucket in buckets], offers, busy_share)
    if isinstance(found, NoMix):
        return found
    return ServiceMix(
        mix=found,
        ways=tuple(way for way, _ in rated),
        names=names,
        buckets=tuple(buckets),
        throughputs=tuple(speeds for _, speeds in rated),
        busy_share=busy_share,
    )


def _cheapest_of_each(ways: Sequence[Way]) -> list[Way]:
    """The cheapest priced offer of every table in every unit."""
    best: dict[tuple[int, int], Way] = {}
    for way in ways:
        if way.cost_per_unit_hour is None:
            continue
        key = id(way.table), way.unit_gpus
        known = best.get(key)
        if known is None or way.cost_per_unit_hour < (known.cost_per_unit_hour or 0.0):
            best[key] = way
    return list(best.values())


def _throughput(table: StepTable, alike: RandomDemand, level: ServiceLevel, policy: EnginePolicy) -> float:
    """Requests/s of one replica where all are of one size; 0 where it serves none within the level."""
    if alike.longest + policy.tokens_per_step > table.capacity:
        return 0.0
    if below_floor(level, least_waits(table, alike, policy)) is not None:
        return 0.0
    further, limit = alike.sizes.output_tokens[0] - 1, level.per_token_seconds
    if level.whole_seconds is not None and further > 0:
        each = level.whole_seconds / further
        limit = each if limit is None else min(limit, each)
    most = fullest(table, alike, policy, limit)
    return 0.0 if most is None else most.requests_per_second


def _cost_of_a_request(way: Way, speeds: Sequence[float], buckets: Sequence[Bucket]) -> float:
    """The cost of its requests on average over the buckets that it serves."""
    served = [(speed, bucket.share) for speed, bucket in zip(speeds, buckets, strict=True) if speed > 0]
    cost = group_cost(way)
    return sum(cost / speed * share for speed, share in served) / sum(share for _, share in served)
