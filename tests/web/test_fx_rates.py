"""Exchange rates by API and by page: listed, sent, held, decided on, and never taken for 1."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.readers.test_ecb_rates import ecb
from tests.web.conftest import Send, problem_of

Rows = Callable[[], dict[str, int]]
API = "/api/v1/fx-rates"
FILES = "/api/v1/fx-rate-files"
OWN = "date,base,quote,rate,source\n2026-11-20,EUR,USD,1.0837,a bank\n2026-11-20,GBP,USD,1.31,a bank\n"


def rate(**changes: Any) -> dict[str, Any]:
    return {"base": "EUR", "quote": "USD", "rate": "1.08", "rate_date": "2026-11-18", "source": "a bank"} | changes


def record(client: FlaskClient, *rates: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = client.post(API, json={"rates": list(rates), **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = json.loads(answer.data)
    return found


def got(client: FlaskClient, address: str) -> Any:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.data)


class TestApi:
    def test_rates_are_listed_as_stored_and_as_they_count_on_a_day(self, client: FlaskClient) -> None:
        record(client, rate(), rate(rate="1.09", rate_date="2026-11-20"), rate(quote="JPY", rate="165"))
        stored = got(client, API)["rates"]
        assert [each["rate"]["rate"] for each in stored] == ["165", "1.09", "1.08"]
        on = got(client, f"{API}?as_of=2026-11-19&quote=USD")
        assert (on["as_of"], [each["rate"] for each in on["rates"]]) == ("2026-11-19", ["1.08"])
        assert got(client, f"{API}?as_of=2026-12-31")["rates"] == []

    def test_a_conversion_carries_its_rate_and_a_missing_one_is_an_error(self, client: FlaskClient) -> None:
        record(client, rate(rate_date="2026-11-20"))
        found = got(client, "/api/v1/fx-conversions?amount=2.50&source=EUR&target=USD")
        assert (found["conversion"]["amount"], found["rate"], found["rate_date"]) == ("2.7", "1.08", "2026-11-20")
        problem = problem_of(client.get("/api/v1/fx-conversions?amount=1&source=GBP&target=USD"))
        assert (problem["status"], problem["type"]) == (422, "/api#missing-rate")
        assert "no rate from GBP to USD" in problem["detail"]

    @pytest.mark.parametrize(
        ("query", "body", "num_added"),
        [
            ("", OWN.encode(), 2),
            ("?source=a+bank", b"Date,USD,JPY,\n2026-11-20,1.08,165,\n", 2),
            ("", ecb({"2026-11-20": {"USD": "1.0838"}, "2026-11-19": {"USD": "1.08"}}), 2),
        ],
    )
    def test_a_file_in_any_of_three_forms_is_taken(
        self, query: str, body: bytes, num_added: int, client: FlaskClient
    ) -> None:
        for number in (num_added, 0):  # twice is once
            answer = client.post(FILES + query, data=body, content_type="text/csv")
            assert answer.status_code == 201, answer.text
            assert json.loads(answer.data)["num_added"] == number

    @pytest.mark.parametrize(
        ("body", "content_type", "status"),
        [
            (b"", "text/csv", 422),
            (b"a,b\n1,2\n", "text/csv", 422),
            (b"\xff\xfe\x00", "text/csv", 422),
            (b"Date,USD\n2026-11-20,1.08\n", "text/csv", 422),  # nobody says who states it
            (b"<html></html>", "text/csv", 422),
            (ecb({"2026-11-20": {"USD": "1.08"}})[:-20], "application/octet-stream", 422),
            (OWN.encode(), "text/html", 415),
        ],
    )
    def test_a_file_that_cannot_be_used_is_refused_and_nothing_is_written(
        self, body: bytes, content_type: str, status: int, client: FlaskClient, count_rows: Rows
    ) -> None:
        before = count_rows()
        assert problem_of(client.post(FILES, data=body, content_type=content_type))["status"] == status
        assert count_rows() == before

    def test_a_jump_waits_and_is_decided_on(self, client: FlaskClient) -> None:
        record(client, rate())
        found = record(client, rate(rate="2", rate_date="2026-11-19"), rate(rate="3", rate_date="2026-11-20"))
        assert (found["num_added"], found["num_held"]) == (0, 2)
        first, second = got(client, "/api/v1/held-fx-rates?waiting=1")["rates"]
        assert (first["change"], first["compared_with"]) == ("+85 %", "1.08")
        assert problem_of(client.post("/api/v1/held-fx-rates/approve", json={}))["status"] == 422
        approved = client.post("/api/v1/held-fx-rates/approve", json={"rows": [first["id"]]})
        assert json.loads(approved.data)["num_decided"] == 1
        assert client.post("/api/v1/held-fx-rates/refuse", json={"all": True}).status_code == 200
        again = client.post("/api/v1/held-fx-rates/refuse", json={"rows": [second["id"]]})
        assert problem_of(again)["status"] == 409
        assert got(client, "/api/v1/held-fx-rates?waiting=1")["rates"] == []
        assert [each["decision"] for each in got(client, "/api/v1/held-fx-rates")["rates"]] == ["approved", "refused"]
        assert got(client, f"{API}?as_of=2026-11-20&known_at=2026-11-22T00:00:00Z")["rates"][0]["rate"] == "2"

    @pytest.mark.parametrize(
        ("changes", "field"),
        [({"rate": "0"}, "rate"), ({"quote": "EUR"}, "quote"), ({"rate_date": "2026"}, "rate_date"), ({"x": 1}, "x")],
    )
    def test_a_rate_that_cannot_be_is_refused_by_field(
        self, changes: dict[str, Any], field: str, client: FlaskClient, count_rows: Rows
    ) -> None:
        before = count_rows()
        problem = problem_of(client.post(API, json={"rates": [rate(**changes)]}))
        assert any(field in each["field"] for each in problem["errors"])
        assert count_rows() == before


class TestPages:
    def test_a_file_is_sent_by_form_and_its_rates_are_listed_with_source_and_day(
        self, send: Send, client: FlaskClient
    ) -> None:
        made = send("/fx-rates", {"file": (BytesIO(OWN.encode()), "mine.csv")}, page="/fx-rates")
        assert made.status_code == 303, made.text
        text = client.get("/fx-rates").text
        assert "2 rates added" in text
        for word in ("1.0837", "a bank", "20 Nov 2026", "EUR"):
            assert word in text
        on = client.get("/fx-rates?as_of=2026-11-21&quote=USD&base=GBP").text
        assert "1.31" in on
        assert "1.0837" not in on

    def test_a_jump_is_decided_on_by_its_tick(self, send: Send, client: FlaskClient) -> None:
        record(client, rate())
        record(client, rate(rate="2", rate_date="2026-11-19"), rate(rate="3", rate_date="2026-11-20"))
        text = client.get("/fx-rates").text
        assert "+85 %" in text
        first, second = (each["id"] for each in got(client, "/api/v1/held-fx-rates")["rates"])
        assert send("/fx-rates/approve", {}, page="/fx-rates").status_code == 422
        assert send("/fx-rates/approve", {"rows": str(first)}, page="/fx-rates").status_code == 303
        assert send("/fx-rates/refuse", {"all": "true"}, page="/fx-rates").status_code == 303
        assert send("/fx-rates/refuse", {"rows": str(second)}, page="/fx-rates").status_code == 409
        text = client.get("/fx-rates").text
        assert "+85 %" not in text
        assert "<td" in text

    @pytest.mark.parametrize("content", [b"", b"a,b\n", b"<html></html>", b"\xff\xfe"])
    def test_a_bad_file_comes_back_with_what_is_wrong(self, content: bytes, send: Send, count_rows: Rows) -> None:
        before = count_rows()
        answer = send("/fx-rates", {"file": (BytesIO(content), "x.csv")}, page="/fx-rates")
        assert answer.status_code == 422
        assert 'href="#field-file"' in answer.text
        assert count_rows() == before

    def test_without_rates_the_page_says_that_nothing_is_converted(self, client: FlaskClient) -> None:
        assert "never taken for 1" in client.get("/fx-rates").text
        assert client.get("/fx-rates?base=euro").status_code == 422
