"""What jobs cost, as finance tools take it: FOCUS that passes a linter of the standard, nothing unknown in a sum."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from flask.testing import FlaskClient
from focus_data_toolkit.model.validator import lint_focus_1_4_structure

from tests.web.world import World

Rows = list[dict[str, str]]


def costs(client: FlaskClient, query: str = "") -> dict[str, Any]:
    answer = client.get(f"/api/v1/costs{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = json.loads(answer.data)
    return found


def focus(client: FlaskClient, query: str = "") -> Rows:
    return list(csv.DictReader(StringIO(client.get(f"/api/v1/costs.csv{query}").data.decode())))


def enter(client: FlaskClient, estimate_id: str, **measured: Any) -> str:
    """A finished job in the ledger; its id."""
    answer = client.post("/api/v1/actuals", json={"estimate_id": estimate_id, **measured})
    assert answer.status_code == 201, answer.text
    found: str = json.loads(answer.data)["id"]
    return found


@pytest.fixture
def finished(client: FlaskClient, world: World) -> dict[str, str]:
    """Three jobs that ended: one whose bill came, one of which the time is known, one of which neither is."""
    estimate = json.loads(client.get(f"/api/v1/estimates/{world.training}?options=100").data)
    priced = next(rank for rank, option in enumerate(estimate["options"]) if option["placement"]["offer_id"])
    end = "2026-11-02T00:00:00Z"
    here = {"estimate_id": world.training, "option": priced}
    return {
        "billed": enter(client, **here, cost="41.50", measured_at=end),
        "timed": enter(client, **here, seconds="48 h", measured_at=end, energy_joules=7_200_000),
        "paced": enter(client, **here, step_seconds=0.5),
    }


def test_every_charge_passes_a_linter_of_the_standard(client: FlaskClient, finished: dict[str, str]) -> None:
    rows = focus(client)
    assert {row["x_CostKind"] for row in rows} == {"estimate", "actual"}
    report = lint_focus_1_4_structure("Cost and Usage", rows)
    assert report.ok, report.messages()


def test_a_job_over_two_months_is_a_charge_in_each_that_add_up(client: FlaskClient, finished: dict[str, str]) -> None:
    parts = [row for row in focus(client) if row["x_ActualId"] == finished["timed"]]
    assert [(row["ChargePeriodStart"], row["ChargePeriodEnd"]) for row in parts] == [
        ("2026-10-31T00:00:00Z", "2026-11-01T00:00:00Z"),
        ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
    ]
    assert [row["BillingPeriodStart"][:7] for row in parts] == ["2026-10", "2026-11"]
    first, second = (Decimal(row["EffectiveCost"]) for row in parts)
    assert abs(first - second) <= Decimal("1E-10")
    assert {row["x_CostKnown"] for row in parts} == {"derived"}
    assert sum(Decimal(row["ConsumedQuantity"]) for row in parts) == 48
    assert sum(Decimal(row["x_EnergyKwh"]) for row in parts) == 2
    estimate = json.loads(client.get(f"/api/v1/estimates/{parts[0]['x_EstimateId']}?options=100").data)
    actual = json.loads(client.get(f"/api/v1/actuals/{finished['timed']}").data)
    option = estimate["options"][actual["option"]]
    per_second = option["cost"]["mid"] / option["seconds"]["mid"]
    assert float(first + second) == pytest.approx(48 * 3600 * per_second)


def test_what_was_billed_is_told_from_what_is_foreseen(client: FlaskClient, finished: dict[str, str]) -> None:
    rows = focus(client)
    billed = {row["x_ActualId"]: Decimal(row["BilledCost"]) for row in rows if row["x_CostKnown"] == "stated"}
    assert billed == {finished["billed"]: Decimal("41.5")}
    foreseen = [row for row in rows if row["x_CostKind"] == "estimate"]
    assert foreseen
    for row in foreseen:
        assert row["BilledCost"] == "0"
        assert Decimal(row["x_CostLow"]) <= Decimal(row["EffectiveCost"]) <= Decimal(row["x_CostHigh"])


def test_an_unknown_cost_is_named_and_in_no_sum(client: FlaskClient, world: World, finished: dict[str, str]) -> None:
    found = costs(client)
    unknown = {item["actual_id"] or item["estimate_id"]: item["reason"] for item in found["unknown"]}
    assert unknown[finished["paced"]] == "neither its cost nor its whole time was measured"
    assert unknown[world.nothing_fits] == "no option: every place was rejected"
    assert unknown[world.service].startswith("a service has no end")
    rows = focus(client)
    assert not {row["x_ActualId"] or row["x_EstimateId"] for row in rows} & set(unknown)
    for total in found["totals"]:
        same = [
            row
            for row in rows
            if (row["x_CostKind"], row["BillingCurrency"]) == (total["cost_kind"], total["currency"])
        ]
        assert sum(Decimal(row["EffectiveCost"]) for row in same) == Decimal(total["cost"])
        assert len(same) == total["num_charges"]


def test_a_corrected_row_counts_no_more(client: FlaskClient, world: World, finished: dict[str, str]) -> None:
    option = json.loads(client.get(f"/api/v1/actuals/{finished['billed']}").data)["option"]
    later = enter(client, world.training, option=option, cost="40", replaces=finished["billed"])
    ids = {row["x_ActualId"] for row in focus(client, "?cost_kind=actual")}
    assert later in ids
    assert finished["billed"] not in ids


def test_charges_are_chosen_by_kind_time_and_currency(client: FlaskClient, finished: dict[str, str]) -> None:
    for query, kinds in (
        ("?cost_kind=actual", {"actual"}),
        ("?cost_kind=estimate", {"estimate"}),
        ("?since=2026-11-01&before=2026-11-02", {"actual"}),
        ("?since=2026-11-21", {"estimate"}),
        ("?currency=JPY", set()),
    ):
        assert {row["x_CostKind"] for row in focus(client, query)} == kinds, query
    assert client.get("/api/v1/costs.csv?cost_kind=budget").status_code == 422
