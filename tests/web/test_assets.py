"""Owned GPUs by API and by page: entered, revised, asked about, refused, and never counted as free."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.services.test_assets import VECTOR
from tests.web.conftest import problem_of
from tests.web.world import World

Rows = Callable[[], dict[str, int]]
API = "/api/v1/assets"


def enter(client: FlaskClient, **changes: Any) -> dict[str, Any]:
    given = {name: value for name, value in (VECTOR | changes).items() if value is not None}
    answer = client.post(API, json=given)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = json.loads(answer.data)
    assert answer.headers["Location"] == f"{API}/{found['id']}"
    return found


def cost(client: FlaskClient, asset_id: str, query: str = "") -> dict[str, Any]:
    answer = client.get(f"{API}/{asset_id}/cost{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = json.loads(answer.data)
    return found


class TestApi:
    def test_the_check_vectors_come_out_as_decimal_strings(self, client: FlaskClient) -> None:
        asset = enter(client)
        found = cost(client, asset["id"], "?utilisation=0.6&rent=2.29")
        assert found["economic"]["used_hour"][:6] == "2.6685"
        assert found["economic"]["wall_hour"]["parts"]["capital"][:6] == "1.2437"
        assert float(found["economic"]["wall_hour"]["total"]) == pytest.approx(2.6685 * 0.6, abs=1e-4)
        first = found["rents"][0]
        assert (first["rent"]["words"], first["rent"]["rent_per_hour"]) == ("as asked", "2.29")
        assert first["rent"]["break_even_utilisation"][:6] == "0.7046"
        assert first["owning_is_cheaper"] is False
        assert found["years"][-1]["year"]["worth_so_far"][:12] == first["rent"]["net_present_value"][:12]
        assert found["swings"][0]["name"] == "utilisation"

    def test_the_books_spread_the_purchase_in_equal_parts(self, client: FlaskClient) -> None:
        found = cost(client, enter(client, utilisation="60 %")["id"])
        assert float(found["accounting"]["wall_hour"]["parts"]["capital"]) == pytest.approx(8000 / 8760)
        assert found["accounting"]["wall_hour"]["parts"]["energy"] == found["economic"]["wall_hour"]["parts"]["energy"]

    def test_rents_are_real_offers_of_that_gpu_with_their_source(self, client: FlaskClient) -> None:
        found = cost(client, enter(client, gpu_key="H100-80GB-SXM", utilisation="0.6")["id"])
        kinds = {(line["rent"]["kind"], line["rent"]["rank"]) for line in found["rents"]}
        assert {("on_demand", "cheapest"), ("on_demand", "median"), ("spot", "cheapest")} <= kinds
        for line in found["rents"]:
            offer = json.loads(client.get(f"/api/v1/prices/{line['rent']['offer_id']}").data)
            assert offer["per_gpu_hour"] == line["rent"]["rent_per_hour"]
            assert offer["offer"]["gpu_key"] == "H100-80GB-SXM"
            assert offer["price"]["source"] == line["rent"]["source"]
        assert len(found["years"]) == 5

    def test_an_asset_in_another_currency_needs_a_rate_and_takes_none_for_1(self, client: FlaskClient) -> None:
        found = cost(client, enter(client, currency="EUR", gpu_key="H100-80GB-SXM", utilisation="0.6")["id"])
        assert found["rents"] == []
        assert found["rents_unknown"] == "no offer of this GPU has a price that can be compared"
        assert list(found["rents_left_out"]) == ["no exchange rate from USD is known"]

    def test_without_a_utilisation_the_used_hour_is_null_with_its_reason(self, client: FlaskClient) -> None:
        asset = enter(client)
        found = cost(client, asset["id"], "?rent=2.29")
        assert (found["utilisation"], found["economic"], found["accounting"], found["years"]) == (None, None, None, [])
        assert found["unknown"] == "how much it is used is neither given nor measured"
        rent = found["rents"][0]["rent"]
        assert rent["break_even_utilisation"][:6] == "0.7046"
        assert rent["net_present_value"] is None
        assert rent["unknown"]["net_present_value"] == found["unknown"]
        listed = json.loads(client.get(API).data)["assets"]
        assert [(item["used_hour"], item["wall_hour"], item["unknown"]) for item in listed] == [
            (None, None, found["unknown"])
        ]

    def test_measured_utilisation_is_used_and_says_so(self, client: FlaskClient, world: World) -> None:
        asset = enter(client, device_ids=[world.gpu_id], gpu_key=None)
        found = cost(client, asset["id"])
        assert found["utilisation"]["basis"] == "measured"
        assert found["utilisation"] == found["measured_utilisation"]
        assert found["utilisation"]["words"].startswith("measured: 40 readings in 1 runs")
        given = cost(client, asset["id"], "?utilisation=0.5")
        assert (given["utilisation"]["share"], given["utilisation"]["words"]) == ("0.5", "as asked")
        assert given["measured_utilisation"] == found["utilisation"]

    def test_what_it_would_cost_is_answered_without_a_row(self, client: FlaskClient, count_rows: Rows) -> None:
        before = count_rows()
        answer = client.post("/api/v1/asset-costs", json={"price": "40000", "busy_kw": 1.275, "utilisation": "60 %"})
        assert answer.status_code == 200, answer.text
        found = json.loads(answer.data)
        assert (found["asset_id"], found["version"]) == (None, None)
        assert {item["field"] for item in found["assumptions"]} == set(VECTOR) - {"name", "price", "busy_kw"}
        assert found["economic"]["used_hour"] is not None
        assert count_rows() == before

    def test_a_stored_asset_and_the_same_one_imagined_cost_the_same(self, client: FlaskClient) -> None:
        asked = {"gpu_key": "H100-80GB-SXM", "lead_time_days": 90}
        stored = cost(client, enter(client, **asked)["id"], "?utilisation=0.7&rent=3.10&rent_decline=5%25")
        body = VECTOR | asked | {"utilisation": "0.7", "rent": "3.10", "rent_decline": "5 %"}
        imagined = json.loads(client.post("/api/v1/asset-costs", json=body).data)
        ids = {"asset_id", "version"}
        assert {name: value for name, value in stored.items() if name not in ids} == {
            name: value for name, value in imagined.items() if name not in ids
        }

    def test_ranges_can_be_edited(self, client: FlaskClient) -> None:
        asset = enter(client, utilisation="0.6")
        found = cost(client, asset["id"], "?price_low=36000&price_high=60000")
        swing = next(item for item in found["swings"] if item["name"] == "price")
        assert (swing["low"], swing["high"]) == ("36000", "60000")

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("price_low=36000", "price_high"),
            ("price_low=36000&price_high=35000", "price_high"),
            ("price_low=1000&price_high=35000", "residual"),
            ("utilisation_low=0&utilisation_high=1", "utilisation_low"),
            ("utilisation=2", "utilisation"),
            ("rent=0", "rent"),
            ("rent=free", "rent"),
            ("colour=red", "colour"),
        ],
    )
    def test_a_question_that_cannot_be_answered_names_the_field(
        self, query: str, field: str, client: FlaskClient
    ) -> None:
        asset = enter(client, utilisation="0.6")
        problem = problem_of(client.get(f"{API}/{asset['id']}/cost?{query}"))
        assert field in {each["field"] for each in problem["errors"]}

    def test_a_revision_is_appended_and_how_it_stood_stays(self, client: FlaskClient) -> None:
        asset = enter(client)
        answer = client.post(f"{API}/{asset['id']}/revisions", json=VECTOR | {"price": "35000"})
        assert (answer.status_code, json.loads(answer.data)["version"]) == (201, 2)
        found = json.loads(client.get(f"{API}/{asset['id']}").data)
        assert found["asset"]["given"]["price"] == "35000"
        assert [(each["version"], each["given"]["price"]) for each in found["revisions"]] == [
            (1, "40000"),
            (2, "35000"),
        ]

    def test_an_asset_that_was_taken_away_is_gone(self, client: FlaskClient, world: World) -> None:
        asset = enter(client, device_ids=[world.gpu_id])
        assert problem_of(client.post(API, json=VECTOR | {"device_ids": [world.gpu_id]}))["status"] == 409
        assert client.delete(f"{API}/{asset['id']}").status_code == 204
        for answer in (client.get(f"{API}/{asset['id']}"), client.delete(f"{API}/{asset['id']}")):
            assert problem_of(answer)["status"] == 404
        enter(client, device_ids=[world.gpu_id])

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"price": None}, "price"),
            ({"residual": "50000"}, "residual"),
            ({"utilisation": "0"}, "utilisation"),
            ({"availability": "0.0000001"}, "availability"),
            ({"gpu_key": "H1000"}, "gpu_key"),
            ({"colour": "red"}, "colour"),
        ],
    )
    def test_an_asset_that_cannot_be_is_refused_and_nothing_is_written(
        self, changes: dict[str, Any], field: str, client: FlaskClient, count_rows: Rows
    ) -> None:
        before = count_rows()
        given = {name: value for name, value in (VECTOR | changes).items() if value is not None}
        for address in (API, "/api/v1/asset-costs"):
            problem = problem_of(client.post(address, json=given))
            assert problem["status"] == 422
            assert field in {each["field"] for each in problem["errors"]}
        assert count_rows() == before

    def test_every_default_has_its_source(self, client: FlaskClient) -> None:
        found = json.loads(client.get("/api/v1/asset-defaults").data)["defaults"]
        assert len(found) == 14
        assert all(each["words"] and each["source"] for each in found)
