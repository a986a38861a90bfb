"""Every route is described, every writing one is guarded, and every setting has its place in the documents."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.routing import Rule

from planner.settings import Settings
from planner.web.api import PREFIX
from planner.web.api.openapi import openapi_document
from planner.web.api.resources import api
from planner.web.app import create_app
from planner.web.database import WRITING

DOCS = Path(__file__).resolve().parent.parent / "docs"
ARGUMENT = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    found = create_app(settings)
    yield found
    found.extensions["planner"].engine.dispose()


def rules(app: Flask) -> list[Rule]:
    return list(app.url_map.iter_rules())


def test_every_view_says_what_it_gives(app: Flask) -> None:
    silent = [rule.endpoint for rule in rules(app) if rule.endpoint.startswith("pages.")]
    assert silent, "the pages are registered"
    assert [name for name in silent if not app.view_functions[name].__doc__] == []
    assert [operation.name for operation in api.operations if not operation.summary] == []


def test_every_api_route_is_in_the_openapi_document(app: Flask) -> None:
    paths = openapi_document(api, PREFIX)["paths"]
    for rule in rules(app):
        if rule.endpoint.startswith("api.") and rule.endpoint != "api.openapi":
            path = ARGUMENT.sub(r"{\1}", rule.rule)
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                assert method.lower() in paths[path], f"{method} {path}"


def test_every_api_route_is_in_the_guide_and_in_the_documents(app: Flask) -> None:
    guide = app.test_client().get("/api").text
    written = (DOCS / "api.md").read_text(encoding="utf-8")
    for operation in api.operations:
        path = PREFIX + ARGUMENT.sub(r"{\1}", operation.path)
        assert path in guide
        assert f"`{operation.method} {path}`" in written


def test_the_guide_names_parameters_as_addresses_do(app: Flask) -> None:
    guide = app.test_client().get("/api").text
    assert "parameters: $select, $filter, $orderby" in guide
    assert "parameters: limit, after, since, before, kind, bom" in guide


def test_every_setting_is_in_the_documents() -> None:
    written = (DOCS / "settings.md").read_text(encoding="utf-8")
    for field in dataclasses.fields(Settings):
        assert f"`PLANNER_{field.name.upper()}`" in written


def test_no_page_is_written_to_by_a_get_and_every_write_is_guarded(app: Flask) -> None:
    """A page's write without a token and an API's write from another site are both refused, whatever the address."""
    client = app.test_client()
    num_checked = 0
    for rule in rules(app):
        address = re.sub(r"<[^>]+>", "1", rule.rule)
        for method in (rule.methods or set()) & WRITING:
            num_checked += 1
            if rule.endpoint.startswith("api."):
                headers = {"Origin": "https://evil.example"}
                assert client.open(address, method=method, headers=headers, json={}).status_code == 403, address
            else:
                assert client.open(address, method=method, data={}).status_code == 400, address
    assert num_checked >= 15


def test_addresses_of_pages_and_api_do_not_meet(app: Flask) -> None:
    for rule in rules(app):
        assert rule.rule.startswith("/api/v1/") == rule.endpoint.startswith("api."), rule.rule
