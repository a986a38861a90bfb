"""Where prices come from: how each source stands, when it is read again, and reading it at once."""

from __future__ import annotations

from dataclasses import dataclass

from flask import flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from planner.errors import InvalidInput
from planner.services.price_imports import list_imports
from planner.services.price_sources import (
    PriceSourceView,
    SourceState,
    get_price_source,
    list_price_sources,
    request_refresh,
    set_price_source,
)
from planner.services.requests import parse
from planner.services.requests.imports import PriceSourceRequest
from planner.services.schedules import preview
from planner.web.database import now, session
from planner.web.forms import Form
from planner.web.pages.blueprint import pages
from planner.web.pages.imports import LEAVES
from planner.web.price_files import ACTOR

FIELDS = ("enabled", "cron", "timezone")
NUM_IMPORTS = 10


@pages.get("/price-sources")
def price_sources_page() -> str:
    """Every source with its last result and its next refresh, those on the network first."""
    found = list_price_sources(session(), now(), every=True)
    return render_template(
        "price_sources/list.html",
        network=_folded([source for source in found if source.is_on_network]),
        files=_folded([source for source in found if not source.is_on_network]),
    )


@dataclass(frozen=True, slots=True)
class Folded:
    """Sources as a page lists them: those to see at once, and by family those that nobody has used."""

    shown: list[PriceSourceView]
    families: dict[str, list[PriceSourceView]]


def _folded(sources: list[PriceSourceView]) -> Folded:
    """Regions, clouds and providers of one sort of list ("…: us-east-1") are folded until they are used."""
    shown: list[PriceSourceView] = []
    families: dict[str, list[PriceSourceView]] = {}
    for source in sources:
        family, _, member = source.title.partition(": ")
        if not member or source.enabled or source.state is not SourceState.NEVER:
            shown.append(source)
        else:
            families.setdefault(family, []).append(source)
    return Folded(shown, families)


@pages.get("/price-sources/<name>")
def price_source_page(name: str) -> tuple[str, int]:
    """One source: its last results, and the form of its rule."""
    found = get_price_source(session(), name, now())
    values = {field: getattr(found, field) for field in FIELDS}
    return _page(found, Form.filled({**values, "allow_large_changes": found.allowed_changes.value}), 200)


@pages.post("/price-sources/<name>")
def set_source_rule(name: str) -> Response | tuple[str, int]:
    """Keep its rule; a form that cannot be used comes back with its faults."""
    found = get_price_source(session(), name, now())
    form = Form.sent()
    try:
        given = form.given(PriceSourceRequest)
        asked = parse(PriceSourceRequest, {**given, "enabled": given.get("enabled", False)})
        kept = set_price_source(session(), name, asked, now())
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _page(found, form, 422)
    when = f"is read {kept.in_words}" if kept.enabled else "is not read by itself"
    flash(f"“{kept.title}” {when}.", "good")
    return redirect(url_for("pages.price_source_page", name=name), 303)


@pages.post("/price-sources/<name>/refresh")
def refresh_source(name: str) -> Response:
    """Ask for it to be read at once; a worker does it."""
    found = request_refresh(session(), name, now(), ACTOR)
    flash(f"“{found.title}” is asked for. A worker reads it within a minute; the result appears here.", "good")
    return redirect(url_for("pages.price_source_page", name=name), 303)


def _page(source: PriceSourceView, form: Form, status: int) -> tuple[str, int]:
    reading, fault = None, ""
    try:
        reading = preview(form.value("cron"), form.value("timezone") or "UTC", now(), 3)
    except InvalidInput as error:
        fault = "; ".join(problem.message for problem in error.problems)
    page = render_template(
        "price_sources/show.html",
        source=source,
        form=form,
        reading=reading,
        fault=fault,
        leaves=[(allowed.value, words) for allowed, words in LEAVES.items()],
        imports=list_imports(session(), NUM_IMPORTS, source=source.name),
    )
    return page, status
