"""Slots taken together: the small program bounds the whole one, and a first plan is drawn from it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plan_scale import instance
from planner.plans import cheapest
from planner.plans.curves import diurnal
from planner.plans.demand import Job, Replica, Service, Work
from planner.plans.horizon import Horizon
from planner.plans.linear import Progress, solve_lp
from planner.plans.plan import plan
from planner.plans.program.build import build, refined
from planner.plans.program.grouped import solve_grouped
from planner.plans.program.rounding import first_plan
from planner.plans.request import PlanRequest
from planner.plans.solution import Outcome
from planner.plans.supply import Budget, Kind, Limits, Quota, Supply
from tests.plans.requests import job, on_demand, owned, request, reserved

SIZES = st.tuples(st.integers(16, 40), st.integers(6, 20), st.integers(1, 8), st.integers(1, 3), st.integers(0, 10_000))


@settings(max_examples=25, deadline=None)
@given(SIZES, st.integers(1, 8))
def test_the_small_program_never_costs_more_than_the_whole_one(sizes: tuple[int, ...], divisor: int) -> None:
    draft, _ = build(refined(instance(*sizes[:4], seed=sizes[4])))
    whole = solve_lp(draft.model)
    small = solve_grouped(draft, max(draft.model.num_columns // divisor, 1))
    assert whole.objective is not None
    assert small.objective is not None
    assert small.objective <= whole.objective * (1 + 1e-7) + 1e-7
    if divisor == 1:
        assert small.objective == pytest.approx(whole.objective, rel=1e-6)


def everything(whole_jobs: bool) -> PlanRequest:
    """A request with every kind of row: quotas, budgets, power, shared instances, outages of a shift, odd edges."""
    horizon = Horizon.uniform(24)
    services = (
        Service("chat", (Replica("H100", 1, 3.0), Replica("L4", 2, 1.4)), diurnal(horizon, 3.0, 11.0)),
        Service("few", (Replica("L4", 1, 0.7),), diurnal(horizon, 1.0, 4.0, 9.0), drop_cost=6.0),
    )
    jobs = (
        Job("one", (Work("H100", 4, 5.5), Work("L4", 4, 21.0)), 1.5, 17.25, is_divisible=not whole_jobs),
        Job("two", (Work("H100", 3, 7.0),), 0.0, 20.0),
        Job("three", (Work("H100", 2, 3.0),), 4.0, drop_cost=9.0, is_divisible=not whole_jobs),
    )
    supplies = (
        owned("own", 6, price=0.1, kw=0.7),
        reserved("month", price=1.1, term=6.0, num_gpus=4, starts_every_hours=3.0),
        on_demand("rent", 2.2, num_gpus=9),
        on_demand("endless", 4.0),
        on_demand("whole", 0.7, "L4", gpus_per_instance=4, is_shared=True),
        Supply("spot", "L4", Kind.SPOT, 0.2, num_gpus=6),
    )
    limits = Limits(
        budgets=(Budget("noon", 0.0, 11.5, 400.0),), quotas=(Quota("rented", 14, gpu="H100"),), power_cap_kw=4.0
    )
    return PlanRequest(horizon, supplies, jobs, services, limits)


@pytest.mark.parametrize("whole_jobs", [False, True])
@pytest.mark.parametrize("divisor", [1, 2, 3, 7, 24])
def test_it_is_a_bound_with_every_kind_of_row(whole_jobs: bool, divisor: int) -> None:
    draft, _ = build(refined(everything(whole_jobs)))
    whole = solve_lp(draft.model)
    small = solve_grouped(draft, draft.model.num_columns // divisor)
    assert whole.objective is not None
    assert small.objective is not None
    assert small.objective <= whole.objective + 1e-6
    assert small.objective >= whole.objective * 0.8  # and not a bound of no use
    if divisor == 1:
        assert small.objective == pytest.approx(whole.objective)


def test_slots_of_different_weight_are_not_taken_together() -> None:
    horizon = Horizon(tuple(float(hour) for hour in range(9)), repeats=(20.0,) * 4 + (10.0,) * 4)
    asked = request(slots=8, services=(), jobs=(job(hours=30.0),))
    asked = PlanRequest(horizon, asked.supplies, asked.jobs)
    draft, _ = build(refined(asked))
    whole, small = solve_lp(draft.model), solve_grouped(draft, 1)
    assert small.objective == pytest.approx(whole.objective)


def test_a_plan_drawn_from_it_is_near_its_bound() -> None:
    draft, _ = build(refined(instance(96, 24, 12, 3)))
    small = solve_grouped(draft, draft.model.num_columns // 4)
    found = first_plan(draft, small, 60.0, None)
    assert found is not None
    assert found.objective is not None
    assert small.objective is not None
    assert small.objective <= found.objective <= small.objective * 1.06


def test_a_large_request_has_a_plan_before_it_is_relaxed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cheapest, "LARGE", 100)
    monkeypatch.setattr(cheapest, "SMALL", 1500)
    told: list[Progress] = []
    found = plan(instance(96, 24, 12, 3), gap=0.002, seconds=600.0, on_progress=told.append)
    assert [progress.stage for progress in told[:4]] == ["bound", "first plan", "bound", "first plan"]
    costs = [progress.cost for progress in told if progress.cost is not None]
    bounds = [progress.bound for progress in told if progress.bound is not None]
    assert costs == sorted(costs, reverse=True)
    assert bounds == sorted(bounds)
    assert found.bound is not None
    assert found.cost is not None
    assert bounds[0] <= found.bound <= found.cost <= costs[0]


def test_a_large_request_that_cannot_be_met_says_so_from_the_small_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cheapest, "LARGE", 0)
    monkeypatch.setattr(cheapest, "SMALL", 10)
    jobs = tuple(job(f"job {number}", 6.0, num_gpus=4, is_divisible=False) for number in range(3))
    found = plan(request(slots=8, supplies=(owned(num_gpus=4),), jobs=jobs))
    assert found.outcome is Outcome.INFEASIBLE
    assert found.clash is not None
    assert len(found.clash.demands) == 2
