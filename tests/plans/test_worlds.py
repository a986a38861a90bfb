"""Plans for unknown demand, and what moves a plan."""

from __future__ import annotations

import pytest

from planner.plans.sensitivity import tornado
from planner.plans.worlds import choose, sample_worlds
from tests.plans.requests import job, on_demand, request, reserved, service


def steady() -> object:
    return request(
        slots=6, supplies=(on_demand(), reserved()), services=(service(demand=(4.0, 4.0, 4.0, 4.0, 1.0, 1.0)),)
    )


def test_worlds_are_the_same_for_the_same_seed_with_a_median_of_one() -> None:
    worlds = sample_worlds(400, 0.3, 7)
    assert worlds == sample_worlds(400, 0.3, 7)
    middle = sorted(world.demand for world in worlds)[200]
    assert middle == pytest.approx(1.0, abs=0.06)


def test_the_choice_has_the_least_largest_regret_and_says_the_runner_ups() -> None:
    found = choose(steady(), sample_worlds(8, 0.3, 3))  # type: ignore[arg-type]
    assert found.runner_up is not None
    assert found.best.largest_regret <= found.runner_up.largest_regret
    assert found.best.commitments["reserve"] >= 1
    assert found.best.mean_cost is not None
    assert found.best.p95_cost is not None
    assert found.best.mean_cost <= found.best.p95_cost
    assert all(each.largest_regret >= -1e-6 for each in (found.best, *found.others))


def test_a_tornado_puts_what_moves_the_cost_most_first() -> None:
    asked = request(jobs=(job(hours=4.0),), services=(service(demand=(3.0,) * 8),))
    swings = tornado(asked, {"rents": (0.5, 1.5), "hours of jobs": (0.9, 1.1)})
    assert [swing.figure for swing in swings] == ["rents", "hours of jobs"]
    assert (swings[0].low_cost, swings[0].high_cost) == (pytest.approx(28.0), pytest.approx(84.0))
