"""Programs on other computers: a token under the server's name, what it may do, and how often."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from planner.services.requests.tokens import Scope, TokenRequest
from planner.services.tokens import keep_token, list_tokens, revoke_token
from planner.settings import Settings
from planner.store.engine import session_factory
from planner.web.api.resources import api
from planner.web.app import create_app
from planner.web.database import WRITING
from planner.web.pace import Pace
from planner.web.tokens import AT_ONCE, FAILED_AT_ONCE, SCOPES
from tests.builders import NOW
from tests.web.conftest import problem_of
from tests.web.world import World

NAME = "planner.example.com"
SECRET = "planner_a-secret-of-the-tests-and-of-nothing-else"


class Clock:
    """A clock that a test may turn."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(filled_settings: Settings, clock: Clock) -> Iterator[Flask]:
    """The app that answers under a name of its own, too."""
    found = create_app(replace(filled_settings, server_name=NAME), clock=clock)
    yield found
    found.extensions["planner"].engine.dispose()


Keep = Callable[..., str]


@pytest.fixture
def keep(app: Flask) -> Keep:
    """Make a token of these scopes; its id."""

    def made(*scopes: Scope, secret: str = SECRET) -> str:
        with session_factory(app.extensions["planner"].engine).begin() as session:
            request = TokenRequest(name="Finance", scopes=scopes or (Scope.READ_COSTS,), days=30)
            return keep_token(session, request, secret, NOW, "cli").id

    return made


def ask(
    client: FlaskClient, path: str, secret: str | None = SECRET, method: str = "GET", **more: str | None
) -> TestResponse:
    headers = {"Host": more.get("host") or NAME}
    if secret is not None:
        headers["Authorization"] = more.get("authorization") or f"Bearer {secret}"
    return client.open(f"/api/v1{path}", method=method, headers=headers, json={} if method == "POST" else None)


class TestWhoIsAnswered:
    @pytest.mark.parametrize("secret", [None, "", "planner_another", "x" * 5000, SECRET[:-1], SECRET.upper()])
    def test_without_a_token_that_counts_nothing_is_answered(
        self, secret: str | None, client: FlaskClient, keep: Keep
    ) -> None:
        keep()
        for path in ("/estimates", "/estimates.csv", "/openapi.json", "/health/ready", "/health/live", "/nothing"):
            answer = ask(client, path, secret)
            assert problem_of(answer)["status"] == 401, path
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")

    def test_a_token_is_taken_as_bearer_and_as_password(self, client: FlaskClient, keep: Keep) -> None:
        keep()
        basic = b64encode(f"anybody:{SECRET}".encode()).decode()
        for authorization in (f"Bearer {SECRET}", f"Basic {basic}"):
            answer = ask(client, "/estimates", authorization=authorization)
            assert answer.status_code == 200
            assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
            assert answer.headers["Cache-Control"] == "private, no-cache"

    @pytest.mark.parametrize("authorization", ["Bearer", "Basic !!!", "Digest username=x", f"Token {SECRET}", SECRET])
    def test_what_is_no_credential_is_refused(self, authorization: str, client: FlaskClient, keep: Keep) -> None:
        keep()
        assert ask(client, "/estimates", authorization=authorization).status_code == 401

    def test_a_token_in_the_address_is_not_taken(self, client: FlaskClient, keep: Keep) -> None:
        keep()
        assert ask(client, f"/estimates?access_token={SECRET}", secret=None).status_code == 401

    def test_the_pages_are_not_for_others(self, client: FlaskClient, keep: Keep) -> None:
        keep(Scope.ADMIN)
        for path in ("/", "/estimates", "/api", "/static/css/planner.css"):
            answer = client.get(path, headers={"Host": NAME, "Authorization": f"Bearer {SECRET}"})
            assert answer.status_code == 403, path

    def test_this_machine_needs_none_but_one_that_it_sends_must_count(self, client: FlaskClient, keep: Keep) -> None:
        keep(Scope.READ_INVENTORY)
        assert ask(client, "/estimates", secret=None, host="localhost").status_code == 200
        assert ask(client, "/estimates", secret="planner_another", host="localhost").status_code == 401
        assert ask(client, "/estimates", host="localhost").status_code == 403
        assert ask(client, "/devices", host="localhost").status_code == 200

    @pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-Host", "Via"])
    def test_a_proxy_that_hides_the_name_is_refused(self, name: str, client: FlaskClient) -> None:
        answer = client.get("/api/v1/estimates", headers={"Host": "127.0.0.1:8750", name: "192.0.2.7"})
        assert problem_of(answer)["status"] == 421

    def test_another_name_than_its_own_is_refused_with_a_token_too(self, client: FlaskClient, keep: Keep) -> None:
        keep(Scope.ADMIN)
        assert ask(client, "/estimates", host=f"evil.{NAME}").status_code == 421

    def test_without_a_server_name_a_token_opens_nothing(self, filled_settings: Settings) -> None:
        app = create_app(filled_settings, clock=lambda: NOW)
        assert ask(app.test_client(), "/estimates").status_code == 421
        app.extensions["planner"].engine.dispose()


class TestItsEnd:
    def test_it_expires(self, client: FlaskClient, keep: Keep, clock: Clock) -> None:
        keep()
        clock.now = NOW + timedelta(days=30) - timedelta(seconds=1)
        assert ask(client, "/estimates").status_code == 200
        clock.now = NOW + timedelta(days=30)
        assert ask(client, "/estimates").status_code == 401

    def test_a_revoked_one_counts_no_more(self, client: FlaskClient, keep: Keep, app: Flask) -> None:
        token_id = keep()
        assert ask(client, "/estimates").status_code == 200
        with session_factory(app.extensions["planner"].engine).begin() as session:
            revoke_token(session, token_id, NOW)
        assert ask(client, "/estimates").status_code == 401

    def test_its_last_use_is_noted_to_the_hour(self, client: FlaskClient, keep: Keep, app: Flask, clock: Clock) -> None:
        keep()
        used = []
        for minutes in (0, 59, 61):
            clock.now = NOW + timedelta(minutes=minutes)
            ask(client, "/estimates")
            with session_factory(app.extensions["planner"].engine)() as session:
                used.append(list_tokens(session)[0].last_used_at)
        assert used == [NOW, NOW, NOW + timedelta(minutes=61)]


class TestWhatItMay:
    def test_every_sort_of_operation_has_its_scopes(self) -> None:
        assert {operation.tag for operation in api.operations} == set(SCOPES)

    @pytest.mark.parametrize("scope", list(Scope))
    def test_every_operation_is_held_to_its_scope(
        self, scope: Scope, client: FlaskClient, keep: Keep, app: Flask
    ) -> None:
        """Each operation with each scope, whatever is at the address: 403 exactly where the scope is too small."""
        keep(scope)
        app.extensions["planner_gate"].pace = Pace(1e9, 10**6)  # not what this is about
        for operation in api.operations:
            path = operation.path.replace("<int(min=1, max=9223372036854775807):offer_id>", "1")
            path = "".join(part if "<" not in part else "/x" for part in _parts(path))
            needed = SCOPES[operation.tag][operation.method in WRITING]
            allowed = needed is None or scope in (needed, Scope.ADMIN)
            status = ask(client, path, method=operation.method).status_code
            assert (status != 403) == allowed, f"{operation.method} {path} with {scope}: {status}"
            assert status != 401

    def test_reading_costs_does_not_write_them(self, client: FlaskClient, keep: Keep) -> None:
        keep(Scope.READ_COSTS)
        found = problem_of(ask(client, "/estimates", method="POST"))
        assert (found["status"], "write:plans" in found["detail"]) == (403, True)

    def test_what_it_does_is_entered_under_its_name(self, client: FlaskClient, keep: Keep, world: World) -> None:
        keep(Scope.ADMIN)
        headers = {"Host": NAME, "Authorization": f"Bearer {SECRET}"}
        body = {"reason": "It hums."}
        assert client.post(f"/api/v1/devices/{world.gpu_id}/quarantine", json=body, headers=headers).status_code < 300
        (step, *_) = ask(client, f"/devices/{world.gpu_id}/quarantine").json["steps"]
        assert step["actor"] == f"api by token Finance ({SECRET[:14]}…)"

    def test_one_tokens_answer_is_not_replayed_to_another(self, client: FlaskClient, keep: Keep) -> None:
        keep(Scope.WRITE_PLANS)
        keep(Scope.WRITE_PLANS, secret="planner_of-somebody-else")
        statuses = []
        for secret in (SECRET, SECRET, "planner_of-somebody-else"):
            headers = {"Host": NAME, "Authorization": f"Bearer {secret}", "Idempotency-Key": "monthly"}
            answer = client.post("/api/v1/estimates", json={"preset": "serve-small"}, headers=headers)
            statuses.append(answer.status_code)
        assert statuses == [201, 201, 422]


class TestHowOften:
    def test_a_token_that_asks_too_often_is_told_when_it_may_again(
        self, client: FlaskClient, keep: Keep, clock: Clock
    ) -> None:
        keep()
        assert {ask(client, "/health/live").status_code for _ in range(AT_ONCE)} == {200}
        refused = ask(client, "/health/live")
        assert problem_of(refused)["status"] == 429
        clock.now += timedelta(seconds=int(refused.headers["Retry-After"]))
        assert ask(client, "/health/live").status_code == 200

    def test_guessing_is_slowed_and_a_good_token_still_goes_through(self, client: FlaskClient, keep: Keep) -> None:
        keep()
        statuses = [ask(client, "/estimates", "planner_guess").status_code for _ in range(FAILED_AT_ONCE + 1)]
        assert statuses == [401] * FAILED_AT_ONCE + [429]
        assert ask(client, "/estimates").status_code == 200

    def test_a_pace_is_refilled_evenly_and_each_name_has_its_own(self) -> None:
        pace = Pace(per_minute=60, at_once=2)
        assert [pace.wait_seconds("a", NOW) for _ in range(3)] == [0, 0, 1]
        assert pace.wait_seconds("b", NOW) == 0
        assert pace.wait_seconds("a", NOW + timedelta(seconds=1)) == 0
        assert pace.wait_seconds("a", NOW + timedelta(seconds=1)) == 1
        assert [pace.wait_seconds("a", NOW + timedelta(hours=1)) for _ in range(3)] == [0, 0, 1]


def test_a_refusal_is_logged_without_the_secret(
    client: FlaskClient, keep: Keep, capsys: pytest.CaptureFixture[str]
) -> None:
    keep()
    ask(client, "/estimates", "planner_guess")
    ask(client, "/devices")
    told = capsys.readouterr().out
    assert "no token that counts" in told
    assert "lacks read:inventory" in told
    assert "planner_guess" not in told
    assert SECRET not in told


def test_the_database_does_not_hold_the_secret(keep: Keep, app: Flask) -> None:
    keep()
    engine = app.extensions["planner"].engine
    with engine.execution_options(readonly=True).connect() as connection:
        (row,) = connection.exec_driver_sql("SELECT * FROM tokens").all()
    assert not any(SECRET in str(value) for value in row)


def _parts(path: str) -> list[str]:
    return [f"/{part}" for part in path.split("/")[1:]]
