"""Faults of plans: what cannot be met, what is not proved in time, and what goes wrong in mid-plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from planner.errors import InvalidInput
from planner.plans.demand import Job, Replica, Service, Work
from planner.plans.horizon import Horizon
from planner.plans.plan import plan
from planner.plans.replan import done_share, remaining
from planner.plans.request import PlanRequest
from planner.plans.setback import without
from planner.plans.solution import Outcome
from planner.plans.supply import NEVER_INTERRUPTED, Kind, Supply

RENT = Supply("rent", "H100", Kind.ON_DEMAND, 3.0)
SPOT = Supply("spot", "H100", Kind.SPOT, 1.0, spot=NEVER_INTERRUPTED)
RESERVE = Supply("reserve", "H100", Kind.RESERVED, 1.0, term_hours=24.0, upfront=3.0)
TRAIN = Job("train", (Work("H100", 1, 10.0),), deadline_hours=20.0)
CHAT = Service("chat", (Replica("H100", 1, 1.0),), (1.0,) * 24)


def asked(*supplies: Supply, jobs: tuple[Job, ...] = (TRAIN,), services: tuple[Service, ...] = ()) -> PlanRequest:
    return PlanRequest(Horizon.uniform(24), supplies, jobs, services)


@pytest.mark.fault(80)
def test_spot_taken_away_in_mid_plan_is_planned_anew_from_there_with_its_price() -> None:
    request = asked(SPOT, RENT)
    found = plan(request)
    assert found.cost == pytest.approx(10.0), "all on spot"
    rest = plan(without(remaining(request, found, 5.0, {"train": 0.4}), ("spot",)))
    assert rest.cost == pytest.approx(6.0 * 3.0), "one hour was lost, and the rest is rented"
    undisturbed = plan(remaining(request, found, 5.0))
    assert undisturbed.cost == pytest.approx(10.0 * (1 - done_share(TRAIN, found, 5.0, {})))
    assert {use.supply for use in rest.uses} == {"rent"}


@pytest.mark.fault(80)
def test_spot_that_comes_back_before_it_is_too_late_is_waited_for() -> None:
    request = asked(SPOT, RENT)
    left = remaining(request, plan(request), 5.0, {"train": 0.5})
    rest = plan(without(left, (), {"spot": 8.0}))
    assert rest.cost == pytest.approx(5.0), "from hour 13 on there is time enough"
    assert min(item.from_hours for item in rest.assignments) >= 8.0
    late = plan(without(left, (), {"spot": 12.0}))
    assert late.cost == pytest.approx(3.0 + 2.0 * 3.0), "three of its five hours fit behind it, two are rented"


@pytest.mark.fault(80)
def test_a_reservation_that_ends_in_mid_plan_is_replaced_and_not_counted_on() -> None:
    request = asked(RENT, RESERVE, jobs=(), services=(CHAT,))
    found = plan(request)
    assert [item.supply for item in found.commitments] == ["reserve"]
    rest = plan(without(remaining(request, found, 6.0), ("reserve",)))
    assert rest.commitments == ()
    assert plan(remaining(request, found, 6.0)).cost == pytest.approx(18.0)
    assert rest.cost == pytest.approx(18.0 * 3.0)


@pytest.mark.fault(80)
def test_a_setback_that_leaves_no_way_says_which_demand_it_fails() -> None:
    request = asked(SPOT)
    rest = plan(without(remaining(request, plan(request), 5.0, {"train": 0.5}), ("spot",)))
    assert rest.outcome is Outcome.INFEASIBLE
    assert rest.clash is not None
    assert rest.clash.demands == ("train",)


def test_a_supply_that_there_is_not_is_named() -> None:
    with pytest.raises(InvalidInput, match="no supply 'nobody'"):
        without(asked(RENT), ("nobody",))


@pytest.mark.fault(78)
def test_what_cannot_be_met_names_the_demands_that_clash_and_where() -> None:
    owned = Supply("own", "H100", Kind.OWNED, 0.1, num_gpus=1)
    jobs = tuple(Job(name, (Work("H100", 1, 5.0),), deadline_hours=6.0) for name in ("left", "right"))
    found = plan(asked(owned, jobs=(*jobs, replace(TRAIN, name="free", deadline_hours=24.0))))
    assert found.outcome is Outcome.INFEASIBLE
    assert found.clash is not None
    assert found.clash.demands == ("left", "right")
    assert "between hour 0 and 6" in found.clash.reason


@pytest.mark.fault(78)
def test_a_search_that_is_cut_gives_its_best_plan_with_the_gap_that_is_left() -> None:
    jobs = tuple(
        Job(f"job-{number}", (Work("H100", 1 + number % 3, 3.0 + number),), deadline_hours=24.0, is_divisible=False)
        for number in range(8)
    )
    owned = Supply("own", "H100", Kind.OWNED, 0.1, num_gpus=4)
    told: list[tuple[float | None, float | None]] = []
    found = plan(
        asked(owned, RENT, replace(SPOT, num_gpus=2), jobs=jobs),
        gap=0.0,
        on_progress=lambda progress: told.append((progress.cost, progress.bound)),
        should_stop=lambda: any(cost is not None for cost, _ in told),
    )
    assert found.cost is not None
    assert found.bound is not None
    assert found.gap is not None
    assert found.bound <= found.cost + 1e-6
    assert found.gap == pytest.approx((found.cost - found.bound) / found.cost, abs=1e-3)
    assert {item.demand for item in found.assignments} == {job.name for job in jobs}, "a whole plan, not a part"


@pytest.mark.fault(84)
@pytest.mark.parametrize(
    ("starts_at", "hours"),
    [
        (datetime(2026, 10, 24, 22, tzinfo=UTC), 25),  # Berlin's 25 October
        (datetime(2027, 3, 27, 23, tzinfo=UTC), 23),  # Berlin's 28 March
        (datetime(2028, 2, 1, tzinfo=UTC), 29 * 24),  # a February with a leap day
    ],
)
def test_a_service_through_an_odd_day_or_month_is_paid_for_each_of_its_hours(starts_at: datetime, hours: int) -> None:
    service = Service("chat", (Replica("H100", 1, 1.0),), (1.0,) * hours)
    request = PlanRequest(Horizon.uniform(hours), (RENT,), (), (service,), starts_at=starts_at)
    found = plan(request)
    assert found.cost == pytest.approx(3.0 * hours)
    assert sum(use.gpu_hours for use in found.uses) == pytest.approx(hours)
