"""Plans by page and API: asked, followed, found, cloned, compared, decided on."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from planner.plans.plan import plan
from planner.services.plan_queue import MOST_WAITING_OF_ONE
from planner.services.plan_search import claim_plan, finish_search
from planner.store.engine import database_now, session_factory
from tests.web.conftest import Send
from tests.web.world import World

API = "/api/v1/plans"
RENT = {
    "name": "rent",
    "gpu": "H100",
    "kind": "on_demand",
    "price_per_hour": 2.5,
    "gpus_per_instance": 8,
    "num_gpus": 16,
}
JOB = {"name": "train", "options": [{"gpu": "H100", "num_gpus": 8, "time": "6 h"}]}
QUESTION = {"name": "week", "jobs": [JOB], "span": "1 day", "supply": {"offers": False, "own": False, "extra": [RENT]}}


def ask(client: FlaskClient, **changes: Any) -> dict[str, Any]:
    answer = client.post(API, json={**QUESTION, **changes})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json
    return found


def solve(app: Flask) -> None:
    """What the worker does, in this process."""
    with session_factory(app.extensions["planner"].engine).begin() as session:
        claim = claim_plan(session, "w", "b", timedelta(minutes=1), database_now(session))
        assert claim is not None
        assert finish_search(session, claim, plan(claim.request, seconds=600), "", database_now(session))


def test_a_plan_is_asked_solved_and_read(client: FlaskClient, app: Flask) -> None:
    made = ask(client)
    assert (made["state"], made["plan"]) == ("queued", None)
    assert "Waiting for a worker" in client.get(f"/plans/{made['id']}").text
    assert client.get(f"/plans/{made['id']}/progress").status_code == 200
    solve(app)
    found = client.get(f"{API}/{made['id']}").json
    assert (found["state"], found["plan"]["cost"]) == ("solved", pytest.approx(120))
    assert client.get(f"/plans/{made['id']}/progress").headers["HX-Refresh"] == "true"
    page = client.get(f"/plans/{made['id']}").text
    for word in ("Timetable", "$120.00", "Where it is tight", "Spent as time goes on", "entered by hand"):
        assert word in page, word
    brief = client.get(f"/plans/{made['id']}/brief").text
    assert brief.index("<h2>Findings</h2>") < brief.index("Each demand</h2>") < brief.index("<h2>Assumptions</h2>")
    assert "week" in client.get("/plans").text


def test_what_cannot_be_done_says_so(client: FlaskClient, app: Flask) -> None:
    made = ask(client, jobs=[{**JOB, "deadline": "2 h"}])
    solve(app)
    found = client.get(f"{API}/{made['id']}").json
    assert found["state"] == "infeasible"
    assert found["reason"] in client.get(f"/plans/{made['id']}").text.replace("&#39;", "'")


def test_scenarios_are_compared(client: FlaskClient, app: Flask) -> None:
    first = ask(client)
    solve(app)
    dear = {"supply": {**QUESTION["supply"], "extra": [{**RENT, "price_per_hour": 5.0}]}}
    second = client.post(f"{API}/{first['id']}/scenarios", json={"name": "dearer", **dear}).json
    solve(app)
    rows = client.get(f"{API}/{second['id']}/compare").json["plans"]
    assert [row["name"] for row in rows] == ["week", "dearer"]
    assert rows[1]["against_first"] == pytest.approx(120)
    assert "+$120.00" in client.get(f"/plans/{first['id']}/compare").text
    assert len(client.get(f"{API}/{first['id']}/scenarios").json["plans"]) == 2


def test_a_search_is_cancelled_once(client: FlaskClient) -> None:
    made = ask(client)
    assert client.post(f"{API}/{made['id']}/cancel").json["state"] == "cancelled"
    assert client.post(f"{API}/{made['id']}/cancel").status_code == 409


def test_the_decision_is_taken_by_page(client: FlaskClient, app: Flask, send: Send) -> None:
    made = ask(client)
    address = f"/plans/{made['id']}"
    assert client.post(f"{API}/{made['id']}/stages", json={"stage": "submitted"}).status_code == 409
    solve(app)
    assert (
        send(f"{address}/stage", {"stage": "submitted", "actor": "Ada", "note": "please"}, page=address).status_code
        == 303
    )
    page = client.get(address).text
    assert "by Ada" in page
    assert "please" in page
    assert client.get(f"{API}/{made['id']}").json["stage"] == "submitted"


def test_the_form_asks_from_a_stored_estimate(client: FlaskClient, world: World, send: Send) -> None:
    fields = {
        "name": "by form",
        "span": "2 days",
        "gap": "1 %",
        "offers": "true",
        "job1_estimate": world.training,
        "job1_deadline": "40 h",
        "job1_divisible": "true",
        "service1_estimate": world.service,
        "service1_high": "500",
    }
    answer = send("/plans", fields, page="/plans/new")
    assert answer.status_code == 303, answer.text
    found = client.get(f"/api/v1{answer.headers['Location']}").json
    assert found["gap"] == 0.01
    assert found["sources"]["demands"][0]["estimate_id"] == world.training
    assert found["request"]["services"][0]["demand"] == [500.0] * 48
    scenario = send(
        f"/plans/{found['id']}/scenario", {"name": "less", "kinds": "on_demand"}, page=f"/plans/{found['id']}"
    )
    assert scenario.status_code == 303


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, "fault-job1_estimate"),
        ({"job1_estimate": "nothing"}, "fault-job1_estimate"),
        ({"whole": "{"}, "fault-whole"),
        ({"span": "soon", "job1_estimate": "x"}, "fault-span"),
    ],
)
def test_a_form_that_cannot_be_used_comes_back(send: Send, changes: dict[str, str], fault: str) -> None:
    answer = send("/plans", {"name": "p", "offers": "true", **changes}, page="/plans/new")
    assert answer.status_code == 422
    assert fault in answer.text


def test_what_is_left_is_planned_from_a_moment_on(client: FlaskClient, app: Flask, send: Send) -> None:
    first = ask(client)
    assert client.post(f"{API}/{first['id']}/rest", json={}).status_code == 409
    solve(app)
    begun = datetime.fromisoformat(first["request"]["starts_at"])
    rest = client.post(f"{API}/{first['id']}/rest", json={"at": (begun + timedelta(hours=3)).isoformat()})
    assert rest.status_code == 202, rest.text
    assert rest.json["request"]["horizon"]["edges"][-1] == pytest.approx(21)
    assert rest.json["root_id"] == first["id"]
    none = client.post(f"{API}/{first['id']}/rest", json={"done": {"train": 1.0}})
    assert none.status_code == 422
    late = client.post(f"{API}/{first['id']}/rest", json={"at": (begun + timedelta(days=3)).isoformat()})
    assert late.json["errors"][0]["field"] == "at"
    assert send(f"/plans/{first['id']}/rest", {"at": ""}, page=f"/plans/{first['id']}").status_code == 303


def test_the_form_plans_the_rest_without_what_is_gone(client: FlaskClient, app: Flask, send: Send) -> None:
    first = ask(client)
    solve(app)
    address = f"/plans/{first['id']}"
    used = {use["supply"] for use in client.get(f"{API}/{first['id']}").json["plan"]["uses"]}
    page = client.get(address).text
    for name in used:
        assert f'name="gone" value="{name}"' in page
    made = send(f"{address}/rest", {"at": "", "gone": sorted(used)}, page=address)
    assert made.status_code == 303, made.text
    rest = client.get(f"/api/v1{made.headers['Location']}").json
    assert {supply["name"] for supply in rest["request"]["supplies"] if supply["num_gpus"] == 0} == used
    refused = send(f"{address}/rest", {"gone": "gold"}, page=address)
    assert refused.headers["Location"] == f"{address}#whatif"
    assert "there is no supply" in client.get(address).text


def test_a_plan_is_tracked_from_the_day_it_is_locked(client: FlaskClient, app: Flask, send: Send) -> None:
    made = ask(client)
    address = f"{API}/{made['id']}/tracking"
    assert client.get(address).status_code == 409
    solve(app)
    assert "once it is locked" in client.get(address).json["detail"]
    page = client.get(f"/plans/{made['id']}/tracking")
    assert (page.status_code, page.headers["Location"]) == (303, f"/plans/{made['id']}#decision")
    for stage in ("submitted", "approved", "locked"):
        assert client.post(f"{API}/{made['id']}/stages", json={"stage": stage}).status_code == 200
    found = client.get(address).json
    (row,) = found["demands"]
    assert (row["demand"], row["planned_cost"], row["actual_cost"]) == ("train", pytest.approx(120), None)
    assert "entered by hand" in row["reason"]
    assert found["prices"][0]["now"] is None
    assert found["to_come_at_todays_prices"] is None, "the price of one supply is unknown"
    assert "Prices then and now" in client.get(f"/plans/{made['id']}/tracking").text


def test_one_clients_share_of_the_queue_is_refused_by_name_and_others_go_on(client: FlaskClient, send: Send) -> None:
    for _ in range(MOST_WAITING_OF_ONE):
        ask(client)
    refused = client.post(API, json=QUESTION)
    assert refused.status_code == 409
    assert "MOST_WAITING_OF_ONE" in refused.json["detail"]
    assert "api from 127.0.0.1" in refused.json["detail"]
    whole = json.dumps(QUESTION)
    assert send("/plans", {"whole": whole}, page="/plans/new").status_code == 303, "the form is another client"


def test_the_answer_says_where_own_and_rent_change_places_and_what_is_sold_out(
    client: FlaskClient, world: World
) -> None:
    found = client.get(f"{API}/{world.plan}").json
    (flip,) = found["break_evens"]
    assert (flip["supply"], flip["utilisation"]) == ("reserve", pytest.approx(0.48))
    assert flip["is_taken"]
    assert {item["supply"] for item in found["outlook"]["second_choices"]} == {"rent", "reserve"}
    assert found["outlook"]["candidates"][1]["largest_regret"] > found["outlook"]["candidates"][0]["largest_regret"]
    assert found["plan"]["shadow_prices"][0]["sentence"].startswith("one more H100 from hour")
    assert found["unpriced"] == []


def test_a_scenario_without_a_supply_says_that_none_of_it_can_be_had(client: FlaskClient, app: Flask) -> None:
    first = ask(client)
    solve(app)
    second = client.post(f"{API}/{first['id']}/scenarios", json={"name": "sold out", "without": ["rent"]}).json
    solve(app)
    found = client.get(f"{API}/{second['id']}").json
    assert found["state"] == "infeasible"
    assert "none can be had" in found["reason"]
    fault = client.post(f"{API}/{first['id']}/scenarios", json={"name": "x", "without": ["gold"]})
    assert (fault.status_code, fault.json["errors"][0]["field"]) == (422, "without")


def test_a_plan_of_many_jobs_is_read_by_the_page_and_found_by_name(client: FlaskClient, app: Flask) -> None:
    jobs = [{**JOB, "name": f"team {n % 3} job {n:02d}", "deadline": "20 h"} for n in range(40)]
    endless = {**RENT, "num_gpus": None}
    made = ask(client, jobs=jobs, supply={"offers": False, "own": False, "extra": [endless]})
    solve(app)
    address = f"/plans/{made['id']}"
    first, second = client.get(address).text, client.get(address, query_string={"page": 2}).text
    assert "Page 1 of 2" in first
    assert ("job 24" in first, "job 25" in first, "job 25" in second) == (True, False, True)
    assert "14 h" in first, "what is spare until the deadline"
    some = client.get(address, query_string={"find": "TEAM 1"}).text
    assert "team 1 job 01" in some
    assert "team 0 job 00" not in some
    assert "No demand has" in client.get(address, query_string={"find": "<b>"}).text
    assert client.get(address, query_string={"page": "99999999999999999999"}).status_code == 200
    assert "job 39" in client.get(f"{address}/brief").text


def test_where_not_all_can_be_met_the_form_may_leave_the_least_urgent_undone(
    client: FlaskClient, app: Flask, send: Send
) -> None:
    jobs = [
        {**JOB, "name": name, "priority": level, "options": [{"gpu": "H100", "num_gpus": 16, "time": "20 h"}]}
        for name, level in (("later", 0), ("first", 1))
    ]
    whole = json.dumps({**QUESTION, "jobs": jobs, "leave_least_urgent": True})
    made = send("/plans", {"whole": whole}, page="/plans/new")
    assert made.status_code == 303, made.text
    solve(app)
    found = client.get(f"/api/v1{made.headers['Location']}").json
    assert found["plan"]["dropped"] == ["later"]
    page = client.get(made.headers["Location"]).text
    assert "because not all can be met" in page
    assert "what is more urgent was kept" in page
