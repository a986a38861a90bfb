"""Make a plan: a first one with a bound within seconds, then better ones until gap, time or the user ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from planner.plans.cheapest import LEAST_SECONDS, SAME, OnBest, Watch, cheapest, clashing
from planner.plans.linear import Answer, OnProgress, ShouldStop, gap_of, solve_lp, solve_mip
from planner.plans.program.build import build, coarse, cut_at, refined
from planner.plans.program.draft import Draft
from planner.plans.request import Goal, PlanRequest
from planner.plans.solution import Outcome, Plan
from planner.plans.triage import triage

GAP = 0.01
SECONDS = 60.0
TRIAGE_SHARE = 0.5  # of the time, to choose what is kept
PROVED = 1e-6  # a gap as wide as the solver's own tolerance


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
    watch = Watch(gap, seconds, on_progress, should_stop, on_best)
    if request.goal is Goal.TIME:
        return _soonest(request, watch)
    found = cheapest(refined(request), watch)
    is_short = found.outcome is Outcome.INFEASIBLE and request.leave_least_urgent
    return _without_the_least_urgent(refined(request), found, watch) if is_short else found


def _without_the_least_urgent(request: PlanRequest, none: Plan, watch: Watch) -> Plan:
    """The plan of what can be met of a request that cannot be met whole."""
    left = max(watch.seconds - none.seconds, LEAST_SECONDS)
    chosen = triage(request, left * TRIAGE_SHARE, watch.should_stop)
    if chosen is None:
        return clashing(replace(request, leave_least_urgent=False), (), none.seconds, watch.should_stop)

    def marked(plan: Plan) -> Plan:
        dropped = tuple(item.demand for item in chosen.left_undone)
        return replace(
            plan,
            seconds=plan.seconds + none.seconds + chosen.seconds,
            dropped=(*dropped, *plan.dropped),
            shortfalls=chosen.short,
            refusals=(*chosen.left_undone, *plan.refusals),
        )

    def on_best(write: Callable[[], Plan]) -> None:
        if watch.on_best is not None:
            watch.on_best(lambda: marked(write()))

    rest = replace(watch, seconds=max(left - chosen.seconds, LEAST_SECONDS), on_best=on_best)
    return marked(cheapest(replace(chosen.kept, leave_least_urgent=False), rest))


def _soonest(request: PlanRequest, watch: Watch) -> Plan:
    """The least time in which all jobs end, then the least cost within it."""
    flows = all(job.is_divisible and not job.after for job in request.jobs)
    least = _least_flow_time(coarse(request), watch) if flows else _least_finish(refined(request), watch)
    if least is None:
        asked = replace(refined(request), goal=Goal.COST)
        return clashing(asked, build(asked)[1], 0.0, watch.should_stop)
    base = coarse(request) if flows else refined(replace(request, goal=Goal.COST))

    def in_least_time(write: Callable[[], Plan]) -> None:
        if watch.on_best is not None:
            watch.on_best(lambda: replace(write(), finish_bound_hours=least.bound))

    cut = refined(cut_at(base, least.hours * (1 + SAME)))
    found = cheapest(cut, replace(watch, on_best=in_least_time))
    return replace(found, finish_bound_hours=least.bound)


@dataclass(frozen=True, slots=True)
class _Least:
    """The soonest end that was found, in hours, and the soonest that is not proved to be out of reach."""

    hours: float
    bound: float


def _least_flow_time(request: PlanRequest, watch: Watch) -> _Least | None:
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
        return solve_lp(draft.model, watch.seconds, watch.should_stop)

    if answer(high).objective is None:
        return None
    while low < high:
        middle = (low + high) // 2
        if answer(middle).objective is None:
            low = middle + 1
        else:
            high = middle
    used = answer(high).objective
    return None if used is None else _Least(edges[high - 1] + used, edges[high - 1] + used)


def _least_finish(request: PlanRequest, watch: Watch) -> _Least | None:
    """Jobs that run whole or wait for others: the least hour by which the last one ends.

    Divisible jobs that wait, or are waited for, pass on at a slot's edge; beside whole jobs they end at one, too.
    """
    draft, _ = build(request)
    if draft.finish is None:
        return None
    least = _least_of(draft, draft.finish, watch)
    if least is None or not all(job.is_divisible for job in request.jobs):
        return least
    cut = cut_at(replace(request, goal=Goal.COST), least.hours)
    last, _ = build(cut, open_end=True)
    used = _least_of(last, last.last_slot or 0, watch)
    if used is None:
        return least
    start = cut.horizon.edges[-2]
    if least.bound >= least.hours:
        return _Least(start + used.hours, start + used.bound)
    return _Least(start + used.hours, max(edge for edge in request.horizon.edges if edge <= least.bound))


def _least_of(draft: Draft, column: int, watch: Watch) -> _Least | None:
    """The least value of one column; None where there is none, or none was found in time."""
    draft.model.costs = [0.0] * draft.model.num_columns
    draft.model.costs[column] = 1.0
    found = solve_mip(draft.model, min(watch.gap, PROVED), watch.seconds, should_stop=watch.should_stop)
    if found.objective is None:
        return None
    is_proved = found.bound is not None and gap_of(found.objective, found.bound) <= 2 * PROVED
    return _Least(found.objective, found.objective if is_proved else found.bound or 0.0)
