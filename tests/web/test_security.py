"""Who is answered, what a browser is told, and that no form is taken without its token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from planner.settings import Settings
from planner.store.engine import make_engine
from planner.store.migrate import downgrade, upgrade
from planner.web.app import create_app
from planner.web.security import CONTENT_SECURITY_POLICY
from tests.web.conftest import Send, problem_of
from tests.web.world import World

ANSWERS = ("/", "/prices", "/nothing", "/api/v1/devices", "/api/v1/nothing", "/api/v1/openapi.json")


@pytest.mark.parametrize("address", ANSWERS)
def test_every_answer_carries_the_headers(address: str, client: FlaskClient) -> None:
    headers = client.get(address).headers
    assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Content-Type"].startswith(("text/html; charset=utf-8", "application/"))


def test_pages_are_not_stored_and_static_files_are_kept_for_ever(app: Flask, client: FlaskClient) -> None:
    assert client.get("/").headers["Cache-Control"] == "no-store"
    with app.test_request_context():
        address = app.jinja_env.globals["asset"]("css/planner.css")
    answer = client.get(address, buffered=True)
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.content_type.startswith("text/css")


@pytest.mark.parametrize(
    "address",
    [
        "/static/0000000000000000/css/planner.css",
        "/static/0000000000000000/../app.py",
        "/static/x/%2e%2e/app.py",
        "/static/css/planner.css",
    ],
)
def test_only_listed_files_are_served_and_only_under_their_hash(address: str, client: FlaskClient) -> None:
    assert client.get(address).status_code == 404


def test_pages_hold_no_inline_script_or_style(client: FlaskClient, world: World) -> None:
    for page in ("/", "/prices", f"/estimates/{world.training}", f"/calibrations/{world.finished_run}"):
        text = client.get(page).text
        assert "<style" not in text
        assert ' style="' not in text
        assert ' onclick="' not in text
        assert "<script>" not in text


def test_the_session_cookie_is_closed_to_scripts_and_other_sites(client: FlaskClient) -> None:
    cookie = client.get("/schedules/new").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "10.0.0.5:8750", ""])
def test_a_name_that_is_not_this_machines_is_refused(host: str, client: FlaskClient) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 421
    assert problem_of(client.get("/api/v1/devices", headers={"Host": host}))["status"] == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:8750", "127.0.0.1:8750", "[::1]:8750", "LOCALHOST"])
def test_names_of_this_machine_are_answered(host: str, client: FlaskClient) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("peer", ["192.0.2.7", "10.0.0.5", "2001:db8::1", "nonsense"])
def test_another_machine_is_refused_with_the_reason(peer: str, client: FlaskClient) -> None:
    answer = client.get("/", environ_base={"REMOTE_ADDR": peer})
    assert answer.status_code == 403
    assert "no accounts yet" in answer.text


def test_a_forwarded_address_is_not_believed(client: FlaskClient) -> None:
    headers = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost"}
    assert client.get("/", headers=headers, environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 403


WRITES = ("/estimates", "/calibrations", "/schedules", "/schedules/x/delete", "/calibrations/x/cancel")


@pytest.mark.parametrize("address", WRITES)
def test_a_form_without_its_token_is_refused(
    address: str, client: FlaskClient, count_rows: Callable[[], dict[str, int]]
) -> None:
    before = count_rows()
    for fields in ({}, {"csrf_token": "forged"}):
        answer = client.post(address, data=fields)
        assert answer.status_code == 400
        assert "Load the page again" in answer.text
    assert count_rows() == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_sites_page_may_not_write(
    headers: dict[str, str], client: FlaskClient, world: World, count_rows: Callable[[], dict[str, int]]
) -> None:
    before = count_rows()
    assert client.post("/api/v1/estimates", json={"preset": "serve-small"}, headers=headers).status_code == 403
    assert client.post(f"/api/v1/calibrations/{world.running_run}/cancel", headers=headers).status_code == 403
    assert client.post("/estimates", data={}, headers=headers).status_code == 403
    assert count_rows() == before


def test_this_sites_own_page_may_write(send: Send, client: FlaskClient) -> None:
    answer = client.post(
        "/api/v1/estimates",
        json={"preset": "serve-small"},
        headers={"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
    )
    assert answer.status_code == 201


def test_reading_never_writes(client: FlaskClient, count_rows: Callable[[], dict[str, int]]) -> None:
    before = count_rows()
    for address in ("/", "/estimates/new?preset=serve-small", "/calibrations/new", "/api/v1/estimates"):
        client.get(address)
    assert count_rows() == before


def test_a_body_above_the_limit_is_not_read(client: FlaskClient) -> None:
    answer = client.post("/estimates", data={"name": "x" * 300_000})
    assert answer.status_code == 413


def test_a_fault_of_ours_tells_nothing_of_the_inside(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> str:
        raise RuntimeError("a secret path /var/secret")

    app.view_functions["pages.home"] = broken
    answer = app.test_client().get("/")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "A fault of ours" in answer.text
    assert "a secret path" in capsys.readouterr().out


def test_an_out_of_date_database_says_what_to_run_and_heals_without_a_restart(settings: Settings) -> None:
    downgrade(settings.database_url, "base")
    app = create_app(settings)
    client = app.test_client()
    page = client.get("/")
    assert page.status_code == 503
    assert "planner db upgrade" in page.text
    assert problem_of(client.get("/api/v1/devices"))["type"].endswith("#database-out-of-date")
    assert problem_of(client.get("/api/v1/health/ready"))["status"] == 503
    assert client.get("/api/v1/health/live").status_code == 200
    upgrade(settings.database_url)
    assert client.get("/").status_code == 200
    app.extensions["planner"].engine.dispose()


def test_pages_are_readable_without_the_vendors_files(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from planner.web import app as web_app
    from planner.web.assets import Assets

    ours = Assets.of_package()
    bare = Assets({name: digest for name, digest in ours.hashes.items() if not name.startswith("vendor/")})
    monkeypatch.setattr(web_app.Assets, "of_package", classmethod(lambda _cls: bare))
    app = create_app(settings)
    text = app.test_client().get("/").text
    assert "/vendor/" not in text
    assert "css/planner.css" in text
    app.extensions["planner"].engine.dispose()


def test_the_server_refuses_an_out_of_date_database_before_it_listens(settings: Settings) -> None:
    from planner.errors import DatabaseOutOfDate
    from planner.web.server import serve_pages

    downgrade(settings.database_url, "base")
    with pytest.raises(DatabaseOutOfDate, match="planner db upgrade"):
        serve_pages(settings)
    make_engine(settings.database_url).dispose()
