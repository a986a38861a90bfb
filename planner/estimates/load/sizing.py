"""How many GPUs a demand needs at a service level, for many ways of getting them; the losers say what they lost on.

A formula gives every option the least it could need: a full batch at the mean length, as large as the level's time per
token and the cache allow. Options are then simulated in the order of that least cost until none left could win; the
others keep the formula's figure, which is optimistic, and that is what they lost on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from planner import units
from planner.estimates.load.demand import Demand
from planner.estimates.load.engine import EnginePolicy, Served, simulate
from planner.estimates.load.latencies import Latencies, latencies
from planner.estimates.load.level import ServiceLevel, below_floor, floor
from planner.estimates.load.replicas import running_at_a_time
from planner.estimates.load.saturation import fullest, least_waits
from planner.estimates.load.step_table import StepTable

MAX_REPLICAS = 100_000
MAX_SIMULATED = 12  # layouts that are simulated at most; beyond, the formula's order decides


@dataclass(frozen=True, slots=True)
class Way:
    """One way of getting replicas: what a replica is, and what the GPUs for it cost.

    GPUs come in units of `unit_gpus` at `cost_per_unit_hour` (None: not known, ranked last). Ways with the same `table`
    are simulated once.
    """

    title: str
    layout: str  # "TP 8"
    gpus_per_replica: int
    table: StepTable
    unit_gpus: int = 1
    cost_per_unit_hour: float | None = None
    currency: str = "USD"
    max_units: int | None = None
    groups: int = 1  # of a replica, that attend to requests of their own

    def units_for(self, num_gpus: int) -> int:
        return math.ceil(num_gpus / self.unit_gpus)

    @property
    def units_per_group(self) -> int:
        """Units that are rented together: the nodes of a replica that lies on several, else one."""
        return self.units_for(self.gpus_per_replica)

    def cost_per_hour(self, num_gpus: int) -> float | None:
        """What so many GPUs cost; whole units are paid."""
        return None if self.cost_per_unit_hour is None else self.units_for(num_gpus) * self.cost_per_unit_hour


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a sizing: the level, spare replicas that may fail unnoticed, and the part of a replica's most
    that is kept free."""

    level: ServiceLevel
    spare: int = 0
    headroom: float = 0.0

    def __post_init__(self) -> None:
        if self.spare < 0:
            raise ValueError(f"spare replicas cannot be {self.spare}")
        if not 0 <= self.headroom < 1:
            raise ValueError(f"head-room is a share from 0 to below 1, not {self.headroom}")


@dataclass(frozen=True, slots=True)
class Sized:
    """So many replicas of one way keep the level, as simulated with the spare ones down.

    `concurrent` is requests in a replica at a time, on average; `busy_share` the part of the time in which a serving
    replica steps; `most_per_second` what one replica would serve with no level at all.
    """

    way: Way
    replicas: int
    spare: int
    found: Latencies
    concurrent: float
    busy_share: float
    rate_per_replica: float
    most_per_second: float
    num_preempted: int
    reused_share: float  # of prompt tokens, found in the cache
    why_not: str = ""

    @property
    def num_gpus(self) -> int:
        return (self.replicas + self.spare) * self.way.gpus_per_replica

    @property
    def cost_per_hour(self) -> float | None:
        return self.way.cost_per_hour(self.num_gpus)

    @property
    def load_share(self) -> float:
        """The rate ÷ the most that the serving replicas could serve: what is left is head-room."""
        return self.rate_per_replica / self.most_per_second

    @property
    def sentence(self) -> str:
        """ "40 GPUs = 5 replicas × 8 (TP 8), each serves 13 concurrent"."""
        replicas = "1 replica" if self.replicas == 1 else f"{self.replicas:,} replicas"
        if self.spare:
            replicas = f"({self.replicas:,} + {self.spare} spare) replicas"
        gpus = "1 GPU" if self.num_gpus == 1 else f"{self.num_gpus:,} GPUs"
        concurrent = f"{self.concurrent:.0f}" if self.concurrent >= 9.5 else f"{self.concurrent:.2g}"
        each = f"{self.way.gpus_per_replica} ({self.way.layout})"
        return f"{gpus} = {replicas} × {each}, each serves {concurrent} concurrent"


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a way cannot serve, or could not win; `least_gpus` and `least_cost` are the formula's figures where there are
    any, `too_tight` how many times its floor is above the level, where that is why."""

    way: Way
    reason: str
    least_gpus: int | None = None
    least_cost: float | None = None
    too_tight: float | None = None


@dataclass(frozen=True, slots=True)
class Sizing:
    """Simulated ways, the cheapest first, and the others with their reasons."""

    options: tuple[Sized, ...]
    others: tuple[Unfit, ...]
    num_simulated: int  # layouts


def size(ways: Sequence[Way], demand: Demand, terms: Terms, policy: EnginePolicy, most: int = MAX_SIMULATED) -> Sizing:
    """Every way's GPUs for the demand, cheapest first; at most `most` layouts are simulated."""
    others: list[Unfit] = []
    waiting: list[tuple[tuple[float, ...], int, Way, int]] = []
    known_least: dict[int, int | Unfit] = {}
    for place, way in enumerate(ways):
        if id(way.table) not in known_least:
            known_least[id(way.table)] = _least_replicas(way, demand, terms, policy)
        least = known_least[id(way.table)]
        if isinstance(least, Unfit):
            others.append(replace(least, way=way))
        else:
            waiting.append((_worth(way, (least + terms.spare) * way.gpus_per_replica), place, way, least))
    waiting.sort(key=lambda each: each[:2])
    options: list[Sized] = []
    simulated: dict[int, Sized | Unfit] = {}
    best: tuple[float, ...] | None = None
    for worth, _, way, least in waiting:
        known = simulated.get(id(way.table))
        is_hopeless = best is not None and worth > best
        if known is None and (is_hopeless or len(simulated) >= most):
            others.append(_lost_by_formula(way, least, terms, options[0] if options else None, is_hopeless))
            continue
        if known is None:
            known = simulated[id(way.table)] = _replicas(way, demand, terms, policy, least)
        if isinstance(known, Unfit):
            others.append(replace(known, way=way))
            continue
        option = replace(known, way=way)
        if way.max_units is not None and way.units_for(option.num_gpus) > way.max_units:
            others.append(Unfit(way, f"{option.num_gpus} GPUs are needed, {way.max_units * way.unit_gpus} can be had"))
            continue
        options.append(option)
        options.sort(key=lambda each: _worth(each.way, each.num_gpus))
        best = _worth(options[0].way, options[0].num_gpus)
    return Sizing(tuple(_told(option, options[0]) for option in options), tuple(others), len(simulated))


def size_one(way: Way, demand: Demand, terms: Terms, policy: EnginePolicy) -> Sized | Unfit:
    """One way by itself, simulated."""
    least = _least_replicas(way, demand, terms, policy)
    return least if isinstance(least, Unfit) else _replicas(way, demand, terms, policy, least)


def _least_replicas(way: Way, demand: Demand, terms: Terms, policy: EnginePolicy) -> int | Unfit:
    """The formula's fewest replicas, or why the way cannot serve at all."""
    policy = policy.for_groups(way.groups)
    longest = demand.longest
    if longest + policy.tokens_per_step > way.table.capacity:
        held = max(0.0, way.table.capacity)
        return Unfit(way, f"the longest request has {longest:,} tokens and the cache of a replica holds {held:,.0f}")
    has_prefixes = policy.reuses_prefixes and demand.reusable_share > 0
    slow = None if has_prefixes else below_floor(terms.level, least_waits(way.table, demand, policy))
    most = fullest(way.table, demand, policy, terms.level.per_token_seconds)
    if slow is not None:
        return Unfit(way, slow.reason, too_tight=slow.ratio)
    if most is None:
        return Unfit(way, "even one request at a time decodes slower than the level allows on average")
    return max(1, math.ceil(demand.rate / (most.requests_per_second * (1.0 - terms.headroom)) * (1.0 - 1e-9)))


def _replicas(way: Way, demand: Demand, terms: Terms, policy: EnginePolicy, least: int) -> Sized | Unfit:
    """The fewest replicas that keep the level as simulated, from the formula's figure up; or why none do."""
    policy = policy.for_groups(way.groups)
    if policy.reuses_prefixes and demand.reusable_share > 0:
        slow = below_floor(terms.level, floor(demand.sample(), way.table, policy))
        if slow is not None:
            return Unfit(way, slow.reason, too_tight=slow.ratio)
    tried: dict[int, Sized] = {}

    def keeps(number: int) -> bool:
        tried[number] = _simulated(way, demand, policy, number, terms)
        return not terms.level.missed(tried[number].found)

    low, high = least - 1, least
    while not keeps(high):
        low, high = high, high * 2 if high < 4 else math.ceil(high * 1.25)
        if high > MAX_REPLICAS:
            missed = terms.level.missed(tried[low].found)
            return Unfit(way, f"{low:,} replicas do not keep the level: {'; '.join(missed)}")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(middle) else (middle, high)
    return tried[high]


def _simulated(way: Way, demand: Demand, policy: EnginePolicy, number: int, terms: Terms) -> Sized:
    parts = [simulate(part, way.table, policy) for part in demand.on_each_of(number)]
    most = fullest(way.table, demand, policy, None)
    if most is None:
        raise ValueError("a replica without a level serves at some rate")
    prompts = sum(int(part.requests.prompt_tokens.sum()) for part in parts)
    return Sized(
        way=way,
        replicas=number,
        spare=terms.spare,
        found=latencies(parts, demand.skipped_share),
        concurrent=running_at_a_time(parts) / len(parts),
        busy_share=_busy_share(parts),
        rate_per_replica=demand.rate / number,
        most_per_second=most.requests_per_second,
        num_preempted=sum(part.num_preempted for part in parts),
        reused_share=sum(part.cached_tokens for part in parts) / prompts,
    )


def _busy_share(parts: Sequence[Served]) -> float:
    spans = (part.end_seconds - float(part.requests.arrival_seconds[0]) for part in parts)
    return min(1.0, sum(part.busy_seconds for part in parts) / sum(spans))


def _worth(way: Way, num_gpus: int) -> tuple[float, ...]:
    """Less is better: known costs before unknown, then the cost, then the number of GPUs."""
    cost = way.cost_per_hour(num_gpus)
    return (1.0, float(num_gpus)) if cost is None else (0.0, cost, float(num_gpus))


def _told(option: Sized, best: Sized) -> Sized:
    if option is best:
        return option
    cost, least = option.cost_per_hour, best.cost_per_hour
    currency = option.way.currency
    if cost is None:
        why = "its price is not known"
    elif least is None or cost <= least * (1.0 + 1e-9):
        why = f"costs the same, with {option.num_gpus:,} GPUs against {best.num_gpus:,}"
    else:
        dearer = f"{cost / least - 1.0:.0%}" if cost < 3 * least else f"{cost / least:.1f} times"
        why = (
            f"costs {units.format_money(cost, currency)} an hour, {units.format_money(least, currency)} is the least: "
            f"{dearer} {'more' if cost < 3 * least else 'as much'}"
        )
    return replace(option, why_not=why)


def _lost_by_formula(way: Way, least: int, terms: Terms, best: Sized | None, is_hopeless: bool) -> Unfit:
    num_gpus = (least + terms.spare) * way.gpus_per_replica
    cost = way.cost_per_hour(num_gpus)
    reason = f"not simulated: by formula it needs {num_gpus:,} GPUs at least"
    if cost is not None:
        reason += f", {units.format_money(cost, way.currency)} an hour"
    if is_hopeless and best is not None and best.cost_per_hour is not None:
        reason = (
            f"even at its best ({num_gpus:,} GPUs) it costs "
            f"{'an unknown price' if cost is None else units.format_money(cost, way.currency) + ' an hour'}, "
            f"more than {units.format_money(best.cost_per_hour, best.way.currency)}"
        )
    elif is_hopeless and best is not None:
        reason = f"even at its best it needs {num_gpus:,} GPUs, more than {best.num_gpus:,}"
    return Unfit(way, reason, num_gpus, cost)
