"""What is left of a question some hours into its plan."""

from __future__ import annotations

import pytest

from planner.errors import InvalidInput
from planner.plans.demand import Job, Replica, Service, Work
from planner.plans.horizon import Horizon
from planner.plans.plan import plan
from planner.plans.replan import remaining
from planner.plans.request import PlanRequest
from planner.plans.supply import Kind, Supply

RENT = Supply("rent", "H100", Kind.ON_DEMAND, 2.0)
RESERVE = Supply("reserve", "H100", Kind.RESERVED, 1.0, term_hours=24.0, upfront=3.0)
TRAIN = Job("train", (Work("H100", 1, 10.0),), deadline_hours=20.0)


def asked(*jobs: Job, services: tuple[Service, ...] = (), supplies: tuple[Supply, ...] = (RENT,)) -> PlanRequest:
    return PlanRequest(Horizon.uniform(24), supplies, jobs or (TRAIN,), services)


def test_nothing_elapsed_is_the_same_cost() -> None:
    request = asked()
    found = plan(request)
    again = plan(remaining(request, found, 0.0))
    assert again.cost == pytest.approx(found.cost)


def test_what_is_done_stays_and_the_rest_costs_the_rest() -> None:
    request = asked()
    found = plan(request)
    for hours in (3.0, 7.5):
        rest = remaining(request, found, hours)
        spent = sum(
            use.cost * min(1.0, max(0.0, hours - found.edges[use.slot]) / 1.0)
            for use in found.uses
            if found.edges[use.slot] < hours
        )
        assert rest.horizon.hours == pytest.approx(24 - hours)
        assert (plan(rest).cost or 0) + spent == pytest.approx(found.cost, rel=0.05)


def test_what_really_happened_comes_before_what_was_planned() -> None:
    request = asked()
    rest = remaining(request, plan(request), 5.0, {"train": 0.0})
    assert rest.jobs[0].options[0].hours == 10.0
    assert rest.jobs[0].deadline_hours == 15.0
    with pytest.raises(InvalidInput, match="nothing left"):
        remaining(request, plan(request), 5.0, {"train": 1.0})


def test_commitments_are_kept_for_the_rest_of_their_term() -> None:
    service = Service("chat", (Replica("H100", 1, 1.0),), (1.0,) * 24)
    request = PlanRequest(Horizon.uniform(24), (RENT, RESERVE), (), (service,))
    found = plan(request)
    assert [item.supply for item in found.commitments] == ["reserve"]
    rest = remaining(request, found, 6.0)
    assert rest.fixed == {"reserve": 1}
    assert len(rest.services[0].demand) == 18
    kept = next(supply for supply in rest.supplies if supply.name == "reserve")
    assert (kept.term_hours, kept.upfront) == (18.0, 0.0)
    assert plan(rest).cost == pytest.approx(18.0)


@pytest.mark.parametrize(
    ("elapsed", "done", "word"),
    [
        (-1.0, {}, "at"),
        (24.0, {}, "at"),
        (5.0, {"other": 0.5}, "other"),
        (5.0, {"train": 2.0}, "train"),
        (21.0, {"train": 0.5}, "train"),
    ],
)
def test_what_cannot_be_is_named(elapsed: float, done: dict[str, float], word: str) -> None:
    request = asked()
    with pytest.raises(InvalidInput, match=word):
        remaining(request, plan(request), elapsed, done)
