"""The columns and rows of services: whole replicas in each slot, with the rows that cut fractions of them off."""

from __future__ import annotations

import math

from planner.plans.demand import Replica, Service
from planner.plans.program.draft import Draft
from planner.plans.program.pools import Pool

ROUNDING = 1e-9
MAX_CUTS = 8  # per service and slot; each distinct throughput gives one


def replica_on(service: Service, gpu: str) -> Replica:
    return next(replica for replica in service.replicas if replica.gpu == gpu)


def unit_of(service: Service, pool: Pool) -> tuple[int, float]:
    """What is counted whole: GPUs held, and what they serve. An instance that is not shared is filled with replicas."""
    replica = replica_on(service, pool.gpu)
    gpus = pool.taken(replica.num_gpus)
    return gpus, replica.rate * max(gpus // replica.num_gpus, 1)


def add_services(draft: Draft) -> None:
    """Each slot's demand is met: Σ units · rate + unserved >= demand.

    Beside it, for each rate r: Σ ceil(rate / r) · units >= ceil(demand / r), which holds for whole units only and makes
    the relaxed program's bound nearly the true one (Chvátal-Gomory).
    """
    horizon = draft.request.horizon
    for place, service in enumerate(draft.request.services):
        pools = draft.pools_of(service.name)
        units = {pool.place: unit_of(service, pool) for pool in pools}
        for slot in range(horizon.num_slots):
            needed = service.needed(slot)
            if needed <= 0:
                continue
            columns: list[tuple[int, float]] = []
            for pool in pools:
                gpus, rate = units[pool.place]
                if pool.most is not None and pool.most[slot] < gpus:
                    continue
                most = math.ceil(needed / rate - ROUNDING)
                column = draft.model.column(upper=float(most), whole=True)
                draft.instances[place, pool.place, slot] = column
                draft.take(pool, slot, column, gpus * float(horizon.slot_hours[slot]))
                if (pool.place, slot) in draft.peaks:
                    draft.peaks[pool.place, slot].append((column, float(gpus)))
                columns.append((column, rate))
            _meet(draft, place, service, slot, columns)


def _meet(draft: Draft, place: int, service: Service, slot: int, columns: list[tuple[int, float]]) -> None:
    needed = service.needed(slot)
    if service.drop_cost is not None:
        column = draft.model.column(upper=needed)
        draft.unserved[place, slot] = column
        hours = draft.paid(float(draft.request.horizon.slot_hours[slot]), slot)
        draft.charge(column, slot, service.drop_cost * hours, is_spent=False)
        terms = [*columns, (column, 1.0)]
        draft.demand_rows[place, slot] = draft.row_of(slot, ("demand", place), terms, lower=needed, is_moment=True)
        return
    rates = sorted({rate for _, rate in columns})
    if len(rates) == 1:  # whole units of one rate: the rounded row says all
        units = [(column, 1.0) for column, _ in columns]
        least = math.ceil(needed / rates[0] - ROUNDING)
        draft.demand_rows[place, slot] = draft.row_of(slot, ("demand", place), units, lower=least, is_moment=True)
        return
    draft.demand_rows[place, slot] = draft.row_of(slot, ("demand", place), columns, lower=needed, is_moment=True)
    for rate in rates[:MAX_CUTS]:
        whole = math.ceil(needed / rate - ROUNDING)
        weights = [(column, float(math.ceil(each / rate - ROUNDING))) for column, each in columns]
        draft.row_of(slot, ("whole", place, rate), weights, lower=float(whole), is_moment=True)
