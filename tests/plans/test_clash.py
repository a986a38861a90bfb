"""What cannot be done is answered with the demands that clash and what they clash over, quickly."""

from __future__ import annotations

import time
from typing import Any

import pytest

from planner.plans.plan import plan
from planner.plans.request import Goal
from planner.plans.solution import Clash, Outcome
from planner.plans.supply import Budget, Kind, Limits, Quota, Supply
from tests.plans.requests import job, on_demand, owned, request, service


def clash(**asked: object) -> Clash:
    found = plan(request(**asked))  # type: ignore[arg-type]
    assert found.outcome is Outcome.INFEASIBLE
    assert found.clash is not None
    return found.clash


def test_a_job_that_is_too_slow_for_its_deadline_clashes_alone() -> None:
    found = clash(jobs=(job("slow", 9.0), job("fine", 2.0)))
    assert found.demands == ("slow",)
    assert "H100: takes 9.0 h, and there are 8.0 h" in found.reason


def test_a_gang_larger_than_all_there_is_and_a_gpu_that_nobody_offers_are_said() -> None:
    assert (
        "takes 8 at once, and there are never more than 4"
        in clash(supplies=(owned(num_gpus=4),), jobs=(job(num_gpus=8),)).reason
    )
    assert "B300: none is on offer" in clash(jobs=(job(gpu="B300"),)).reason


def test_only_the_demands_that_clash_are_named_and_where() -> None:
    jobs = (job("a", 5.0, deadline_hours=6.0), job("b", 5.0, deadline_hours=6.0), job("free", 2.0, gpu="A100"))
    found = clash(supplies=(owned(num_gpus=1), on_demand("a100", gpu="A100")), jobs=jobs)
    assert found.demands == ("a", "b")
    assert "H100 between hour 0 and 6" in found.reason


def test_three_that_clash_though_any_two_fit_are_all_named() -> None:
    jobs = tuple(job(name, 4.0) for name in "abc")
    assert clash(supplies=(owned(num_gpus=1),), jobs=jobs).demands == ("a", "b", "c")


def test_a_service_and_a_job_clash_in_the_slots_they_share() -> None:
    found = clash(
        supplies=(owned(num_gpus=4),),
        jobs=(job("train", 4.0, num_gpus=2, deadline_hours=4.0),),
        services=(service("chat", (3.0,) * 8),),
    )
    assert set(found.demands) == {"train", "chat"}


def test_budgets_and_quotas_are_named_where_they_bind() -> None:
    limits = Limits(budgets=(Budget("week", 0.0, 8.0, 5.0),))
    assert "the budget week" in clash(jobs=(job(hours=4.0),), limits=limits).reason
    limits = Limits(quotas=(Quota("h100", 1),))
    two = (job("a", 5.0), job("b", 5.0))
    assert "the quota h100" in clash(jobs=two, limits=limits).reason
    assert "never more than 1" in clash(jobs=(job(num_gpus=2),), limits=limits).reason


def test_whole_jobs_that_fit_by_the_hour_but_not_whole_clash() -> None:
    jobs = tuple(job(name, 5.0, is_divisible=False) for name in ("a", "b", "c"))
    found = clash(supplies=(owned(num_gpus=2),), jobs=jobs)
    assert set(found.demands) == {"a", "b", "c"}
    assert "H100" in found.reason


def test_a_rule_that_bars_every_supply_is_the_reason() -> None:
    supply = Supply("s", "H100", Kind.ON_DEMAND, 2.0, provider="far")
    assert "do not allow the provider far" in clash(supplies=(supply,), jobs=(job(providers=("near",)),)).reason


def test_asking_for_the_least_time_of_what_cannot_be_done_names_the_clash() -> None:
    assert clash(jobs=(job("slow", 9.0),), goal=Goal.TIME).demands == ("slow",)


def test_what_may_be_dropped_is_dropped_and_paid_for_instead_of_clashing() -> None:
    jobs = (job("must", 5.0), job("may", 5.0, drop_cost=7.0))
    found = plan(request(supplies=(owned(num_gpus=1),), jobs=jobs))
    assert found.dropped == ("may",)
    assert found.costs["shortage"] > 0


ABSURD: dict[str, dict[str, Any]] = {
    "a gang of a billion": {"jobs": (job("vast", 4.0, num_gpus=10**9),), "supplies": (owned(num_gpus=8),)},
    "a demand of a quadrillion": {"services": (service("all", (1e15,) * 8),), "supplies": (owned(num_gpus=8),)},
    "a deadline in a blink": {"jobs": (job("now", 4.0, deadline_hours=1e-9),)},
    "a budget of nothing": {"jobs": (job(),), "limits": Limits(budgets=(Budget("none", 0.0, 8.0, 0.0),))},
    "a quota of nothing": {"jobs": (job(),), "limits": Limits(quotas=(Quota("none", 0),))},
    "a room without power": {
        "jobs": (job(),),
        "supplies": (owned(kw=1.0),),
        "limits": Limits(power_cap_kw=0.0),
    },
    "offers that are gone": {"jobs": (job(),), "supplies": (on_demand(until_hours=0.0),)},
    "a hundred whole jobs on one GPU": {
        "jobs": tuple(job(f"job {n}", 2.0, is_divisible=False) for n in range(100)),
        "supplies": (owned(num_gpus=1),),
    },
    "two hundred jobs on one GPU": {
        "jobs": tuple(job(f"job {n}", 1.0) for n in range(200)),
        "supplies": (owned(num_gpus=1),),
    },
    "soonest, with nothing": {"jobs": (job(),), "supplies": (owned(num_gpus=0),), "goal": Goal.TIME},
}


@pytest.mark.parametrize("name", list(ABSURD))
def test_an_absurd_request_is_answered_with_its_clash_and_not_by_the_clock(name: str) -> None:
    begun = time.process_time()
    found = clash(**ABSURD[name])
    assert found.demands
    assert found.reason
    assert time.process_time() - begun < 10.0
