"""The columns and rows of supply: what is committed, what is rented by the slot, and the limits over all of it."""

from __future__ import annotations

import math

import numpy as np

from planner.plans.linear import INFINITY
from planner.plans.program.commitments import committed_terms, in_force, start_slots
from planner.plans.program.draft import Draft
from planner.plans.program.jobs import option_on
from planner.plans.program.packing import add_packing
from planner.plans.program.pools import Pool, Source
from planner.plans.program.whole_gangs import add_whole_gangs
from planner.plans.supply import Kind, Supply


def add_supply(draft: Draft) -> None:
    """What pools hold in each slot covers what is used of them; commitments, quotas, power and budgets."""
    for pool in draft.pools:
        if pool.flat_price is None:
            for place, source in enumerate(pool.sources):
                if source.is_committed:
                    _add_commitment(draft, pool, place, source.first)
            _add_slots(draft, pool)
    _add_peaks(draft)
    _add_gang_cuts(draft)
    add_whole_gangs(draft)
    add_packing(draft)
    _add_quotas(draft)
    _add_power(draft)
    _add_budgets(draft)


def _add_commitment(draft: Draft, pool: Pool, place: int, supply: Supply) -> None:
    """Whole instances, begun at any of the slots, within the number that can be had at a time."""
    block = supply.gpus_per_instance
    weights = draft.request.horizon.weights
    most = INFINITY if supply.num_gpus is None else float(supply.num_gpus // block)
    fixed = (draft.request.fixed or {}).get(supply.name)
    columns = []
    for slot in start_slots(supply, draft):
        column = draft.model.column(upper=most, whole=True)
        draft.committed[pool.place, place, slot] = column
        columns.append((column, 1.0))
        held = in_force(supply, slot, draft)
        for at in np.flatnonzero(held):
            money = block * supply.commitment_per_hour * float(held[at] * weights[at])
            draft.charge(column, int(at), money)
    if len(columns) > 1 and math.isfinite(most):
        for slot in range(draft.request.horizon.num_slots):
            live = [
                (draft.committed[pool.place, place, start], 1.0)
                for start in start_slots(supply, draft)
                if in_force(supply, start, draft)[slot] > 0
            ]
            if len(live) > 1:
                draft.row_of(slot, ("held", supply.name), live, upper=most, is_moment=True)
    if fixed is not None:
        draft.model.row(columns, lower=fixed / block, upper=fixed / block)


def _add_slots(draft: Draft, pool: Pool) -> None:
    horizon = draft.request.horizon
    for slot in range(horizon.num_slots):
        uses = draft.uses.get((pool.place, slot))
        if not uses:
            continue
        hours = float(horizon.slot_hours[slot])
        is_open = draft.last_slot is not None and slot == horizon.num_slots - 1
        terms = list(uses)
        for place, source in enumerate(pool.sources):
            terms.extend(
                (column, -weight) for column, weight in _offered(draft, pool, place, source, slot, hours, is_open)
            )
        draft.capacity_rows[pool.place, slot] = draft.row_of(slot, ("capacity", pool.place), terms, upper=0.0)


def _offered(
    draft: Draft, pool: Pool, place: int, source: Source, slot: int, hours: float, is_open: bool
) -> list[tuple[int, float]]:
    """What a source gives in a slot, as terms in GPU-hours."""
    committed = committed_terms(draft, pool, place, slot) if source.is_committed else []
    if source.is_committed and source.price == 0 and not _is_limited(draft, source):
        return committed
    most = INFINITY if source.gpus is None or source.is_committed else float(source.gpus[slot]) * hours
    if most == 0 or (source.is_committed and not committed):
        return []
    column = draft.model.column(upper=most)
    draft.used[pool.place, place, slot] = column
    if source.is_paid_whole:
        _add_instances(draft, pool, place, source, slot, hours)
    else:
        draft.charge(column, slot, source.price * draft.paid(1.0, slot))
    if source.is_committed:
        terms = [(column, 1.0), *((c, -weight) for c, weight in committed)]
        draft.row_of(slot, ("committed", pool.place, place), terms, upper=0.0)
    if is_open and draft.last_slot is not None and math.isfinite(most):
        draft.model.row([(column, 1.0), (draft.last_slot, -most / hours)], upper=0.0)
    return [(column, 1.0)]


def _add_instances(draft: Draft, pool: Pool, place: int, source: Source, slot: int, hours: float) -> None:
    """Whole instances, paid through the slot, hold what is used of them; which gangs fit beside each other in them
    says `packing`."""
    block = source.first.gpus_per_instance
    most = INFINITY if source.gpus is None else float(source.gpus[slot] // block)
    column = draft.model.column(upper=most, whole=True)
    draft.rented[pool.place, place, slot] = column
    draft.charge(column, slot, block * source.price * draft.paid(hours, slot))
    terms = [(draft.used[pool.place, place, slot], 1.0), (column, -block * hours)]
    draft.row_of(slot, ("instances", pool.place, place), terms, upper=0.0)


def _is_limited(draft: Draft, source: Source) -> bool:
    """Whether use of the source itself counts somewhere: the room's power."""
    return draft.request.limits.power_cap_kw is not None and source.first.kind is Kind.PURCHASE


def _add_peaks(draft: Draft) -> None:
    """Where a pool is limited, whole jobs and services hold at most what there is at any moment of a slot."""
    for (place, slot), terms in draft.peaks.items():
        pool = draft.pools[place]
        if pool.most is None or not math.isfinite(pool.most[slot]):
            continue
        hours = float(draft.request.horizon.slot_hours[slot])
        there = 0.0
        given: list[tuple[int, float]] = []
        for number, source in enumerate(pool.sources):
            if source.is_committed:
                given += [(c, -weight / hours) for c, weight in committed_terms(draft, pool, number, slot)]
            else:
                there += min(float(source.gpus[slot]) if source.gpus is not None else math.inf, source.quota)
        draft.row_of(slot, ("peak", place), [*terms, *given], upper=there, is_moment=True)


def _add_gang_cuts(draft: Draft) -> None:
    """At most k gangs of more than 1/(k+1) of a pool run in it at once, however their hours add up."""
    gangs = {
        (place, pool.place): pool.taken(option_on(job, pool.gpu).num_gpus)
        for place, job in enumerate(draft.request.jobs)
        for pool in draft.pools_of(job.name)
    }
    here: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (job, pool_place, slot), column in draft.runs.items():
        here.setdefault((pool_place, slot), []).append((column, gangs[job, pool_place]))
    for (pool_place, slot), mine in here.items():
        room = draft.pools[pool_place].most
        if room is not None and math.isfinite(room[slot]):
            for k in (1, 2, 3):
                _cut(draft, pool_place, slot, float(room[slot]), k, mine)


def _cut(draft: Draft, pool: int, slot: int, room: float, k: int, gangs: list[tuple[int, int]]) -> None:
    large = [(column, gang) for column, gang in gangs if gang * (k + 1) > room]
    if len(large) <= k or room % min(gang for _, gang in large) == 0:
        return
    terms = [(column, 1.0) for column, _ in large]
    horizon = draft.request.horizon
    if draft.last_slot is not None and slot == horizon.num_slots - 1:
        draft.model.row([*terms, (draft.last_slot, -float(k))], upper=0.0)
    else:
        draft.row_of(slot, ("gangs", pool, k), terms, upper=k * float(horizon.slot_hours[slot]))


def _add_quotas(draft: Draft) -> None:
    horizon = draft.request.horizon
    for number, quota in enumerate(draft.request.limits.quotas):
        for slot in range(horizon.num_slots):
            hours = float(horizon.slot_hours[slot])
            terms: list[tuple[int, float]] = []
            for pool in draft.pools:
                for place, source in enumerate(pool.sources):
                    if not quota.covers(source.first):
                        continue
                    column = draft.used.get((pool.place, place, slot))
                    instances = draft.rented.get((pool.place, place, slot))
                    if source.is_committed:
                        terms.extend(committed_terms(draft, pool, place, slot))
                    elif instances is not None:
                        terms.append((instances, source.first.gpus_per_instance * hours))
                    elif column is not None:
                        terms.append((column, 1.0))
            if terms:
                upper = quota.num_gpus * hours
                draft.quota_rows[number, slot] = draft.row_of(slot, ("quota", number), terms, upper=upper)


def _add_power(draft: Draft) -> None:
    cap = draft.request.limits.power_cap_kw
    if cap is None:
        return
    horizon = draft.request.horizon
    terms: dict[int, list[tuple[int, float]]] = {}
    for (pool, place, slot), column in draft.used.items():
        supply = draft.pools[pool].sources[place].first
        if supply.kind in (Kind.OWNED, Kind.PURCHASE) and supply.kw > 0:
            terms.setdefault(slot, []).append((column, supply.kw))
    for slot, drawn in terms.items():
        upper = cap * float(horizon.slot_hours[slot])
        draft.power_rows[slot] = draft.row_of(slot, ("power",), drawn, upper=upper)


def _add_budgets(draft: Draft) -> None:
    horizon = draft.request.horizon
    for number, budget in enumerate(draft.request.limits.budgets):
        inside = horizon.overlap(budget.from_hours, budget.until_hours) / horizon.slot_hours
        terms = [
            (column, money * float(inside[slot]))
            for column, spent in draft.spends.items()
            for slot, money in spent
            if inside[slot] > 0
        ]
        if terms:
            draft.budget_rows[number] = draft.model.row(terms, upper=budget.amount)
