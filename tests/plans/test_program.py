"""The program against brute force and an exact oracle, and what must hold of any plan."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plan_scale import instance
from planner.plans.demand import Job, Replica, Service, Work
from planner.plans.horizon import Horizon
from planner.plans.linear import Progress
from planner.plans.plan import plan
from planner.plans.request import PlanRequest
from planner.plans.solution import Outcome, Plan, total
from planner.plans.supply import Kind, Supply
from tests.plans.oracle import Term, cheapest_cover
from tests.plans.requests import job, on_demand, owned, request, reserved, service


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=4, max_size=7),
    st.floats(0.5, 3.0),
    st.floats(0.3, 2.5),
    st.integers(2, 4),
)
def test_reservations_of_the_program_are_those_of_the_unimodular_oracle(
    demand: list[int], price: float, hourly: float, length: int
) -> None:
    slots = len(demand)
    oracle = cheapest_cover(demand, [Term("r", length, hourly * length)], [price] * slots)
    endless = Horizon.uniform(
        slots + length
    )  # so that a term begun in the last slot is paid in full, as the oracle does
    asked = request(
        horizon=endless,
        supplies=(on_demand(price=price), reserved("r", hourly, float(length))),
        services=(service(demand=(*map(float, demand), *([0.0] * length))),),
    )
    if not any(demand):
        return
    found = plan(asked, gap=0.0)
    assert found.cost == pytest.approx(oracle.cost, abs=1e-6)


def test_a_cover_takes_the_reservation_where_it_is_used_beyond_its_break_even() -> None:
    term = Term("r", 4, 4.0)
    assert cheapest_cover([1, 1, 1, 0], [term], [2.0] * 4).cost == 4.0
    assert cheapest_cover([1, 0, 0, 0], [term], [2.0] * 4).rented == (1, 0, 0, 0)
    with pytest.raises(ValueError, match="whole"):
        cheapest_cover([0.5], [term], [2.0])  # type: ignore[list-item]


def brute_force(jobs: tuple[Job, ...], supplies: tuple[Supply, ...], slots: int) -> float:
    """The least cost of whole jobs of whole hours over every start on every supply; inf where none fits."""
    choices = []
    for each in jobs:
        mine = []
        for supply, work in itertools.product(supplies, each.options):
            if supply.gpu == work.gpu:
                last = min(slots, int(each.deadline_hours or slots)) - int(work.hours)
                mine += [(supply, work, s) for s in range(int(each.release_hours), last + 1)]
        choices.append(mine)
    best = math.inf
    for chosen in itertools.product(*choices):
        cost = sum(supply.price_per_hour * work.num_gpus * work.hours for supply, work, _ in chosen)
        held = {
            (supply.name, slot): sum(
                w.num_gpus for o, w, s in chosen if o.name == supply.name and s <= slot < s + int(w.hours)
            )
            for supply in supplies
            if supply.num_gpus is not None
            for slot in range(slots)
        }
        limits = {supply.name: supply.num_gpus or 0 for supply in supplies}
        if cost < best and all(number <= limits[name] for (name, _), number in held.items()):
            best = cost
    return best


WHOLE_JOBS = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(0, 2), st.integers(3, 5)), min_size=1, max_size=3
)


@settings(max_examples=30, deadline=None)
@given(WHOLE_JOBS, st.integers(1, 2))
def test_whole_jobs_cost_what_brute_force_finds(items: list[tuple[int, int, int, int]], num_owned: int) -> None:
    jobs = tuple(
        Job(
            f"j{n}",
            (Work("A", gang, float(hours)), Work("B", gang, float(max(hours - 1, 1)))),
            float(release),
            float(deadline),
            is_divisible=False,
        )
        for n, (hours, gang, release, deadline) in enumerate(items)
    )
    supplies = (owned("own", num_owned, "A", price=0.5), on_demand("few", 3.0, "B", num_gpus=2))
    found = plan(PlanRequest(Horizon.uniform(5), supplies, jobs), gap=0.0)
    least = brute_force(jobs, supplies, 5)
    if math.isinf(least):
        assert found.outcome is Outcome.INFEASIBLE
        assert found.clash is not None
    else:
        assert found.cost == pytest.approx(least)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(1.0, 40.0),
    st.lists(st.tuples(st.integers(1, 4), st.floats(2.0, 12.0), st.floats(0.5, 4.0)), min_size=1, max_size=3),
)
def test_replicas_of_a_slot_cost_what_brute_force_finds(demand: float, kinds: list[tuple[int, float, float]]) -> None:
    replicas = tuple(Replica(f"G{n}", gpus, rate) for n, (gpus, rate, _) in enumerate(kinds))
    supplies = tuple(on_demand(f"s{n}", price, f"G{n}") for n, (_, _, price) in enumerate(kinds))
    asked = request(slots=1, supplies=supplies, services=(Service("s", replicas, (demand,)),))
    best = math.inf
    for counts in itertools.product(*(range(math.ceil(demand / r.rate - 1e-9) + 1) for r in replicas)):
        if sum(c * r.rate for c, r in zip(counts, replicas, strict=True)) >= demand * (1 - 1e-9):
            cost = sum(c * g * p for c, (g, _, p) in zip(counts, kinds, strict=True))
            best = min(best, cost)
    assert plan(asked, gap=0.0).cost == pytest.approx(best, rel=1e-6)


def mixed(num_owned: int, deadline: float, price: float) -> PlanRequest:
    jobs = (
        job("a", 5.0, num_gpus=2, deadline_hours=deadline),
        job("b", 3.0, num_gpus=4, release_hours=1.0),
        job("c", 2.5, num_gpus=1, is_divisible=False, deadline_hours=deadline),
    )
    return request(
        slots=10,
        supplies=(owned(num_gpus=num_owned, price=0.3), on_demand(price=price), reserved(price=price * 0.6)),
        jobs=jobs,
        services=(service(demand=(1, 2, 3, 4, 5, 5, 4, 3, 2, 1), rate=1.3),),
    )


def least(asked: PlanRequest) -> float:
    found = plan(asked, gap=0.0)
    assert found.cost is not None
    assert found.cost == pytest.approx(total(found.costs))
    assert found.bound is not None
    assert found.bound <= found.cost + 1e-9
    holds(asked, found)
    return found.cost


def holds(asked: PlanRequest, found: Plan) -> None:
    """No supply gives more in a slot than there is of it, and what runs there is given by some supply."""
    limits = {supply.name: supply for supply in asked.supplies}
    committed = {item.supply: item.num_gpus for item in found.commitments}
    for use in found.uses:
        hours = found.edges[use.slot + 1] - found.edges[use.slot]
        there = committed.get(use.supply, limits[use.supply].num_gpus)
        assert there is None or use.gpu_hours <= there * hours + 1e-6
    for slot, (start, end) in enumerate(itertools.pairwise(found.edges)):
        needed = sum(
            item.num_gpus * min(item.hours, end - start)
            for item in found.assignments
            if item.from_hours < end - 1e-9 and item.until_hours > start + 1e-9 and item.demand != "c"
        )
        given = sum(use.gpu_hours for use in found.uses if use.slot == slot)
        assert given >= needed - 1e-6


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 5), st.floats(5.5, 9.0), st.floats(0.5, 4.0))
def test_more_supply_and_later_deadlines_never_cost_more_and_prices_never_less(
    num_owned: int, deadline: float, price: float
) -> None:
    here = least(mixed(num_owned, deadline, price))
    assert least(mixed(num_owned + 1, deadline, price)) <= here + 1e-6
    assert least(mixed(num_owned, 10.0, price)) <= here + 1e-6
    assert least(mixed(num_owned, deadline, price * 1.1)) >= here - 1e-6


def test_a_gap_is_kept_to_and_progress_only_gets_better() -> None:
    seen: list[Progress] = []
    found = plan(instance(48, 20, 20, 3), gap=0.002, seconds=600, on_progress=seen.append)
    assert found.gap is not None
    assert found.gap <= 0.002
    costs = [item.cost for item in seen if item.cost is not None]
    assert all(later <= before * (1 + 1e-9) for before, later in itertools.pairwise(costs))
    assert all(item.gap is None or item.gap >= 0 for item in seen)


def test_cancelling_ends_the_search_and_keeps_the_best_plan() -> None:
    asked_at: list[float] = []
    begun = time.monotonic()

    def should_stop() -> bool:
        if time.monotonic() - begun < 2.0 and not seen:
            return False
        asked_at.append(time.monotonic())
        return True

    seen: list[float] = []

    def first_cost(progress: Progress) -> None:
        if progress.cost is not None:
            seen.append(progress.cost)

    found = plan(instance(96, 24, 30, 4), gap=0.0, seconds=100, on_progress=first_cost, should_stop=should_stop)
    ended = time.monotonic()
    assert found.outcome in (Outcome.FEASIBLE, Outcome.OPTIMAL, Outcome.STOPPED)
    if asked_at:
        assert ended - asked_at[0] < 60, "of the hundred seconds that it was given"
    if seen:
        assert found.cost is not None
        assert found.cost <= seen[0] * (1 + 1e-9)


def test_slots_that_repeat_count_as_often() -> None:
    horizon = Horizon((0.0, 1.0, 2.0), (10.0, 5.0))
    found = plan(request(horizon=horizon, services=(service(demand=(2.0, 1.0)),)), gap=0.0)
    assert found.cost == pytest.approx((2 * 10 + 1 * 5) * 2.0)


def test_a_purchase_comes_after_its_lead_time_and_pays_by_recovery() -> None:
    buy = Supply(
        "buy", "H100", Kind.PURCHASE, 0.1, capex=30_000.0, residual=6_000.0, life_hours=8760 * 4.0, lead_time_hours=2.0
    )
    found = plan(request(slots=6, supplies=(on_demand(), buy), services=(service(demand=(1.0,) * 6),)), gap=0.0)
    hourly = 24_000 / (4 * 8760)
    assert found.commitments[0].from_hours == 2.0
    assert found.costs["purchase"] == pytest.approx(4 * hourly)
    assert found.cost == pytest.approx(2 * 2.0 + 4 * (hourly + 0.1))
    dear = replace(buy, cost_of_capital=0.1)
    grown = 1.1**4
    assert dear.commitment_per_hour == pytest.approx((30_000 - 6_000 / grown) * 0.1 * grown / (grown - 1) / 8760)


def test_the_power_cap_of_the_room_leaves_owned_gpus_idle() -> None:
    limits = replace(request(jobs=(job(),)).limits, power_cap_kw=2.0)
    asked = request(
        slots=2,
        supplies=(owned(num_gpus=4, kw=1.0), on_demand()),
        services=(service(demand=(4.0, 4.0)),),
        limits=limits,
    )
    assert least(asked) == pytest.approx(2 * 2 * 2.0)


def test_a_purchase_may_be_ordered_later_where_it_is_stated_how_often() -> None:
    """Work from hour 60 on, a life of 100 h: bought for then and not for the start, the lead time before it."""
    late = service(demand=(*[0.0] * 60, *[1.0] * 40))
    asked = {"slots": 100, "services": (late,)}
    buy = Supply("buy", "H100", Kind.PURCHASE, 0.0, capex=100.0, life_hours=100.0, lead_time_hours=10.0)
    at_once = plan(request(supplies=(buy, on_demand(price=5.0)), **asked), gap=0.0)
    (first,) = at_once.commitments
    assert (first.from_hours, first.cost) == (10.0, pytest.approx(90.0))
    later = replace(buy, starts_every_hours=25.0)
    found = plan(request(supplies=(later, on_demand(price=5.0)), **asked), gap=0.0)
    (order,) = found.commitments
    assert (order.from_hours, order.cost, order.cost_beyond) == (60.0, pytest.approx(40.0), pytest.approx(60.0))


def test_a_long_reservation_may_begin_later_where_it_is_stated_how_often() -> None:
    late = service(demand=(*[0.0] * 30, *[1.0] * 10))
    year = reserved(price=1.0, term=8760.0, starts_every_hours=10.0)
    found = plan(request(slots=40, supplies=(year, on_demand(price=5.0)), services=(late,)), gap=0.0)
    (held,) = found.commitments
    assert (held.from_hours, found.cost) == (30.0, pytest.approx(10.0))
