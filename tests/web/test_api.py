"""The REST twins: the same facts and the same sentences as the pages, and nothing taken that is not understood."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from planner.estimates.estimate import Option
from planner.services.estimates import EstimateView
from planner.web.api.views import EstimateAnswer, OptionView
from planner.web.exports import cell
from tests.web.conftest import problem_of
from tests.web.world import World

Rows = Callable[[], dict[str, int]]


def get(client: FlaskClient, address: str) -> Any:
    answer = client.get(f"/api/v1{address}")
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "application/json"
    return json.loads(answer.data)


class TestReading:
    def test_devices_say_why_a_figure_is_unknown(self, client: FlaskClient, world: World) -> None:
        found = get(client, f"/devices/{world.cpu_id}")
        assert found["power_limit_watts"] is None
        assert found["unknown"]["power_limit_watts"] == "a CPU has no driver that tells it"
        assert [device["id"] for device in get(client, "/devices")["devices"]] == [world.gpu_id, world.cpu_id]

    def test_a_catalogue_figure_has_its_source_and_date(self, client: FlaskClient) -> None:
        found = get(client, "/gpus/H100-80GB-SXM")
        assert found["memory_bytes"]["value"] == 80e9
        assert found["memory_bytes"]["source"]
        assert found["memory_bytes"]["as_of"][:2] == "20"

    def test_amounts_are_decimal_strings_without_exponent(self, client: FlaskClient) -> None:
        for item in get(client, "/prices?limit=200")["prices"]:
            if item["price"] is not None and item["price"]["amount"] is not None:
                assert Decimal(item["price"]["amount"]) > 0
                assert "e" not in item["price"]["amount"].lower()
            else:
                assert item["per_gpu_hour"] is None

    def test_prices_of_a_day_before_the_first_are_unknown_and_not_zero(self, client: FlaskClient) -> None:
        found = get(client, "/prices?limit=5&as_of=2020-01-01T00:00:00Z")["prices"]
        assert found
        assert all(item["price"] is None and item["per_gpu_hour"] is None for item in found)

    def test_a_cursor_goes_on_where_the_page_ended(self, client: FlaskClient) -> None:
        whole = [item["offer_id"] for item in get(client, "/prices?limit=30")["prices"]]
        first = get(client, "/prices?limit=15")
        second = get(client, f"/prices?limit=15&after={first['next_after']}")
        assert [item["offer_id"] for item in first["prices"] + second["prices"]] == whole

    def test_the_history_of_an_offer_has_price_ids(self, client: FlaskClient, world: World) -> None:
        found = get(client, f"/prices/{world.offer}/history")
        assert found["prices"][0]["price_id"]
        assert get(client, f"/prices/{world.offer}")["offer"] == found["offer"]

    def test_a_run_comes_with_samples_failures_telemetry_and_history(self, client: FlaskClient, world: World) -> None:
        found = get(client, f"/calibrations/{world.finished_run}")
        assert found["state"] == "succeeded"
        assert len(found["samples"]) == found["num_benches"] - 1
        assert found["failures"][0]["error_class"] == "oom"
        assert len(found["telemetry"]) == 40
        assert [step["state"] for step in found["transitions"]] == ["queued", "claimed", "running", "succeeded"]

    def test_a_plan_says_what_would_happen_and_starts_nothing(
        self, client: FlaskClient, world: World, count_rows: Rows
    ) -> None:
        before = count_rows()
        found = get(client, f"/calibrations/plan?device_id={world.gpu_id}&suite=quick")
        assert found["expected_seconds"] < found["time_limit_seconds"]
        assert len(found["benches"]) == found["num_benches"]
        assert count_rows() == before

    def test_an_estimate_is_cut_to_what_was_asked_and_says_how_much_there_is(
        self, client: FlaskClient, world: World
    ) -> None:
        found = get(client, f"/estimates/{world.training}?options=3&rejections=0")
        assert len(found["options"]) == 3
        assert found["rejections"] == []
        assert found["num_options"] > 100
        best = found["options"][0]
        assert best["seconds"]["low"] <= best["seconds"]["mid"] <= best["seconds"]["high"]
        assert best["placement"]["price_id"] in found["price_ids"]

    def test_api_and_page_show_the_same_best_option(self, client: FlaskClient, world: World) -> None:
        title = get(client, f"/estimates/{world.training}?options=1")["options"][0]["placement"]["title"]
        assert title in client.get(f"/estimates/{world.training}").text

    def test_the_answer_in_short_points_at_options_and_counts_every_rejection(
        self, client: FlaskClient, world: World
    ) -> None:
        found = get(client, f"/estimates/{world.training}")
        names = {name: choice["rank"] for choice in found["choices"] for name in choice["names"]}
        assert names["the cheapest"] == 0
        seconds = [option["seconds"]["mid"] for option in found["options"]]
        assert names["the fastest"] >= len(seconds) or seconds[names["the fastest"]] == min(seconds)
        assert sum(lack["num_rejected"] for lack in found["common_lacks"]) == found["num_rejections"] > 0
        assert found["common_lacks"][0]["first"]["reason"]
        assert found["common_lacks"][0]["way_out"]

    def test_due_times_of_a_rule_are_told_without_storing_it(self, client: FlaskClient) -> None:
        found = get(client, "/due-times?cron=0+3+*+*+6&timezone=Europe/Berlin&number=2")
        assert found["next_due"] == ["2026-11-28T02:00:00Z", "2026-12-05T02:00:00Z"]

    def test_lists_of_runs_and_estimates_go_on_by_cursor(self, client: FlaskClient, world: World) -> None:
        first = get(client, "/estimates?limit=2")
        assert first["next_after"] == first["estimates"][-1]["id"]
        rest = get(client, f"/estimates?limit=2&after={first['next_after']}")
        assert [item["id"] for item in rest["estimates"]] == [world.training]
        assert rest["next_after"] is None
        runs = get(client, f"/calibrations?device_id={world.gpu_id}")["calibrations"]
        assert [run["id"] for run in runs] == [world.finished_run]

    def test_offers_are_listed_without_prices_by_the_same_filters(self, client: FlaskClient) -> None:
        offers, prices = (get(client, f"/{name}?gpu=H100-80GB-SXM&limit=5") for name in ("offers", "prices"))
        assert [item["offer_id"] for item in offers["offers"]] == [item["offer_id"] for item in prices["prices"]]
        assert offers["offers"][0]["offer"] == prices["prices"][0]["offer"]
        assert offers["next_after"] == prices["next_after"]

    def test_health_tells_a_live_process_from_a_usable_database(self, client: FlaskClient) -> None:
        assert get(client, "/health/live") == {"status": "ok"}
        assert get(client, "/health/ready") == {"status": "ok"}

    def test_nothing_of_a_service_view_is_lost_on_the_way(self) -> None:
        assert set(Option.__dataclass_fields__) == set(OptionView.__dataclass_fields__)
        counted = {"options", "rejections", "num_options", "num_rejections"}
        made = counted | {"frontier", "contests", "choices", "common_lacks"}
        shown = set(EstimateAnswer.__dataclass_fields__) - made
        assert set(EstimateView.__dataclass_fields__) - {"answer"} == shown


class TestCaching:
    def test_an_unchanged_answer_is_304_without_a_body(self, client: FlaskClient) -> None:
        first = client.get("/api/v1/gpus")
        again = client.get("/api/v1/gpus", headers={"If-None-Match": first.headers["ETag"]})
        assert again.status_code == 304
        assert again.data == b""

    def test_a_changed_answer_has_another_etag(self, client: FlaskClient, world: World) -> None:
        before = client.get("/api/v1/schedules").headers["ETag"]
        assert client.delete(f"/api/v1/schedules/{world.schedule}").status_code == 204
        answer = client.get("/api/v1/schedules", headers={"If-None-Match": before})
        assert answer.status_code == 200


class TestWriting:
    def test_an_estimate_is_made_with_numbers_in_words(self, client: FlaskClient) -> None:
        body = {"preset": "finetune-small", "tokens": "300M", "goal": "time", "gpus": ["H100-80GB-SXM"]}
        answer = client.post("/api/v1/estimates", json=body)
        assert answer.status_code == 201
        made = json.loads(answer.data)
        assert made["job"]["num_tokens"] == 300e6
        assert get(client, answer.headers["Location"].removeprefix("/api/v1")) == made

    def test_a_calibration_is_queued_and_can_be_cancelled(self, client: FlaskClient, world: World) -> None:
        answer = client.post("/api/v1/calibrations", json={"device_id": world.gpu_id, "suite": "smoke"})
        assert answer.status_code == 202
        address = answer.headers["Location"]
        assert client.post(f"{address}/cancel").status_code == 202
        assert get(client, address.removeprefix("/api/v1"))["state"] == "cancelled"
        assert problem_of(client.post(f"{address}/cancel"))["status"] == 409

    def test_a_schedule_is_made_changed_run_and_taken_away(self, client: FlaskClient, world: World) -> None:
        body = {"name": "Nightly", "cron": "0 3 * * *", "device_id": world.gpu_id}
        answer = client.post("/api/v1/schedules", json=body)
        assert answer.status_code == 201
        address = answer.headers["Location"]
        changed = client.put(address, json={**body, "enabled": False})
        assert json.loads(changed.data)["next_due"] == []
        queued = client.post(f"{address}/run")
        assert queued.status_code == 202
        assert len(json.loads(queued.data)["queued"]) == 1
        assert client.delete(address).status_code == 204
        assert client.get(address).status_code == 404

    def test_page_and_api_refuse_with_the_same_sentence(self, client: FlaskClient, send: Any) -> None:
        asked = {"kind": "training", "architecture": "smollm-135m", "tokens": "lots"}
        errors = problem_of(client.post("/api/v1/estimates", json=asked))["errors"]
        sentence = next(error["message"] for error in errors if error["field"] == "tokens")
        assert sentence.replace("'", "&#39;") in send("/estimates", asked).text

    @pytest.mark.parametrize(
        ("address", "body", "field"),
        [
            ("/estimates", {}, "kind"),
            ("/estimates", {"preset": "nobody"}, "preset"),
            ("/estimates", {"preset": "finetune-small", "tokens": True}, "tokens"),
            ("/estimates", {"preset": "finetune-small", "tokens": -5}, "tokens"),
            ("/estimates", {"preset": "finetune-small", "tokens": [1]}, "tokens"),
            ("/estimates", {"preset": "finetune-small", "gpus": "H100"}, "gpus"),
            ("/estimates", {"preset": "finetune-small", "gpus": ["H1000"]}, "gpus"),
            ("/estimates", {"preset": "finetune-small", "offer_kinds": ["stolen"]}, "offer_kinds.0"),
            ("/estimates", {"preset": "finetune-small", "as_of": 2026}, "as_of"),
            ("/estimates", {"preset": "finetune-small", "as_of": "0001-01-01T00:00:00+14:00"}, "as_of"),
            ("/estimates", {"preset": "finetune-small", "budget": 1e13}, "budget"),
            ("/estimates", {"preset": "finetune-small", "name": "a\0b"}, "name"),
            ("/estimates", {"preset": "finetune-small", "name": "\ud800"}, "name"),
            ("/estimates", {"preset": "finetune-small", "surprise": 1}, "surprise"),
            ("/calibrations", {}, "device_id"),
            ("/calibrations", {"device_id": 7}, "device_id"),
            ("/calibrations", {"device_id": "{gpu}", "suite": "endless"}, "suite"),
            ("/schedules", {"name": "x"}, "cron"),
            ("/schedules", {"name": "x", "cron": "sometimes"}, "cron"),
            ("/schedules", {"name": "x", "cron": "0 3 * * *", "timezone": "Mars"}, "timezone"),
            ("/schedules", {"name": "x", "cron": "0 3 * * *", "device_id": "nobody"}, "device_id"),
            ("/schedules", {"name": "Weekly check", "cron": "0 3 * * *"}, "name"),
        ],
    )
    def test_a_bad_field_is_named_and_nothing_is_written(
        self, address: str, body: dict[str, Any], field: str, client: FlaskClient, world: World, count_rows: Rows
    ) -> None:
        before = count_rows()
        filled = {name: text.format(gpu=world.gpu_id) if text == "{gpu}" else text for name, text in body.items()}
        found = problem_of(client.post(f"/api/v1{address}", json=filled))
        assert found["status"] == 422
        assert field in [error["field"] for error in found["errors"]]
        assert count_rows() == before


class TestRefusing:
    @pytest.mark.parametrize(
        ("data", "content_type", "status"),
        [
            (b"{}", "text/plain", 415),
            (b"a=1", "application/x-www-form-urlencoded", 415),
            (b"", None, 415),
            (b"", "application/json", 400),
            (b"{", "application/json", 400),
            (b'{"a": 1, "a": 2}', "application/json", 400),
            (b'{"a": NaN}', "application/json", 400),
            (b"\xff", "application/json", 400),
            (b"[" * 100_000, "application/json", 400),
            (b'{"tokens": ' + b"9" * 5000 + b"}", "application/json", 400),
            (b"[]", "application/json", 422),
            (b"null", "application/json", 422),
            (b'{"name": "' + b"x" * 300_000 + b'"}', "application/json", 413),
        ],
    )
    def test_a_body_that_is_no_json_object_is_refused(
        self, data: bytes, content_type: str | None, status: int, client: FlaskClient, count_rows: Rows
    ) -> None:
        before = count_rows()
        answer = client.post("/api/v1/estimates", data=data, content_type=content_type)
        assert problem_of(answer)["status"] == status
        assert count_rows() == before

    @pytest.mark.parametrize(
        ("address", "field"),
        [
            ("/prices?limit=0", "limit"),
            ("/prices?gpu=a&gpu=b", "gpu"),
            ("/prices?colour=red", "colour"),
            ("/prices?after=zzz", "after"),
            ("/prices?as_of=2026", "as_of"),
            ("/prices.csv?kind=rent", "kind"),
            ("/gpus?vendor=Acme", "vendor"),
            ("/devices?limit=5", "limit"),
            ("/calibrations?state=bored", "state"),
            ("/calibrations/plan", "device_id"),
            ("/estimates?limit=0", "limit"),
            ("/due-times?cron=x", "cron"),
            ("/due-times", "cron"),
        ],
    )
    def test_a_bad_parameter_is_named(self, address: str, field: str, client: FlaskClient) -> None:
        found = problem_of(client.get(f"/api/v1{address}"))
        assert found["status"] == 422
        assert field in [error["field"] for error in found["errors"]]

    @pytest.mark.parametrize(
        "address",
        [
            "/nothing",
            "/devices/x",
            "/gpus/H1000",
            "/prices/0",
            "/prices/9999999",
            "/prices/99999999999999999999999999",
            "/prices/9999999/history",
            "/calibrations/x",
            "/calibrations/" + "x" * 300,
            "/schedules/x",
            "/estimates/x",
            "/estimates/x.csv",
            "/devices/a%00b",
        ],
    )
    def test_what_is_not_there_is_a_problem_document(self, address: str, client: FlaskClient) -> None:
        assert problem_of(client.get(f"/api/v1{address}"))["status"] == 404

    def test_a_method_that_is_not_taken_says_which_are(self, client: FlaskClient) -> None:
        answer = client.delete("/api/v1/devices")
        assert problem_of(answer)["status"] == 405
        assert "GET" in answer.headers["Allow"]

    def test_the_type_of_a_problem_leads_to_its_explanation(self, client: FlaskClient) -> None:
        kind = problem_of(client.get("/api/v1/devices/x"))["type"]
        page, _, anchor = kind.partition("#")
        assert f'id="{anchor}"' in client.get(page).text


class TestCsv:
    def test_prices_have_one_line_per_offer_and_empty_cells_for_unknown(self, client: FlaskClient) -> None:
        answer = client.get("/api/v1/prices.csv?as_of=2020-01-01T00:00:00Z&provider=aws")
        assert answer.content_type.startswith("text/csv; charset=utf-8")
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
        lines = list(csv.DictReader(StringIO(answer.data.decode())))
        assert len(lines) > 50
        assert {line["price_per_hour"] for line in lines} == {""}
        assert {line["unknown_reason"] for line in lines} == {"no price held at that moment"}

    def test_an_estimate_has_all_options_in_order_and_all_rejections(self, client: FlaskClient, world: World) -> None:
        whole = get(client, f"/estimates/{world.training}?options=1")
        lines = list(csv.DictReader(StringIO(client.get(f"/api/v1/estimates/{world.training}.csv").data.decode())))
        assert [line["outcome"] for line in lines].count("option") == whole["num_options"]
        assert [line["outcome"] for line in lines].count("rejection") == whole["num_rejections"]
        assert float(lines[0]["seconds_mid"]) == pytest.approx(whole["options"][0]["seconds"]["mid"])

    def test_text_that_a_spreadsheet_would_compute_is_guarded_and_numbers_are_not(self) -> None:
        assert cell("=1+1") == "'=1+1"
        assert cell("@cmd") == "'@cmd"
        assert cell("\tx") == "'\tx"
        assert cell(-1.5) == "-1.5"
        assert cell(Decimal("-3E+7")) == "-30000000"
        assert cell(1e-7) == "0.0000001"
        assert cell(None) == ""


def test_a_write_is_committed_and_a_failing_one_is_rolled_back(app: Flask, count_rows: Rows, world: World) -> None:
    client = app.test_client()
    before = count_rows()
    assert client.post("/api/v1/estimates", json={"preset": "serve-small"}).status_code == 201
    after = count_rows()
    assert after["estimates"] == before["estimates"] + 1
    assert client.post("/api/v1/calibrations", json={"device_id": world.cpu_id}).status_code == 409
    assert count_rows() == after
