"""What a finance team takes into a spreadsheet: flat tables, their promises, and the recipes of docs/rest.md."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.serving import make_server

from planner.settings import Settings
from planner.store.engine import session_factory
from planner.store.tables import EstimateRow
from planner.web.api.resources import api
from planner.web.app import create_app
from tests.builders import NOW
from tests.web.conftest import problem_of
from tests.web.money import ASSET, RATE
from tests.web.world import World

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "rest.md").read_text(encoding="utf-8")
TABLES = [operation.path.removeprefix("/") for operation in api.operations if operation.is_table]


def lines(client: FlaskClient, address: str) -> list[dict[str, str]]:
    answer = client.get(f"/api/v1/{address}")
    assert answer.status_code == 200, answer.text
    assert answer.content_type.startswith("text/csv; charset=utf-8")
    return list(csv.DictReader(StringIO(answer.data.decode())))


def address_of(path: str, world: World) -> str:
    """A table's address with what the world holds in the place of its arguments."""
    plan = world.locked_plan if path.endswith("tracking.csv") else world.plan
    known = {"estimate_id": world.training, "plan_id": plan, "key": "H100-80GB-SXM", "offer_id": str(world.offer)}
    return re.sub(r"<(?:[^:<>]+(?:\([^)]*\))?:)?([^<>]+)>", lambda match: known[match[1]], path)


class TestEveryTable:
    @pytest.mark.parametrize("path", TABLES)
    def test_its_columns_are_those_of_the_guide(self, path: str, client: FlaskClient, world: World) -> None:
        shown = re.sub(r"<(?:[^:<>]+(?:\([^)]*\))?:)?([^<>]+)>", r"{\1}", path)
        (promise,) = re.findall(rf"^\| `{re.escape(shown)}` \|[^|]*\| (.*) \|$", GUIDE, re.MULTILINE)
        offers = "?offers=1,2" if path == "prices/compare.csv" else ""
        header = client.get(f"/api/v1/{address_of(path, world)}{offers}").data.decode().splitlines()[0].split(",")
        if path.startswith("estimates/"):
            header = [name for name in header if not name.endswith(("_low", "_mid", "_high"))]
            promise = re.sub(r"`_low`.*?, then ", "", promise)
        assert header == re.findall(r"`([A-Za-z_]+)`", promise)
        assert len(set(header)) == len(header)

    @pytest.mark.parametrize("path", TABLES)
    def test_it_is_refreshed_by_its_etag(self, path: str, client: FlaskClient, world: World) -> None:
        address = f"/api/v1/{address_of(path, world)}" + ("?offers=1,2" if path == "prices/compare.csv" else "")
        first = client.get(address)
        again = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")

    def test_a_byte_order_mark_is_put_where_it_is_asked_for(self, client: FlaskClient) -> None:
        plain, marked = (client.get(f"/api/v1/estimates.csv{query}") for query in ("", "?bom=true"))
        assert marked.data == b"\xef\xbb\xbf" + plain.data
        assert plain.headers["ETag"] != marked.headers["ETag"]
        assert problem_of(client.get("/api/v1/estimates.csv?bom=perhaps"))["errors"][0]["field"] == "bom"


class TestEstimates:
    def test_it_says_what_the_list_says(self, client: FlaskClient) -> None:
        listed = json.loads(client.get("/api/v1/estimates").data)["estimates"]
        table = lines(client, "estimates.csv")
        assert [row["estimate_id"] for row in table] == [item["id"] for item in listed]
        priced = [(row, item["best"]) for row, item in zip(table, listed, strict=True) if item["best"]]
        assert len(priced) == 2
        for row, best in priced:
            assert float(row["cost_per_hour_mid"]) == pytest.approx(best["cost_per_hour"])
            assert Decimal(row["cost_low"]) <= Decimal(row["cost_mid"]) <= Decimal(row["cost_high"])
            assert (row["currency"], row["gpu_key"]) == ("USD", best["gpu_key"])

    def test_where_nothing_fits_the_figures_are_empty_with_the_reason(self, client: FlaskClient, world: World) -> None:
        (row,) = [row for row in lines(client, "estimates.csv") if row["estimate_id"] == world.nothing_fits]
        assert (row["cost_mid"], row["best"]) == ("", "")
        assert row["unknown_reason"] == "no option: every place was rejected"

    def test_one_listed_before_ranges_were_kept_says_where_they_are(
        self, client: FlaskClient, world: World, app: Flask
    ) -> None:
        with session_factory(app.extensions["planner"].engine).begin() as session:
            row = session.scalars(select(EstimateRow).where(EstimateRow.id == world.training)).one()
            kept = ("title", "seconds", "tokens_per_second", "cost", "cost_per_hour", "currency", "basis")
            row.summary = {**row.summary, "best": {name: row.summary["best"][name] for name in kept}}
        (line,) = [row for row in lines(client, "estimates.csv") if row["estimate_id"] == world.training]
        assert line["cost_mid"]
        assert line["cost_low"] == ""
        assert f"estimates/{world.training}.csv" in line["unknown_reason"]

    def test_an_unknown_figure_of_an_option_has_its_reason(self, client: FlaskClient, world: World) -> None:
        rows = [row for row in lines(client, f"estimates/{world.training}.csv") if row["outcome"] == "option"]
        unknown = [row for row in rows if not row["cost_mid"]]
        assert unknown
        assert all("cost" in row["unknown_reason"] for row in unknown)

    @pytest.mark.parametrize(
        ("query", "number"),
        [
            ("since=2026-11-21", 3),
            ("since=2026-11-22", 0),
            ("before=2026-11-21", 0),
            ("before=2026-11-22", 3),
            ("since=2026-11-21T09:00:01Z", 2),
            ("before=2026-11-21T10:00:01%2B01:00", 1),
            ("kind=inference", 1),
            ("limit=2", 2),
        ],
    )
    def test_filters_narrow_list_and_table_alike(self, query: str, number: int, client: FlaskClient) -> None:
        assert len(lines(client, f"estimates.csv?{query}")) == number
        assert len(json.loads(client.get(f"/api/v1/estimates?{query}").data)["estimates"]) == number

    @pytest.mark.parametrize("value", ["October", "2026", "2026-13-01", "2026-11-21T09:00:00"])
    def test_a_day_that_is_none_is_refused(self, value: str, client: FlaskClient) -> None:
        found = problem_of(client.get(f"/api/v1/estimates.csv?since={value}"))
        assert found["errors"][0]["field"] == "since"


@pytest.mark.parametrize(
    "path", ["estimates", "estimates.csv", "prices", "prices.csv", "plans.csv", "calibrations.csv"]
)
def test_pages_are_followed_by_their_links_and_hold_each_row_once(path: str, client: FlaskClient) -> None:
    limit = 300 if path.startswith("prices") else 1
    address, seen = f"/api/v1/{path}?limit={limit}", []
    while address:
        answer = client.get(address)
        if path.endswith(".csv"):
            seen += [row[0] for row in list(csv.reader(StringIO(answer.text)))[1:]]
        else:
            seen += [item.get("id", item.get("offer_id")) for item in answer.json[path]]
        following = re.search(r'<([^>]+)>; rel="next"', answer.headers.get("Link", ""))
        address = following[1] if following else ""
    whole = [
        row[0] for row in list(csv.reader(StringIO(client.get(f"/api/v1/{path.removesuffix('.csv')}.csv").text)))[1:]
    ]
    assert list(map(str, seen)) == whole
    assert len(whole) == len(set(whole)) > 1


class TestPlans:
    def test_the_parts_of_a_plan_add_up_to_its_total(self, client: FlaskClient, world: World) -> None:
        table = lines(client, f"plans/{world.plan}/lines.csv")

        def spent(*sorts: str) -> float:
            return sum(float(row["cost"]) for row in table if row["line"] in sorts)

        assert spent("total") == pytest.approx(client.get(f"/api/v1/plans/{world.plan}").json["plan"]["cost"])
        assert spent("component") == pytest.approx(spent("total"))
        assert spent("commitment", "use") == pytest.approx(spent("total"))

    def test_what_runs_where_has_its_moments(self, client: FlaskClient, world: World) -> None:
        runs = [row for row in lines(client, f"plans/{world.plan}/lines.csv") if row["line"] == "assignment"]
        assert {row["item"] for row in runs} == {"train", "chat"}
        first = min(runs, key=lambda row: float(row["from_hours"]))
        assert (first["from_hours"], first["from_at"]) == ("0", "2026-11-21T09:00:00Z")

    def test_the_timetable_holds_the_hours_of_what_runs(self, client: FlaskClient, world: World) -> None:
        plan, runs = f"plans/{world.plan}", lines(client, f"plans/{world.plan}/timetable.csv")
        parts = [row for row in lines(client, f"{plan}/lines.csv") if row["line"] == "assignment"]
        for name in ("train", "chat"):
            mine = [row for row in runs if row["demand"] == name]
            hours = [(float(row["until_hours"]) - float(row["from_hours"])) * int(row["num_gpus"]) for row in mine]
            assert sum(hours) == pytest.approx(sum(float(row["gpu_hours"]) for row in parts if row["item"] == name))
            assert all(row["supplies"] and row["from_at"] < row["until_at"] for row in mine)
        assert len(client.get(f"/api/v1/{plan}/timetable").json["runs"]) == len(runs)
        (none,) = lines(client, f"plans/{world.clashing_plan}/timetable.csv")
        assert none["demand"] == "" != none["unknown_reason"]

    def test_a_plan_that_cannot_be_has_no_cost_and_says_why(self, client: FlaskClient, world: World) -> None:
        (row,) = [row for row in lines(client, "plans.csv") if row["plan_id"] == world.clashing_plan]
        (total,) = lines(client, f"plans/{world.clashing_plan}/lines.csv")
        assert (row["cost"], total["cost"]) == ("", "")
        assert row["unknown_reason"] == total["unknown_reason"] != ""

    def test_use_of_what_is_not_priced_is_unknown_and_not_nothing(self, client: FlaskClient, world: World) -> None:
        table = lines(client, f"plans/{world.locked_plan}/lines.csv")
        unpriced = client.get(f"/api/v1/plans/{world.locked_plan}").json["unpriced"]
        assert unpriced
        used = [row for row in table if row["line"] == "use" and row["item"] in unpriced]
        assert used
        assert {row["cost"] for row in used} == {""}
        assert all("unknown" in row["unknown_reason"] for row in used)


def test_the_tracking_of_a_plan_has_its_variance(client: FlaskClient, world: World) -> None:
    entered = {"estimate_id": world.training, "option": 0, "reference": "tune", "seconds": "3 h", "cost": "100"}
    assert client.post("/api/v1/actuals", json=entered).status_code == 201
    table = lines(client, f"plans/{world.locked_plan}/tracking.csv")
    told = client.get(f"/api/v1/plans/{world.locked_plan}/tracking").json["demands"]
    assert [row["demand"] for row in table] == [item["demand"] for item in told]
    for row, item in zip(table, told, strict=True):
        for name in ("planned_cost", "actual_cost", "cost_deviation", "time_deviation"):
            assert (float(row[name]) if row[name] else None) == item[name], name
    assert any(row["actual_hours"] == "" and row["unknown_reason"] for row in table)


def test_a_measured_figure_without_a_prediction_says_so(client: FlaskClient, world: World) -> None:
    entered = {
        "estimate_id": world.training,
        "option": 0,
        "reference": "job-1",
        "seconds": "2 h",
        "first_token_seconds": 1,
    }
    assert client.post("/api/v1/actuals", json=entered).status_code == 201
    rows = {row["metric"]: row for row in lines(client, "actuals.csv")}
    assert (rows["seconds"]["predicted"] != "", rows["seconds"]["unknown_reason"]) == (True, "")
    first_token = rows["first_token_seconds"]
    assert (first_token["predicted"], first_token["unknown_reason"]) == ("", "the estimate does not say it")


def test_rates_and_assets_are_tables_too(client: FlaskClient) -> None:
    assert client.post("/api/v1/fx-rates", json={"rates": [RATE]}).status_code == 201
    assert client.post("/api/v1/assets", json=ASSET).status_code == 201
    (rate,) = lines(client, "fx-rates.csv?base=EUR&limit=1")
    (on_the_day,) = lines(client, "fx-rates.csv?as_of=2026-11-21")
    assert rate["rate"] == on_the_day["rate"] == "1.0837"
    (asset,) = lines(client, "assets.csv")
    assert (asset["name"], asset["num_gpus"], asset["is_planned"]) == ("Ours", "8", "true")
    assert (Decimal(asset["wall_hour"]) > 0, asset["unknown_reason"]) == (True, "")


def test_what_was_known_last_month_gives_the_same_bytes_after_a_correction(client: FlaskClient, world: World) -> None:
    address = f"/api/v1/prices/{world.offer}/history.csv?known_at=2026-11-20T12:00:00Z"
    before = client.get(address).data
    form = "provider,region,zone,instance_type,kind,currency,gpu_name,gpu_key,num_gpus,vcpus,memory_gib,host_included,"
    offer = client.get(f"/api/v1/prices/{world.offer}").json["offer"]
    cells = [*(offer[name] for name in form.split(",")[:8]), offer["num_gpus"], "", "", "yes", "1.25"]
    row = ",".join(map(str, cells)) + ",2026-07-20,2026-11-21,a correction,\n"
    sent = client.post(
        "/api/v1/price-imports?allow_large_changes=all",
        data=form + "price_per_hour,valid_from,source_date,source,reason\n" + row,
        content_type="text/csv",
    )
    assert sent.status_code == 201, sent.text
    assert client.get(address).data == before
    assert b"1.25" in client.get(f"/api/v1/prices/{world.offer}/history.csv").data


def test_a_past_answer_does_not_grow_older(client: FlaskClient, filled_settings: Settings) -> None:
    path = "/api/v1/prices.csv?as_of=2026-11-20T12:00:00Z&known_at=2026-11-20T12:00:00Z"
    later = create_app(filled_settings, clock=lambda: NOW + timedelta(days=100))
    assert later.test_client().get(path).data == client.get(path).data
    later.extensions["planner"].engine.dispose()


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """The app on a port of this machine, for programs that speak HTTP."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def recipes(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


def run(command: list[str], address: str, folder: Path) -> str:
    environment = {**os.environ, "PLANNER": address}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_python_recipes_run(address: str, tmp_path: Path) -> None:
    costs, pages = (run([sys.executable, "-W", "error", "-c", code], address, tmp_path) for code in recipes("python"))
    assert re.match(r"\d+\.\d+ USD in 1 estimates, 1 of unknown cost", costs)
    assert int(pages.split()[0]) > 500


@pytest.mark.skipif(which("curl") is None, reason="curl is not installed")
def test_the_curl_recipes_run(address: str, tmp_path: Path) -> None:
    script = "\n".join(recipes("sh"))
    run(["sh", "-euc", script], address, tmp_path)
    assert (tmp_path / "estimates.csv").read_text(encoding="utf-8").startswith("estimate_id,")
    whole = (tmp_path / "all-prices.csv").read_bytes()
    assert json.loads((tmp_path / "cheap.json").read_text(encoding="utf-8"))["value"]
    run(["sh", "-euc", script], address, tmp_path)  # the second time the tag spares the download
    assert (tmp_path / "all-prices.csv").read_bytes() == whole


def test_the_example_of_a_refusal_is_what_is_answered(client: FlaskClient) -> None:
    (example,) = recipes("json")
    found: dict[str, Any] = json.loads(example)
    assert problem_of(client.get("/api/v1/estimates.csv?since=October")) == found
