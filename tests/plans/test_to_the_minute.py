"""Plans whose gangs do not fit as their slots have them: scheduled to the minute on what they use, with the bound."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planner.plans.demand import Job, Work
from planner.plans.horizon import Horizon
from planner.plans.plan import plan
from planner.plans.request import PlanRequest
from planner.plans.runs import Runs, runs_of
from planner.plans.supply import Budget, Limits, Supply
from planner.plans.to_the_minute import ToTheMinute, minute_runs, to_the_minute
from tests.plans.requests import job, on_demand, owned, request, reserved, service

OWNED = (owned("a", 7, "A", price=2.0), owned("b", 8, "B", price=0.5))
RESERVED = (reserved("a", 0.5, gpu="A", num_gpus=7), owned("b", 8, "B", price=0.5), on_demand("other", 9.0, "C"))


def crowded(hours: float, supplies: tuple[Supply, ...] = OWNED) -> PlanRequest:
    """Gangs of two to four on seven GPUs of one kind and eight of another, in one slot."""
    jobs = tuple(
        Job(f"j{n}", (Work("A", 2 + n % 3, 2.0 + n % 5), Work("B", 2 + n % 3, 4.0 + n % 3))) for n in range(14)
    )
    return request(horizon=Horizon((0.0, hours)), supplies=supplies, jobs=jobs)


def keeps_within(found: Runs, gpu: str, most: int) -> bool:
    mine = [run for run in found.runs if run.gpu == gpu]
    return all(
        sum(other.num_gpus for other in mine if other.from_hours <= run.from_hours < other.until_hours - 1e-9) <= most
        for run in mine
    )


@pytest.mark.parametrize("hours", [12.0, 14.0, 18.0])
def test_gangs_that_end_late_are_scheduled_in_time_at_what_that_costs(hours: float) -> None:
    asked = crowded(hours)
    found = plan(asked, gap=0.0)
    assert found.cost is not None
    assert runs_of(asked, found).late_hours > 0.5
    written = to_the_minute(asked, found)
    assert written is not None
    assert written.schedule is not None
    assert found.cost - 1e-6 <= written.schedule.cost_bound <= written.schedule.cost + 1e-6
    assert written.schedule.late == ()
    runs = minute_runs(asked, found, written)
    assert runs.late_hours == 0.0
    assert max(run.until_hours for run in runs.runs) <= hours + 1e-6
    assert keeps_within(runs, "A", 7)
    assert keeps_within(runs, "B", 8)
    assert {run.supplies for run in runs.runs} == {("a",), ("b",)}
    assert ToTheMinute.from_document(written.to_document()) == written


def test_what_is_committed_to_is_there_and_paid_for_and_no_more_of_it() -> None:
    asked = crowded(16.0, RESERVED)
    found = plan(asked, gap=0.0)
    (held,) = found.commitments
    written = to_the_minute(asked, found)
    assert written is not None
    assert written.schedule is not None
    assert written.committed == pytest.approx(held.cost)
    assert written.schedule.cost > written.committed
    assert keeps_within(minute_runs(asked, found, written), "A", held.num_gpus)


def test_a_plan_whose_gangs_fit_is_left_as_it_is() -> None:
    asked = request(slots=8, supplies=(owned(num_gpus=2),), jobs=(job(num_gpus=2),))
    assert to_the_minute(asked, plan(asked)) is None


def test_what_cannot_be_scheduled_says_why() -> None:
    asked = crowded(14.0)
    found = plan(asked, gap=0.0)
    served = replace(asked, services=(service(demand=(0.0,)),))
    for other, word in (
        (served, "only divisible jobs"),
        (replace(asked, limits=Limits(budgets=(Budget("all", 0.0, 14.0, 1e6),))), "budgets"),
    ):
        written = to_the_minute(other, found)
        assert written is not None
        assert written.schedule is None
        assert word in written.reason
        assert minute_runs(other, found, written) == runs_of(other, found)
    stopped = to_the_minute(asked, found, lambda: True)
    assert stopped is not None
    assert stopped.schedule is not None or stopped.reason
