"""A first plan where supply is scarce: whole jobs find places beside each other, or give way where they may."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.plans.linear import solve_lp
from planner.plans.plan import plan
from planner.plans.program.build import build, refined
from planner.plans.program.rounding import first_plan
from planner.plans.request import PlanRequest
from planner.plans.solution import Outcome
from planner.plans.supply import Budget, Limits
from tests.plans.requests import job, on_demand, owned, request, service

JOBS = st.lists(
    st.tuples(
        st.integers(1, 4),  # gang
        st.floats(0.5, 6.0),  # hours
        st.integers(0, 8),  # release
        st.booleans(),  # whole
        st.floats(1.0, 60.0),  # what leaving it costs
    ),
    min_size=3,
    max_size=12,
)


def scarce(jobs: list[tuple[int, float, int, bool, float]], **changes: Any) -> PlanRequest:
    made = tuple(
        job(f"j{n}", hours, num_gpus=gang, release_hours=float(release), is_divisible=not whole, drop_cost=drop)
        for n, (gang, hours, release, whole, drop) in enumerate(jobs)
    )
    return request(slots=16, **{"supplies": (owned(num_gpus=5, price=1.0),), "jobs": made, **changes})


@settings(max_examples=40, deadline=None)
@given(JOBS, st.booleans())
def test_where_all_may_be_left_undone_there_is_a_first_plan_at_once(
    jobs: list[tuple[int, float, int, bool, float]], has_budget: bool
) -> None:
    limits = Limits(budgets=(Budget("all", 0.0, 16.0, 30.0),)) if has_budget else Limits()
    draft, _ = build(refined(scarce(jobs, limits=limits)))
    relaxed = solve_lp(draft.model)
    found = first_plan(draft, relaxed, 30.0, None)
    assert found is not None
    assert found.objective is not None
    assert relaxed.objective is not None
    assert found.objective >= relaxed.objective - 1e-6
    values = found.values
    assert values is not None
    held: dict[int, float] = defaultdict(float)
    for (_, slot), uses in draft.uses.items():
        held[slot] += sum(values[column] * hours for column, hours in uses)
    hours = draft.request.horizon.slot_hours
    assert all(gpu_hours <= 5 * hours[slot] + 1e-6 for slot, gpu_hours in held.items())


def test_jobs_that_must_be_done_take_their_places_before_those_that_may_be_left() -> None:
    must = tuple(job(f"must {n}", 4.0, num_gpus=3, is_divisible=False) for n in range(4))
    may = tuple(job(f"may {n}", 4.0, num_gpus=3, is_divisible=False, drop_cost=500.0) for n in range(3))
    asked = request(slots=16, supplies=(owned(num_gpus=5, price=1.0),), jobs=(*may, *must))
    draft, _ = build(refined(asked))
    found = first_plan(draft, solve_lp(draft.model), 30.0, None)
    assert found is not None
    assert found.objective == pytest.approx(4 * 3 * 4.0 + 3 * 500.0)


def test_a_service_that_may_go_unserved_gives_way_where_a_budget_is_short() -> None:
    asked = request(
        slots=8,
        supplies=(on_demand(price=2.0, num_gpus=10),),
        jobs=(job("must", 4.0, num_gpus=2, is_divisible=False),),
        services=(service(demand=(3.5,) * 8, drop_cost=9.0),),
        limits=Limits(budgets=(Budget("all", 0.0, 8.0, 50.0),)),
    )
    found = plan(asked)
    assert found.outcome is Outcome.OPTIMAL
    assert found.costs["shortage"] > 0
    assert sum(use.cost for use in found.uses) <= 50.0 + 1e-6
