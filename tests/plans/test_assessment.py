"""How near the least cost a plan is, in words that its figures bear out."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from planner.plans.assessment import assessment
from planner.plans.plan import plan
from planner.plans.solution import Plan, SearchStep
from tests.plans.requests import job, on_demand, owned, request, reserved


def far() -> Plan:
    found = plan(request(jobs=(job(),)))
    costs = {"on_demand": 150.0, "purchase": 50.0}
    steps = (SearchStep(1.0, 400.0, 90.0), SearchStep(40.0, 210.0, 100.0), SearchStep(100.0, 200.0, 100.0))
    return replace(
        found, cost=200.0, bound=100.0, seconds=100.0, costs=costs, steps=steps, relaxed_costs={"on_demand": 90.0}
    )


def test_a_plan_that_is_good_enough_needs_no_words() -> None:
    assert assessment(plan(request(jobs=(job(),))), 0.01) == ()
    assert assessment(far(), 0.5) == ()


def test_a_plan_far_from_its_bound_says_how_far_where_and_what_time_gave() -> None:
    least, where, time = assessment(far(), 0.01)
    assert "at most 2 times the least" in least
    assert "$100.00 and $200.00" in least
    assert "on demand $60.00 more, purchase $50.00 more" in where
    assert "4.8% off the cost and raised the bound by 0.0%" in time
    assert "still gaining" in time
    slow = replace(far(), steps=(*far().steps[:2], SearchStep(70.0, 200.5, 100.0), far().steps[2]))
    assert "slowed down" in assessment(slow, 0.01)[-1]


def test_a_search_that_stood_still_is_not_told_to_go_on() -> None:
    still = replace(far(), steps=(SearchStep(1.0, 200.0, 100.0), SearchStep(100.0, 200.0, 100.0)))
    assert "unlikely to help" in assessment(still, 0.01)[-1]


def test_a_search_says_its_steps_and_what_its_relaxed_program_spends() -> None:
    jobs = tuple(job(f"j{n}", 2.0 + n, num_gpus=1 + n % 3, is_divisible=False, deadline_hours=20.0) for n in range(6))
    supplies = (owned(num_gpus=3, price=0.1), reserved(price=0.7, num_gpus=4), on_demand(price=3.0))
    found = plan(request(slots=24, supplies=supplies, jobs=jobs), gap=0.0, seconds=20)
    assert found.steps[-1].cost == found.cost
    bounds = [step.bound for step in found.steps]
    assert all(before <= later + 1e-6 for before, later in pairwise(bounds))
    costs = [step.cost for step in found.steps if step.cost is not None]
    assert all(later <= before + 1e-6 for before, later in pairwise(costs))
    assert found.bound is not None
    assert math.fsum(found.relaxed_costs.values()) <= found.bound + 1e-6
    assert math.fsum(found.relaxed_costs.values()) == pytest.approx(found.steps[0].bound)
    assert Plan.from_document(found.to_document()) == found
