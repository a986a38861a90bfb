"""Make a plan: a first one with a bound within seconds, then better ones until gap, time or the user ends it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from planner.plans.clash import find_clash
from planner.plans.explain import assumptions, refusals, shadow_prices
from planner.plans.linear import (
    Answer,
    OnProgress,
    Progress,
    ShouldStop,
    Status,
    gap_of,
    solve_lp,
    solve_mip,
)
from planner.plans.program.build import build, coarse, cut_at, refined
from planner.plans.program.draft import Draft
from planner.plans.program.pools import Left
from planner.plans.program.reading import read
from planner.plans.program.rounding import first_plan, polish
from planner.plans.request import Goal, PlanRequest
from planner.plans.solution import Outcome, Plan, Refusal, total

GAP = 0.01
SECONDS = 60.0
SAME = 1e-9
OnBest = Callable[[Callable[[], Plan]], None]


def plan(
    request: PlanRequest,
    *,
    gap: float = GAP,
    seconds: float = SECONDS,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
    on_best: OnBest | None = None,
) -> Plan:
    """The cheapest plan for a request, or the soonest where its goal is time, within `gap` of the least cost.

    Ends after about `seconds` of solving, or moments after `should_stop()` says so, with the best plan so far and its
    bound. Where no plan meets all demands, the answer names the fewest that clash. `on_progress` gets cost, bound, gap;
    `on_best` how to write the best plan so far, for who cannot wait until the search heeds `should_stop`.
    """
    if request.goal is Goal.TIME:
        return _soonest(request, gap, seconds, on_progress, should_stop, on_best)
    return _cheapest(refined(request), gap, seconds, on_progress, should_stop, on_best)


def _cheapest(
    request: PlanRequest,
    gap: float,
    seconds: float,
    on_progress: OnProgress | None,
    should_stop: ShouldStop | None,
    on_best: OnBest | None,
) -> Plan:
    draft, left = build(request)
    relaxed = solve_lp(draft.model, seconds, should_stop)
    if relaxed.status is Status.INFEASIBLE:
        return _clashing(request, left, relaxed.seconds, should_stop)
    if relaxed.values is None or relaxed.objective is None:
        return no_plan(request, left, Outcome.STOPPED, relaxed.seconds)
    if not draft.model.integers:
        return _written(draft, left, relaxed, relaxed.objective, relaxed.seconds, gap, should_stop)
    bound, spent = relaxed.objective, relaxed.seconds
    _tell(on_progress, None, bound, spent, "bound")
    best = first_plan(draft, relaxed, max(seconds - spent, 1.0), should_stop)
    newest = _Newest(draft, left, gap, best, bound, spent)
    if best is not None and best.objective is not None:
        newest.seconds = spent = spent + best.seconds
        newest.tell(on_best)
        _tell(on_progress, best.objective, bound, spent, "first plan")
        if gap_of(best.objective, bound) <= gap:
            return _written(draft, left, best, bound, spent, gap, should_stop)
    if spent >= seconds or (should_stop is not None and should_stop()):
        return _best_so_far(draft, left, best, bound, spent, gap, should_stop)
    start = best.values if best is not None else None

    def better(answer: Answer) -> None:
        if newest.improve(answer):
            newest.tell(on_best)

    def progress(told: Progress) -> None:
        newest.bound, newest.seconds = max(newest.bound, told.bound or -math.inf), told.seconds
        if on_progress is not None:
            on_progress(told)

    found = solve_mip(draft.model, gap, seconds - spent, start, progress, should_stop, spent, bound, better)
    spent += found.seconds
    bound = max(bound, found.bound if found.bound is not None else -math.inf)
    if found.status is Status.INFEASIBLE and best is None:
        return _clashing(request, left, spent, should_stop)
    if found.objective is not None and (best is None or best.objective is None or found.objective < best.objective):
        best = found
    return _best_so_far(draft, left, best, bound, spent, gap, should_stop)


@dataclass
class _Newest:
    """The best plan so far with the newest bound, for who cannot wait until the search heeds a wish to stop."""

    draft: Draft
    left: tuple[Left, ...]
    gap: float
    best: Answer | None
    bound: float
    seconds: float

    def improve(self, answer: Answer) -> bool:
        """Take a better answer; whether it is one."""
        known = None if self.best is None else self.best.objective
        if answer.objective is None or (known is not None and answer.objective >= known):
            return False
        self.best = answer
        return True

    def tell(self, on_best: OnBest | None) -> None:
        """Pass on how the plan is written, at once and as it is then."""
        if on_best is not None:
            on_best(self.write)

    def write(self) -> Plan:
        """The plan as it is, nothing solved any more."""
        return _best_so_far(self.draft, self.left, self.best, self.bound, self.seconds, self.gap, lambda: True)


def _best_so_far(
    draft: Draft,
    left: tuple[Left, ...],
    best: Answer | None,
    bound: float,
    spent: float,
    gap: float,
    should_stop: ShouldStop | None,
) -> Plan:
    if best is None or best.values is None:
        return replace(no_plan(draft.request, left, Outcome.STOPPED, spent), bound=bound)
    return _written(draft, left, best, bound, spent, gap, should_stop)


def _written(
    draft: Draft,
    left: tuple[Left, ...],
    best: Answer,
    bound: float,
    spent: float,
    gap: float,
    should_stop: ShouldStop | None,
) -> Plan:
    """The plan of a program's values, made tight: with its whole numbers kept, all else is solved to its optimum."""
    is_stopped = should_stop is not None and should_stop()
    is_tight = best.row_duals is not None or best.values is None or is_stopped
    polished = best if is_tight or best.values is None else polish(draft, best.values, should_stop)
    values = polished.values if polished.values is not None else best.values
    if values is None:
        raise ValueError("there is nothing to write")
    reading = read(draft, values)
    cost = total(reading.costs)
    within = gap_of(cost, bound) <= max(gap, SAME)
    return Plan(
        outcome=Outcome.OPTIMAL if within else Outcome.FEASIBLE,
        cost=cost,
        bound=min(bound, cost),
        seconds=spent,
        edges=draft.request.horizon.edges,
        costs=reading.costs,
        commitments=tuple(reading.commitments),
        assignments=tuple(reading.assignments),
        uses=tuple(reading.uses),
        dropped=tuple(reading.dropped),
        finish_hours=reading.finish_hours,
        refusals=(*refusals(draft, reading.assignments), *(Refusal(item.supply, item.reason) for item in left)),
        shadow_prices=shadow_prices(draft, polished),
        currency=draft.request.currency,
        assumptions=assumptions(draft.request, {use.supply for use in reading.uses}),
    )


def _clashing(request: PlanRequest, left: tuple[Left, ...], spent: float, should_stop: ShouldStop | None) -> Plan:
    found = no_plan(request, left, Outcome.INFEASIBLE, spent)
    return replace(found, clash=find_clash(request, should_stop))


def no_plan(request: PlanRequest, left: tuple[Left, ...], outcome: Outcome, spent: float) -> Plan:
    """That there is none, or none yet."""
    refusals = tuple(Refusal(item.supply, item.reason) for item in left)
    edges = request.horizon.edges
    return Plan(outcome, None, None, spent, edges, {}, refusals=refusals, currency=request.currency)


def _soonest(
    request: PlanRequest,
    gap: float,
    seconds: float,
    on_progress: OnProgress | None,
    should_stop: ShouldStop | None,
    on_best: OnBest | None,
) -> Plan:
    """The least time in which all jobs end, then the least cost within it."""
    flows = all(job.is_divisible and not job.after for job in request.jobs)
    if flows:
        least = _least_flow_time(coarse(request), seconds, should_stop)
    else:
        least = _least_finish(refined(request), gap, seconds, should_stop)
    if least is None:
        asked = replace(refined(request), goal=Goal.COST)
        return _clashing(asked, build(asked)[1], 0.0, should_stop)
    base = coarse(request) if flows else refined(replace(request, goal=Goal.COST))

    def in_least_time(write: Callable[[], Plan]) -> None:
        if on_best is not None:
            on_best(lambda: replace(write(), finish_bound_hours=least))

    cut = refined(cut_at(base, least * (1 + SAME)))
    found = _cheapest(cut, gap, seconds, on_progress, should_stop, in_least_time)
    return replace(found, finish_bound_hours=least)


def _least_flow_time(request: PlanRequest, seconds: float, should_stop: ShouldStop | None) -> float | None:
    """Divisible jobs: the first slot by whose end all can be done, and how much of that slot it takes."""
    edges = request.horizon.edges
    latest_release = max(job.release_hours for job in request.jobs)
    low, high = 1, len(edges) - 1
    while edges[low - 1] < latest_release - SAME and low < high:
        low += 1

    def answer(slots: int) -> Answer:
        draft, _ = build(cut_at(request, edges[slots]), open_end=True)
        draft.model.costs = [0.0] * draft.model.num_columns
        draft.model.costs[draft.last_slot or 0] = 1.0
        return solve_lp(draft.model, seconds, should_stop)

    if answer(high).objective is None:
        return None
    while low < high:
        middle = (low + high) // 2
        if answer(middle).objective is None:
            low = middle + 1
        else:
            high = middle
    used = answer(high).objective
    return None if used is None else edges[high - 1] + used


def _least_finish(request: PlanRequest, gap: float, seconds: float, should_stop: ShouldStop | None) -> float | None:
    """Jobs that run whole or wait for others: the least hour by which the last one ends.

    Divisible jobs that wait, or are waited for, pass on at a slot's edge; beside whole jobs they end at one, too.
    """
    draft, _ = build(request)
    if draft.finish is None:
        return None
    least = _least_of(draft, draft.finish, gap, seconds, should_stop)
    if least is None or not all(job.is_divisible for job in request.jobs):
        return least
    cut = cut_at(replace(request, goal=Goal.COST), least)
    last, _ = build(cut, open_end=True)
    used = _least_of(last, last.last_slot or 0, gap, seconds, should_stop)
    return least if used is None else cut.horizon.edges[-2] + used


def _least_of(draft: Draft, column: int, gap: float, seconds: float, should_stop: ShouldStop | None) -> float | None:
    """The least value of one column; None where there is none, or none was found in time."""
    draft.model.costs = [0.0] * draft.model.num_columns
    draft.model.costs[column] = 1.0
    return solve_mip(draft.model, min(gap, 1e-6), seconds, should_stop=should_stop).objective


def _tell(on_progress: OnProgress | None, cost: float | None, bound: float, seconds: float, stage: str) -> None:
    if on_progress is not None:
        on_progress(Progress(cost, bound, seconds, stage))
