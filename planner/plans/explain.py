"""A plan in words: what binds and what more of it would save, and why each option that lost did."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from itertools import groupby

from planner.plans.clash import gpus_of, option_fault
from planner.plans.demand import Demand, Job
from planner.plans.linear import Answer
from planner.plans.program.draft import Draft
from planner.plans.program.jobs import option_on, window
from planner.plans.program.pools import Pool, gang_of
from planner.plans.program.services import unit_of
from planner.plans.request import PlanRequest
from planner.plans.solution import Assignment, Refusal, ShadowPrice
from planner.plans.supply import SPOT_ASSUMPTIONS, Kind

EPSILON = 1e-6
MOST_PRICES = 20


def shadow_prices(draft: Draft, answer: Answer) -> tuple[ShadowPrice, ...]:
    """What one more GPU, unit of budget, GPU of a quota or kW would save, by stretches of slots; the largest first.

    From the program's duals with its whole numbers kept: right for a little more, and less may be saved by a lot more.
    """
    duals = answer.row_duals
    if duals is None:
        return ()
    hours = draft.request.horizon.slot_hours
    found: list[ShadowPrice] = []
    for pool in draft.pools:
        rows = [(s, -float(duals[r]) * float(hours[s])) for (p, s), r in draft.capacity_rows.items() if p == pool.place]
        found += _stretches(draft, rows, pool.gpu, f"one more {pool.gpu}")
    for number, quota in enumerate(draft.request.limits.quotas):
        rows = [(s, -float(duals[r]) * float(hours[s])) for (n, s), r in draft.quota_rows.items() if n == number]
        found += _stretches(draft, rows, quota.name, f"one more GPU in the quota {quota.name}")
    rows = [(slot, -float(duals[row]) * float(hours[slot])) for slot, row in draft.power_rows.items()]
    found += _stretches(draft, rows, "power", "one more kW")
    for number, row in draft.budget_rows.items():
        budget, saving = draft.request.limits.budgets[number], -float(duals[row])
        if saving > EPSILON:
            words = f"one more {draft.request.currency} in the budget {budget.name} would save {saving:,.2f}"
            found.append(ShadowPrice(budget.name, budget.from_hours, budget.until_hours, saving, words))
    return tuple(sorted(found, key=lambda each: -each.saving)[:MOST_PRICES])


def assumptions(request: PlanRequest, used: Collection[str]) -> tuple[str, ...]:
    """What the program took for unknown figures of the supplies that are used: so far, how spot comes and goes."""
    names = [s.name for s in request.supplies if s.name in used and s.kind is Kind.SPOT and s.spot is None]
    if not names:
        return ()
    return tuple(f"{words} ({'; '.join(names)})" for words in SPOT_ASSUMPTIONS)


def _stretches(draft: Draft, rows: Iterable[tuple[int, float]], limit: str, words: str) -> list[ShadowPrice]:
    """Savings of slots that follow each other as one."""
    edges = draft.request.horizon.edges
    saving = sorted((slot, value) for slot, value in rows if value > EPSILON)
    found = []
    for _, run in groupby(enumerate(saving), key=lambda item: item[1][0] - item[0]):
        slots = [item[1] for item in run]
        start, end = edges[slots[0][0]], edges[slots[-1][0] + 1]
        total = math.fsum(value for _, value in slots)
        sentence = f"{words} from hour {start:g} to {end:g} would save {total:,.2f} {draft.request.currency}"
        found.append(ShadowPrice(limit, start, end, total, sentence))
    return found


def refusals(draft: Draft, assignments: Iterable[Assignment]) -> tuple[Refusal, ...]:
    """For each demand, each kind of GPU that it is not on and why; the cheapest that lost first: the second choice."""
    used: dict[str, set[str]] = {}
    for item in assignments:
        used.setdefault(item.demand, set()).add(item.gpu)
    found: list[Refusal] = []
    for demand in draft.request.demands:
        lost: list[tuple[float, Refusal]] = []
        mine = used.get(demand.name, set())
        least = min((price_on(draft, demand, gpu) for gpu in mine), default=math.inf)
        for gpu in gpus_of(demand):
            if gpu in mine:
                continue
            fault = "" if _is_open(draft, demand, gpu) else option_fault(demand, gpu, draft.request)
            price = price_on(draft, demand, gpu)
            reason = fault.removeprefix(f"{gpu}: ") or _dearer(demand, gpu, price, least, mine)
            lost.append((math.inf if fault else price, Refusal(gpu, reason, demand.name)))
        found += [refusal for _, refusal in sorted(lost, key=lambda pair: pair[0])]
    return tuple(found)


def _is_open(draft: Draft, demand: Demand, gpu: str) -> bool:
    """Whether a demand could plainly be met on one kind of GPU alone: a pool is large enough, and in time."""
    for pool in draft.pools_of(demand.name):
        if pool.gpu != gpu or (pool.most is not None and pool.most.max() < pool.taken(gang_of(demand, gpu))):
            continue
        if not isinstance(demand, Job):
            return True
        start, end = window(demand, draft.request.horizon)
        if option_on(demand, gpu).hours / pool.work_share <= (end - start) * demand.copies:
            return True
    return False


def price_on(draft: Draft, demand: Demand, gpu: str) -> float:
    """The least that a demand costs on one kind of GPU: a job as a whole, a service per unit of demand and hour.

    Committed GPUs count at what their hour costs when used throughout.
    """
    found = [_price_in(demand, pool) for pool in draft.pools_of(demand.name) if pool.gpu == gpu]
    return min(found, default=math.inf)


def _price_in(demand: Demand, pool: Pool) -> float:
    hour = min(source.price + source.first.commitment_per_hour for source in pool.sources)
    if isinstance(demand, Job):
        option = option_on(demand, pool.gpu)
        return hour * pool.taken(option.num_gpus) * option.hours / pool.work_share
    gpus, rate = unit_of(demand, pool)
    return hour * gpus / rate


def _dearer(demand: Demand, gpu: str, price: float, least: float, mine: set[str]) -> str:
    unit = "" if isinstance(demand, Job) else " per unit of demand and hour"
    if not mine:
        return f"would cost {_money(price)}{unit} or more; {demand.name} is left undone"
    chosen = " and ".join(sorted(mine))
    if price > least * (1 + EPSILON):
        return f"costs {_money(price)}{unit} at the least, {chosen} {_money(least)}"
    if price >= least * (1 - EPSILON):
        return f"costs the same as {chosen}"
    return (
        f"alone it would cost {_money(price)}{unit} against {_money(least)}, "
        f"but its cheapest {gpu} are used better by others"
    )


def _money(amount: float) -> str:
    """An amount to four figures, whole from a thousand on."""
    return f"{amount:,.0f}" if amount >= 1000 else f"{amount:,.4g}"
