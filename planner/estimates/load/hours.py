"""A service over the hours of a day or a week: what requests wait in each, and how many replicas each one needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from planner.estimates.load.demand import RandomDemand
from planner.estimates.load.engine import EnginePolicy, simulate
from planner.estimates.load.latencies import Latencies, latencies
from planner.estimates.load.level import ServiceLevel
from planner.estimates.load.sizing import Sized
from planner.estimates.load.step_table import StepTable

LEVELS = 24  # rates are rounded up to so many shares of the busiest, so that a week takes no longer than a day
HALVINGS = 6  # of the gap between a load that keeps the level and one that does not


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour: its mean requests per second, what they wait on all replicas, and the replicas that would do."""

    requests_per_second: float
    found: Latencies | None  # None: no request comes
    replicas: int


@dataclass(frozen=True, slots=True)
class Hours:
    """The hours in turn, and GPU-hours over all of them: with every replica on, and with as many as each hour needs.

    Spare replicas are on in both. A replica that is switched on within the hour before is not counted.
    """

    hours: tuple[Hour, ...]
    fixed_gpu_hours: float
    followed_gpu_hours: float
    fixed_cost: float | None  # in the way's currency; None: its price is not known
    followed_cost: float | None


def over_hours(
    option: Sized, rates: Sequence[float], demand: RandomDemand, level: ServiceLevel, policy: EnginePolicy
) -> Hours:
    """The sized service at these rates, requests per second, the busiest of which it was sized for."""
    policy = policy.for_groups(option.way.groups)
    busiest = max(rates)
    table, number = option.way.table, option.replicas
    each = _most_per_replica(option, demand, level, policy, busiest)
    seen: dict[int, tuple[Latencies | None, int]] = {0: (None, 1)}
    hours = []
    for rate in rates:
        step = math.ceil(LEVELS * rate / busiest * (1.0 - 1e-9))
        if step not in seen:
            load = busiest * step / LEVELS
            needed = min(number, max(1, math.ceil(load / each * (1.0 - 1e-9))))
            while needed < number and level.missed(_found(table, demand, policy, load, needed)):
                needed += 1
            seen[step] = _found(table, demand, policy, load, number), needed
        hours.append(Hour(rate, *seen[step]))
    fixed = [option.num_gpus] * len(rates)
    followed = [(hour.replicas + option.spare) * option.way.gpus_per_replica for hour in hours]
    return Hours(tuple(hours), float(sum(fixed)), float(sum(followed)), _cost(option, fixed), _cost(option, followed))


def _most_per_replica(
    option: Sized, demand: RandomDemand, level: ServiceLevel, policy: EnginePolicy, busiest: float
) -> float:
    """The highest load of a replica that keeps the level, between the one sized for and that of one replica less."""
    low = busiest / option.replicas
    if option.replicas == 1:
        return low
    high = min(busiest / (option.replicas - 1), option.most_per_second)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        found = _found(option.way.table, demand, policy, middle * option.replicas, option.replicas)
        missed = level.missed(found)
        low, high = (low, middle) if missed else (middle, high)
    return low


def _found(table: StepTable, demand: RandomDemand, policy: EnginePolicy, rate: float, number: int) -> Latencies:
    """What requests at this rate of the whole service wait on one of so many replicas."""
    mine = demand.one_of(number).at_rate(rate / number)
    return latencies([simulate(mine, table, policy)], demand.skipped_share)


def _cost(option: Sized, gpus: Sequence[int]) -> float | None:
    costs = [option.way.cost_per_hour(number) for number in gpus]
    known = [cost for cost in costs if cost is not None]
    return math.fsum(known) if len(known) == len(costs) else None
