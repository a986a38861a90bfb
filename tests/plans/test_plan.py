"""Plans: what is cheapest is found, costs add up, and no slot holds more than there is."""

from __future__ import annotations

import pytest

from planner.errors import InvalidInput
from planner.plans.demand import Job, Work
from planner.plans.plan import plan
from planner.plans.request import Goal, PlanRequest
from planner.plans.solution import Outcome, Plan, total
from planner.plans.supply import NEVER_INTERRUPTED, Kind, SpotTimes, Supply
from tests.plans.requests import job, on_demand, owned, request, reserved, service


def cost(asked: PlanRequest) -> float:
    found = plan(asked, gap=0.0)
    assert found.outcome is Outcome.OPTIMAL
    assert found.cost is not None
    return found.cost


def test_a_job_costs_its_hours_times_the_cheapest_price() -> None:
    asked = request(supplies=(on_demand("dear", 3.0), on_demand("cheap", 2.0)), jobs=(job(hours=4.0, num_gpus=2),))
    found = plan(asked)
    assert found.cost == pytest.approx(16.0)
    assert {use.supply for use in found.uses} == {"cheap"}
    assert "2 an hour of a GPU instead of 3" in found.refusals[0].reason


def test_a_whole_job_takes_whole_instances_and_pays_for_the_hours_it_runs() -> None:
    node = on_demand(price=2.0, gpus_per_instance=8)
    assert cost(request(supplies=(node,), jobs=(job(hours=2.3, num_gpus=1, is_divisible=False),))) == pytest.approx(
        2.3 * 8 * 2.0
    )


def test_a_deadline_makes_the_dearer_faster_gpu_worth_it() -> None:
    train = Job("train", (Work("V100", 1, 48.0), Work("H100", 1, 4.6)), is_divisible=False)
    offers = (on_demand("v", 0.1381, "V100"), on_demand("h", 2.29, "H100"))
    assert cost(request(slots=48, supplies=offers, jobs=(train,))) == pytest.approx(6.6288)
    due = Job("train", train.options, is_divisible=False, deadline_hours=12.0)
    assert cost(request(slots=48, supplies=offers, jobs=(due,))) == pytest.approx(10.534)


def test_owned_gpus_are_used_before_rented_ones_and_never_beyond_their_number() -> None:
    found = plan(request(slots=4, supplies=(owned(num_gpus=2), on_demand()), services=(service(demand=(3.0,) * 4),)))
    assert found.cost == pytest.approx(4 * 2.0)
    assert {use.supply: use.gpu_hours for use in found.uses if use.slot == 0} == {"own": 2.0, "rent": 1.0}


def test_a_reservation_is_taken_where_it_is_used_enough() -> None:
    steady = (3.0, 3.0, 3.0, 3.0, 1.0, 1.0, 1.0, 1.0)
    found = plan(request(supplies=(on_demand(), reserved()), services=(service(demand=steady),)), gap=0.0)
    assert [(item.supply, item.num_gpus) for item in found.commitments] == [("reserve", 1)]
    assert found.cost == pytest.approx(8 * 1.2 + 4 * 2 * 2.0)


def test_spot_is_costed_by_its_work_not_by_its_hours() -> None:
    times = SpotTimes(mean_up_hours=1.0, mean_down_hours=1.0, lost_hours=0.5)
    spot = Supply("spot", "H100", Kind.SPOT, 1.2, spot=times)
    found = plan(request(slots=24, supplies=(spot, on_demand()), jobs=(job(hours=4.0),)), gap=0.0)
    assert found.cost == pytest.approx(8.0)  # 2.4 an hour of work on spot, 2.0 on demand
    sure = Supply("spot", "H100", Kind.SPOT, 1.2, spot=NEVER_INTERRUPTED)
    assert cost(request(slots=24, supplies=(sure, on_demand()), jobs=(job(hours=4.0),))) == pytest.approx(4.8)


def test_spot_of_unknown_interruptions_is_left_out_with_that_reason() -> None:
    spot = Supply("spot", "H100", Kind.SPOT, 0.1)
    found = plan(request(supplies=(spot, on_demand()), jobs=(job(),)))
    assert found.cost == pytest.approx(8.0)
    assert "unknown" in found.refusals[0].reason


def test_jobs_wait_for_those_they_come_after() -> None:
    first = job("first", 2.5, is_divisible=False)
    then = job("then", 3.0, is_divisible=False, after=("first",))
    found = plan(request(slots=10, jobs=(first, then), goal=Goal.TIME), gap=0.0)
    assert found.finish_hours == pytest.approx(5.5)
    flows = (job("first", 2.0), job("then", 3.0, after=("first",)))
    found = plan(request(slots=10, supplies=(owned(num_gpus=4),), jobs=flows), gap=0.0)
    ends = max(item.until_hours for item in found.assignments if item.demand == "first")
    assert all(item.from_hours >= ends for item in found.assignments if item.demand == "then")


def test_the_components_add_up_and_a_document_gives_the_plan_again() -> None:
    asked = request(
        supplies=(on_demand(), reserved(), owned(num_gpus=1, price=0.1)),
        jobs=(job(hours=3.0, deadline_hours=5.0),),
        services=(service(demand=(3, 3, 2, 2, 1, 1, 4, 4)),),
    )
    found = plan(asked)
    assert found.cost == pytest.approx(total(found.costs))
    assert found.bound is not None
    assert found.bound <= (found.cost or 0)
    assert Plan.from_document(found.to_document()) == found
    assert PlanRequest.from_document(asked.to_document()) == asked


def test_what_cannot_be_done_is_infeasible_not_dear() -> None:
    assert plan(request(jobs=(job(hours=9.0, is_divisible=False),))).outcome is Outcome.INFEASIBLE
    late = request(supplies=(owned(num_gpus=1),), jobs=(job("a", 5.0), job("b", 5.0)))
    assert plan(late).outcome is Outcome.INFEASIBLE


def test_a_request_names_each_field_that_is_wrong() -> None:
    document = request(jobs=(job(),)).to_document()
    document["jobs"][0]["options"][0]["hours"] = -1
    document["supplies"][0]["kind"] = "stolen"
    document["surprise"] = 1
    with pytest.raises(InvalidInput) as caught:
        PlanRequest.from_document(document)
    assert [problem.field for problem in caught.value.problems] == ["surprise", "supplies.0.kind", "jobs.0.options.0"]
    with pytest.raises(InvalidInput, match="waits for"):
        request(jobs=(job("a", after=("b",)), job("b", after=("a",))))
