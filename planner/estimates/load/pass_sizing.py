"""How many GPUs answer items of a single pass within a deadline: pictures, frames of cameras, texts to embed, drawings.

A replica is one GPU with the whole network. A formula gives every way the least it could need: the batch that serves
most of those that a deadline leaves time for. From there up replicas are added until the simulated percentile is within
the deadline; ways are simulated in the order of that least cost until none left could win.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner import units
from planner.estimates.load.batching import BatchTimes, serve_batches
from planner.estimates.load.items import Items
from planner.estimates.load.latencies import PERCENTILES, Percentiles

MAX_REPLICAS = 100_000
MAX_SIMULATED = 16
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
FULL = 0.995  # of what a GPU could serve: beyond, a queue grows for as long as one looks


@dataclass(frozen=True, slots=True)
class Deadline:
    """So many percent of the items are answered within so many seconds (None: any); `spare` GPUs may fail."""

    seconds: float | None
    percentile: int = 99
    spare: int = 0
    headroom: float = 0.0

    def __post_init__(self) -> None:
        if self.percentile not in PERCENTILES:
            raise ValueError(f"the percentile must be one of {PERCENTILES}, not {self.percentile}")
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds > 0):
            raise ValueError(f"a deadline must be above 0, not {self.seconds}")
        if self.spare < 0 or not 0 <= self.headroom < 1:
            raise ValueError("spare GPUs are not negative, and head-room is a share from 0 to below 1")


@dataclass(frozen=True, slots=True)
class Batching:
    """The largest batch (None: the best is searched) and how long a batch that is not full is held for others."""

    most: int | None = None
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class PassWay:
    """One kind of GPU to be had in units of `unit_gpus` at a price (None: not known); equal `times` are alike."""

    title: str
    times: BatchTimes
    unit_gpus: int = 1
    cost_per_unit_hour: float | None = None
    currency: str = "USD"
    max_units: int | None = None

    def cost_per_hour(self, num_gpus: int) -> float | None:
        """What so many GPUs cost; whole units are paid."""
        if self.cost_per_unit_hour is None:
            return None
        return math.ceil(num_gpus / self.unit_gpus) * self.cost_per_unit_hour


@dataclass(frozen=True, slots=True)
class SizedPasses:
    """So many GPUs keep the deadline, as simulated on the busiest of them with the spare ones down."""

    way: PassWay
    replicas: int
    spare: int
    waited: Percentiles
    late_share: float | None  # of the items; None: there is no deadline
    largest_batch: int
    mean_batch: float
    busy_share: float
    rate_per_replica: float
    most_per_second: float  # of one GPU
    why_not: str = ""

    @property
    def num_gpus(self) -> int:
        return self.replicas + self.spare

    @property
    def cost_per_hour(self) -> float | None:
        return self.way.cost_per_hour(self.num_gpus)

    @property
    def sentence(self) -> str:
        """ "6 GPUs = (5 + 1 spare), each answers 380/s in batches of 8"."""
        gpus = "1 GPU" if self.num_gpus == 1 else f"{self.num_gpus:,} GPUs"
        spare = f" = ({self.replicas:,} + {self.spare} spare)" if self.spare else ""
        batch = f"batches of {self.mean_batch:.0f}" if self.mean_batch >= 1.5 else "batches of 1"
        each = "it answers" if self.replicas == 1 and not self.spare else "each answers"
        return f"{gpus}{spare}, {each} {units.format_count(self.rate_per_replica)} a second in {batch}"


@dataclass(frozen=True, slots=True)
class UnfitPasses:
    """Why a way cannot keep the deadline, or could not win; `ratio`: its floor ÷ the deadline, where that is why."""

    way: PassWay
    reason: str
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class PassSizing:
    """The ways that keep the deadline, the cheapest first, and the others with their reasons."""

    options: tuple[SizedPasses, ...]
    others: tuple[UnfitPasses, ...]
    num_simulated: int


def size_passes(ways: Sequence[PassWay], items: Items, deadline: Deadline, batching: Batching) -> PassSizing:
    """Every way's GPUs for the items, cheapest first; ways with equal times are simulated once."""
    others: list[UnfitPasses] = []
    waiting: list[tuple[tuple[float, ...], int, PassWay, int]] = []
    for place, way in enumerate(ways):
        least = _least(way, items, deadline, batching)
        if isinstance(least, UnfitPasses):
            others.append(least)
        else:
            waiting.append((_worth(way, least + deadline.spare), place, way, least))
    waiting.sort(key=lambda each: each[:2])
    options: list[SizedPasses] = []
    known: dict[int, SizedPasses | UnfitPasses] = {}
    for worth, _, way, least in waiting:
        best = options[0] if options else None
        seen = known.get(id(way.times))
        if seen is None and best is not None and worth > _worth(best.way, best.num_gpus):
            others.append(_hopeless(way, least + deadline.spare, best))
            continue
        if seen is None and len(known) >= MAX_SIMULATED:
            others.append(UnfitPasses(way, f"not simulated: by formula it needs {least} GPUs at least"))
            continue
        if seen is None:
            seen = known[id(way.times)] = _fewest(way, items, deadline, batching, least)
        if isinstance(seen, UnfitPasses):
            others.append(replace(seen, way=way))
            continue
        option = replace(seen, way=way)
        if way.max_units is not None and option.num_gpus > way.max_units * way.unit_gpus:
            have = way.max_units * way.unit_gpus
            others.append(UnfitPasses(way, f"{option.num_gpus} GPUs are needed, {have} can be had"))
            continue
        options.append(option)
        options.sort(key=lambda each: _worth(each.way, each.num_gpus))
    told = tuple(_told(option, options[0]) for option in options)
    return PassSizing(told, tuple(others), len(known))


def size_pass_way(way: PassWay, items: Items, deadline: Deadline, batching: Batching) -> SizedPasses | UnfitPasses:
    """One way by itself, simulated."""
    least = _least(way, items, deadline, batching)
    return least if isinstance(least, UnfitPasses) else _fewest(way, items, deadline, batching, least)


def on_replicas(
    way: PassWay, items: Items, deadline: Deadline, batching: Batching, number: int, batch: int
) -> SizedPasses:
    """What items wait where so many GPUs answer them in batches of at most `batch`."""
    stream = items.on_one_of(number)
    times = way.times.up_to(batch)
    served = serve_batches(stream.arrivals, times, batching.wait_seconds)
    counted = slice(int(items.skipped_share * stream.since.size), None)
    waited = (served.done - stream.since)[counted]
    found = Percentiles.of(waited)
    if found is None:
        raise ValueError("there is no item to take percentiles of")
    return SizedPasses(
        way=way,
        replicas=number,
        spare=deadline.spare,
        waited=found,
        late_share=None if deadline.seconds is None else float(np.mean(waited > deadline.seconds)),
        largest_batch=batch,
        mean_batch=stream.arrivals.size / served.num_passes,
        busy_share=served.busy_share,
        rate_per_replica=items.rate / number,
        most_per_second=times.most_per_second,
    )


def _batches(way: PassWay, deadline: Deadline, batching: Batching) -> list[int]:
    """Largest batches to try: those that memory holds and that a deadline leaves time for."""
    if batching.most is not None:
        return [min(batching.most, way.times.most)]
    sizes = sorted({min(size, way.times.most) for size in BATCHES})
    return [one for one in sizes if deadline.seconds is None or way.times.seconds[one - 1] <= deadline.seconds]


def _least(way: PassWay, items: Items, deadline: Deadline, batching: Batching) -> int | UnfitPasses:
    """The formula's fewest GPUs, or why none can keep the deadline."""
    alone, limit = way.times.seconds[0], deadline.seconds
    if limit is not None and alone > limit:
        reason = (
            f"a deadline of {units.format_seconds(limit)} is below the floor: "
            f"one item with the GPU to itself takes {units.format_seconds(alone)}"
        )
        return UnfitPasses(way, reason, alone / limit)
    most = max(way.times.up_to(one).most_per_second for one in _batches(way, deadline, batching))
    least = max(1, math.ceil(items.rate / (most * (1.0 - deadline.headroom) * FULL) * (1.0 - 1e-9)))
    if items.most_replicas is not None and least > items.most_replicas:
        each = items.rate / items.most_replicas
        return UnfitPasses(
            way, f"one camera gives {each:.3g} frames a second, and a GPU answers {most:.3g} of them at its fullest"
        )
    return least


def _fewest(
    way: PassWay, items: Items, deadline: Deadline, batching: Batching, least: int
) -> SizedPasses | UnfitPasses:
    """The fewest GPUs that keep the deadline with the best largest batch, from the formula's figure up."""
    last = min(MAX_REPLICAS, items.most_replicas or MAX_REPLICAS)
    tried: dict[int, SizedPasses] = {}

    def keeps(number: int) -> bool:
        tried[number] = _best_batch(way, items, deadline, batching, number)
        return deadline.seconds is None or tried[number].waited.at(deadline.percentile) <= deadline.seconds

    low, high = least - 1, least
    while not keeps(high):
        if high >= last:
            have = units.format_seconds(tried[high].waited.at(deadline.percentile))
            limit = units.format_seconds(deadline.seconds or 0.0)
            return UnfitPasses(way, f"with {high:,} GPUs p{deadline.percentile} is {have}, {limit} is allowed")
        low, high = high, min(last, high * 2 if high < 4 else math.ceil(high * 1.25))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(middle) else (middle, high)
    return tried[high]


def _best_batch(way: PassWay, items: Items, deadline: Deadline, batching: Batching, number: int) -> SizedPasses:
    """Of the largest batches that keep up with the items, the one with the least wait at the percentile."""
    each = items.rate / number
    sizes = _batches(way, deadline, batching)
    enough = [one for one in sizes if way.times.up_to(one).most_per_second * FULL >= each] or sizes[-1:]
    found = [on_replicas(way, items, deadline, batching, number, one) for one in enough]
    return min(found, key=lambda one: one.waited.at(deadline.percentile))


def _worth(way: PassWay, num_gpus: int) -> tuple[float, ...]:
    """Less is better: known costs before unknown, then the cost, then the number of GPUs."""
    cost = way.cost_per_hour(num_gpus)
    return (1.0, float(num_gpus)) if cost is None else (0.0, cost, float(num_gpus))


def _hopeless(way: PassWay, num_gpus: int, best: SizedPasses) -> UnfitPasses:
    cost, least = way.cost_per_hour(num_gpus), best.cost_per_hour
    if cost is None or least is None:
        return UnfitPasses(way, f"even at its best it needs {num_gpus:,} GPUs, the best {best.num_gpus:,}")
    money = units.format_money(cost, way.currency), units.format_money(least, best.way.currency)
    return UnfitPasses(way, f"even at its best ({num_gpus:,} GPUs) it costs {money[0]} an hour, more than {money[1]}")


def _told(option: SizedPasses, best: SizedPasses) -> SizedPasses:
    if option is best:
        return option
    cost, least = option.cost_per_hour, best.cost_per_hour
    if cost is None:
        why = "its price is not known"
    elif least is None or cost <= least * (1.0 + 1e-9):
        why = f"costs the same, with {option.num_gpus:,} GPUs against {best.num_gpus:,}"
    else:
        why = (
            f"costs {units.format_money(cost, option.way.currency)} an hour, "
            f"{units.format_money(least, best.way.currency)} is the least"
        )
    return replace(option, why_not=why)
