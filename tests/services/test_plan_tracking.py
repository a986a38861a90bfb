"""A locked plan against the ledger, prices then and now, the rest with what happened, and the queue's limits."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from planner.errors import Conflict, InvalidInput
from planner.plans.plan import plan
from planner.plans.tracking import Known, Standing
from planner.services.actuals import record_actual
from planner.services.estimates import EstimateView, make_estimate
from planner.services.plan_queue import MOST_SECONDS_OF_ONE, MOST_WAITING, MOST_WAITING_OF_ONE
from planner.services.plan_search import claim_plan, finish_search
from planner.services.plan_tracking import track_plan
from planner.services.plans import PlanView, ask_plan, ask_rest, ask_scenario, get_plan, move_plan
from planner.services.requests import EstimateRequest, parse
from planner.services.requests.actuals import ActualRequest
from planner.services.requests.plans import PlanQuestion, ReplanRequest, ScenarioRequest, StageRequest
from planner.store.engine import Session
from planner.store.offers import append_prices, upsert_offers
from planner.store.tables import OfferRow
from tests.builders import offer, price

CODE = "0.0.0+test"
TERM = timedelta(minutes=1)
HAND = {"name": "night", "options": [{"gpu": "H100-80GB-SXM", "num_gpus": 1, "time": "5 h"}], "deadline": "12 h"}


@pytest.fixture
def estimate(session: Session, now: datetime) -> EstimateView:
    upsert_offers(session, [offer(instance_type="one", num_gpus=Decimal(1))], now)
    offer_id = session.execute(select(OfferRow.id)).scalar_one()
    append_prices(session, [(offer_id, price("3"))])
    return make_estimate(session, parse(EstimateRequest, {"preset": "finetune-small"}), now, CODE)


def locked(session: Session, estimate: EstimateView, now: datetime, **fields: Any) -> PlanView:
    jobs = [{"name": "tune", "estimate_id": estimate.id, "divisible": True}, HAND]
    view = ask_plan(session, parse(PlanQuestion, {"jobs": jobs, "span": "2 days", **fields}), now, CODE)
    claim = claim_plan(session, "w", "b", TERM, now)
    assert claim is not None
    assert finish_search(session, claim, plan(claim.request, seconds=600), "", now)
    for stage in ("submitted", "approved", "locked"):
        move_plan(session, view.id, parse(StageRequest, {"stage": stage}), now)
    return get_plan(session, view.id)


def enter(session: Session, estimate: EstimateView, at: datetime, **figures: Any) -> None:
    asked = {"estimate_id": estimate.id, "option": 0, "measured_at": at.isoformat(), **figures}
    record_actual(session, parse(ActualRequest, asked), at, CODE)


def test_a_job_that_took_longer_shows_by_how_much_and_the_rest_is_counted(
    session: Session, estimate: EstimateView, now: datetime
) -> None:
    view = locked(session, estimate, now)
    predicted = next(job for job in view.request.jobs if job.name == "tune").options[0].hours
    later = now + timedelta(hours=20)
    enter(session, estimate, now + timedelta(hours=10), seconds=predicted * 3600 * 1.5)
    found = track_plan(session, view.id, later)
    by_name = {row.demand: row for row in found.demands}
    tune = by_name["tune"]
    assert tune.standing is Standing.DONE
    assert tune.time_deviation == pytest.approx(0.5, rel=1e-3)
    assert (tune.cost_is, tune.cost_deviation) == (Known.DERIVED, pytest.approx(0.5, rel=1e-3))
    assert by_name["night"].standing is Standing.NOT_ENTERED
    assert "entered by hand" in by_name["night"].reason
    assert (found.totals.num_over, found.totals.num_hours, found.totals.num_hours_unknown) == (2, 1, 1)


def test_prices_then_are_set_against_prices_now(session: Session, estimate: EstimateView, now: datetime) -> None:
    view = locked(session, estimate, now)
    later = now + timedelta(hours=1)
    offer_id = session.execute(select(OfferRow.id)).scalar_one()
    append_prices(session, [(offer_id, price("6", valid_from=later, recorded_at=later))])
    found = track_plan(session, view.id, later + timedelta(seconds=1))
    (change,) = [item for item in found.prices if item.offer_id == offer_id]
    assert (change.then, change.now, change.change) == (3.0, 6.0, pytest.approx(1.0))
    assert found.to_come_at_todays_prices == pytest.approx(2 * found.to_come)
    assert found.num_prices_unknown == 0


def test_a_plan_is_tracked_once_it_is_locked(session: Session, estimate: EstimateView, now: datetime) -> None:
    view = ask_plan(session, parse(PlanQuestion, {"jobs": [HAND], "span": "1 day"}), now, CODE)
    with pytest.raises(Conflict, match="nothing to track"):
        track_plan(session, view.id, now)
    claim = claim_plan(session, "w", "b", TERM, now)
    assert claim is not None
    finish_search(session, claim, plan(claim.request, seconds=600), "", now)
    with pytest.raises(Conflict, match="once it is locked"):
        track_plan(session, view.id, now)


def test_rows_from_before_the_plan_and_of_other_demands_do_not_count(
    session: Session, estimate: EstimateView, now: datetime
) -> None:
    enter(session, estimate, now - timedelta(hours=1), seconds=100.0)
    twins = [{"name": name, "estimate_id": estimate.id} for name in ("left", "right")]
    view = locked(session, estimate, now, jobs=twins)
    assert all(not row.row for row in track_plan(session, view.id, now + timedelta(hours=1)).demands)
    enter(session, estimate, now + timedelta(hours=2), seconds=3600.0)
    found = {row.demand: row for row in track_plan(session, view.id, now + timedelta(hours=3)).demands}
    assert found["left"].actual_hours is None
    assert "reference or note names" in found["left"].reason
    enter(session, estimate, now + timedelta(hours=3), seconds=7200.0, reference="right")
    found = {row.demand: row for row in track_plan(session, view.id, now + timedelta(hours=4)).demands}
    assert (found["left"].actual_hours, found["right"].actual_hours) == (None, pytest.approx(2.0))


def test_the_rest_freezes_what_the_ledger_says(session: Session, estimate: EstimateView, now: datetime) -> None:
    view = locked(session, estimate, now)
    at = now + timedelta(minutes=30)
    enter(session, estimate, now + timedelta(minutes=20), seconds=900.0)
    rest = ask_rest(session, view.id, parse(ReplanRequest, {}), at, CODE)
    assert [job.name for job in rest.request.jobs] == ["night"], "the ledger has the other one done"
    by_name = {item["demand"]: item for item in rest.sources["frozen"]}
    assert (by_name["tune"]["share"], by_name["tune"]["known"]) == (1.0, "measured")
    assert by_name["night"]["known"] == "planned"
    assert rest.sources["demands"] == view.sources["demands"], "so that the rest is tracked too"
    blind = ask_rest(session, view.id, parse(ReplanRequest, {"from_ledger": False}), at, CODE)
    assert {item["known"] for item in blind.sources["frozen"]} == {"planned"}
    stated = ask_rest(session, view.id, parse(ReplanRequest, {"done": {"tune": 0.5}}), at, CODE)
    assert {job.name for job in stated.request.jobs} == {"tune", "night"}


def test_a_measured_pace_makes_the_rest_longer(session: Session, estimate: EstimateView, now: datetime) -> None:
    view = locked(session, estimate, now)
    step = estimate.answer.options[0].step_seconds
    assert step is not None
    enter(session, estimate, now + timedelta(minutes=1), step_seconds=step.mid * 2)
    rest = ask_rest(session, view.id, parse(ReplanRequest, {}), now + timedelta(minutes=2), CODE)
    gpu = estimate.answer.options[0].placement.gpu.key
    before = next(
        work.hours for job in view.request.jobs if job.name == "tune" for work in job.options if work.gpu == gpu
    )
    after = next(
        work.hours for job in rest.request.jobs if job.name == "tune" for work in job.options if work.gpu == gpu
    )
    assert after > 1.5 * before


def test_a_scenario_without_an_offer_has_none_of_it(session: Session, estimate: EstimateView, now: datetime) -> None:
    view = locked(session, estimate, now)
    name = view.request.supplies[0].name
    changed = parse(ScenarioRequest, {"name": "sold out", "without": [name]})
    found = ask_scenario(session, view.id, changed, now, CODE)
    assert next(supply for supply in found.request.supplies if supply.name == name).num_gpus == 0
    with pytest.raises(InvalidInput, match="no supply"):
        ask_scenario(session, view.id, parse(ScenarioRequest, {"name": "x", "without": ["nothing"]}), now, CODE)


def ask(session: Session, now: datetime, client: str, limit: str = "60 s") -> PlanView:
    question = parse(PlanQuestion, {"jobs": [HAND], "span": "1 day", "time_limit": limit})
    return ask_plan(session, question, now, CODE, client=client)


def test_one_client_cannot_fill_the_queue(session: Session, estimate: EstimateView, now: datetime) -> None:
    for _ in range(MOST_WAITING_OF_ONE):
        ask(session, now, "greedy")
    with pytest.raises(Conflict, match="MOST_WAITING_OF_ONE"):
        ask(session, now, "greedy")
    ask(session, now, "modest")
    half = MOST_SECONDS_OF_ONE / 2
    for _ in range(2):
        ask(session, now, "patient", f"{half} s")
    with pytest.raises(Conflict, match="MOST_SECONDS_OF_ONE"):
        ask(session, now, "patient", "1 s")
    for number in range(MOST_WAITING - MOST_WAITING_OF_ONE - 3):
        ask(session, now, f"client {number}")
    with pytest.raises(Conflict, match=r"MOST_WAITING: "):
        ask(session, now, "one more")


def test_clients_take_turns(session: Session, estimate: EstimateView, now: datetime) -> None:
    greedy = [ask(session, now + timedelta(seconds=n), "greedy").id for n in range(3)]
    modest = ask(session, now + timedelta(seconds=9), "modest").id
    order = []
    for turn in range(4):
        at = now + timedelta(minutes=1 + turn)
        claim = claim_plan(session, "w", "b", TERM, at)
        assert claim is not None
        finish_search(session, claim, None, "ended for the test", at)
        order.append(claim.id)
    assert order == [greedy[0], modest, greedy[1], greedy[2]]
