"""Supplies that the demands cannot tell apart, gathered into pools; and why a supply is in none."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from planner.plans.demand import Demand, Job
from planner.plans.horizon import Horizon
from planner.plans.request import PlanRequest
from planner.plans.supply import RENTED, Kind, Supply

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """Supplies of one pool that cost and behave the same; `gpus` is how many there are in each slot (None: any number).

    A source of committed supplies holds exactly one, and its GPUs are those that may be committed.
    """

    members: tuple[Supply, ...]
    gpus: Array | None
    quota: float = math.inf  # the least of the quotas that it counts in

    @property
    def first(self) -> Supply:
        return self.members[0]

    @property
    def is_committed(self) -> bool:
        return self.first.kind in (Kind.RESERVED, Kind.PURCHASE)

    @property
    def price(self) -> float:
        """What a GPU-hour of use costs here."""
        return self.first.running_per_hour

    @property
    def is_paid_whole(self) -> bool:
        """Whether its instances hold several demands and are paid whole."""
        return self.first.is_paid_whole


@dataclass(frozen=True)
class Pool:
    """Sources of one GPU that serve the same demands in the same way, cheapest use first."""

    place: int
    gpu: str
    block: int  # GPUs that one demand takes at a time: whole instances; 1 where instances are shared
    work_share: float
    sources: tuple[Source, ...]
    users: frozenset[str]  # names of the demands that may use it
    num_slots: int = 1
    limited_names: frozenset[str] = field(default=frozenset())  # supplies under a quota

    def taken(self, num_gpus: int) -> int:
        """GPUs held while a gang of `num_gpus` runs here: whole instances."""
        return math.ceil(num_gpus / self.block) * self.block

    @cached_property
    def flat_price(self) -> float | None:
        """The price of a GPU-hour where it is the same at any time and for any number; else None."""
        if len(self.sources) != 1 or self.sources[0].is_committed or self.sources[0].gpus is not None:
            return None
        if self.sources[0].is_paid_whole:
            return None
        return None if any(member.name in self.limited_names for member in self.sources[0].members) else self.price

    @property
    def price(self) -> float:
        return self.sources[0].price

    @cached_property
    def most(self) -> Array | None:
        """The most GPUs there can be in each slot; None: no limit."""
        if any(source.gpus is None and math.isinf(source.quota) for source in self.sources):
            return None
        each = [
            source.quota if source.gpus is None else np.minimum(source.gpus, source.quota) for source in self.sources
        ]
        return np.asarray(sum(np.broadcast_to(gpus, self.num_slots) for gpus in each), dtype=float)


@dataclass(frozen=True, slots=True)
class Left:
    """A supply that no plan can use, or need use, and why."""

    supply: str
    reason: str


def gather(request: PlanRequest) -> tuple[tuple[Pool, ...], tuple[Left, ...]]:
    """The pools of a request, and the supplies left out with their reasons."""
    groups: dict[tuple[object, ...], list[Supply]] = {}
    left: list[Left] = []
    for supply in request.supplies:
        reason = _barred(supply, request)
        users = frozenset(demand.name for demand in request.demands if why_not(demand, supply) is None)
        if reason is None and not users:
            reason = _nobody(supply, request)
        if reason is not None:
            left.append(Left(supply.name, reason))
        else:
            groups.setdefault(_key(supply, users, request), []).append(supply)
    pools: list[Pool] = []
    for members in groups.values():
        sources, dropped = _sources(members, request)
        left.extend(dropped)
        limited = frozenset(m.name for m in members if any(quota.covers(m) for quota in request.limits.quotas))
        users = _users(members[0], request)
        first, num_slots = members[0], request.horizon.num_slots
        pools.append(Pool(len(pools), first.gpu, _block(first), first.work_share, sources, users, num_slots, limited))
    return tuple(pools), tuple(left)


def why_not(demand: Demand, supply: Supply) -> str | None:
    """Why a demand cannot use a supply; None: it can."""
    gpus = [option.gpu for option in (demand.options if isinstance(demand, Job) else demand.replicas)]
    if supply.gpu not in gpus:
        return f"it does not run on {supply.gpu}"
    if demand.providers and supply.provider not in demand.providers:
        return f"its rules do not allow the provider {supply.provider or 'unstated'}"
    if demand.regions and supply.region not in demand.regions:
        return f"its rules do not allow the region {supply.region or 'unstated'}"
    if supply.kind is Kind.SPOT and not demand.may_use_spot:
        return "it may not be interrupted"
    return None


def gang_of(demand: Demand, gpu: str) -> int:
    """GPUs together that a demand takes of this kind."""
    options = demand.options if isinstance(demand, Job) else demand.replicas
    return next(option.num_gpus for option in options if option.gpu == gpu)


def can_be_had(supply: Supply, horizon: Horizon) -> Array:
    """Share of each slot during which a supply is on offer."""
    start = supply.from_hours + (supply.lead_time_hours if supply.kind is Kind.PURCHASE else 0.0)
    end = horizon.hours if supply.until_hours is None else supply.until_hours
    return horizon.overlap(start, end) / horizon.slot_hours


def gpus_by_slot(supply: Supply, horizon: Horizon) -> Array | None:
    """How many GPUs of a supply there are in each slot, outages and failures taken off; None: any number."""
    share = can_be_had(supply, horizon)
    if supply.num_gpus is None:
        return None if (share >= 1 - 1e-9).all() else np.where(share >= 1 - 1e-9, np.inf, 0.0)
    there = np.where(share >= 1 - 1e-9, float(supply.num_gpus), 0.0)
    for outage in supply.outages:
        away = horizon.overlap(outage.from_hours, outage.until_hours) > 0
        there = np.where(away, there - outage.num_gpus, there)
    return np.floor(np.clip(there, 0.0, None) * supply.availability + 1e-9)


def _barred(supply: Supply, request: PlanRequest) -> str | None:
    limits = request.limits
    if limits.providers and supply.provider not in limits.providers:
        return f"the provider {supply.provider or 'unstated'} is not among those allowed"
    if limits.regions and supply.region not in limits.regions:
        return f"the region {supply.region or 'unstated'} is not among those allowed"
    if supply.num_gpus == 0:
        return "none can be had"
    if not can_be_had(supply, request.horizon).any():
        return "it cannot be had within the horizon"
    return None


def _nobody(supply: Supply, request: PlanRequest) -> str:
    reasons = {why_not(demand, supply) for demand in request.demands}
    known = sorted(reason for reason in reasons if reason)
    return (
        known[0].replace("it does", "no job or service does", 1) if len(known) == 1 else "no job or service may use it"
    )


def _users(supply: Supply, request: PlanRequest) -> frozenset[str]:
    return frozenset(d.name for d in request.demands if why_not(d, supply) is None)


def _block(supply: Supply) -> int:
    return 1 if supply.shared else supply.gpus_per_instance


def _key(supply: Supply, users: frozenset[str], request: PlanRequest) -> tuple[object, ...]:
    """What two supplies must share to be in one pool. A gang larger than an instance stays in one place."""
    largest = max(gang_of(demand, supply.gpu) for demand in request.demands if demand.name in users)
    place = (supply.provider, supply.region) if largest > supply.gpus_per_instance else None
    spot = None if supply.times is None else (supply.times.work_share, supply.times.paid_share)
    return supply.gpu, _block(supply), users, place, spot


def _sources(members: list[Supply], request: PlanRequest) -> tuple[tuple[Source, ...], list[Left]]:
    """Sources by price of use; those never needed beside a cheaper one that is never short are left out."""
    horizon = request.horizon
    merged: dict[tuple[object, ...], list[Supply]] = {}
    for supply in members:
        merged.setdefault(_likeness(supply, request), []).append(supply)
    sources = []
    for same in merged.values():
        each = [gpus_by_slot(supply, horizon) for supply in same]
        known = [gpus for gpus in each if gpus is not None]
        total = np.sum(known, axis=0) if len(known) == len(each) else None
        quotas = [request.limits.quotas[place].num_gpus for place in _quotas(same[0], request)]
        sources.append(Source(tuple(same), total, min(quotas, default=math.inf)))
    sources.sort(key=lambda source: (source.price, not source.is_committed))
    kept: list[Source] = []
    left: list[Left] = []
    endless: Source | None = None
    for source in sources:
        if endless is not None and source.price >= endless.price and not source.is_committed:
            words = f"{endless.first.name} costs {_dearer(source, endless)} and is never short"
            left.extend(Left(member.name, words) for member in source.members)
            continue
        kept.append(source)
        is_bound = bool(_quotas(source.first, request))
        is_single = source.first.kind in RENTED and not source.is_paid_whole
        if source.gpus is None and not source.is_committed and is_single and not is_bound:
            endless = source
    return tuple(kept), left


def _dearer(source: Source, endless: Source) -> str:
    if source.price == endless.price:
        return "the same"
    return f"{endless.price:g} an hour of a GPU instead of {source.price:g}"


def _quotas(supply: Supply, request: PlanRequest) -> tuple[int, ...]:
    return tuple(place for place, quota in enumerate(request.limits.quotas) if quota.covers(supply))


def _likeness(supply: Supply, request: PlanRequest) -> tuple[object, ...]:
    """Equal for supplies that may be one source: what they cost, and which quotas and rooms they count in."""
    if supply.kind in (Kind.RESERVED, Kind.PURCHASE):
        return (supply.name,)
    draws = supply.kw if supply.kind is Kind.OWNED else 0.0
    size = supply.gpus_per_instance if supply.is_paid_whole else 0
    return supply.running_per_hour, supply.kind, _quotas(supply, request), draws, size
