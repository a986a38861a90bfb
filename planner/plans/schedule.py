"""Divisible jobs on GPUs that are there, to the minute, and a bound that gangs of any size keep to.

The program's hours are a bound; a timetable of gangs cannot always keep to them. Where the rooms that gangs leave can
be told apart (some hundred GPUs of three kinds, or thousands of one), line-ups of gangs give the timetable and its
bound exactly. Else the timetable is written a stretch at a time, and what is left is planned again from there: what
came out late moves to where there is room.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

from planner.plans.demand import Job, Work
from planner.plans.horizon import Horizon
from planner.plans.linear import ShouldStop, gap_of
from planner.plans.lineups.best import MOST_STATES, num_states
from planner.plans.lineups.search import Kept, least_cost, least_time
from planner.plans.lineups.shop import Shop, shop_of
from planner.plans.lineups.written import lineups_of, stretches_of
from planner.plans.list_schedule import best_list_schedule
from planner.plans.plan import plan
from planner.plans.program.build import coarse, cut_at
from planner.plans.program.pools import gpus_by_slot
from planner.plans.request import NO_LIMITS, Goal, PlanRequest
from planner.plans.solution import Plan
from planner.plans.supply import Kind, Supply
from planner.plans.timetable import Stretch, Task, open_shop

CHECKPOINTS = 48  # times that the rest is planned anew, at most
MOST_STEPS = 20 * CHECKPOINTS
SHORTEST_HOURS = 1e-3
SHORTEST_SHARE = 1e-9  # of the least time, beyond the solver's own tolerance
SLACK = 1.003  # of the least time: a little room, so that not each late stretch asks for a new least time
MORE_TIME = 4  # horizons that a late timetable may take
LATE = 1e-6  # of the work of a job: less than this is done
NEAR = 1e-3  # of its bound: such a timetable is not sought in another way
TIGHTER = (1.0, 0.998, 0.995, 0.99, 0.98, 0.97, 0.95)  # shares of the deadline aimed at until it is kept
NOT_FLOWS = "only divisible jobs that wait for nobody have a timetable to the minute"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A timetable that keeps within the GPUs at every moment, what it costs, when it ends; and no plan does better than
    the bounds."""

    stretches: tuple[Stretch, ...]
    cost: float
    finish_hours: float
    cost_bound: float
    finish_bound_hours: float | None
    late: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoSchedule:
    """Why there is none."""

    reason: str
    plan: Plan | None = None


def schedule(request: PlanRequest, should_stop: ShouldStop | None = None) -> Schedule | NoSchedule:
    """The timetable of divisible jobs on owned, on-demand or spot GPUs: of least cost within the deadlines, or soonest.

    First jobs that run whole, one after the other; then by line-ups, which prove what they find. Where these are too
    many it unfolds, and where it would end after a deadline, it is written again for one a little earlier.
    """
    reason = _not_for(request)
    if reason:
        return NoSchedule(reason)
    bound = plan(request, gap=0.0, should_stop=should_stop)
    if bound.cost is None:
        return NoSchedule("no plan meets all deadlines", bound)
    best = _by_list(request, bound, should_stop)
    exact = _by_lineups(request, bound, best, should_stop)
    if exact is not None:
        best = _better(best, exact)
        if best is exact and _is_near(exact, request):
            return exact
    best = _better(best, _unfolded(request, bound, should_stop))
    if best is None:
        return NoSchedule("no timetable was found that ends", bound)
    return best if exact is None else _bounded(best, exact, request)


def _unfolded(request: PlanRequest, bound: Plan, should_stop: ShouldStop | None) -> Schedule | None:
    """The best timetable that unfolds, aimed at the deadlines, a little before them, or as soon as can be."""
    best: Schedule | None = None
    for share in TIGHTER:
        aimed = _aimed(request, share)
        found = _unfold(aimed, request, bound, should_stop)
        if found is not None and (best is None or _order(found) < _order(best)):
            best = found
        if (best is not None and not best.late) or (should_stop is not None and should_stop()):
            break
    if request.goal is Goal.COST and (best is None or best.late):
        soonest = replace(request, goal=Goal.TIME)
        best = _better(best, _unfold(soonest, soonest, bound, should_stop))
    return best


def _by_lineups(
    request: PlanRequest, bound: Plan, listed: Schedule | None, should_stop: ShouldStop | None
) -> Schedule | None:
    """The timetable of line-ups with its own bounds; None where there are too many to tell apart, or none keeps all
    deadlines."""
    shop = shop_of(request)
    if num_states(shop) > MOST_STATES:
        return None
    known = () if listed is None else lineups_of(shop, listed.stretches)
    soonest: Kept | None = None
    if request.goal is Goal.TIME:
        soonest = least_time(shop, known, should_stop)
        if soonest is None:
            return None
        shop = _ending(shop, soonest.value * (1 + SHORTEST_SHARE))
        known = tuple(lineup for lineup, _ in soonest.hours)
    kept = least_cost(shop, known, should_stop)
    if kept is None:
        return None
    found = _written(request, list(stretches_of(shop, kept.hours)), bound)
    found = replace(found, cost_bound=max(kept.bound, found.cost_bound if soonest is None else 0.0))
    least = found.finish_bound_hours
    return found if soonest is None else replace(found, finish_bound_hours=max(soonest.bound, least or 0.0))


def _ending(shop: Shop, hour: float) -> Shop:
    """The shop up to an hour."""
    number = next((place for place, edge in enumerate(shop.edges[1:], start=1) if edge >= hour), shop.num_stretches)
    return shop.until(number).ending(hour)


def _is_near(found: Schedule, request: PlanRequest) -> bool:
    """Whether a timetable that keeps all deadlines is as good as its bound."""
    if found.late:
        return False
    if request.goal is Goal.TIME and gap_of(found.finish_hours, found.finish_bound_hours or 0.0) > NEAR:
        return False
    return gap_of(found.cost, found.cost_bound) <= NEAR


def _bounded(best: Schedule, exact: Schedule, request: PlanRequest) -> Schedule:
    """The best timetable with the bounds that line-ups proved."""
    if request.goal is Goal.COST:
        return replace(best, cost_bound=max(best.cost_bound, exact.cost_bound))
    least = max(best.finish_bound_hours or 0.0, exact.finish_bound_hours or 0.0)
    return replace(best, finish_bound_hours=least)


def _better(one: Schedule | None, other: Schedule | None) -> Schedule | None:
    if one is None or other is None:
        return one or other
    return other if _order(other) < _order(one) else one


def _by_list(request: PlanRequest, bound: Plan, should_stop: ShouldStop | None) -> Schedule | None:
    """The best timetable of whole jobs one after the other."""
    found = best_list_schedule(
        request, lambda stretches: _order(_written(request, list(stretches), bound)), should_stop
    )
    return None if found is None else _written(request, list(found), bound)


def _order(found: Schedule) -> tuple[int, float, float]:
    """The fewest late, then the soonest where that is the goal, then the cheapest; ends that are alike but for the
    last digits do not decide."""
    finish = float(f"{found.finish_hours:.8g}") if found.finish_bound_hours is not None else 0.0
    return len(found.late), finish, found.cost


def is_of_flows(request: PlanRequest) -> bool:
    """Whether all that a request asks for is divisible jobs of one gang each that wait for nobody."""
    return not request.services and all(job.is_divisible and job.copies == 1 and not job.after for job in request.jobs)


def _not_for(request: PlanRequest) -> str:
    if not is_of_flows(request):
        return NOT_FLOWS
    if any(supply.kind in (Kind.RESERVED, Kind.PURCHASE) for supply in request.supplies):
        return "commitments are decided by the plan first"
    if request.limits != NO_LIMITS:
        return "limits over the whole plan are kept by the slot only"
    if len({supply.gpu for supply in request.supplies}) != len(request.supplies):
        return "each kind of GPU must come from one supply"
    return ""


def _aimed(request: PlanRequest, share: float) -> PlanRequest:
    jobs = tuple(
        job if job.deadline_hours is None else replace(job, deadline_hours=_earlier(job, share)) for job in request.jobs
    )
    end = request.horizon.hours
    if all(job.deadline_hours is None for job in jobs) and request.goal is Goal.COST:
        jobs = tuple(replace(job, deadline_hours=_earlier(replace(job, deadline_hours=end), share)) for job in jobs)
    return replace(request, jobs=jobs)


def _earlier(job: Job, share: float) -> float:
    return job.release_hours + ((job.deadline_hours or 0.0) - job.release_hours) * share


def _unfold(aimed: PlanRequest, request: PlanRequest, bound: Plan, should_stop: ShouldStop | None) -> Schedule | None:
    """The timetable stretch by stretch; None where the rest cannot be planned any more, or in time."""
    done = dict.fromkeys((job.name for job in request.jobs), 0.0)
    shares = {supply.gpu: supply.work_share for supply in request.supplies}
    hours = {(job.name, work.gpu): work.hours for job in request.jobs for work in job.options}
    stretches: list[Stretch] = []
    now, goal = 0.0, request.goal
    target = math.inf  # hours by which the last one should end, where the goal is time
    for number in range(MOST_STEPS):
        rest = _rest(aimed, done, now, goal, target)
        if rest is None:
            return _written(request, stretches, bound)
        if should_stop is not None and should_stop():
            return None
        found = plan(rest, gap=0.0, should_stop=should_stop)
        if goal is Goal.TIME and rest.goal is Goal.COST and found.cost is None:
            target = math.inf  # out of reach by now: a later one is sought
            continue
        if goal is Goal.TIME and found.finish_bound_hours is not None and len(rest.horizon.edges) > 2:
            target = now + found.finish_bound_hours * SLACK
        if found.cost is None and goal is Goal.COST:
            goal = Goal.TIME  # late already: end as soon as can be
            continue
        if found.cost is None:
            return None
        step = max(_length(found) / max(CHECKPOINTS - number, 1), SHORTEST_HOURS)
        part, reached = _first_stretches(found, rest, step)
        for each in part:
            ran = each.until_hours - each.from_hours
            done[each.demand] += ran * shares[each.gpu] / hours[each.demand, each.gpu]
            stretches.append(replace(each, from_hours=now + each.from_hours, until_hours=now + each.until_hours))
        now += reached
    return None


def _length(found: Plan) -> float:
    return max((item.until_hours for item in found.assignments), default=found.edges[-1])


def _rest(request: PlanRequest, done: dict[str, float], now: float, goal: Goal, target: float) -> PlanRequest | None:
    """What is left to do, from this moment on; None: nothing. Where the goal is time, cheaply by the target if any."""
    jobs = []
    for job in request.jobs:
        left = 1.0 - done[job.name]
        if left <= LATE:
            continue
        options = tuple(Work(work.gpu, work.num_gpus, work.hours * left) for work in job.options)
        release = max(job.release_hours - now, 0.0)
        due = None if job.deadline_hours is None or goal is Goal.TIME else job.deadline_hours - now
        due = due if due is None else max(due, release + LATE)
        jobs.append(replace(job, options=options, release_hours=release, deadline_hours=due))
    if not jobs:
        return None
    length = request.horizon.hours - now if goal is Goal.COST else request.horizon.hours * MORE_TIME
    supplies = tuple(_later(supply, now) for supply in request.supplies)
    horizon = Horizon((0.0, max(length, SHORTEST_HOURS)))
    asked = coarse(replace(request, horizon=horizon, jobs=tuple(jobs), supplies=supplies))
    if goal is Goal.TIME and math.isfinite(target):
        latest = max(job.release_hours for job in jobs)
        return cut_at(asked, max(target - now, latest + SHORTEST_HOURS))
    return replace(asked, goal=goal)


def _later(supply: Supply, now: float) -> Supply:
    """A supply as it is on offer from a later moment on."""
    outages = tuple(
        replace(each, from_hours=max(each.from_hours - now, 0.0), until_hours=each.until_hours - now)
        for each in supply.outages
        if each.until_hours > now
    )
    until = None if supply.until_hours is None else max(supply.until_hours - now, 0.0)
    return replace(supply, from_hours=max(supply.from_hours - now, 0.0), until_hours=until, outages=outages)


def _first_stretches(found: Plan, rest: PlanRequest, step: float) -> tuple[list[Stretch], float]:
    """The timetable up to about `step` hours and how far it goes: slot by slot, until one does not keep to its end."""
    stretches: list[Stretch] = []
    for start, end in pairwise(found.edges):
        if start >= step:
            return stretches, start
        tasks = [
            Task(item.demand, item.gpu, item.num_gpus, item.hours)
            for item in found.assignments
            if item.from_hours == start
        ]
        if not tasks:
            continue
        room = {supply.gpu: _gpus_at_once(supply, rest.horizon, start, end) for supply in rest.supplies}
        written = open_shop(tasks, room, end - start)
        last = start + max(each.until_hours for each in written)
        cut = end if last > end + LATE else max(end, last)
        if start == 0 and end > step:
            cut = step
        stretches.extend(
            replace(each, from_hours=start + each.from_hours, until_hours=min(start + each.until_hours, cut))
            for each in written
            if start + each.from_hours < cut - LATE * LATE
        )
        if cut == step or last > end + LATE:
            return stretches, cut
    return stretches, found.edges[-1]


def _gpus_at_once(supply: Supply, horizon: Horizon, start: float, end: float) -> float:
    there = gpus_by_slot(supply, horizon)
    return math.inf if there is None else float(there[horizon.slot_of((start + end) / 2)])


def _written(request: PlanRequest, stretches: list[Stretch], bound: Plan) -> Schedule:
    prices = {supply.gpu: supply.running_per_hour for supply in request.supplies}
    cost = math.fsum(prices[s.gpu] * s.num_gpus * (s.until_hours - s.from_hours) for s in stretches)
    ends: dict[str, float] = {}
    for each in stretches:
        ends[each.demand] = max(ends.get(each.demand, 0.0), each.until_hours)
    late = tuple(job.name for job in request.jobs if ends[job.name] > _due(job, request) * (1 + LATE))
    return Schedule(
        stretches=joined(stretches),
        cost=cost,
        finish_hours=max(ends.values()),
        cost_bound=bound.bound or 0.0,
        finish_bound_hours=bound.finish_bound_hours,
        late=late,
    )


def _due(job: Job, request: PlanRequest) -> float:
    if job.deadline_hours is not None:
        return job.deadline_hours
    return request.horizon.hours


def joined(stretches: list[Stretch]) -> tuple[Stretch, ...]:
    """Stretches of one job on one kind of GPU that follow each other as one, by time."""
    found: list[Stretch] = []
    last: dict[str, Stretch] = {}
    for each in sorted(stretches, key=lambda item: item.from_hours):
        before = last.get(each.demand)
        if before is not None and before.gpu == each.gpu and abs(each.from_hours - before.until_hours) <= 1e-9:
            last[each.demand] = replace(before, until_hours=each.until_hours)
            continue
        if before is not None:
            found.append(before)
        last[each.demand] = each
    found.extend(last.values())
    return tuple(sorted(found, key=lambda item: (item.from_hours, item.demand)))
