"""Timetables keep within the GPUs at every moment, do all the work, and come close to the bound."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.plans.demand import Job, Work
from planner.plans.horizon import Horizon
from planner.plans.request import Goal, PlanRequest
from planner.plans.schedule import NoSchedule, Schedule, schedule
from planner.plans.timetable import Stretch, Task, open_shop
from tests.plans.requests import job, owned, request


def most_held(stretches: tuple[Stretch, ...], gpu: str) -> int:
    moments = sorted({each.from_hours for each in stretches})
    return max(
        sum(e.num_gpus for e in stretches if e.gpu == gpu and e.from_hours <= at < e.until_hours - 1e-9)
        for at in moments
    )


def collides(stretches: tuple[Stretch, ...]) -> bool:
    by_job: dict[str, list[Stretch]] = {}
    for each in stretches:
        by_job.setdefault(each.demand, []).append(each)
    return any(
        later.from_hours < before.until_hours - 1e-9
        for items in by_job.values()
        for before, later in zip(items, sorted(items, key=lambda e: e.from_hours)[1:], strict=False)
    )


TASKS = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from(["A", "B"]), st.sampled_from([1, 2, 4]), st.floats(0.1, 5)),
    min_size=1,
    max_size=14,
    unique_by=lambda item: (item[0], item[1]),
)


@settings(max_examples=60, deadline=None)
@given(TASKS)
def test_an_open_shop_does_all_work_and_never_collides(items: list[tuple[int, str, int, float]]) -> None:
    tasks = [Task(f"job {number}", gpu, gpus, hours) for number, gpu, gpus, hours in items]
    stretches = open_shop(tasks, {"A": 4, "B": 8}, 5.0)
    for task in tasks:
        ran = sum(e.until_hours - e.from_hours for e in stretches if (e.demand, e.gpu) == (task.demand, task.gpu))
        assert ran == pytest.approx(task.hours, abs=1e-6)
    assert not collides(stretches)
    assert most_held(stretches, "A") <= 4
    assert most_held(stretches, "B") <= 8


def two_kinds(goal: Goal, hours: float) -> PlanRequest:
    jobs = tuple(
        Job(f"j{n}", (Work("A", 1 + n % 2, 2.0 + n % 5), Work("B", 1 + n % 2, 4.0 + n % 3))) for n in range(20)
    )
    supplies = (owned("a", 4, "A", price=2.0), owned("b", 6, "B", price=0.5))
    return PlanRequest(Horizon((0.0, hours)), supplies, jobs, goal=goal)


def test_the_soonest_timetable_is_near_its_bound_and_never_below_it() -> None:
    found = schedule(two_kinds(Goal.TIME, 200.0))
    assert isinstance(found, Schedule)
    assert found.finish_bound_hours is not None
    assert found.finish_bound_hours <= found.finish_hours <= found.finish_bound_hours * 1.05
    assert found.cost >= found.cost_bound * (1 - 1e-9) or found.finish_hours > found.finish_bound_hours
    assert most_held(found.stretches, "A") <= 4


def test_a_deadline_is_kept_to_the_minute_and_time_makes_it_cheaper() -> None:
    costs = []
    for hours in (16.0, 20.0, 40.0):
        found = schedule(two_kinds(Goal.COST, hours))
        assert isinstance(found, Schedule)
        assert found.finish_hours <= hours
        assert found.late == ()
        assert found.cost >= found.cost_bound - 1e-6
        costs.append(found.cost)
    assert costs == sorted(costs, reverse=True)


def test_jobs_that_arrive_later_wait_for_their_release() -> None:
    jobs = (job("now", 3.0, num_gpus=2), job("later", 2.0, num_gpus=4, release_hours=1.0))
    found = schedule(request(slots=12, supplies=(owned(num_gpus=4),), jobs=jobs, goal=Goal.TIME))
    assert isinstance(found, Schedule)
    assert min(each.from_hours for each in found.stretches if each.demand == "later") >= 1.0
    assert found.finish_hours == pytest.approx(5.0, abs=1e-3)


def test_what_has_no_timetable_says_why() -> None:
    found = schedule(request(supplies=(owned(num_gpus=1),), jobs=(job("a", 5.0), job("b", 5.0))))
    assert isinstance(found, NoSchedule)
    assert "deadlines" in found.reason
    whole = schedule(request(jobs=(job(is_divisible=False),)))
    assert isinstance(whole, NoSchedule)
    assert "divisible" in whole.reason


def listed(jobs: tuple[Job, ...], num_gpus: dict[str, int]) -> float:
    """A simple planner: the longest job first, each where it ends first; the hour when all have ended."""
    free = {gpu: [0.0] * number for gpu, number in num_gpus.items()}
    ended = 0.0
    for each in sorted(jobs, key=lambda job: -min(work.hours for work in job.options)):
        ends = {w.gpu: sorted(free[w.gpu])[w.num_gpus - 1] + w.hours for w in each.options}
        gpu = min(ends, key=lambda name: ends[name])
        gang = next(work.num_gpus for work in each.options if work.gpu == gpu)
        free[gpu] = sorted(free[gpu])[gang:] + [ends[gpu]] * gang
        ended = max(ended, ends[gpu])
    return ended


@settings(max_examples=12, deadline=None)
@given(
    sizes=st.lists(
        st.tuples(st.floats(0.5, 12.0), st.sampled_from([1, 1, 2]), st.floats(0.3, 3.0)), min_size=2, max_size=9
    ),
    fast=st.integers(2, 3),
    slow=st.integers(2, 4),
)
def test_no_timetable_ends_after_a_simple_planners_nor_before_the_bound(
    sizes: list[tuple[float, int, float]], fast: int, slow: int
) -> None:
    jobs = tuple(
        Job(f"job {n}", (Work("fast", gang, hours), Work("slow", gang, hours * (1 + ratio))))
        for n, (hours, gang, ratio) in enumerate(sizes)
    )
    supplies = (owned("fast", fast, "fast", 3.0), owned("slow", slow, "slow", 1.0))
    whole = Horizon((0.0, sum(max(work.hours for work in job.options) for job in jobs)))
    found = schedule(PlanRequest(whole, supplies, jobs, goal=Goal.TIME))
    assert isinstance(found, Schedule)
    assert found.finish_bound_hours is not None
    assert found.finish_bound_hours * (1 - 1e-6) <= found.finish_hours
    assert found.finish_hours <= listed(jobs, {"fast": fast, "slow": slow}) * (1 + 1e-7)
    due = schedule(PlanRequest(Horizon((0.0, found.finish_hours * 1.05)), supplies, jobs))
    assert isinstance(due, Schedule)
    assert due.late == ()
    assert due.cost_bound * (1 - 1e-6) <= due.cost <= max(found.cost, due.cost_bound) * (1 + 1e-6)
