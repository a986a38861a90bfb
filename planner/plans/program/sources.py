"""The columns and rows of supply: what is committed, what is rented by the slot, and the limits over all of it."""

from __future__ import annotations

import math

import numpy as np

from planner.plans.horizon import Array, Horizon
from planner.plans.linear import INFINITY
from planner.plans.program.draft import Draft
from planner.plans.program.jobs import option_on
from planner.plans.program.pools import Pool, Source
from planner.plans.program.services import unit_of
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
    _add_packing(draft)
    _add_quotas(draft)
    _add_power(draft)
    _add_budgets(draft)


def start_slots(supply: Supply, draft: Draft) -> list[int]:
    """When a commitment may begin: at the start; a reservation shorter than the horizon at any slot while on offer."""
    horizon = draft.request.horizon
    if supply.kind is Kind.PURCHASE or (supply.term_hours or 0.0) >= horizon.hours - supply.from_hours:
        return [horizon.slot_of(supply.from_hours)]
    until = horizon.hours if supply.until_hours is None else supply.until_hours
    found: list[int] = []
    for slot in range(horizon.num_slots):
        hour = horizon.edges[slot]
        if supply.from_hours <= hour < until and (not found or hour >= horizon.edges[found[-1]] + _step(supply)):
            found.append(slot)
    return found


def _step(supply: Supply) -> float:
    return supply.starts_every_hours


def in_force(supply: Supply, slot: int, draft: Draft) -> Array:
    """Hours of each slot in which a commitment begun at a slot is paid for and can be used."""
    known = draft.forces.get((supply.name, slot))
    if known is None:
        known = draft.forces[supply.name, slot] = _in_force(supply, slot, draft.request.horizon)
    return known


def _in_force(supply: Supply, slot: int, horizon: Horizon) -> Array:
    start = horizon.edges[slot]
    if supply.kind is Kind.RESERVED:
        return horizon.overlap(start, start + (supply.term_hours or 0.0))
    arrived = start + supply.lead_time_hours
    return horizon.overlap(arrived, arrived + (supply.life_hours or 0.0))


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
                draft.model.row(live, upper=most)
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
        draft.capacity_rows[pool.place, slot] = draft.model.row(terms, upper=0.0)


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
        draft.model.row([(column, 1.0), *((c, -weight) for c, weight in committed)], upper=0.0)
    if is_open and draft.last_slot is not None and math.isfinite(most):
        draft.model.row([(column, 1.0), (draft.last_slot, -most / hours)], upper=0.0)
    return [(column, 1.0)]


def _add_instances(draft: Draft, pool: Pool, place: int, source: Source, slot: int, hours: float) -> None:
    """Whole instances, paid through the slot, hold what is used of them; the gangs that fit in none of what another
    leaves are at most so many to an instance."""
    block = source.first.gpus_per_instance
    most = INFINITY if source.gpus is None else float(source.gpus[slot] // block)
    column = draft.model.column(upper=most, whole=True)
    draft.rented[pool.place, place, slot] = column
    draft.charge(column, slot, block * source.price * draft.paid(hours, slot))
    draft.model.row([(draft.used[pool.place, place, slot], 1.0), (column, -block * hours)], upper=0.0)


def committed_terms(draft: Draft, pool: Pool, place: int, slot: int) -> list[tuple[int, float]]:
    """GPU-hours that each commitment gives in a slot per instance; failures are taken off."""
    supply = pool.sources[place].first
    terms = []
    for start in start_slots(supply, draft):
        hours = float(in_force(supply, start, draft)[slot])
        if hours > 0:
            column = draft.committed[pool.place, place, start]
            terms.append((column, supply.gpus_per_instance * supply.availability * hours))
    return terms


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
        draft.model.row([*terms, *given], upper=there)


def _add_gang_cuts(draft: Draft) -> None:
    """At most k gangs of more than 1/(k+1) of a pool run in it at once, however their hours add up."""
    horizon = draft.request.horizon
    gangs: dict[tuple[int, int], dict[int, int]] = {}
    for (job, pool_place, slot), column in draft.runs.items():
        pool = draft.pools[pool_place]
        gang = pool.taken(option_on(draft.request.jobs[job], pool.gpu).num_gpus)
        gangs.setdefault((pool_place, slot), {})[column] = gang
    for (pool_place, slot), here in gangs.items():
        most = draft.pools[pool_place].most
        if most is None or not math.isfinite(most[slot]):
            continue
        for k in (1, 2, 3):
            large = {column: gang for column, gang in here.items() if gang > most[slot] / (k + 1)}
            if len(large) <= k or most[slot] % min(large.values()) == 0:
                continue
            terms = [(column, 1.0) for column in large]
            if draft.last_slot is not None and slot == horizon.num_slots - 1:
                draft.model.row([*terms, (draft.last_slot, -float(k))], upper=0.0)
            else:
                draft.model.row(terms, upper=k * float(horizon.slot_hours[slot]))


def _add_packing(draft: Draft) -> None:
    """Where a pool is nothing but shared instances of one size: at most k gangs of more than 1/(k+1) of an instance to
    each. (Gangs no larger than an instance; a larger one takes whole instances anyway.)"""
    for pool in draft.pools:
        blocks = {source.first.gpus_per_instance for source in pool.sources}
        if len(blocks) == 1 and all(source.is_paid_whole for source in pool.sources):
            _pack(draft, pool, blocks.pop())


def _pack(draft: Draft, pool: Pool, block: int) -> None:
    gangs = _gangs(draft, pool)
    for slot in range(draft.request.horizon.num_slots):
        hours = float(draft.request.horizon.slot_hours[slot])
        uses = draft.uses.get((pool.place, slot), [])
        held = [draft.rented.get((pool.place, place, slot)) for place in range(len(pool.sources))]
        for k in (1, 2, 3):
            large = [(column, weight) for column, weight in uses if block / (k + 1) < gangs[column] <= block]
            if large and min(gangs[column] for column, _ in large) * k < block:
                runs = [(column, weight / gangs[column]) for column, weight in large]
                room = [(column, -k * hours) for column in held if column is not None]
                draft.model.row([*runs, *room], upper=0.0)


def _gangs(draft: Draft, pool: Pool) -> dict[int, int]:
    """GPUs of one gang, by each column that holds some of the pool."""
    found = {}
    for (place, pool_place, _), column in (*draft.runs.items(), *draft.starts.items()):
        if pool_place == pool.place:
            found[column] = pool.taken(option_on(draft.request.jobs[place], pool.gpu).num_gpus)
    for (place, pool_place, _), column in draft.instances.items():
        if pool_place == pool.place:
            found[column] = unit_of(draft.request.services[place], pool)[0]
    return found


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
                draft.quota_rows[number, slot] = draft.model.row(terms, upper=quota.num_gpus * hours)


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
        draft.power_rows[slot] = draft.model.row(drawn, upper=cap * float(horizon.slot_hours[slot]))


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
