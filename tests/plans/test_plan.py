"""Plans: what is cheapest is found, costs add up, and no slot holds more than there is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planner.errors import InvalidInput
from planner.plans.demand import Job, Work
from planner.plans.plan import plan
from planner.plans.request import Goal, PlanRequest
from planner.plans.solution import Outcome, Plan, total
from planner.plans.supply import ASSUMED_SPOT, NEVER_INTERRUPTED, Kind, Limits, Quota, SpotTimes, Supply
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


def test_spot_of_unknown_interruptions_counts_with_the_assumed_ones_and_is_told() -> None:
    spot = Supply("spot", "H100", Kind.SPOT, 0.1)
    found = plan(request(supplies=(spot, on_demand()), jobs=(job(),)), gap=0.0)
    share = ASSUMED_SPOT.paid_share / ASSUMED_SPOT.work_share
    assert share > 1, "hours times the price would say too little"
    assert found.cost == pytest.approx(4.0 * 0.1 * share)
    assert len(found.assumptions) == 3
    assert all("assumed" in words and "spot" in words for words in found.assumptions)
    known = Supply("spot", "H100", Kind.SPOT, 0.1, spot=ASSUMED_SPOT)
    told = plan(request(supplies=(known, on_demand()), jobs=(job(),)), gap=0.0)
    assert (told.cost, told.assumptions) == (pytest.approx(found.cost), ())


def test_small_jobs_share_an_instance_that_is_paid_whole() -> None:
    node = on_demand(price=1.0, gpus_per_instance=8, is_shared=True)
    jobs = tuple(job(f"job {n}", 4.0, num_gpus=2, deadline_hours=4.0) for n in range(4))
    assert cost(request(supplies=(node,), jobs=jobs)) == pytest.approx(8 * 4.0), "four gangs of two fill one instance"
    apart = on_demand(price=1.0, gpus_per_instance=8)
    assert cost(request(supplies=(apart,), jobs=jobs)) == pytest.approx(4 * 8 * 4.0)
    one = request(supplies=(node,), jobs=jobs[:1])
    assert cost(one) == pytest.approx(8 * 4.0), "an instance is paid whole, however little of it is used"


def test_gangs_that_do_not_fit_beside_each_other_take_instances_of_their_own() -> None:
    node = on_demand(price=1.0, gpus_per_instance=8, is_shared=True)
    for gang, instances in ((5, 3), (3, 2), (4, 2)):
        jobs = tuple(job(f"job {n}", 4.0, num_gpus=gang, deadline_hours=4.0) for n in range(3))
        assert cost(request(supplies=(node,), jobs=jobs)) == pytest.approx(instances * 8 * 4.0), gang
    whole = tuple(job(f"job {n}", 4.0, num_gpus=5, is_divisible=False, deadline_hours=4.0) for n in range(3))
    assert cost(request(supplies=(node,), jobs=whole)) == pytest.approx(3 * 8 * 4.0)


def test_a_service_and_a_job_share_an_instance_and_a_quota_counts_it_whole() -> None:
    node = on_demand(price=1.0, gpus_per_instance=4, is_shared=True)
    asked = request(
        slots=4,
        supplies=(node,),
        jobs=(job(hours=4.0, num_gpus=2),),
        services=(service(demand=(2.0,) * 4),),
    )
    found = plan(asked, gap=0.0)
    assert found.cost == pytest.approx(4 * 4.0)
    assert total(found.costs) == pytest.approx(found.cost)
    quota = Limits(quotas=(Quota("four", 4),))
    assert plan(replace(asked, limits=quota), gap=0.0).cost == pytest.approx(4 * 4.0)
    assert plan(replace(asked, limits=Limits(quotas=(Quota("three", 3),))), gap=0.0).outcome is Outcome.INFEASIBLE


def test_jobs_wait_for_those_they_come_after() -> None:
    first = job("first", 2.5, is_divisible=False)
    then = job("then", 3.0, is_divisible=False, after=("first",))
    found = plan(request(slots=10, jobs=(first, then), goal=Goal.TIME), gap=0.0)
    assert found.finish_hours == pytest.approx(5.5)
    flows = (job("first", 2.0), job("then", 3.0, after=("first",)))
    found = plan(request(slots=10, supplies=(owned(num_gpus=4),), jobs=flows), gap=0.0)
    ends = max(item.until_hours for item in found.assignments if item.demand == "first")
    assert all(item.from_hours >= ends for item in found.assignments if item.demand == "then")


def test_the_least_time_is_found_for_divisible_jobs_that_wait_for_others() -> None:
    supplies = (owned(num_gpus=2),)
    flows = (job("first", 2.0), job("then", 2.5, after=("first",)))
    found = plan(request(slots=10, supplies=supplies, jobs=flows, goal=Goal.TIME), gap=0.0)
    assert found.finish_bound_hours == pytest.approx(4.5)
    assert found.finish_hours == pytest.approx(4.5)
    ends = max(item.until_hours for item in found.assignments if item.demand == "first")
    assert all(item.from_hours >= ends - 1e-9 for item in found.assignments if item.demand == "then")


def test_the_least_time_is_found_for_whole_and_divisible_jobs_together() -> None:
    supplies = (owned(num_gpus=1), on_demand("slow", 1.0, "A100"))
    train = Job("train", (Work("H100", 1, 3.0), Work("A100", 1, 6.0)), is_divisible=False)
    batch = Job("batch", (Work("H100", 1, 4.0),), after=())
    found = plan(request(slots=12, supplies=supplies, jobs=(train, batch), goal=Goal.TIME), gap=0.0)
    assert found.finish_bound_hours == pytest.approx(6.0), "one of them on the slow GPU"
    assert found.cost == pytest.approx(6.0)
    late = Job("batch", batch.options, after=("train",))
    after = plan(request(slots=12, supplies=supplies, jobs=(train, late), goal=Goal.TIME), gap=0.0)
    assert after.finish_bound_hours == pytest.approx(7.0), "three hours, then four"


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
