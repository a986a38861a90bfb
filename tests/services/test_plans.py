"""Plans from stored estimates: what the program is given, scenarios, the decision, and what a worker may store."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from planner.errors import Conflict, InvalidInput, NotFound
from planner.offers.offer import OfferKind
from planner.plans.plan import plan
from planner.plans.supply import Kind
from planner.services.devices import record_discovery
from planner.services.estimates import EstimateView, make_estimate
from planner.services.plan_search import claim_plan, finish_search, note_search
from planner.services.plans import (
    PlanView,
    SearchProgress,
    ask_plan,
    ask_scenario,
    cancel_plan,
    get_plan,
    list_plans,
    move_plan,
)
from planner.services.requests import EstimateRequest, parse
from planner.services.requests.plans import PlanQuestion, ScenarioRequest, StageRequest
from planner.store.engine import Session, database_now
from planner.store.offers import append_prices, upsert_offers
from planner.store.tables import OfferRow
from tests.builders import discovery, offer, price

CODE = "0.0.0+test"
TERM = timedelta(minutes=1)
BY_HAND = {"name": "night", "options": [{"gpu": "H100-80GB-SXM", "num_gpus": 1, "time": "5 h"}], "deadline": "12 h"}


@pytest.fixture
def estimate(session: Session, now: datetime) -> EstimateView:
    """An estimate over two sizes of on-demand H100 and a spot one."""
    kept = [
        offer(instance_type="one", num_gpus=Decimal(1)),
        offer(instance_type="eight", num_gpus=Decimal(8)),
        offer(instance_type="cheap", num_gpus=Decimal(1), kind=OfferKind.SPOT),
        offer(instance_type="euros", num_gpus=Decimal(1), currency="EUR"),
    ]
    upsert_offers(session, kept, now)
    for kind, amount in (("one", "3"), ("eight", "32"), ("cheap", "1"), ("euros", "1")):
        offer_id = session.execute(select(OfferRow.id).where(OfferRow.instance_type == kind)).scalar_one()
        append_prices(session, [(offer_id, price(amount))])
    return make_estimate(session, parse(EstimateRequest, {"preset": "finetune-small"}), now, CODE)


def asked(session: Session, now: datetime, **fields: Any) -> PlanView:
    question = {"jobs": [BY_HAND], "span": "1 day", **fields}
    return ask_plan(session, parse(PlanQuestion, question), now, CODE)


def test_a_job_by_hand_and_the_offers_that_can_do_it(session: Session, estimate: EstimateView, now: datetime) -> None:
    view = asked(session, now)
    assert view.state == "queued"
    assert {supply.kind for supply in view.request.supplies} == {Kind.ON_DEMAND, Kind.SPOT}
    by_name = {source["name"]: source for source in view.sources["supplies"]}
    spot = next(supply for supply in view.request.supplies if supply.kind is Kind.SPOT)
    assert any("assumed" in words for words in by_name[spot.name]["assumed"])
    assert any("EUR" in left["reason"] for left in view.sources["left_out"])
    assert view.request.horizon.num_slots == 24


def test_a_job_from_an_estimate_carries_its_range(session: Session, estimate: EstimateView, now: datetime) -> None:
    view = asked(session, now, jobs=[{"estimate_id": estimate.id, "deadline": "20 h"}])
    source = view.sources["demands"][0]
    option = source["options"][0]
    assert option["low"] < option["mid"] < option["high"]
    assert view.request.jobs[0].options[0].hours == option["mid"]
    assert "spot" not in option["title"], "the plan counts spot by itself"
    taken = estimate.answer.options[option["rank"]]
    assert taken.placement.title == option["title"]


def test_the_plan_solves_what_was_built(session: Session, estimate: EstimateView, now: datetime) -> None:
    found = plan(asked(session, now).request, seconds=600)
    assert found.cost is not None
    assert found.cost <= 15.0 + 1e-9, "five hours of one H100 at 3 an hour, or less on spot"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"jobs": []}, "jobs"),
        ({"jobs": [{**BY_HAND, "estimate_id": "x"}]}, "options"),
        ({"jobs": [{"estimate_id": "nothing"}]}, "estimate_id"),
        ({"jobs": [{**BY_HAND, "deadline": "1 h", "release": "2 h"}]}, "jobs.0"),
        ({"jobs": [{**BY_HAND, "after": ["nobody"]}]}, "after"),
        ({"jobs": [{**BY_HAND, "options": [{"gpu": "Quantum 9", "num_gpus": 1, "time": "5 h"}]}]}, "supply"),
        ({"span": "100 days", "slot": "1 min"}, "slot"),
        ({"limits": {"colour": 3}}, "limits.colour"),
        ({"supply": {"extra": [{"name": "x"}]}}, "supply.extra.0"),
        ({"supply": {"offers": False, "own": False}}, "supply"),
        ({"services": [{"name": "s", "replicas": [], "demand": {"level": 1}}]}, "replicas"),
        (
            {"services": [{"name": "s", "replicas": [{"gpu": "a", "num_gpus": 1, "rate": 1}], "demand": {}}]},
            "demand",
        ),
    ],
)
def test_what_cannot_be_used_is_named(
    session: Session, estimate: EstimateView, now: datetime, fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        asked(session, now, **fields)
    assert any(named in problem.field for problem in caught.value.problems), caught.value.problems
    assert list_plans(session) == []


def test_an_owned_device_without_an_asset_is_told_and_left_out_of_the_cost(
    session: Session, estimate: EstimateView, now: datetime
) -> None:
    record_discovery(session, discovery(), now)
    view = asked(session, now)
    own = next(supply for supply in view.request.supplies if supply.kind is Kind.OWNED)
    source = next(item for item in view.sources["supplies"] if item["name"] == own.name)
    assert "unknown" in source["assumed"][0]


def test_a_service_by_the_day(session: Session, estimate: EstimateView, now: datetime) -> None:
    service = {
        "name": "chat",
        "replicas": [{"gpu": "H100-80GB-SXM", "num_gpus": 1, "rate": 10}],
        "demand": {"low": 5, "high": 35},
    }
    view = asked(session, now, jobs=[], services=[service])
    demand = view.request.services[0].demand
    assert (min(demand), max(demand)) == (pytest.approx(5, abs=1.0), 35)
    assert plan(view.request, seconds=600).is_found


def test_scenarios_are_a_family(session: Session, estimate: EstimateView, now: datetime) -> None:
    first = asked(session, now, name="as it is")
    changed = parse(ScenarioRequest, {"name": "no spot", "supply": {"kinds": ["on_demand"]}})
    second = ask_scenario(session, first.id, changed, now + timedelta(seconds=1), CODE)
    assert (second.parent_id, second.root_id) == (first.id, first.id)
    assert {supply.kind for supply in second.request.supplies} == {Kind.ON_DEMAND}
    assert second.asked["jobs"] == first.asked["jobs"]
    assert [item.name for item in list_plans(session, root_id=first.id)] == ["no spot", "as it is"]
    with pytest.raises(NotFound):
        ask_scenario(session, "nothing", changed, now, CODE)


def solved(session: Session, view: PlanView, now: datetime) -> PlanView:
    claim = claim_plan(session, "w", "b", TERM, now)
    assert claim is not None
    assert claim.id == view.id
    assert finish_search(session, claim, plan(claim.request, seconds=600), "", now)
    return get_plan(session, view.id)


def test_a_search_is_claimed_told_and_finished(session: Session, estimate: EstimateView, now: datetime) -> None:
    view = asked(session, now)
    claim = claim_plan(session, "w", "b", TERM, now)
    assert claim is not None
    assert claim_plan(session, "other", "b", TERM, now) is None, "one worker solves it"
    lease, wants_stop = note_search(session, claim, SearchProgress(20.0, 10.0, 0.5, 1.0, "first plan"), TERM)
    assert lease is not None
    assert not wants_stop
    assert get_plan(session, view.id).progress == SearchProgress(20.0, 10.0, 0.5, 1.0, "first plan")
    cancel_plan(session, view.id, now)
    assert note_search(session, claim, None, TERM)[1]
    assert finish_search(session, claim, plan(claim.request, seconds=600), "", now)
    found = get_plan(session, view.id)
    assert (found.state, found.plan is not None) == ("cancelled", True)
    assert not finish_search(session, claim, None, "late", now), "the lease was given back"
    with pytest.raises(Conflict):
        cancel_plan(session, view.id, now)


def test_a_plan_left_behind_is_taken_by_another_and_the_first_is_not_heard(
    session: Session, estimate: EstimateView, now: datetime
) -> None:
    asked(session, now)
    first = claim_plan(session, "w", "b", timedelta(seconds=-1), now)
    assert first is not None
    second = claim_plan(session, "other", "b", TERM, database_now(session))
    assert second is not None
    assert second.lease.fence > first.lease.fence
    assert not finish_search(session, first, None, "", now)


def test_a_plan_that_cannot_be_says_so(session: Session, estimate: EstimateView, now: datetime) -> None:
    view = solved(session, asked(session, now, jobs=[{**BY_HAND, "deadline": "1 h"}]), now)
    assert view.state == "infeasible"
    assert view.reason
    with pytest.raises(Conflict):
        cancel_plan(session, view.id, now)


def test_a_decision_goes_step_by_step(session: Session, estimate: EstimateView, now: datetime) -> None:
    view = asked(session, now)
    with pytest.raises(Conflict, match="nothing to decide on yet"):
        move_plan(session, view.id, parse(StageRequest, {"stage": "submitted"}), now)
    solved(session, view, now)
    for stage in ("submitted", "approved", "locked"):
        found = move_plan(session, view.id, parse(StageRequest, {"stage": stage, "actor": "Ada", "note": "ok"}), now)
        assert found.stage == stage
    with pytest.raises(Conflict, match="withdrawn"):
        move_plan(session, view.id, parse(StageRequest, {"stage": "draft"}), now)
    assert [step.stage for step in found.stages] == ["draft", "submitted", "approved", "locked"]
