"""What a plan says beyond itself: when it begins, what a setback costs, how near the least cost it is."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from planner.plans.plan import plan
from planner.plans.schedule import Schedule
from planner.plans.timetable import Stretch
from planner.plans.to_the_minute import ToTheMinute
from planner.services.plan_search import claim_plan, finish_search
from planner.store.engine import database_now, session_factory
from tests.web.conftest import Send
from tests.web.test_plans import API, JOB, QUESTION, RENT, ask, solve
from tests.web.world import World

SPOT = {**RENT, "name": "spot", "kind": "spot", "price_per_hour": 1.0, "spot": None}
MONDAY = "2027-01-04"


def lines(client: FlaskClient, plan_id: str) -> list[dict[str, str]]:
    text = client.get(f"{API}/{plan_id}/lines.csv").get_data().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_the_form_says_the_day_a_plan_begins_and_the_days_its_jobs_are_due(
    client: FlaskClient, world: World, send: Send
) -> None:
    fields = {
        "name": "january",
        "span": "7 days",
        "starts_at": MONDAY,
        "offers": "true",
        "job1_estimate": world.training,
        "job1_release": "2027-01-04T12:00Z",
        "job1_deadline": "2027-01-07",
        "job1_divisible": "true",
    }
    made = send("/plans", fields, page="/plans/new")
    assert made.status_code == 303, made.text
    found = client.get(f"/api/v1{made.headers['Location']}").json
    assert found["request"]["starts_at"].startswith("2027-01-04T00:00:00")
    (job,) = found["request"]["jobs"]
    assert (job["release_hours"], job["deadline_hours"]) == (12.0, 72.0)
    assert "from 4 Jan 2027" in client.get(made.headers["Location"]).text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"starts_at": "soon"}, "fault-starts_at"),
        ({"starts_at": "2027-01-04T08:00"}, "fault-starts_at"),
        ({"starts_at": MONDAY, "job1_deadline": "2026-12-31"}, "fault-job1_deadline"),
        ({"job1_deadline": "2027-13-40"}, "fault-job1_deadline"),
    ],
)
def test_a_date_that_cannot_be_stands_beside_its_field(
    send: Send, world: World, changes: dict[str, str], field: str
) -> None:
    fields = {"name": "p", "offers": "true", "job1_estimate": world.training, **changes}
    answer = send("/plans", fields, page="/plans/new")
    assert answer.status_code == 422
    assert field in answer.text


def test_a_plan_and_its_scenarios_carry_their_dates_into_tables(client: FlaskClient, app: Flask) -> None:
    made = ask(client, starts_at=MONDAY, jobs=[{**JOB, "due_at": "2027-01-04T06:00:00Z"}])
    solve(app)
    assert made["request"]["jobs"][0]["deadline_hours"] == 6.0
    run = client.get(f"{API}/{made['id']}/timetable").json["runs"][0]
    assert run["from_at"] == "2027-01-04T00:00:00Z"
    again = client.post(f"{API}/{made['id']}/scenarios", json={"name": "later", "starts_at": "2027-01-03"}).json
    assert again["request"]["starts_at"].startswith("2027-01-03")
    assert again["request"]["jobs"][0]["deadline_hours"] == 30.0, "it is due on its day"
    both = client.post(API, json={**QUESTION, "jobs": [{**JOB, "deadline": "9 h", "due_at": MONDAY}]})
    assert both.status_code == 422
    whole = client.post(API, json={"name": "whole", "request": made["request"], "starts_at": "2027-02-01"}).json
    assert whole["request"]["starts_at"].startswith("2027-02-01")


def test_a_setback_says_what_was_spent_what_was_lost_and_what_it_costs_in_all(
    client: FlaskClient, app: Flask, send: Send
) -> None:
    supply = {"offers": False, "own": False, "extra": [SPOT, RENT]}
    first = ask(client, supply=supply, starts_at=MONDAY, jobs=[{**JOB, "deadline": "8.5 h"}])
    solve(app)
    begun = datetime(2027, 1, 4, tzinfo=UTC)
    address = f"/plans/{first['id']}"
    at = (begun + timedelta(hours=3)).isoformat()
    made = send(f"{address}/rest", {"at": at, "gone": ["spot"], "lost": "1 h"}, page=address)
    assert made.status_code == 303, made.text
    rest_id = made.headers["Location"].rsplit("/", 1)[-1]
    waiting = client.get(f"{API}/{rest_id}").json["setback"]
    assert (waiting["rest"], waiting["extra"]) == (None, None), "there is no plan of the rest yet"
    solve(app)
    found = client.get(f"{API}/{rest_id}").json
    before, setback = client.get(f"{API}/{first['id']}").json, found["setback"]
    assert setback["planned"] == pytest.approx(before["plan"]["cost"])
    assert setback["total"] == pytest.approx(setback["settled"] + found["plan"]["cost"])
    assert setback["extra"] == pytest.approx(setback["total"] - setback["planned"])
    assert setback["extra"] > setback["lost_cost"] > 0
    (lost,) = setback["lost"]
    assert (lost["demand"], lost["hours"]) == ("train", pytest.approx(1.0))
    page = client.get(made.headers["Location"]).text
    for words in ("What it costs in all", "Work that is done again", "more than was planned", "Gone: spot"):
        assert words in page, words
    table = {row["line"]: row for row in lines(client, rest_id)}
    assert float(table["settled before"]["cost"]) == pytest.approx(setback["settled"])
    assert float(table["lost"]["gpu_hours"]) == pytest.approx(8.0)
    rows = client.get(f"{API}/{rest_id}/compare").json["plans"]
    assert rows[1]["settled_before"] == pytest.approx(setback["settled"])
    assert rows[1]["against_first"] == pytest.approx(setback["extra"])
    assert "Settled before it began" in client.get(f"{address}/compare").text


def test_gangs_that_do_not_fit_are_told_with_the_timetable_that_was_made_of_them(
    client: FlaskClient, app: Flask
) -> None:
    made = ask(client)
    with session_factory(app.extensions["planner"].engine).begin() as session:
        claim = claim_plan(session, "w", "b", timedelta(minutes=1), database_now(session))
        assert claim is not None
        stretches = (Stretch("train", "H100", 8, 1.0, 4.0), Stretch("train", "H100", 8, 5.0, 8.0))
        written = ToTheMinute(Schedule(stretches, 125.0, 8.0, 121.0, None, ()))
        found = plan(claim.request, seconds=10)
        assert finish_search(session, claim, found, "", database_now(session), None, written)
    answer = client.get(f"{API}/{made['id']}/timetable").json
    assert answer["is_scheduled"]
    assert (answer["cost"], answer["cost_bound"], answer["num_stops"]) == (125.0, 121.0, 1)
    assert [(run["from_hours"], run["until_hours"]) for run in answer["runs"]] == [(1.0, 4.0), (5.0, 8.0)]
    assert answer["stops_cost"] == pytest.approx(8 * 2.5 / 6)
    page = client.get(f"/plans/{made['id']}").text
    assert "Written to the minute" in page
    assert "this timetable costs $125.00" in page
    assert "Jobs stop and go on later or elsewhere 1 times" in page


def test_a_plan_that_holds_too_few_gpus_for_a_gang_says_that_it_cannot_run(client: FlaskClient, app: Flask) -> None:
    held = {**RENT, "name": "held", "kind": "reserved", "term_hours": 8760.0, "price_per_hour": 0.1}
    made = ask(client, supply={"offers": False, "own": False, "extra": [held]})
    with session_factory(app.extensions["planner"].engine).begin() as session:
        claim = claim_plan(session, "w", "b", timedelta(minutes=1), database_now(session))
        assert claim is not None
        found = plan(claim.request, seconds=10)
        (taken,) = found.commitments
        fewer = replace(found, commitments=(replace(taken, num_gpus=4),))
        assert finish_search(session, claim, fewer, "", database_now(session))
    answer = client.get(f"{API}/{made['id']}/timetable").json
    assert answer["too_few"] == [{"demand": "train", "num_gpus": 8, "held": 4}]
    page = client.get(f"/plans/{made['id']}").text
    assert "This plan cannot run as it is: 1 job takes more GPUs at once than it holds" in page
    assert "train: takes 8, held are 4" in page


def test_a_plan_far_from_its_bound_says_so_on_its_page_and_in_the_api(client: FlaskClient, app: Flask) -> None:
    made = ask(client)
    with session_factory(app.extensions["planner"].engine).begin() as session:
        claim = claim_plan(session, "w", "b", timedelta(minutes=1), database_now(session))
        assert claim is not None
        found = plan(claim.request, seconds=10)
        assert found.cost is not None
        far = replace(found, bound=found.cost / 2, relaxed_costs={"on_demand": found.cost / 2})
        assert finish_search(session, claim, far, "", database_now(session))
    answer: dict[str, Any] = client.get(f"{API}/{made['id']}").json
    assert "at most 2 times the least possible" in answer["assessment"][0]
    page = client.get(f"/plans/{made['id']}").text
    assert "at most 2 times the least possible" in page
    assert "in the relaxed program" in page
