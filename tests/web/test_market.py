"""Prices over time and side by side, by page, by API and as CSV."""

from __future__ import annotations

import csv
import json
import re
from io import StringIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from planner.services.market import effective_rates
from planner.store.engine import session_factory
from tests.web.test_imports import TEMPLATE, bring_in
from tests.web.world import World

KNOWN = "known_at=2027-01-01T00:00Z"  # the second import is a moment later than the clock, which stands still
LATER = TEMPLATE.replace("17.60", "16.00").replace("2026-01-01", "2026-06-01")


def get(client: FlaskClient, address: str) -> dict[str, Any]:
    answer = client.get(f"/api/v1{address}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = json.loads(answer.data)
    return found


def rows_of(client: FlaskClient, address: str) -> list[dict[str, str]]:
    answer = client.get(f"/api/v1{address}")
    assert answer.content_type.startswith("text/csv")
    return list(csv.DictReader(StringIO(answer.text)))


@pytest.fixture
def offer_id(client: FlaskClient) -> int:
    """An offer of ours with two prices."""
    bring_in(client, TEMPLATE)
    bring_in(client, LATER)
    found = get(client, "/prices?provider=example-cloud")["prices"]
    return int(found[0]["offer_id"])


def test_the_steps_of_an_offer_by_page_api_and_csv(client: FlaskClient, offer_id: int) -> None:
    found = get(client, f"/prices/{offer_id}/steps?{KNOWN}")
    assert [(step["amount"], step["until"] is None) for step in found["steps"]] == [("17.6", False), ("16", True)]
    before = get(client, f"/prices/{offer_id}/steps?as_of=2026-03-01T00:00Z&{KNOWN}")
    assert [step["amount"] for step in before["steps"]] == ["17.6"]
    assert get(client, f"/prices/{offer_id}/steps?as_of=2025-01-01T00:00Z&{KNOWN}")["steps"] == []
    assert client.get(f"/api/v1/prices/{offer_id}/steps?known_at=2020-01-01T00:00Z").status_code == 404
    listed = rows_of(client, f"/prices/{offer_id}/history.csv?{KNOWN}")
    assert [row["price_per_hour"] for row in listed] == ["17.6", "16"]
    page = client.get(f"/prices/offers/{offer_id}?{KNOWN}").text
    assert page.count('class="line line-own"') == 1
    assert "line-own" not in client.get(f"/prices/offers/{offer_id}?as_of=2025-01-01T00:00Z&{KNOWN}").text


def test_the_old_address_of_an_offer_leads_to_the_new_one(client: FlaskClient, offer_id: int) -> None:
    answer = client.get(f"/prices/{offer_id}?as_of=2026-03-01T00:00Z")
    assert (answer.status_code, answer.headers["Location"]) == (
        308,
        f"/prices/offers/{offer_id}?as_of=2026-03-01T00:00Z",
    )


def test_the_market_of_a_gpu(client: FlaskClient, offer_id: int) -> None:
    asked = f"/gpus/H100-80GB-SXM/prices?kind=reserved_1y&{KNOWN}"
    found = get(client, asked)
    assert (found["currency"], found["points"][0]["lowest"], found["points"][-1]["lowest"]) == ("USD", "2.2", "2")
    assert found["points"][-1]["lowest_offer_id"] == offer_id
    assert rows_of(client, asked.replace("/prices?", "/prices.csv?"))[-1]["lowest"] == "2"
    assert get(client, f"{asked}&currency=EUR") | {"points": [], "others": {"USD": 1}} == get(
        client, f"{asked}&currency=EUR"
    )
    page = client.get("/prices/gpus/H100-80GB-SXM?kind=reserved_1y").text
    assert 'class="line line-rent-1"' in page
    assert client.get("/prices/gpus/H100-80GB-SXM?kind=negotiated").status_code == 200
    assert client.get("/prices/gpus/nonesuch").status_code == 404
    assert client.get("/prices/gpus/H100-80GB-SXM?kind=free").status_code == 422


def test_offers_are_compared_with_reasons(client: FlaskClient, offer_id: int, world: World) -> None:
    asked = f"offers={world.offer},{offer_id}"
    found = get(client, f"/prices/compare?{asked}")
    dear = next(each for each in found["offers"] if each["item"]["offer_id"] != found["cheapest_id"])
    assert float(dear["dearer"]) > 0
    assert dear["reasons"]
    line = next(row for row in rows_of(client, f"/prices/compare.csv?{asked}") if row["dearer"] != "0")
    assert line["reasons"].split("; ") == dear["reasons"]
    page = client.get(f"/prices/compare?offer={world.offer}&offer={offer_id}")
    assert page.status_code == 200
    assert dear["reasons"][0] in page.text
    assert client.get("/api/v1/prices/compare?offers=1,2,x").status_code == 422


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 422), ("?offer=1", 422), ("?offer=1&offer=1", 422), ("?offer=x&offer=2", 422), ("?offer=1&offer=99999", 404)],
)
def test_what_cannot_be_compared_is_said(client: FlaskClient, query: str, status: int) -> None:
    assert client.get(f"/prices/compare{query}").status_code == status


def test_work_is_priced_once_a_device_of_the_gpu_is_calibrated(client: FlaskClient, app: Flask) -> None:
    with session_factory(app.extensions["planner"].engine)() as session:
        rate = effective_rates(session)["H100-80GB-SXM"]
    page = client.get("/prices?gpu=H100-80GB-SXM&kind=on_demand").text
    assert "no device of this GPU is calibrated" not in page
    listed = get(client, "/prices?gpu=H100-80GB-SXM&kind=on_demand&limit=1")["prices"][0]
    one, two = listed["offer_id"], get(client, "/prices?gpu=H100-80GB-SXM&kind=on_demand&limit=2")["prices"][1]
    compared = get(client, f"/prices/compare?offers={one},{two['offer_id']}")["offers"][0]
    expected = float(listed["per_gpu_hour"]) * 1e15 / rate.flops_per_second
    assert float(compared["per_effective_pflop_hour"]["amount"]) == pytest.approx(expected, rel=1e-5)
    assert compared["per_effective_pflop_hour"]["fit_id"] == rate.fit_id
    assert "no device of this GPU is calibrated in bf16" in client.get("/prices?gpu=A100-80GB-SXM").text


def test_the_age_of_a_price_is_a_word_and_not_a_colour_alone(client: FlaskClient, offer_id: int) -> None:
    page = client.get("/prices?provider=example-cloud").text
    assert re.search(r'state-(good|quiet|warn)">(fresh|ageing|old)<', page)
    assert re.search(r'name="known_at"', page)
