"""The spot policy: never late whatever spot does, as cheap as hindsight allows, and cheaper than the known policies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plan_cases import made_trace
from planner.plans.spot_policy import (
    SpotJob,
    SpotPolicy,
    greedy_spot,
    hindsight_cost,
    run_policy,
    uniform_progress,
)
from planner.plans.supply import SpotTimes

JOB = SpotJob(work_hours=6.0, deadline_hours=8.0, spot_price=0.3, lost_hours=0.2)
POLICY = SpotPolicy(JOB, SpotTimes(2.0, 1.0, 0.2), step_hours=0.1)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.booleans(), min_size=85, max_size=85))
def test_no_trace_makes_it_late_and_none_makes_it_cheaper_than_hindsight(there: list[bool]) -> None:
    run = run_policy(JOB, there, 0.1, POLICY.decide)
    assert not run.is_late(JOB)
    assert run.relative_cost >= hindsight_cost(JOB, there, 0.1) - 1e-9


def test_spot_that_never_leaves_is_all_spot_and_spot_that_never_comes_all_on_demand() -> None:
    always = run_policy(JOB, [True] * 90, 0.1, SpotPolicy(JOB, SpotTimes(1e6, 0.1, 0.2), 0.1).decide)
    assert always.relative_cost == pytest.approx((6.0 + 0.2) * 0.3 / 6.0)
    never = run_policy(JOB, [False] * 90, 0.1, SpotPolicy(JOB, SpotTimes(0.3, 1e6, 0.2), 0.1).decide)
    assert never.relative_cost == pytest.approx((6.0 + 0.2) / 6.0)


@pytest.mark.parametrize("wrong_by", [0.5, 1.0, 1.4])
def test_it_is_cheaper_than_the_known_policies_even_where_its_mean_times_are_wrong(wrong_by: float) -> None:
    job = SpotJob(24.0, 28.0, 0.3, 0.1)
    times = SpotTimes(2.0, 1.5, 0.1)
    believed = SpotTimes(times.mean_up_hours * wrong_by, times.mean_down_hours * wrong_by, 0.1)
    ours = SpotPolicy(job, believed, 0.1)
    random = np.random.default_rng(3)
    costs = []
    for _ in range(40):
        there = made_trace(times, 29.0, 0.1, random)
        runs = [
            run_policy(job, there, 0.1, decide)
            for decide in (ours.decide, uniform_progress(job, 0.1), greedy_spot(job, 0.1))
        ]
        assert not runs[0].is_late(job)
        costs.append([run.relative_cost for run in runs])
    mean = np.mean(costs, axis=0)
    assert mean[0] < min(mean[1:])


def test_the_expected_cost_is_what_runs_come_to() -> None:
    random = np.random.default_rng(5)
    costs = [
        run_policy(JOB, made_trace(SpotTimes(2.0, 1.0, 0.2), 9.0, 0.1, random), 0.1, POLICY.decide).relative_cost
        for _ in range(300)
    ]
    assert np.mean(costs) == pytest.approx(POLICY.expected_cost, rel=0.05)


def test_a_job_that_on_demand_cannot_do_in_time_is_refused() -> None:
    with pytest.raises(ValueError, match="late"):
        SpotJob(10.0, 10.0, 0.3, 0.1)
