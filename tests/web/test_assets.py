"""Owned GPUs by API and by page: entered, revised, asked about, refused, and never counted as free."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from flask import Flask
from flask.testing import FlaskClient

from planner.offers.assumptions import DEFAULTS
from tests.services.test_assets import VECTOR
from tests.web.conftest import Send, problem_of
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
        assert found["unknown"] == "how much it is used is neither given nor measured for a week"
        rent = found["rents"][0]["rent"]
        assert rent["break_even_utilisation"][:6] == "0.7046"
        assert rent["net_present_value"] is None
        assert rent["unknown"]["net_present_value"] == found["unknown"]
        listed = json.loads(client.get(API).data)["assets"]
        assert [(item["used_hour"], item["wall_hour"], item["unknown"]) for item in listed] == [
            (None, None, found["unknown"])
        ]

    def test_a_utilisation_measured_for_hours_is_told_and_not_used(self, client: FlaskClient, world: World) -> None:
        asset = enter(client, device_ids=[world.gpu_id], gpu_key=None)
        found = cost(client, asset["id"])
        assert (found["utilisation"], found["unknown"]) == (
            None,
            "how much it is used is neither given nor measured for a week",
        )
        assert found["measured_utilisation"]["basis"] == "measured"
        assert found["measured_utilisation"]["words"].startswith("measured: 40 readings in 1 run over 0.1 days")
        given = cost(client, asset["id"], "?utilisation=0.5")
        assert (given["utilisation"]["share"], given["utilisation"]["words"]) == ("0.5", "as asked")
        assert given["measured_utilisation"] == found["measured_utilisation"]

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


class TestPages:
    FORM: ClassVar[dict[str, str]] = {**VECTOR, "utilisation": "60 %", "gpu_key": "H100-80GB-SXM"}

    def test_an_asset_is_entered_revised_and_taken_away_by_form(self, send: Send, client: FlaskClient) -> None:
        made = send("/assets", self.FORM | {"rent": "2.29", "price": "40000"}, page="/assets/new")
        assert made.status_code == 303, made.text
        address = made.headers["Location"]
        shown = client.get(address).text
        assert "$2.67" in shown
        assert "$1.60" in shown
        assert "Nothing: every figure was given" in shown
        form = client.get(f"{address}/edit").text
        assert 'name="cost_of_capital" value="10 %"' in form
        revised = send(address, self.FORM | {"price": "35000"}, page=f"{address}/edit")
        assert revised.headers["Location"] == address
        assert "40000 → <strong>35000</strong>" in client.get(address).text
        assert send(f"{address}/archive", page=address).status_code == 303
        assert client.get(address).status_code == 404

    def test_rents_and_their_crossings_are_drawn_and_told(self, client: FlaskClient) -> None:
        asset = enter(client, gpu_key="H100-80GB-SXM", utilisation="0.6")
        text = client.get(f"/assets/{asset['id']}?rent=2.29").text
        assert re.search(r"A</span>\s*as asked", text)
        assert "70.5 % use" in text
        assert 'class="mark mark-cross"' in text
        assert 'class="line line-own"' in text
        offers = set(re.findall(r'href="/prices/offers/(\d+)"', text))
        assert offers == {
            str(line["rent"]["offer_id"]) for line in cost(client, asset["id"])["rents"] if line["rent"]["offer_id"]
        }

    def test_a_used_hour_without_a_utilisation_is_unknown_with_its_reason(self, client: FlaskClient) -> None:
        asset = enter(client)
        for page in ("/assets", f"/assets/{asset['id']}"):
            text = client.get(page).text
            assert "how much it is used is neither given nor measured for a week" in text
            assert "$0.00" not in text

    def test_a_device_without_an_asset_costs_unknown_and_leads_to_the_form(
        self, client: FlaskClient, world: World
    ) -> None:
        for page in ("/assets", f"/devices/{world.gpu_id}"):
            text = client.get(page).text
            link = re.search(rf'href="(/assets/new\?device_ids={world.gpu_id}[^"]*)"', text)
            assert link is not None
            form = client.get(link[1].replace("&amp;", "&")).text
            assert re.search(rf'value="{world.gpu_id}" checked', form)
        enter(client, device_ids=[world.gpu_id], utilisation="0.6")
        assert "$2.67" in client.get(f"/devices/{world.gpu_id}").text
        assert f"device_ids={world.gpu_id}" not in client.get("/assets").text

    def test_the_preview_works_without_scripts_and_keeps_nothing(self, client: FlaskClient, count_rows: Rows) -> None:
        before = count_rows()
        page = client.get("/assets/new", query_string={**self.FORM, "preview": "1", "rent": "2.29"})
        assert page.status_code == 200
        assert "$2.67" in page.text
        assert 'value="40000"' in page.text
        assert count_rows() == before
        poor = client.get("/assets/new?preview=1&name=x")
        assert poor.status_code == 422
        assert "Nothing can be said yet" in poor.text
        assert "price: the all-in" in poor.text or "price: is needed" in poor.text

    def test_the_live_preview_is_a_piece_of_a_page(self, client: FlaskClient) -> None:
        text = client.get("/assets/preview", query_string=self.FORM).text
        assert text.lstrip().startswith('<section id="preview"')
        assert "$2.67" in text
        assert "<html" not in text

    def test_every_default_is_shown_beside_its_field_with_its_source(self, client: FlaskClient) -> None:
        text = html.unescape(client.get("/assets/new").text)
        for default in DEFAULTS:
            hint = re.search(rf'id="hint-{default.field}">([^<]*)<', text)
            assert hint is not None
            assert default.words in hint[1]
            assert default.source in hint[1]

    @pytest.mark.parametrize(
        ("changes", "field"),
        [({"price": ""}, "price"), ({"residual": "50000"}, "residual"), ({"colour": "red"}, "colour")],
    )
    def test_a_bad_form_comes_back_with_what_was_typed(
        self, changes: dict[str, str], field: str, send: Send, count_rows: Rows
    ) -> None:
        before = count_rows()
        answer = send("/assets", self.FORM | changes, page="/assets/new")
        assert answer.status_code == 422
        assert f'href="#field-{field}"' in answer.text
        assert 'value="H100 rack"' in answer.text
        assert count_rows() == before

    def test_a_device_of_another_asset_is_refused_by_its_field(
        self, send: Send, client: FlaskClient, world: World
    ) -> None:
        enter(client, device_ids=[world.gpu_id])
        answer = send("/assets", self.FORM | {"device_ids": [world.gpu_id]}, page="/assets/new")
        assert answer.status_code == 409
        assert 'href="#field-device_ids"' in answer.text

    @pytest.mark.parametrize(
        "query", ["price_low=1", "utilisation=200", "price_low=1000&price_high=9000", "colour=red"]
    )
    def test_a_question_that_cannot_be_answered_still_shows_the_asset(self, query: str, client: FlaskClient) -> None:
        asset = enter(client, utilisation="0.6")
        answer = client.get(f"/assets/{asset['id']}?{query}")
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
        assert "$2.67" in answer.text

    def test_what_is_not_there_is_not_found(self, send: Send, client: FlaskClient) -> None:
        assert client.get("/assets/nobody").status_code == 404
        assert client.get("/assets/nobody/edit").status_code == 404
        assert send("/assets/nobody", self.FORM, page="/assets/new").status_code == 404
        assert send("/assets/nobody/archive", page="/assets/new").status_code == 404

    @pytest.mark.parametrize("page", ["/assets", "/assets/new", "/assets/preview", "/fx-rates", "/price-books"])
    def test_the_pages_work_on_an_empty_database(self, page: str, empty_app: Flask) -> None:
        assert empty_app.test_client().get(page).status_code == 200

    def test_an_estimate_on_a_planned_purchase_leads_to_the_assets(self, client: FlaskClient) -> None:
        enter(client, gpu_key="H100-80GB-SXM", utilisation="0.6", num_gpus=64, name="Rack of 64")
        asked = {"preset": "serve-small", "offer_kinds": ["owned"]}
        made = client.post("/api/v1/estimates", json=asked)
        text = client.get(f"/estimates/{json.loads(made.data)['id']}").text
        assert "Rack of 64, planned" in text
        assert 'href="/assets"' in text
