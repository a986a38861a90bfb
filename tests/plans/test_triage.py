"""Where not everything can be met: what is more urgent is kept, and what is left undone is said with its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InvalidInput
from planner.plans.linear import solve_mip
from planner.plans.plan import plan
from planner.plans.program.build import build, refined
from planner.plans.request import Goal, PlanRequest
from planner.plans.solution import Outcome, Plan
from planner.plans.supply import Budget, Limits
from planner.plans.triage import triage
from tests.plans.requests import job, on_demand, owned, request, service


def short(**changes: Any) -> PlanRequest:
    return request(**{"supplies": (owned(num_gpus=4),), "leave_least_urgent": True, **changes})


def test_the_least_urgent_of_three_gives_way_and_the_plan_is_proved_for_the_rest() -> None:
    jobs = tuple(job(f"p{level}", 8.0, num_gpus=2, priority=level) for level in (1, 0, 2))
    found = plan(short(jobs=jobs))
    assert found.outcome is Outcome.OPTIMAL
    assert found.dropped == ("p0",)
    assert {item.demand for item in found.assignments} == {"p1", "p2"}
    reason = next(item.reason for item in found.refusals if item.demand == "p0")
    assert "more urgent" in reason
    assert plan(replace(short(jobs=jobs), leave_least_urgent=False)).outcome is Outcome.INFEASIBLE


def test_what_can_all_be_met_is_not_touched() -> None:
    jobs = (job("a", 4.0, num_gpus=4), job("b", 4.0, num_gpus=4, priority=-5))
    found = plan(short(jobs=jobs))
    assert (found.outcome, found.dropped, found.shortfalls) == (Outcome.OPTIMAL, (), ())


def test_a_large_urgent_job_is_kept_before_several_small_ones_that_are_not() -> None:
    jobs = (job("large", 8.0, num_gpus=4, priority=1), *(job(f"small {n}", 8.0, num_gpus=1) for n in range(4)))
    found = plan(short(jobs=jobs))
    assert set(found.dropped) == {f"small {n}" for n in range(4)}


def test_within_a_priority_as_many_gpu_hours_as_can_be_are_kept() -> None:
    jobs = (job("half", 8.0, num_gpus=2), job("other half", 8.0, num_gpus=2), job("three", 8.0, num_gpus=3))
    found = plan(short(jobs=jobs))
    assert found.dropped == ("three",)


def test_a_job_that_waits_for_one_that_is_left_undone_is_left_undone() -> None:
    jobs = (
        job("never", 90.0),
        job("next", 1.0, after=("never",)),
        job("last", 1.0, after=("next",)),
        job("fine", 1.0),
    )
    found = plan(short(jobs=jobs))
    assert found.dropped == ("never", "next", "last")
    reasons = {item.demand: item.reason for item in found.refusals if item.supply == "any GPU"}
    assert "cannot be done at all" in reasons["never"]
    assert "waits for never" in reasons["next"]


def test_a_service_that_is_less_urgent_is_short_by_what_is_missing() -> None:
    served = service(demand=(3.0,) * 8, priority=0)
    found = plan(short(jobs=(job("urgent", 8.0, num_gpus=2, priority=1),), services=(served,)))
    assert found.dropped == ()
    (missing,) = found.shortfalls
    assert (missing.from_hours, missing.until_hours) == (0.0, 8.0)
    assert missing.most_share == pytest.approx(1 / 3)
    assert "chat is short by up to 33%" in missing.sentence
    assert sum(item.num_gpus for item in found.assignments if item.demand == "chat") == 16


def test_what_may_be_left_undone_for_a_price_gives_way_first() -> None:
    jobs = (job("must", 8.0, num_gpus=4), job("may", 8.0, num_gpus=4, priority=9, drop_cost=5.0), job("never", 99.0))
    found = plan(short(jobs=jobs))
    assert set(found.dropped) == {"may", "never"}
    assert found.costs["shortage"] == pytest.approx(5.0)


def test_budgets_decide_what_is_kept_too() -> None:
    jobs = (job("cheap", 2.0), job("dear", 6.0, num_gpus=4, priority=1))
    asked = short(supplies=(on_demand(price=1.0),), jobs=jobs, limits=Limits(budgets=(Budget("all", 0.0, 8.0, 25.0),)))
    found = plan(asked)
    assert found.dropped == ("cheap",)
    assert found.cost == pytest.approx(24.0)


def test_where_nothing_at_all_can_be_met_the_clash_is_named() -> None:
    found = plan(short(jobs=(job("never", 90.0),)))
    assert found.outcome is Outcome.INFEASIBLE
    assert found.clash is not None
    assert found.clash.demands == ("never",)


def test_the_least_time_and_leaving_jobs_undone_do_not_go_together() -> None:
    with pytest.raises(InvalidInput, match="leave_least_urgent"):
        short(jobs=(job(),), goal=Goal.TIME)


def test_it_outlives_its_document() -> None:
    found = plan(short(jobs=(job("never", 90.0), job("fine", 1.0)), services=(service(demand=(9.0,) * 8),)))
    assert found.shortfalls
    assert Plan.from_document(found.to_document()) == found


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 8), st.integers(0, 2), st.booleans()), min_size=2, max_size=5)
)
def test_no_more_of_the_most_urgent_could_be_kept(jobs: list[tuple[int, int, int, bool]]) -> None:
    """Against every subset of the jobs of the highest priority."""
    made = tuple(
        job(f"j{n}", float(hours), num_gpus=gang, priority=level, is_divisible=divisible)
        for n, (gang, hours, level, divisible) in enumerate(jobs)
    )
    asked = short(jobs=made)
    chosen = triage(refined(asked), 30.0)
    top = max(each.priority for each in made)
    urgent = [each for each in made if each.priority == top]
    best = 0.0
    for mask in range(1 << len(urgent)):
        kept = tuple(each for place, each in enumerate(urgent) if mask >> place & 1)
        if kept:
            draft, _ = build(refined(replace(asked, jobs=kept)))
            draft.model.costs = [0.0] * draft.model.num_columns
            if solve_mip(draft.model, 0.0, 10.0).values is None:
                continue
        best = max(best, sum(each.options[0].num_gpus * each.options[0].hours for each in kept))
    assert chosen is not None
    ours = sum(e.options[0].num_gpus * e.options[0].hours for e in chosen.kept.jobs if e.priority == top)
    whole = sum(e.options[0].num_gpus * e.options[0].hours for e in urgent)
    assert whole - ours <= (whole - best) * 1.01 + 1e-3
