"""When GPUs may be bought or reserved, and what each commitment gives in each slot."""

from __future__ import annotations

from planner.plans.horizon import Array, Horizon
from planner.plans.program.draft import Draft
from planner.plans.program.pools import Pool
from planner.plans.supply import Kind, Supply


def start_slots(supply: Supply, draft: Draft) -> list[int]:
    """When a commitment may begin: every so many hours while on offer, where that is stated; else a reservation shorter
    than the horizon at any slot, others at once."""
    known = draft.may_begin.get(supply.name)
    if known is None:
        known = draft.may_begin[supply.name] = _start_slots(supply, draft.request.horizon)
    return known


def _start_slots(supply: Supply, horizon: Horizon) -> list[int]:
    is_long = supply.kind is Kind.PURCHASE or (supply.term_hours or 0.0) >= horizon.hours - supply.from_hours
    if is_long and not supply.starts_every_hours:
        return [horizon.slot_of(supply.from_hours)]
    until = horizon.hours if supply.until_hours is None else supply.until_hours
    found: list[int] = []
    due = supply.from_hours
    for slot, hour in enumerate(horizon.edges[:-1]):
        if due <= hour < until:
            found.append(slot)
            due = hour + supply.starts_every_hours
    return found


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
