"""What a setback costs in all: settled before and the rest add up to the plan, and to more where work is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.plans.horizon import Horizon
from planner.plans.plan import plan
from planner.plans.replan import done_share, remaining
from planner.plans.runs import runs_of
from planner.plans.setback import lost_work, settled_by, without
from planner.plans.supply import SpotTimes
from tests.plans.requests import job, on_demand, request, reserved, service
from tests.plans.test_setback import CHAT, RENT, RESERVE, SPOT, TRAIN, asked

AT_ONCE = replace(TRAIN, deadline_hours=10.0)


@settings(max_examples=20, deadline=None)
@given(
    elapsed=st.integers(1, 11),
    upfront=st.floats(0.0, 30.0),
    levels=st.lists(st.integers(0, 3), min_size=12, max_size=12),
    hours=st.floats(1.0, 8.0),
)
def test_what_is_settled_and_the_rest_as_planned_add_up_to_the_plan(
    elapsed: int, upfront: float, levels: list[int], hours: float
) -> None:
    supplies = (on_demand(price=2.0, num_gpus=3), reserved(price=0.4, upfront=upfront, term=100.0, num_gpus=2))
    demand = service(demand=tuple(float(level) for level in (*levels[:-1], 1)), drop_cost=1.7)
    whole = request(
        horizon=Horizon.uniform(12), supplies=supplies, jobs=(job(hours=hours, drop_cost=9.0),), services=(demand,)
    )
    found = plan(whole, gap=0.0)
    assert found.cost is not None
    rest = plan(remaining(whole, found, float(elapsed)), gap=0.0)
    assert rest.cost is not None
    in_all = settled_by(whole, found, elapsed) + rest.cost
    assert in_all <= found.cost + 1e-4
    if found.commitments:  # else the rest may reserve for itself, which the plan could do at its start only
        assert in_all == pytest.approx(found.cost, abs=1e-4)


def test_a_reservation_that_is_gone_leaves_what_was_paid_ahead_of_it() -> None:
    whole = asked(RENT, RESERVE, jobs=(), services=(CHAT,))
    found = plan(whole)
    assert found.cost == pytest.approx(27.0)
    settled = settled_by(whole, found, 6.0, ("reserve",))
    assert settled == pytest.approx(6 * 1.0 + 3.0), "the hours, and all that was paid at its start"
    rest = plan(without(remaining(whole, found, 6.0), ("reserve",)))
    assert rest.cost is not None
    assert settled + rest.cost - 27.0 == pytest.approx(18 * (3.0 - 1.0))


def test_work_since_the_last_checkpoint_is_done_and_paid_again() -> None:
    whole = asked(SPOT, RENT, jobs=(AT_ONCE,))
    found = plan(whole)
    runs = runs_of(whole, found).runs
    (lost,) = lost_work(whole, found, runs, 5.0, 2.0, ("spot",))
    assert (lost.demand, lost.hours, lost.gpu_hours) == ("train", pytest.approx(2.0), pytest.approx(2.0))
    assert (lost.share, lost.cost) == (pytest.approx(0.2), pytest.approx(2.0))
    done = done_share(AT_ONCE, found, 5.0, {}) - lost.share
    assert done == pytest.approx(0.3)
    later = replace(whole, jobs=(TRAIN,))
    rest = plan(without(remaining(later, found, 5.0, {"train": done}), ("spot",)))
    assert rest.cost == pytest.approx(7.0 * 3.0)


def test_no_more_is_lost_than_was_run_and_nothing_of_jobs_elsewhere_or_at_rest() -> None:
    whole = asked(SPOT, RENT, jobs=(AT_ONCE,))
    found = plan(whole)
    runs = runs_of(whole, found).runs
    (lost,) = lost_work(whole, found, runs, 1.5, 24.0)
    assert lost.hours == pytest.approx(1.5)
    assert lost_work(whole, found, runs, 5.0, 2.0, ("rent",)) == ()
    assert lost_work(whole, found, runs, 15.0, 2.0) == (), "it has ended by then"


def test_spot_takes_more_hours_than_its_work_has_and_is_done_by_its_end_not_before() -> None:
    spot = replace(SPOT, spot=SpotTimes(2.0, 1.0, 0.5))  # half of an hour on the wall is work
    whole = asked(spot, jobs=(TRAIN,))
    found = plan(whole)
    assert done_share(TRAIN, found, 10.0, {}) == pytest.approx(0.5)
    (lost,) = lost_work(whole, found, runs_of(whole, found).runs, 10.0, 2.0)
    assert lost.share == pytest.approx(0.1)


def test_a_job_that_the_plan_leaves_undone_does_not_stand_in_the_way_of_the_rest() -> None:
    jobs = (replace(TRAIN, name="dear", deadline_hours=4.0, drop_cost=5.0), TRAIN)
    whole = asked(RENT, jobs=jobs)
    found = plan(whole)
    assert found.dropped == ("dear",)
    rest = remaining(whole, found, 6.0)
    assert [each.name for each in rest.jobs] == ["train"]
    assert settled_by(whole, found, 6.0) + (plan(rest).cost or 0.0) == pytest.approx(found.cost)
