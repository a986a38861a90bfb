"""Imports of prices and names of GPUs, by page and by API: previewed, applied, decided on, rolled back, refused."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from planner.readers.own_csv import template
from tests.web.conftest import Send, problem_of

Rows = Callable[[], dict[str, int]]
API = "/api/v1/price-imports"
TEMPLATE = template()
DEARER = TEMPLATE.replace("17.60", "35.20").replace("2026-01-01", "2026-02-01")


def sent(text: str | bytes, name: str = "mine.csv") -> dict[str, Any]:
    content = text.encode() if isinstance(text, str) else text
    return {"file": (BytesIO(content), name)}


def hidden(page: TestResponse) -> dict[str, str]:
    """What the form of a preview sends when it is applied."""
    form = page.text[page.text.index('class="apply"') :]
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form.partition("</form>")[0]))
    return {name: value for name, value in fields.items() if name != "csrf_token"}


def bring_in(client: FlaskClient, text: str, query: str = "") -> dict[str, Any]:
    answer = client.post(f"{API}{query}", data=text, content_type="text/csv")
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = json.loads(answer.data)
    return found


class TestPages:
    def test_a_file_is_previewed_applied_and_rolled_back(
        self, send: Send, client: FlaskClient, count_rows: Rows
    ) -> None:
        before = count_rows()
        preview = send("/imports/preview", sent(TEMPLATE))
        assert preview.status_code == 200, preview.text
        assert "Own price file" in preview.text
        assert count_rows() == before
        applied = send("/imports", hidden(preview))
        assert applied.status_code == 303
        assert count_rows()["prices"] == before["prices"] + 1
        address = applied.headers["Location"]
        assert "mine.csv" in client.get(address).text
        assert send(f"{address}/roll-back").status_code == 303
        assert "rolled back" in client.get("/imports").text
        assert count_rows()["prices"] == before["prices"] + 2
        assert send(f"{address}/roll-back").status_code == 409

    def test_a_file_cannot_be_applied_twice_from_one_preview(self, send: Send, count_rows: Rows) -> None:
        fields = hidden(send("/imports/preview", sent(TEMPLATE)))
        assert send("/imports", fields).status_code == 303
        before = count_rows()
        assert send("/imports", fields).status_code == 404
        assert count_rows() == before

    @pytest.mark.parametrize("decision", ["approve", "refuse"])
    def test_a_held_row_is_decided_by_its_tick(self, decision: str, send: Send, client: FlaskClient) -> None:
        bring_in(client, TEMPLATE)
        preview = send("/imports/preview", sent(DEARER))
        assert "Held: a change of more than 20 %" in preview.text
        address = send("/imports", hidden(preview)).headers["Location"]
        text = client.get(address).text
        ticked = re.search(r'name="rows" value="(\d+)"', text)
        assert ticked is not None
        assert send(f"{address}/{decision}", {}).status_code == 422
        assert send(f"{address}/{decision}", {"rows": ticked[1]}).status_code == 303
        text = client.get(address).text
        assert "Waiting for you" not in text
        assert {"approve": "approved", "refuse": "refused"}[decision] in text

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"file": (BytesIO(b""), "")}, "file"),
            (sent(""), "file"),
            (sent("a,b\n1,2\n"), "source"),
            ({"source": "nowhere"}, "source"),
            ({"stated_date": "yesterday"}, "stated_date"),
            ({"stated_date": "2026"}, "stated_date"),
            ({"allow_large_changes": "perhaps"}, "allow_large_changes"),
            ({"colour": "red"}, "colour"),
        ],
    )
    def test_a_bad_field_is_named_and_nothing_is_written(
        self, changes: dict[str, Any], field: str, send: Send, count_rows: Rows
    ) -> None:
        before = count_rows()
        answer = send("/imports/preview", {**sent(TEMPLATE), **changes})
        assert answer.status_code == 422
        assert f'href="#field-{field}"' in answer.text
        assert count_rows() == before

    def test_a_file_that_breaks_off_is_shown_as_unusable_and_not_offered(self, send: Send) -> None:
        cut = gzip.compress(TEMPLATE.encode())[:-12]
        answer = send("/imports/preview", {**sent(cut, "mine.csv.gz"), "source": "own"})
        assert "Nothing of this file can be kept" in answer.text
        assert 'class="apply"' not in answer.text

    @pytest.mark.parametrize("name", ['../../etc/<b>"x.csv', "a\u202eb.csv"])
    def test_the_name_of_a_file_is_only_ever_text(self, name: str, send: Send, app: Flask) -> None:
        answer = send("/imports/preview", sent(TEMPLATE, name))
        assert "<b>" not in answer.text
        folder = app.extensions["planner_uploads"].folder
        assert all(re.fullmatch(r"[0-9a-f]{32}", path.name) for path in folder.iterdir())

    def test_a_name_is_mapped_and_its_offers_follow(self, send: Send, client: FlaskClient) -> None:
        first = json.loads(client.get("/api/v1/unmapped-names").data)["names"][0]
        assert first["gpu_name"] in client.get("/gpu-names").text
        fields = {"name": first["gpu_name"], "scope": first["provider"], "gpu_key": "H100-80GB-SXM"}
        assert send("/gpu-names", {**fields, "gpu_key": "H1000"}).status_code == 422
        assert send("/gpu-names", fields).status_code == 303
        left = json.loads(client.get("/api/v1/unmapped-names").data)["names"]
        assert (first["provider"], first["gpu_name"]) not in {(n["provider"], n["gpu_name"]) for n in left}


class TestApi:
    def test_a_dry_run_says_what_would_happen_and_stores_nothing(self, client: FlaskClient, count_rows: Rows) -> None:
        before = count_rows()
        found = bring_in(client, TEMPLATE, "?dry_run=1")
        assert (found["id"], found["num_accepted"], found["source"]) == (None, 1, "own")
        assert count_rows() == before

    def test_twice_is_once(self, client: FlaskClient, count_rows: Rows) -> None:
        bring_in(client, TEMPLATE)
        before = count_rows()["prices"]
        assert bring_in(client, TEMPLATE)["counts"]["num_unchanged"] == 1
        assert count_rows()["prices"] == before

    def test_a_held_row_is_approved_and_an_import_rolled_back(self, client: FlaskClient) -> None:
        bring_in(client, TEMPLATE)
        made = f"{API}/{bring_in(client, DEARER)['id']}"
        (row,) = json.loads(client.get(f"{made}/rows?waiting=1").data)["rows"]
        assert problem_of(client.post(f"{made}/approve", json={}))["errors"][0]["field"] == "rows"
        assert client.post(f"{made}/approve", json={"rows": [row["id"]]}).status_code == 201
        assert client.post(f"{made}/roll-back").status_code == 201
        assert problem_of(client.post(f"{made}/roll-back"))["status"] == 409

    @pytest.mark.parametrize(
        ("query", "content_type", "body", "status"),
        [
            ("", "text/html", TEMPLATE, 415),
            ("", "text/csv", "", 422),
            ("", "text/csv", "a,b\n1,2\n", 422),
            ("?source=nowhere", "text/csv", TEMPLATE, 422),
            ("?stated_date=2026", "text/csv", TEMPLATE, 422),
            ("?colour=red", "text/csv", TEMPLATE, 422),
            ("?source=own", "application/octet-stream", b"PK\x03\x04zip", 422),
        ],
    )
    def test_what_cannot_be_used_is_refused_and_nothing_is_written(
        self, query: str, content_type: str, body: str | bytes, status: int, client: FlaskClient, count_rows: Rows
    ) -> None:
        before = count_rows()
        answer = client.post(f"{API}{query}", data=body, content_type=content_type)
        assert problem_of(answer)["status"] == status
        assert count_rows() == before
