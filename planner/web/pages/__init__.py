"""The pages: each view parses, calls one service and renders."""

from __future__ import annotations

from typing import Any

from flask import Flask, request

from planner.offers.offer import UNSTATED_REGION
from planner.version import code_version
from planner.web.database import now
from planner.web.pages import (
    api_guide,
    assets,
    budgets,
    calibrations,
    devices,
    estimates,
    fx_rates,
    gpu_names,
    hardware,
    home,
    imports,
    ledger,
    market,
    outcomes,
    pass_sizing,
    plans,
    pressure,
    price_books,
    price_sources,
    prices,
    replays,
    schedules,
    sizing,
    upkeep,
    words,
)
from planner.web.pages.blueprint import pages

MODULES = (
    home,
    devices,
    outcomes,
    hardware,
    prices,
    market,
    price_sources,
    imports,
    gpu_names,
    assets,
    fx_rates,
    price_books,
    calibrations,
    estimates,
    sizing,
    pass_sizing,
    pressure,
    ledger,
    budgets,
    plans,
    replays,
    schedules,
    upkeep,
    words,
    api_guide,
)


def attach(app: Flask) -> None:
    app.register_blueprint(pages)
    app.context_processor(_everywhere)


def _everywhere() -> dict[str, Any]:
    """What every template may use."""
    theme = request.cookies.get("theme", "")
    return {
        "now": now(),
        "code_version": code_version(),
        "unstated_region": UNSTATED_REGION,
        "theme": theme if theme in ("light", "dark") else "",
        "is_htmx": request.headers.get("HX-Request") == "true",
    }
