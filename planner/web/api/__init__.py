"""The REST API under /api/v1: JSON twins of the pages, with an OpenAPI document drawn from the same operations."""

from __future__ import annotations

import json
from functools import cache

from flask import Blueprint, Flask, Response, request

from planner.web.api import (
    actuals,
    assets,
    budgets,
    focus,
    fx_rates,
    imports,
    market,
    odata,
    outcomes,
    pass_sizing,
    plans,
    pressure,
    price_books,
    price_sources,
    replays,
    sizing,
    upkeep,
)
from planner.web.api.openapi import openapi_document
from planner.web.api.resources import api

PREFIX = "/api/v1"
MODULES = (  # beside `resources`: each puts its operations on `api`
    *(imports, price_sources, market, actuals, outcomes, sizing, plans, upkeep),
    *(assets, fx_rates, price_books, pass_sizing, pressure),
    *(replays, focus, budgets, odata),
)


def attach(app: Flask) -> None:
    blueprint = Blueprint("api", __name__, url_prefix=PREFIX)
    api.attach(blueprint)
    blueprint.add_url_rule("/openapi.json", "openapi", openapi)
    app.register_blueprint(blueprint)


def openapi() -> Response:
    """The OpenAPI document."""
    response = Response(_text(), content_type="application/json")
    response.add_etag()
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    return response


@cache
def _text() -> str:
    return json.dumps(openapi_document(api, PREFIX), ensure_ascii=False)
