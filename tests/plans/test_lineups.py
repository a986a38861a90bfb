"""Line-ups of gangs: the choice among them, and the timetable they give, against writing all of them down."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.plans.demand import Job, Work
from planner.plans.horizon import Horizon
from planner.plans.linear import INFINITY, Model, solve_lp
from planner.plans.lineups.best import Runs, best_lineup, num_states
from planner.plans.lineups.search import least_cost, least_time
from planner.plans.lineups.shop import Shop, shop_of
from planner.plans.lineups.written import lineups_of, stretches_of
from planner.plans.request import Goal, PlanRequest
from planner.plans.schedule import NoSchedule, Schedule, schedule
from tests.plans.requests import job, on_demand, owned, request
from tests.plans.test_schedule import collides, most_held

HOURS = 200.0
JOBS = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3, 4]),  # gang on A
        st.sampled_from([1, 2, 3, 4]),  # gang on B
        st.floats(0.5, 9.0),  # hours on A
        st.floats(0.4, 3.0),  # B against A
        st.sampled_from(["both", "both", "A", "B"]),
        st.sampled_from([0.0, 0.0, 2.0]),  # release
        st.sampled_from([None, None, 14.0]),  # deadline
    ),
    min_size=1,
    max_size=5,
)


def tiny(jobs: list[tuple[int, int, float, float, str, float, float | None]], goal: Goal = Goal.COST) -> PlanRequest:
    """A handful of gangs on four A and four B, of any sizes, with releases and deadlines."""
    made = []
    for number, (on_a, on_b, hours, ratio, kinds, release, deadline) in enumerate(jobs):
        options = [Work("A", on_a, hours), Work("B", on_b, hours * ratio)]
        kept = tuple(work for work in options if kinds in ("both", work.gpu))
        made.append(Job(f"job {number}", kept, release_hours=release, deadline_hours=deadline))
    supplies = (owned("a", 4, "A", price=2.0), owned("b", 4, "B", price=0.7))
    return PlanRequest(Horizon((0.0, HOURS)), supplies, tuple(made), goal=goal)


def all_lineups(shop: Shop, stretch: int) -> list[Runs]:
    """Every set of gangs that fits beside each other in a stretch of time."""
    found = []
    for kinds in product(range(-1, len(shop.kinds)), repeat=len(shop.jobs)):
        runs = tuple((j, k) for j, k in enumerate(kinds) if k >= 0)
        allowed = all(shop.gangs[run] > 0 and shop.may_run[stretch, run[0]] for run in runs)
        taken = [sum(int(shop.gangs[j, k]) for j, k in runs if k == kind) for kind in range(len(shop.kinds))]
        if runs and allowed and all(gpus <= there for gpus, there in zip(taken, shop.room[stretch], strict=True)):
            found.append(runs)
    return found


def written_down(shop: Shop, goal: Goal) -> float | None:
    """The least cost, or the least hours of the last stretch, of all line-ups at once; None: nothing is in time."""
    model = Model()
    hours: list[list[tuple[int, float]]] = [[] for _ in range(shop.num_stretches)]
    work: list[list[tuple[int, float]]] = [[] for _ in shop.jobs]
    for stretch in range(shop.num_stretches):
        for runs in all_lineups(shop, stretch):
            money = sum(float(shop.prices[run]) for run in runs)
            is_last = stretch == shop.num_stretches - 1
            column = model.column(cost=money if goal is Goal.COST else float(is_last))
            hours[stretch].append((column, 1.0))
            for j, k in runs:
                work[j].append((column, float(shop.speeds[j, k])))
    for stretch, terms in enumerate(hours):
        model.row(terms, upper=float(shop.hours[stretch]))
    for terms in work:
        model.row(terms, lower=1.0, upper=INFINITY)
    return solve_lp(model).objective


@settings(max_examples=40, deadline=None)
@given(JOBS, st.lists(st.floats(-1.0, 5.0), min_size=10, max_size=10))
def test_the_best_lineup_is_the_best_of_all(
    jobs: list[tuple[int, int, float, float, str, float, float | None]], worths: list[float]
) -> None:
    shop = shop_of(tiny(jobs))
    given_worths = np.array(worths).reshape(5, 2)[: len(jobs)]
    for stretch in range(shop.num_stretches):
        found = best_lineup(shop, stretch, given_worths)
        every = all_lineups(shop, stretch)
        best = max((sum(float(given_worths[run]) for run in runs) for runs in every), default=0.0)
        assert found.worth == pytest.approx(max(best, 0.0))
        assert found.runs in every or not found.runs
        assert sum(float(given_worths[run]) for run in found.runs) == pytest.approx(found.worth)


@settings(max_examples=40, deadline=None)
@given(JOBS)
def test_the_least_cost_is_that_of_all_lineups_written_down(
    jobs: list[tuple[int, int, float, float, str, float, float | None]],
) -> None:
    shop = shop_of(tiny(jobs))
    expected = written_down(shop, Goal.COST)
    found = least_cost(shop, ())
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert found.value == pytest.approx(expected, rel=1e-6)
        assert found.bound == pytest.approx(expected, rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(JOBS)
def test_the_least_time_is_that_of_all_lineups_written_down(
    jobs: list[tuple[int, int, float, float, str, float, float | None]],
) -> None:
    shop = shop_of(tiny(jobs, Goal.TIME))
    found = least_time(shop, ())
    ends = [
        shop.edges[number - 1] + used
        for number in range(1, shop.num_stretches + 1)
        if shop.may_run[:number].any(axis=0).all() and (used := written_down(shop.until(number), Goal.TIME)) is not None
    ]
    assert (found is None) == (not ends)
    if found is not None:
        assert found.value == pytest.approx(min(ends), rel=1e-6)
        assert found.bound == pytest.approx(min(ends), rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(JOBS, st.sampled_from(Goal))
def test_tiny_timetables_of_any_gangs_reach_their_bound(
    jobs: list[tuple[int, int, float, float, str, float, float | None]], goal: Goal
) -> None:
    asked = tiny(jobs, goal)
    found = schedule(asked)
    if isinstance(found, NoSchedule) or found.late:
        assert written_down(shop_of(asked), Goal.COST) is None
        return
    if goal is Goal.TIME:
        assert found.finish_bound_hours is not None
        assert found.finish_bound_hours * (1 - 1e-6) <= found.finish_hours <= found.finish_bound_hours * (1 + 1e-4)
    assert found.cost_bound * (1 - 1e-6) <= found.cost <= found.cost_bound * (1 + 1e-4)
    assert not collides(found.stretches)
    assert most_held(found.stretches, "A") <= 4
    assert most_held(found.stretches, "B") <= 4
    speeds = {(each.name, work.gpu): 1 / work.hours for each in asked.jobs for work in each.options}
    for each in asked.jobs:
        mine = [item for item in found.stretches if item.demand == each.name]
        done = sum((item.until_hours - item.from_hours) * speeds[each.name, item.gpu] for item in mine)
        assert done == pytest.approx(1.0, abs=1e-6)
        assert min(item.from_hours for item in mine) >= each.release_hours - 1e-9


def test_of_two_timetables_that_end_together_the_cheaper_is_kept() -> None:
    asked = tiny([(1, 1, 1.0, 1.0, "both", 2.0, None), (1, 1, 2.0, 2.0, "both", 0.0, None)], Goal.TIME)
    found = schedule(asked)
    assert isinstance(found, Schedule)
    assert found.finish_hours == pytest.approx(3.0)
    assert found.cost == pytest.approx(2.0 * 1.0 + 0.7 * 3.0)


def test_gangs_of_three_on_four_gpus_run_one_after_the_other_and_the_bound_says_so() -> None:
    jobs = tuple(job(f"job {number}", 4.0, num_gpus=3) for number in range(3))
    found = schedule(request(slots=40, supplies=(owned(num_gpus=4),), jobs=jobs, goal=Goal.TIME))
    assert isinstance(found, Schedule)
    assert found.finish_bound_hours == pytest.approx(12.0)
    assert found.finish_hours == pytest.approx(12.0)


def test_two_of_three_sizes_share_what_hours_alone_would_overfill() -> None:
    """5 + 3 + 3 + 3 GPUs of 8: by hours 7 h would do; 5 runs beside one 3 only, two 3 leave 2 idle: 8 h."""
    jobs = (job("five", 4.0, num_gpus=5), *(job(f"three {n}", 4.0, num_gpus=3) for n in range(3)))
    found = schedule(request(slots=40, supplies=(owned(num_gpus=8),), jobs=jobs, goal=Goal.TIME))
    assert isinstance(found, Schedule)
    assert found.finish_bound_hours == pytest.approx(8.0)
    assert found.finish_hours == pytest.approx(8.0)


def test_instances_that_are_not_shared_are_held_and_paid_whole() -> None:
    jobs = (job("small", 4.0, num_gpus=1), job("large", 2.0, num_gpus=8))
    rented = on_demand(price=1.0, gpus_per_instance=8, num_gpus=8)
    found = schedule(request(slots=40, supplies=(rented,), jobs=jobs, goal=Goal.TIME))
    assert isinstance(found, Schedule)
    assert {each.num_gpus for each in found.stretches} == {8}
    assert found.cost == pytest.approx(48.0)
    assert found.cost >= found.cost_bound * (1 - 1e-9)
    assert found.finish_hours == pytest.approx(6.0)


def test_kinds_that_are_never_short_leave_no_rooms_to_tell_apart() -> None:
    jobs = tuple(job(f"job {number}", 4.0, num_gpus=3) for number in range(200))
    shop = shop_of(request(slots=40, supplies=(on_demand(),), jobs=jobs))
    assert num_states(shop) == 1
    assert len(best_lineup(shop, 0, np.ones((200, 1))).runs) == 200


def test_a_timetable_read_as_lineups_gives_the_same_timetable() -> None:
    jobs = tuple(job(f"job {number}", 2.0 + number, num_gpus=1 + number % 2) for number in range(5))
    asked = request(slots=40, supplies=(owned(num_gpus=3, price=1.0),), jobs=jobs)
    shop = shop_of(asked)
    kept = least_cost(shop, ())
    assert kept is not None
    stretches = stretches_of(shop, kept.hours)
    again = lineups_of(shop, stretches)
    assert {lineup for lineup, hours in kept.hours if hours > 1e-6} <= set(again)
