"""Plans say what binds, what more of it would save, and why each option lost; the savings are true."""

from __future__ import annotations

import pytest

from planner.plans.demand import Job, Work
from planner.plans.plan import plan
from planner.plans.supply import Budget, Limits
from tests.plans.requests import job, on_demand, owned, request, service


def test_one_more_gpu_saves_what_its_shadow_price_says() -> None:
    def asked(num_gpus: int):  # type: ignore[no-untyped-def]
        demand = (1.0, 5.0, 5.0, 5.0, 1.0, 1.0, 1.0, 1.0)
        return request(supplies=(owned(num_gpus=num_gpus), on_demand()), services=(service(demand=demand),))

    before, after = plan(asked(2), gap=0.0), plan(asked(3), gap=0.0)
    assert before.cost is not None
    assert after.cost is not None
    price = before.shadow_prices[0]
    assert (price.limit, price.from_hours, price.until_hours) == ("H100", 1.0, 4.0)
    assert price.saving == pytest.approx(before.cost - after.cost)
    assert price.sentence == "one more H100 from hour 1 to 4 would save 6.00 USD"


def test_each_kind_that_lost_says_what_it_lost_on_the_second_choice_first() -> None:
    train = Job(
        "train",
        (Work("V100", 1, 48.0), Work("H100", 1, 4.0), Work("A100", 1, 6.0), Work("B9", 1, 1.0)),
        is_divisible=False,
    )
    offers = (on_demand("v", 0.1, "V100"), on_demand("h", 2.5, "H100"), on_demand("a", 2.0, "A100"))
    found = plan(request(supplies=offers, jobs=(train,)))
    assert [(item.supply, item.demand) for item in found.refusals] == [
        ("A100", "train"),
        ("V100", "train"),
        ("B9", "train"),
    ]
    assert found.refusals[0].reason == "costs 12 at the least, H100 10"
    assert "takes 48.0 h, and there are 8.0 h" in found.refusals[1].reason
    assert "none is on offer" in found.refusals[2].reason


def test_a_budget_that_binds_has_a_price() -> None:
    jobs = (job("a", 4.0, deadline_hours=4.0), job("b", 4.0, drop_cost=20.0))
    limits = Limits(budgets=(Budget("all", 0.0, 4.0, 12.0),))
    found = plan(request(slots=4, jobs=jobs, limits=limits), gap=0.0)
    assert found.costs["on_demand"] <= 12.0 + 1e-6
