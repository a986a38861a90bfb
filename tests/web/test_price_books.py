"""Negotiated price books by API and by page: added, shown to the roles that they name, withdrawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.web.conftest import Send, problem_of

Rows = Callable[[], dict[str, int]]
API = "/api/v1/price-books"
BOOK: dict[str, Any] = {
    "name": "Enterprise agreement",
    "source": "contract 4711",
    "valid_from": "2026-01-01T00:00:00Z",
    "valid_until": "2027-01-01T00:00:00Z",
    "roles": [],
    "terms": [
        {"provider": "aws", "discount": "15 %"},
        {"provider": "gcp", "gpu_key": "H100-80GB-SXM", "amount": "2.10", "currency": "USD", "per_gpu": True},
    ],
}


def add(client: FlaskClient, **changes: Any) -> dict[str, Any]:
    answer = client.post(API, json=BOOK | changes)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = json.loads(answer.data)
    assert answer.headers["Location"] == f"{API}/{found['id']}"
    return found


def listed(client: FlaskClient, query: str = "") -> list[str]:
    return [book["id"] for book in json.loads(client.get(API + query).data)["books"]]


class TestApi:
    def test_a_book_comes_back_with_its_terms_as_decimal_strings(self, client: FlaskClient) -> None:
        book = add(client)
        found = json.loads(client.get(f"{API}/{book['id']}").data)
        assert found == book
        assert [term["discount"] for term in found["terms"]] == ["0.15", None]
        assert [term["amount"] for term in found["terms"]] == [None, "2.1"]
        assert found["valid_until"] == "2027-01-01T00:00:00Z"

    def test_a_book_of_a_role_is_not_there_for_others(self, client: FlaskClient) -> None:
        book = add(client, roles=["finance", "board"])
        assert book["roles"] == ["board", "finance"]
        assert listed(client) == listed(client, "?role=guest") == []
        assert listed(client, "?role=finance") == [book["id"]]
        for method in (client.get, client.delete):
            assert problem_of(method(f"{API}/{book['id']}"))["status"] == 404
            assert problem_of(method(f"{API}/{book['id']}?role=guest"))["status"] == 404
        assert client.get(f"{API}/{book['id']}?role=board").status_code == 200

    def test_only_books_that_hold_at_a_moment_are_asked_for(self, client: FlaskClient) -> None:
        book = add(client)
        assert listed(client, "?valid_at=2026-06-01T00:00:00Z") == [book["id"]]
        assert listed(client, "?valid_at=2027-01-01T00:00:00Z") == []

    def test_a_withdrawn_book_counts_no_more_but_was_known(self, client: FlaskClient) -> None:
        book = add(client)
        assert client.delete(f"{API}/{book['id']}").status_code == 204
        assert listed(client) == []
        assert problem_of(client.delete(f"{API}/{book['id']}"))["status"] == 404

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"terms": []}, "terms"),
            ({"terms": [{"provider": "aws"}]}, "discount"),
            ({"terms": [{"provider": "aws", "discount": "15 %", "gpu_key": "H1000"}]}, "terms.0.gpu_key"),
            ({"valid_until": "2025-01-01T00:00:00Z"}, "valid_until"),
            ({"valid_from": "2026"}, "valid_from"),
            ({"colour": "red"}, "colour"),
        ],
    )
    def test_a_book_that_cannot_be_is_refused_by_field(
        self, changes: dict[str, Any], field: str, client: FlaskClient, count_rows: Rows
    ) -> None:
        before = count_rows()
        problem = problem_of(client.post(API, json=BOOK | changes))
        assert field in {each["field"] for each in problem["errors"]}
        assert count_rows() == before


class TestPages:
    def test_a_book_is_sent_as_a_file_shown_and_withdrawn(self, send: Send, client: FlaskClient) -> None:
        made = send("/price-books", {"file": (BytesIO(json.dumps(BOOK).encode()), "book.json")}, page="/price-books")
        assert made.status_code == 303, made.text
        address = made.headers["Location"]
        for page in ("/price-books", address):
            text = client.get(page).text
            assert "Enterprise agreement" in text
            assert "contract 4711" in text
        assert "15 % off" in client.get(address).text
        assert "$2.10 per GPU-hour" in client.get(address).text
        assert send(f"{address}/withdraw", page=address).status_code == 303
        assert client.get(address).status_code == 404
        assert address not in client.get("/price-books").text

    def test_the_page_says_that_there_are_no_accounts_and_shows_a_role_its_books(self, client: FlaskClient) -> None:
        book = add(client, roles=["finance"])
        text = client.get("/price-books").text
        assert "no accounts yet" in text
        assert book["id"] not in text
        assert "1 book is for other roles" in text
        mine = client.get("/price-books?role=finance").text
        assert book["id"] in mine
        assert client.get(f"/price-books/{book['id']}").status_code == 404
        assert "for finance" in client.get(f"/price-books/{book['id']}?role=finance").text

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "is empty"),
            (b"not json", "is not JSON"),
            (b"[]", "must be a JSON object"),
            (b"\xff\xfe", "is not JSON"),
            (json.dumps(BOOK | {"terms": []}).encode(), "terms"),
            (b'{"name": NaN}', "is not JSON"),
        ],
    )
    def test_a_bad_file_comes_back_with_what_is_wrong(
        self, content: bytes, words: str, send: Send, count_rows: Rows
    ) -> None:
        before = count_rows()
        answer = send("/price-books", {"file": (BytesIO(content), "book.json")}, page="/price-books")
        assert answer.status_code == 422
        assert words in answer.text
        assert count_rows() == before
