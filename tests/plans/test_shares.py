"""A plan's cost parted among its demands, and what a locked plan says beside what happened."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.plans.plan import plan
from planner.plans.request import PlanRequest
from planner.plans.shares import idle_commitments, shares, spent_by
from planner.plans.tracking import Happened, Known, Standing, track
from tests.plans.requests import job, on_demand, owned, request, reserved, service


def two_jobs() -> PlanRequest:
    return request(
        slots=8,
        supplies=(owned(num_gpus=1, price=0.5), on_demand(price=2.0)),
        jobs=(job("a", 4.0, deadline_hours=4.0), job("b", 4.0, deadline_hours=4.0)),
        services=(service(demand=(0.0,) * 4 + (1.0,) * 4),),
    )


def test_each_demand_pays_its_part_of_what_its_gpus_cost() -> None:
    asked = two_jobs()
    found = plan(asked, gap=0.0)
    parts = {share.demand: share for share in shares(asked, found)}
    assert parts["a"].cost == pytest.approx(5.0), "four hours of one owned and one rented GPU, by halves"
    assert parts["a"].cost + parts["b"].cost == pytest.approx(10.0)
    assert parts["chat"].cost == pytest.approx(2.0)
    assert parts["a"].run_hours == pytest.approx(4.0)
    assert (parts["chat"].from_hours, parts["chat"].until_hours) == (4.0, 8.0)


@settings(max_examples=25, deadline=None)
@given(
    hours=st.lists(st.floats(0.5, 6.0), min_size=1, max_size=3),
    is_divisible=st.booleans(),
    num_owned=st.integers(0, 3),
    demand=st.lists(st.integers(0, 3), min_size=8, max_size=8),
)
def test_the_parts_add_up_to_the_cost(
    hours: list[float], is_divisible: bool, num_owned: int, demand: list[int]
) -> None:
    asked = request(
        slots=8,
        supplies=(owned(num_gpus=num_owned, price=0.2), on_demand(), reserved()),
        jobs=tuple(job(f"job {n}", each, is_divisible=is_divisible) for n, each in enumerate(hours)),
        services=(service(demand=tuple(map(float, demand))),),
    )
    found = plan(asked, gap=0.0)
    assert found.cost is not None
    whole = math.fsum(share.cost for share in shares(asked, found))
    assert whole + math.fsum(idle_commitments(found).values()) == pytest.approx(found.cost, abs=1e-6)
    assert spent_by(found, 8.0) == pytest.approx(found.cost, abs=1e-6)
    assert 0 <= spent_by(found, 3.0) <= found.cost + 1e-6


def test_planned_is_set_against_happened_and_what_is_unknown_is_counted() -> None:
    asked = two_jobs()
    found = plan(asked, gap=0.0)
    rows, totals = track(
        asked, found, 5.0, {"a": Happened("row", "H100", hours=5.0, ended_hours=4.5)}, {"b": "entered by hand"}
    )
    by_name = {row.demand: row for row in rows}
    assert by_name["a"].standing is Standing.DONE
    assert by_name["a"].time_deviation == pytest.approx(0.25)
    assert (by_name["a"].actual_cost, by_name["a"].cost_is) == (pytest.approx(6.25), Known.DERIVED)
    assert by_name["a"].is_late
    assert by_name["b"].standing is Standing.NOT_ENTERED
    assert (by_name["b"].actual_cost, by_name["b"].cost_is, by_name["b"].reason) == (
        None,
        Known.UNKNOWN,
        "entered by hand",
    )
    assert by_name["chat"].standing is Standing.UNDER_WAY
    assert (totals.num_over, totals.num_hours, totals.num_hours_unknown) == (2, 1, 1)
    assert totals.cost_deviation == pytest.approx(0.25)
    assert totals.planned_spent == pytest.approx(10.5)


def test_a_measured_cost_comes_before_a_derived_one_and_another_gpu_derives_none() -> None:
    asked = request(jobs=(job("a", 4.0), job("b", 4.0), job("c", 4.0)))
    happened = {
        "a": Happened("1", "H100", hours=4.0, cost=9.0),
        "b": Happened("2", "A100", hours=6.0),
        "c": Happened("3", "H100", pace=1.5),
    }
    rows, _ = track(asked, plan(asked, gap=0.0), 2.0, happened)
    assert [(row.actual_cost, row.cost_is) for row in rows] == [
        (9.0, Known.MEASURED),
        (None, Known.UNKNOWN),
        (None, Known.UNKNOWN),
    ]
    assert "not planned on" in rows[1].reason
    assert (rows[2].standing, rows[2].time_deviation) == (Standing.PACED, pytest.approx(0.5))


def test_the_cost_of_what_runs_on_gpus_of_unknown_cost_is_unknown() -> None:
    asked = request(supplies=(owned(num_gpus=1), on_demand()), jobs=(job("a", 4.0),))
    rows, totals = track(asked, plan(asked, gap=0.0), 9.0, {"a": Happened("1", "H100", hours=4.0)}, {}, ("own",))
    assert (rows[0].planned_cost, rows[0].actual_cost, rows[0].cost_is) == (None, None, Known.UNKNOWN)
    assert "unknown" in rows[0].reason
    assert (totals.num_cost_unknown, totals.cost_deviation) == (1, None)


def test_a_job_on_free_gpus_runs_no_longer_than_it_needs() -> None:
    asked = request(supplies=(owned(num_gpus=4),), jobs=(job("a", 4.0),))
    (part,) = shares(asked, plan(asked, gap=0.0))
    assert part.run_hours == pytest.approx(4.0)


def test_nothing_happened_yet_has_no_deviation() -> None:
    asked = request(jobs=(job("a", 4.0, release_hours=4.0),))
    rows, totals = track(asked, plan(asked, gap=0.0), 0.0, {})
    assert rows[0].standing is Standing.TO_COME
    assert (totals.hours_deviation, totals.cost_deviation, totals.num_over) == (None, None, 0)
