"""Price sources by page and by API: how each stands, its rule, and asking for it at once."""

from __future__ import annotations

import json
from datetime import timedelta

from flask import Flask
from flask.testing import FlaskClient

from planner.readers.registry import SOURCES
from planner.services.price_sources import claim_due_sources, record_failure
from planner.store.engine import session_factory
from tests.builders import NOW
from tests.web.conftest import Send, problem_of
from tests.web.test_imports import TEMPLATE, bring_in

API = "/api/v1/price-sources"


def test_every_source_is_listed_with_how_it_stands(client: FlaskClient) -> None:
    bring_in(client, TEMPLATE)
    listed = json.loads(client.get(API).data)["sources"]
    assert [source["name"] for source in listed] == list(SOURCES)
    own = next(source for source in listed if source["name"] == "own")
    assert (own["state"], own["age_days"], own["last_num_rows"], own["next_due"]) == ("read well", 0, 1, None)
    page = client.get("/price-sources").text
    assert all(f"<code>{name}</code>" in page for name in SOURCES)
    assert "PLANNER_GOOGLE_API_KEY" in page


def test_regions_that_nobody_uses_are_folded_by_family(send: Send, client: FlaskClient) -> None:
    assert send("/price-sources/aws-spot-us-east-1/refresh").status_code == 303
    shown, folded = client.get("/price-sources").text.split("<details", 1)
    assert "<code>azure</code>" in shown
    assert "<code>aws-spot-us-east-1</code>" in shown
    assert "<code>aws-spot-us-east-2</code>" not in shown
    assert "AWS spot prices (DescribeSpotPriceHistory, JSON): 12 more, never read" in folded


def test_a_source_is_asked_for_and_its_failure_stands_in_words(send: Send, client: FlaskClient, app: Flask) -> None:
    assert send("/price-sources/oci/refresh").headers["Location"].endswith("/price-sources/oci")
    assert "asked for" in client.get("/price-sources/oci").text
    sessions = session_factory(app.extensions["planner"].engine)
    with sessions.begin() as session:
        assert [source.name for source in claim_due_sources(session, NOW)] == ["oci"]
    assert json.loads(client.get(f"{API}/oci").data)["state"] == "being read"
    with sessions.begin() as session:
        record_failure(session, "oci", "apexapps.oracle.com answered 503 <Busy>.", NOW + timedelta(seconds=1))
    page = client.get("/price-sources").text
    assert "answered 503 &lt;Busy&gt;." in page
    assert "failing" in page


def test_a_rule_is_kept_changed_and_refused(send: Send, client: FlaskClient) -> None:
    rule = {"cron": "30 5 * * *", "timezone": "Europe/Berlin", "enabled": "true", "allow_large_changes": "spot"}
    assert send("/price-sources/azure", rule).status_code == 303
    kept = json.loads(client.get(f"{API}/azure").data)
    assert (kept["enabled"], kept["timezone"], kept["allowed_changes"]) == (True, "Europe/Berlin", "spot")
    assert kept["next_due"] is not None
    assert "05:30" in client.get("/price-sources/azure").text
    assert send("/price-sources/azure", {**rule, "cron": "0 0 31 2 *"}).status_code == 422
    assert send("/price-sources/azure", {"cron": "0 6 * * *", "timezone": "UTC"}).status_code == 303
    assert json.loads(client.get(f"{API}/azure").data)["enabled"] is False


def test_the_api_sets_a_rule_and_asks(client: FlaskClient) -> None:
    put = client.put(f"{API}/vast", json={"cron": "0 * * * *"})
    assert (put.status_code, json.loads(put.data)["enabled"]) == (200, True)
    asked = client.post(f"{API}/vast/refresh")
    assert (asked.status_code, asked.headers["Location"]) == (202, f"{API}/vast")
    assert json.loads(asked.data)["state"] == "asked for"
    refused = client.post(f"{API}/history-aws/refresh")
    assert (refused.status_code, "files only" in problem_of(refused)["detail"]) == (409, True)
    assert client.put(f"{API}/own", json={}).status_code == 409
    assert client.put(f"{API}/nonesuch", json={}).status_code == 404
    assert client.get("/price-sources/nonesuch").status_code == 404
