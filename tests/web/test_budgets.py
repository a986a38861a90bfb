"""Budgets as finance tools and people take them: tables whose columns add up, a form, closed months."""

from __future__ import annotations

import csv
import json
import re
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from flask.testing import FlaskClient

from planner.web.api.budgets import CAUSES
from planner.web.budget_page import lines_of, rates_of
from tests.web.conftest import Send, problem_of
from tests.web.money import BUDGET
from tests.web.world import World

Rows = list[dict[str, str]]


def rows(client: FlaskClient, address: str) -> Rows:
    answer = client.get(f"/api/v1/{address}")
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(StringIO(answer.data.decode())))


def report(client: FlaskClient, budget_id: str, query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.get(f"/api/v1/budgets/{budget_id}/report{query}").data)
    return found


def enter(client: FlaskClient, world: World, **measured: Any) -> str:
    """A finished job of October on an offer, in the ledger; its id."""
    estimate = json.loads(client.get(f"/api/v1/estimates/{world.training}?options=100").data)
    priced = next(rank for rank, option in enumerate(estimate["options"]) if option["placement"]["offer_id"])
    asked = {"estimate_id": world.training, "option": priced, "measured_at": "2026-10-20T12:00:00Z", **measured}
    answer = client.post("/api/v1/actuals", json=asked)
    assert answer.status_code == 201, answer.text
    return str(json.loads(answer.data)["id"])


@pytest.fixture
def budget(client: FlaskClient) -> str:
    answer = client.post("/api/v1/budgets", json=BUDGET)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"].endswith(f"/budgets/{answer.json['id']}")
    return str(answer.json["id"])


@pytest.fixture
def finished(client: FlaskClient, world: World) -> dict[str, str]:
    """One with all figures, one with its cost alone, one whose cost is unknown."""
    return {
        "whole": enter(client, world, seconds="48 h", lost_seconds="2 h", cost="151.25"),
        "billed": enter(client, world, cost="41.50"),
        "paced": enter(client, world, step_seconds=0.5),
    }


def test_lines_add_up_to_the_difference_in_every_column(
    client: FlaskClient, budget: str, finished: dict[str, str]
) -> None:
    found = rows(client, f"budget-lines.csv?budget_id={budget}")
    assert [row["line"] for row in found] == ["budget", "charge", "charge", "uncounted"]
    (whole,) = rows(client, "budgets.csv")
    for column in ("amount", *CAUSES):
        total = sum((Decimal(row[column]) for row in found if row[column]), Decimal(0))
        assert total == Decimal(whole["difference" if column == "amount" else column] or 0), column
    assert sum(Decimal(whole[cause]) for cause in CAUSES if whole[cause]) == Decimal(whole["difference"])
    assert Decimal(whole["actual"]) - Decimal(whole["amount"]) == Decimal(whole["difference"])
    assert (whole["actual"], whole["amount"], whole["num_charges"]) == ("192.75", "125", "2")
    assert found[-1]["actual_id"] == finished["paced"]
    assert found[-1]["amount"] == ""
    assert found[-1]["unknown_reason"] == "neither its cost nor its whole time was measured"


def test_the_report_says_what_could_not_be_told(client: FlaskClient, budget: str, finished: dict[str, str]) -> None:
    found = report(client, budget)
    causes = {effect["cause"]: Decimal(effect["amount"]) for effect in found["effects"]}
    assert {"quantity", "mix", "speed", "failures", "price", "not_split"} == set(causes)
    assert sum(causes.values()) == Decimal(found["difference"])
    assert [one["cause"] for one in found["untold"]] == ["not_split"]
    assert [one["actual_id"] for one in found["uncounted"]] == [finished["paced"]]
    assert found["foreseen"]["num_charges"] == 2


def test_without_a_finished_job_no_cause_but_quantity_is_known(client: FlaskClient, budget: str) -> None:
    (row,) = rows(client, "budgets.csv")
    assert (row["actual"], row["difference"], row["cause_quantity"], row["cause_mix"]) == ("0", "-125", "-125", "")


def test_a_closed_month_stays_and_its_changes_are_listed(
    client: FlaskClient, world: World, budget: str, finished: dict[str, str]
) -> None:
    before = report(client, budget)
    made = client.post("/api/v1/closings", json={"month": "2026-10", "note": "booked"})
    assert made.status_code == 201
    late = enter(client, world, cost="10")
    after = report(client, budget)
    for name in ("actual", "difference", "effects", "untold", "uncounted", "foreseen"):
        assert after[name] == before[name], name
    assert after["corrections"] == {"amount": "10", "num_charges": 1, "num_uncounted": 1}
    (change,) = rows(client, "closing-changes.csv?month=2026-10")
    assert (change["actual_id"], change["booked"], change["known"], change["difference"]) == (late, "", "10", "10")
    assert problem_of(client.post("/api/v1/closings", json={"month": "2026-10"}))["status"] == 409
    assert problem_of(client.post("/api/v1/closings", json={"month": "2026-11"}))["errors"][0]["field"] == "month"
    assert problem_of(client.get("/api/v1/closing-changes?month=2026-09"))["status"] == 404


def test_a_budget_is_revised_withdrawn_and_refused_in_the_api(client: FlaskClient, budget: str) -> None:
    revised = client.post("/api/v1/budgets", json={**BUDGET, "name": "More", "replaces": budget})
    assert revised.status_code == 201
    assert client.post("/api/v1/budgets", json={**BUDGET, "replaces": budget}).status_code == 409
    assert [row["name"] for row in rows(client, "budgets.csv")] == ["More"]
    assert len(rows(client, "budgets.csv?replaced=true")) == 2
    address = f"/api/v1/budgets/{revised.json['id']}/withdraw"
    assert client.post(address).json["withdrawn_at"] is not None
    assert client.post(address).status_code == 409
    assert rows(client, "budgets.csv") == []
    wrong = problem_of(client.post("/api/v1/budgets", json={**BUDGET, "amount": "5"}))
    assert wrong["errors"][0]["message"].startswith("the lines add up to 125, not to 5")
    assert client.get("/api/v1/budgets/none/report").status_code == 404


class TestPages:
    FIELDS = {  # noqa: RUF012
        "name": "October <b>",
        "currency": "USD",
        "from_month": "2026-10",
        "lines": "H100-80GB-SXM 40 2.50\nA100-80GB-SXM;20;1.25;spot\n",
        "planned_rates": "EUR 1.08",
        "job_kind": "training",
    }

    def test_a_budget_is_typed_shown_revised_and_withdrawn(
        self, send: Send, client: FlaskClient, finished: dict[str, str]
    ) -> None:
        made = send("/budgets", self.FIELDS, page="/budgets/new")
        assert made.status_code == 303, made.text
        text = client.get(made.headers["Location"]).text
        assert "October &lt;b&gt;" in text
        for words in ("192.75 USD", "Not told apart", "In no sum", "Failures", "Not split"):
            assert words in text, words
        assert "October" in client.get("/budgets").text
        budget_id = made.headers["Location"].rpartition("/")[2]
        again = client.get(f"/budgets/{budget_id}/revise").text
        assert "H100-80GB-SXM 40 2.5\nA100-80GB-SXM 20 1.25 spot" in again
        revised = send("/budgets", {**self.FIELDS, "replaces": budget_id}, page="/budgets/new")
        assert revised.status_code == 303
        assert "It counts no more" in client.get(f"/budgets/{budget_id}").text
        assert send("/budgets", {**self.FIELDS, "replaces": budget_id}, page="/budgets/new").status_code == 409
        assert send(f"{revised.headers['Location']}/withdraw", page="/budgets/new").status_code == 303
        assert "Nothing is budgeted yet" in client.get("/budgets").text

    def test_what_is_written_adds_up(self, send: Send, client: FlaskClient, finished: dict[str, str]) -> None:
        made = send("/budgets", self.FIELDS, page="/budgets/new")
        text = client.get(made.headers["Location"]).text
        table = text[text.index('id="causes"') :]
        cells = re.findall(
            r'<td class="num">(?:<strong>)?([+−]?[0-9.,]+)(?:</strong>)?</td>', table.partition("</table>")[0]
        )
        *parts, actual = (Decimal(cell.replace("−", "-").replace(",", "")) for cell in cells)
        assert sum(parts) == actual == Decimal("192.75")
        assert len(parts) == 7

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"lines": "H100-80GB-SXM forty 2"}, "row 1: &#39;forty&#39; is not a number of GPU-hours"),
            ({"lines": "H100-80GB-SXM 40"}, "row 1: write GPU, GPU-hours and price"),
            ({"planned_rates": "EUR"}, "row 1: write a currency and a rate"),
            ({"from_month": "October"}, "must be a calendar month"),
            ({"lines": ""}, "or lines that add up to it"),
        ],
    )
    def test_what_cannot_be_used_is_said_beside_its_field(self, send: Send, fields: dict[str, str], words: str) -> None:
        refused = send("/budgets", {**self.FIELDS, **fields}, page="/budgets/new")
        assert refused.status_code == 422
        assert words in refused.text

    def test_a_month_is_closed_by_form(
        self, send: Send, client: FlaskClient, world: World, finished: dict[str, str]
    ) -> None:
        refused = send("/closings", {"month": "2026-11"}, page="/budgets")
        assert (refused.status_code, "has not ended" in refused.text) == (422, True)
        made = send("/closings", {"month": "2026-10", "note": "all bills are in"}, page="/budgets")
        assert made.status_code == 303
        assert "Nothing was learnt since" in client.get(made.headers["Location"]).text
        enter(client, world, cost="10")
        text = client.get(made.headers["Location"]).text
        assert "entered after the month was closed" in text
        assert "all bills are in" in text
        assert send("/closings", {"month": "2026-10"}, page="/budgets").status_code == 409
        assert client.get("/closings/2026-09").status_code == 404

    def test_the_ledger_takes_lost_time_of_none(self, send: Send, client: FlaskClient, world: World) -> None:
        address = f"/estimates/{world.training}/actual"
        sent = send(address, {"option": "0", "seconds": "4 h", "lost_seconds": "0"}, page=address)
        assert sent.status_code == 303
        assert "Lost to failures" in client.get("/ledger").text
        refused = send(address, {"option": "0", "seconds": "4 h", "lost_seconds": "5 h"}, page=address)
        assert (refused.status_code, "at most the whole time" in refused.text) == (422, True)


def test_rows_may_be_pasted_from_a_spreadsheet() -> None:
    assert lines_of("H100-80GB-SXM\t1,200\t$2.50\n\n") == [
        {"gpu_key": "H100-80GB-SXM", "gpu_hours": "1,200", "price_per_gpu_hour": "$2.50"}
    ]
    assert rates_of("eur 1.08") == [{"currency": "EUR", "rate": "1.08"}]
