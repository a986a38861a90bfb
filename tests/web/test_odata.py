"""The OData feed: described, filtered, sorted, paged, and the same cells as the CSV tables."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from flask.testing import FlaskClient

import planner.web.api.odata as feed
from planner.errors import InvalidInput
from planner.web.odata import sets
from planner.web.odata.cells import Kind
from planner.web.odata.filter import parse_filter
from planner.web.odata.sets import SETS
from tests.web.conftest import problem_of
from tests.web.money import ASSET, BUDGET, RATE
from tests.web.world import World

ROOT = "/api/v1/odata"
EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
TABLES = {
    "Estimates": "estimates.csv",
    "Plans": "plans.csv",
    "Prices": "prices.csv",
    "Costs": "costs.csv",
    "Calibrations": "calibrations.csv",
    "Assets": "assets.csv",
    "Budgets": "budgets.csv",
}


def read(client: FlaskClient, address: str, **asked: str) -> dict[str, Any]:
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in asked.items())
    answer = client.get(f"{ROOT}/{address}?{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["OData-Version"] == "4.0"
    assert answer.content_type.startswith("application/json;odata.metadata=minimal")
    found: dict[str, Any] = json.loads(answer.data, parse_float=Decimal)
    return found


@pytest.fixture
def filled(client: FlaskClient, world: World) -> None:
    """An asset, a rate, a row of the ledger and a budget, so that no set is empty."""
    assert client.post("/api/v1/assets", json=ASSET).status_code == 201
    assert client.post("/api/v1/fx-rates", json={"rates": [RATE]}).status_code == 201
    entered = {"estimate_id": world.training, "option": 0, "reference": "job-1", "seconds": "2 h"}
    assert client.post("/api/v1/actuals", json=entered).status_code == 201
    assert client.post("/api/v1/budgets", json=BUDGET).status_code == 201


@pytest.mark.usefixtures("filled")
class TestDescription:
    def test_the_service_names_every_set_and_the_metadata_describes_it(self, client: FlaskClient) -> None:
        listed = {item["name"] for item in client.get(ROOT).json["value"]}
        answer = client.get(f"{ROOT}/$metadata")
        assert answer.content_type.startswith("application/xml")
        schema = ElementTree.fromstring(answer.data)  # noqa: S314 - our own document
        sets = {found.get("Name"): found.get("EntityType") for found in schema.iter(f"{EDM}EntitySet")}
        assert listed == set(sets) == set(SETS)
        types = {f"Planner.{found.get('Name')}": found for found in schema.iter(f"{EDM}EntityType")}
        for name, kind in sets.items():
            properties = {found.get("Name"): found.get("Type") for found in types[str(kind)].iter(f"{EDM}Property")}
            assert properties == {column: found.value for column, found in SETS[str(name)].kinds.items()}

    @pytest.mark.parametrize("name", SETS)
    def test_every_entity_has_its_properties_in_their_types_and_a_key_of_its_own(
        self, name: str, client: FlaskClient
    ) -> None:
        entities, found = read(client, name)["value"], SETS[name]
        assert entities
        for entity in entities:
            assert list(entity) == list(found.kinds)
            for column, kind in found.kinds.items():
                assert entity[column] is None or isinstance(entity[column], _json_type(kind)), (column, entity[column])
        keys = [tuple(entity[part] for part in found.key) for entity in entities]
        assert None not in {part for key in keys for part in key}
        assert len(set(keys)) == len(keys)
        assert keys == sorted(keys)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("name", TABLES)
def test_a_set_has_the_cells_of_its_table(name: str, client: FlaskClient) -> None:
    entities = read(client, name)["value"]
    table = list(csv.DictReader(StringIO(client.get(f"/api/v1/{TABLES[name]}").text)))
    key = SETS[name].key[0]
    by_key = {row[key]: row for row in table}
    assert len(entities) == len(table)
    for entity in entities:
        row = by_key[str(entity[key])]
        for column, value in entity.items():
            if value is None or value == "":
                assert row[column] == "", column
            elif isinstance(value, Decimal | int) and not isinstance(value, bool):
                assert Decimal(row[column]) == value, column
            elif isinstance(value, str):
                assert row[column].removeprefix("'") == value.removeprefix("'"), column


class TestAsking:
    def test_a_price_keeps_every_digit(self, client: FlaskClient) -> None:
        text = client.get(f"{ROOT}/Prices?$select=offer_id,price_per_hour&$top=200").text
        listed = {item["offer_id"]: item["price"] for item in client.get("/api/v1/prices?limit=1000").json["prices"]}
        for entity in json.loads(text, parse_float=str, parse_int=str)["value"]:
            price = listed[int(entity["offer_id"])]
            assert entity["price_per_hour"] == (None if price is None else price["amount"])

    def test_filter_select_order_and_count(self, client: FlaskClient) -> None:
        found = read(
            client,
            "Prices",
            **{
                "$filter": "gpu_key eq 'H100-80GB-SXM' and price_per_gpu_hour lt 9 and not contains(provider,'aws')",
                "$select": "price_per_gpu_hour,provider",
                "$orderby": "price_per_gpu_hour desc",
                "$top": "3",
                "$count": "true",
            },
        )
        amounts = [entity["price_per_gpu_hour"] for entity in found["value"]]
        assert [list(entity) for entity in found["value"]] == [["provider", "price_per_gpu_hour"]] * 3
        assert amounts == sorted(amounts, reverse=True)
        assert max(amounts) < 9
        assert found["@odata.count"] > 3
        assert found["@odata.context"].endswith("$metadata#Prices(provider,price_per_gpu_hour)")

    def test_pages_are_followed_by_their_links(self, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = read(client, "Prices", **{"$skip": "10", "$top": "700"})["value"]
        monkeypatch.setattr(feed, "PAGE", 300)
        found = read(client, "Prices", **{"$skip": "10", "$top": "700"})
        entities = found["value"]
        while "@odata.nextLink" in found:
            assert found["@odata.nextLink"].startswith("http://localhost/api/v1/odata/Prices?")
            found = json.loads(client.get(found["@odata.nextLink"]).data, parse_float=Decimal)
            entities += found["value"]
        assert entities == whole
        assert len(whole) == 700

    def test_prices_are_asked_as_of_a_day_and_lines_of_one_plan(self, client: FlaskClient, world: World) -> None:
        old = read(client, "Prices", as_of="2020-01-01T00:00:00Z", **{"$filter": "price_per_hour ne null"})
        assert old["value"] == []
        lines = read(client, "PlanLines", plan_id=world.plan)["value"]
        assert {line["plan_id"] for line in lines} == {world.plan}
        assert [line["line_number"] for line in lines] == list(range(1, len(lines) + 1))

    @pytest.mark.parametrize(
        ("address", "field"),
        [
            ("Prices?$filter=colour eq 'red'", "$filter"),
            ("Prices?$filter=offer_id eq 'one'", "$filter"),
            ("Prices?$select=colour", "$select"),
            ("Prices?$orderby=offer_id sideways", "$orderby"),
            ("Prices?$top=-1", "$top"),
            ("Prices?$expand=offers", "$expand"),
            ("Prices?plan_id=x", "plan_id"),
            ("Estimates?as_of=2026-01-01T00:00:00Z", "as_of"),
        ],
    )
    def test_what_is_not_taken_is_refused_by_name(self, address: str, field: str, client: FlaskClient) -> None:
        found = problem_of(client.get(f"{ROOT}/{address}"))
        assert (found["status"], found["errors"][0]["field"]) == (422, field)

    def test_the_lines_of_too_many_plans_are_asked_for_plan_by_plan(
        self, client: FlaskClient, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sets, "MOST_PLANS", 1)
        found = problem_of(client.get(f"{ROOT}/PlanLines"))
        assert (found["status"], found["errors"][0]["field"]) == (422, "plan_id")
        assert read(client, "PlanLines", plan_id=world.plan)["value"]

    def test_the_root_may_end_with_a_slash(self, client: FlaskClient) -> None:
        assert client.get(f"{ROOT}/").data == client.get(ROOT).data
        assert client.get("/api/v1/estimates/").status_code == 404

    def test_a_set_that_is_none_is_not_there(self, client: FlaskClient) -> None:
        assert problem_of(client.get(f"{ROOT}/Secrets"))["status"] == 404


KINDS = {
    "name": Kind.TEXT,
    "cost": Kind.NUMBER,
    "count": Kind.WHOLE,
    "at": Kind.MOMENT,
    "day": Kind.DAY,
    "good": Kind.FLAG,
}


def cells(**changes: Any) -> dict[str, Any]:
    """A row of which everything is unknown but what a test says."""
    return {**dict.fromkeys(KINDS), **changes}


class TestFilter:
    @pytest.mark.parametrize(
        ("text", "row", "holds"),
        [
            ("name eq 'a'", cells(name="a"), True),
            ("name eq 'O''Hara'", cells(name="O'Hara"), True),
            ("cost gt 2.5", cells(cost=Decimal("2.50001")), True),
            ("2.5 lt cost", cells(cost=Decimal(3)), True),
            ("cost ge 1e3", cells(cost=Decimal(1000)), True),
            ("cost le -1", cells(cost=Decimal(-2)), True),
            ("cost eq null", cells(), True),
            ("cost ne null", cells(), False),
            ("cost ne 5", cells(), True),
            ("cost gt 0", cells(), False),
            ("cost lt 0", cells(), False),
            ("not cost gt 0", cells(), True),
            ("count in (1, 2, 3)", cells(count=Decimal(2)), True),
            ("count in (1, 3)", cells(count=Decimal(2)), False),
            ("good", cells(good=True), True),
            ("good and cost gt 1", cells(good=True, cost=Decimal(1)), False),
            ("good eq false", cells(good=False), True),
            ("day ge 2026-11-01", cells(day=date(2026, 11, 1)), True),
            ("name eq 'a' or name eq 'b' and cost gt 1", cells(name="a"), True),
            ("(name eq 'a' or name eq 'b') and cost gt 1", cells(name="a"), False),
            ("startswith(name,'ab')", cells(name="abc"), True),
            ("endswith(name, 'bc')", cells(name="abc"), True),
            ("contains(name,'x')", cells(), False),
        ],
    )
    def test_it_holds_as_odata_says(self, text: str, row: dict[str, Any], holds: bool) -> None:
        assert parse_filter(text, KINDS)(row) is holds

    def test_moments_are_compared_across_zones_and_a_day_is_its_beginning(self) -> None:
        row = cells(at=datetime(2026, 11, 21, 9, tzinfo=UTC))
        assert parse_filter("at eq 2026-11-21T10:00:00+01:00", KINDS)(row)
        assert parse_filter("at ge 2026-11-21", KINDS)(row)
        assert not parse_filter("at lt 2026-11-21", KINDS)(row)

    @pytest.mark.parametrize(
        "text",
        [
            *("", "name", "name eq", "eq 'a'", "name eq 'a' and", "name eq 'a' name eq 'b'", "(name eq 'a'"),
            *("name eq 'a')", "name like 'a'", "name eq a", "cost eq 'a'", "name eq 1", "at eq 5", "good eq 1"),
            *("1 eq 1", "name eq name", "contains(cost,'a')", "contains(name,1)", "name eq 'a", "day eq 2026-13-01"),
            *("cost add 1 eq 2", "name eq 'a'; DROP TABLE offers", "count in ()", "count in (name)", "$it eq 1"),
            *("(" * 60 + "good" + ")" * 60, "not " * 5000 + "good", "name eq '" + "x" * 3000 + "'"),
        ],
    )
    def test_what_it_does_not_understand_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInput, match=r"^\$filter: "):
            parse_filter(text, KINDS)


def _json_type(kind: Kind) -> Any:
    if kind is Kind.FLAG:
        return bool
    if kind.is_number:
        return Decimal | int
    return str
