"""Faults at the edge: a POST sent twice, two editors, a database that goes away in mid-request, bytes of the past."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from sqlalchemy import text

from planner.settings import Settings
from planner.store.engine import make_engine, session_factory
from planner.web.app import create_app
from tests.builders import NOW
from tests.web.conftest import problem_of
from tests.web.world import World, build
from tests.worker.proxy import Fault, Proxy

Rows = Callable[[], dict[str, int]]
KEY = {"Idempotency-Key": "3f0c-once"}
SCHEDULE: dict[str, Any] = {"name": "nightly", "cron": "0 2 * * *"}


class TestSentTwice:
    @pytest.mark.fault(82)
    def test_the_same_request_is_done_once_and_answered_the_same(self, client: FlaskClient, count_rows: Rows) -> None:
        first = client.post("/api/v1/schedules", json=SCHEDULE, headers=KEY)
        assert first.status_code == 201
        before = count_rows()
        again = client.post("/api/v1/schedules", json=SCHEDULE, headers=KEY)
        assert (again.status_code, again.data, again.headers["Location"]) == (
            201,
            first.data,
            first.headers["Location"],
        )
        assert again.headers["Idempotency-Replayed"] == "true"
        assert "Idempotency-Replayed" not in first.headers
        assert count_rows() == before

    @pytest.mark.fault(82)
    @pytest.mark.parametrize("address", ["/api/v1/schedules", "/api/v1/estimates"])
    def test_another_request_under_the_same_key_is_refused(
        self, client: FlaskClient, count_rows: Rows, address: str
    ) -> None:
        assert client.post("/api/v1/schedules", json=SCHEDULE, headers=KEY).status_code == 201
        before = count_rows()
        refused = client.post(address, json={**SCHEDULE, "suite": "smoke"}, headers=KEY)
        assert refused.status_code == 422
        assert problem_of(refused)["errors"][0]["field"] == "Idempotency-Key"
        assert count_rows() == before

    def test_a_refusal_is_not_kept_so_that_a_mended_request_may_have_its_key(self, client: FlaskClient) -> None:
        assert client.post("/api/v1/schedules", json={**SCHEDULE, "cron": "0 0 31 2 *"}, headers=KEY).status_code == 422
        assert client.post("/api/v1/schedules", json=SCHEDULE, headers=KEY).status_code == 201

    def test_without_a_key_each_request_counts(self, client: FlaskClient, world: World) -> None:
        sent = [client.post("/api/v1/estimates", json={"preset": "serve-small"}) for _ in range(2)]
        assert sent[0].headers["Location"] != sent[1].headers["Location"]

    @pytest.mark.parametrize("key", ["", "two words", "x" * 201])
    def test_what_is_no_key_is_refused(self, client: FlaskClient, key: str) -> None:
        assert client.post("/api/v1/schedules", json=SCHEDULE, headers={"Idempotency-Key": key}).status_code == 422


class TestTwoEditors:
    @pytest.mark.fault(81)
    def test_a_stale_if_match_is_refused_and_a_fresh_one_is_not(
        self, client: FlaskClient, world: World, count_rows: Rows
    ) -> None:
        address = f"/api/v1/schedules/{world.schedule}"
        read = client.get(address).headers["ETag"]
        match = {"If-Match": read}
        assert client.put(address, json={**SCHEDULE, "name": "ann's"}, headers=match).status_code == 200
        for refused in (client.put(address, json=SCHEDULE, headers=match), client.delete(address, headers=match)):
            assert refused.status_code == 412
            assert problem_of(refused)["type"].endswith("stale")
        assert client.get(address).json["name"] == "ann's"
        fresh = {"If-Match": client.get(address).headers["ETag"]}
        assert client.delete(address, headers=fresh).status_code == 204

    def test_without_if_match_the_last_one_wins_as_asked(self, client: FlaskClient, world: World) -> None:
        address = f"/api/v1/schedules/{world.schedule}"
        assert client.put(address, json={**SCHEDULE, "name": "ann's"}).status_code == 200
        assert client.put(address, json={**SCHEDULE, "name": "bob's"}, headers={"If-Match": "*"}).status_code == 200

    def test_a_run_in_between_does_not_make_an_etag_stale(self, client: FlaskClient, world: World) -> None:
        address = f"/api/v1/schedules/{world.schedule}"
        match = {"If-Match": client.get(address).headers["ETag"]}
        assert client.post(f"{address}/run").status_code in (202, 409)
        assert client.put(address, json=SCHEDULE, headers=match).status_code == 200

    @pytest.mark.fault(9)
    def test_a_rule_that_never_falls_due_is_refused(self, client: FlaskClient) -> None:
        refused = client.post("/api/v1/schedules", json={**SCHEDULE, "cron": "0 0 31 2 *"})
        assert refused.status_code == 422
        assert "never falls due" in problem_of(refused)["errors"][0]["message"]


@pytest.mark.fault(83)
def test_a_question_as_of_before_a_correction_is_answered_with_the_same_bytes(
    client: FlaskClient, world: World, app: Flask
) -> None:
    """What was known then is told then and ever after, whatever is learnt meanwhile."""
    address = f"/api/v1/prices?limit=20&as_of={NOW.isoformat()}&known_at={NOW.isoformat()}".replace("+00:00", "Z")
    before = client.get(address)
    estimate = client.get(f"/api/v1/estimates/{world.training}")
    first = json.loads(before.data)["prices"][0]
    engine = app.extensions["planner"].engine
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO prices (offer_id, amount, reason, valid_from, recorded_at, source, source_date)"
                " SELECT offer_id, amount * 2, reason, valid_from, '2026-11-21 09:00:01', 'a correction', source_date"
                " FROM prices WHERE id = :id"
            ),
            {"id": first["price_id"]},
        )
    assert client.get(address).data == before.data
    assert client.get(f"/api/v1/estimates/{world.training}").data == estimate.data
    later = json.loads(
        client.get(address.replace("known_at=2026-11-21T09:00:00Z", "known_at=2026-11-21T09:00:02Z")).data
    )
    assert later["prices"] != json.loads(before.data)["prices"]


@pytest.fixture
def proxied(postgres_url: str, tmp_path: Path) -> Iterator[tuple[Flask, Proxy, World]]:
    """The app with a proxy between it and its PostgreSQL."""
    engine = make_engine(postgres_url)
    with session_factory(engine).begin() as session:
        world = build(session)
    engine.dispose()
    with Proxy(postgres_url) as proxy:
        app = create_app(Settings(home=tmp_path, database_url=proxy.url, secret_key="a key"), clock=lambda: NOW)
        yield app, proxy, world
        app.extensions["planner"].engine.dispose()


def test_a_database_that_goes_away_is_a_503_and_its_return_is_noticed(
    proxied: tuple[Flask, Proxy, World],
) -> None:
    app, proxy, _ = proxied
    client = app.test_client()
    assert client.get("/api/v1/devices").status_code == 200
    proxy.set(Fault.CUT)
    for answer in (client.get("/api/v1/devices"), client.post("/api/v1/schedules", json=SCHEDULE)):
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert problem_of(answer)["type"].endswith("unavailable")
    page = client.get("/devices")
    assert (page.status_code, "Not available at the moment" in page.text) == (503, True)
    proxy.set(Fault.NONE)
    assert client.post("/api/v1/schedules", json=SCHEDULE).status_code == 201


def test_a_database_that_goes_away_at_the_commit_is_a_503_and_nothing_is_stored(
    proxied: tuple[Flask, Proxy, World],
) -> None:
    app, proxy, _ = proxied
    app.after_request_funcs.setdefault(None, []).append(_cutting(proxy))  # runs before the commit: last in, first out
    client = app.test_client()
    answer = client.post("/api/v1/schedules", json=SCHEDULE)
    assert answer.status_code == 503
    proxy.set(Fault.NONE)
    names = [schedule["name"] for schedule in client.get("/api/v1/schedules").json["schedules"]]
    assert SCHEDULE["name"] not in names


def _cutting(proxy: Proxy) -> Callable[[Response], Response]:
    def cut(response: Response) -> Response:
        if response.status_code == 201:
            proxy.set(Fault.CUT)
        return response

    return cut


class TestUpkeep:
    def test_a_device_goes_into_quarantine_is_checked_and_comes_out(self, client: FlaskClient, world: World) -> None:
        device = f"/api/v1/devices/{world.gpu_id}"
        kept = client.post(f"{device}/quarantine", json={"reason": "it smells"})
        assert (kept.json["state"], kept.json["state_reason"]) == ("quarantined", "it smells")
        assert client.post("/api/v1/calibrations", json={"device_id": world.gpu_id}).status_code == 409
        check = client.post(f"{device}/check", json={})
        assert (check.status_code, check.json["is_check"], check.json["suite"]) == (202, True, "smoke")
        assert client.post(f"{device}/release", json={"reason": "looked at"}).json["state"] == "ok"
        assert client.post(f"{device}/release", json={"reason": "looked at"}).status_code == 409
        steps = client.get(f"{device}/quarantine").json["steps"]
        assert [step["reason"] for step in steps] == ["looked at", "it smells"]

    def test_a_suite_of_ones_own_is_kept_planned_and_asked_for(self, client: FlaskClient, world: World) -> None:
        asked = {"name": "my-gemms", "benches": ["matmul/bf16/m=64,n=64,k=64"]}
        made = client.post("/api/v1/suites", json=asked)
        assert (made.status_code, made.json["version"]) == (201, 1)
        assert client.get(made.headers["Location"]).json["benches"] == ["matmul/bf16/k=64,m=64,n=64"]
        assert "my-gemms" in [suite["name"] for suite in client.get("/api/v1/suites").json["suites"]]
        plan = client.get(f"/api/v1/calibrations/plan?device_id={world.gpu_id}&suite=my-gemms").json
        assert plan["num_benches"] == 1
        run = client.post("/api/v1/calibrations", json={"device_id": world.gpu_id, "suite": "my-gemms"}).json
        assert (run["suite"], run["suite_version"]) == ("my-gemms", 1)
        assert client.post("/api/v1/suites", json=asked).json["version"] == 2
        refused = client.post("/api/v1/suites", json={"name": "quick", "benches": ["sort/bf16/k=1"]})
        assert [problem["field"] for problem in problem_of(refused)["errors"]] == ["name", "benches"]

    def test_all_schedules_are_paused_and_resumed(self, client: FlaskClient, world: World) -> None:
        assert client.get("/api/v1/pause").json["paused"] is False
        assert client.post("/api/v1/pause", json={"paused": True, "reason": "audit"}).json["actor"] == "api"
        assert client.post("/api/v1/pause", json={"paused": True, "reason": "audit"}).status_code == 409
        assert "audit" in client.get(f"/api/v1/schedules/{world.schedule}").json["paused"]
        assert client.post("/api/v1/pause", json={"paused": False, "reason": "done"}).status_code == 200

    def test_a_label_is_given_and_taken(self, client: FlaskClient, world: World) -> None:
        label = f"/api/v1/devices/{world.gpu_id}/label"
        assert client.put(label, json={"label": "night"}).json["label"] == "night"
        assert client.put(label, json={}).json["label"] is None

    def test_only_a_suspect_run_is_reviewed(self, client: FlaskClient, world: World) -> None:
        refused = client.post(
            f"/api/v1/calibrations/{world.finished_run}/review", json={"accepted": True, "reason": "why not"}
        )
        assert refused.status_code == 409
