"""A plan's timetable to the minute: all its hours, on no more GPUs at any moment than there are, one gang at a time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from planner.plans.horizon import Horizon
from planner.plans.plan import plan
from planner.plans.runs import SECOND, runs_of
from tests.plans.requests import job, on_demand, owned, request, reserved, service

JOBS = st.lists(st.tuples(st.floats(0.3, 5.0), st.booleans(), st.integers(1, 3)), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None)
@given(JOBS, st.lists(st.integers(0, 2), min_size=4, max_size=4))
@example([(2.0, True, 1), (2.5, False, 1), (2.5, False, 1)], [0, 1, 0, 1])  # what runs late delays its own next stretch
def test_the_timetable_holds_every_hour_of_the_plan_on_the_gpus_there_are(
    jobs: list[tuple[float, bool, int]], demand: list[int]
) -> None:
    asked = request(
        slots=8,
        supplies=(owned(num_gpus=3, price=0.1), on_demand(gpu="A100")),
        jobs=tuple(
            job(f"j{n}", hours, is_divisible=flows, copies=copies if flows else 1, drop_cost=50.0)
            for n, (hours, flows, copies) in enumerate(jobs)
        ),
        services=(service(demand=tuple(float(level) for level in demand for _ in range(2))),),
    )
    found = plan(asked, gap=0.0)
    timetable = runs_of(asked, found)
    hours: dict[str, float] = defaultdict(float)
    for item in found.assignments:
        hours[item.demand] += item.num_gpus * item.hours
    ran: dict[str, float] = defaultdict(float)
    for run in timetable.runs:
        ran[run.demand] += run.num_gpus * (run.until_hours - run.from_hours)
        at_once = [r for r in timetable.runs if r.from_hours <= run.from_hours < r.until_hours - SECOND]
        assert timetable.late_hours or sum(r.num_gpus for r in at_once) <= 3
        mine = [r for r in at_once if r.demand == run.demand]
        assert len(mine) <= max((copies for n, (_, _, copies) in enumerate(jobs) if run.demand == f"j{n}"), default=9)
    if all(flows for _, flows, _ in jobs):
        assert timetable.late_hours == 0.0, "gangs of one that may all wait fit where their hours do"
    assert dict(ran) == pytest.approx(dict(hours), abs=10 * SECOND)


def test_a_job_that_runs_slot_after_slot_is_one_run_with_the_supply_it_is_on() -> None:
    asked = request(slots=6, supplies=(reserved(num_gpus=2, price=0.5),), jobs=(job(hours=4.5, deadline_hours=4.5),))
    (run,) = runs_of(asked, plan(asked)).runs
    assert (run.from_hours, run.until_hours) == pytest.approx((0.0, 4.5))
    assert (run.gpu, run.num_gpus, run.supplies) == ("H100", 1, ("reserve",))


def test_gangs_that_do_not_fit_beside_each_other_say_how_late_they_end() -> None:
    jobs = tuple(job(f"j{n}", 2.0, num_gpus=2, deadline_hours=4.0) for n in range(3))
    asked, roomy = (
        request(horizon=Horizon.uniform(1, 4.0), supplies=(owned(num_gpus=number),), jobs=jobs) for number in (3, 4)
    )
    timetable = runs_of(asked, plan(roomy))
    assert timetable.late_hours == pytest.approx(2.0), "six hours of a gang in turn, in a slot of four"
    assert len(timetable.of(["j0"])) == 1


def test_a_gang_larger_than_what_is_held_is_named_with_both() -> None:
    asked = request(slots=8, supplies=(reserved(price=0.5),), jobs=(job(hours=4.0, num_gpus=4),))
    found = plan(asked)
    assert runs_of(asked, found).too_few == {}
    (held,) = found.commitments
    fewer = replace(found, commitments=(replace(held, num_gpus=2),))
    assert runs_of(asked, fewer).too_few == {"train": (4, 2)}
