"""Exchange rates: what is known with its source and day, files to bring in, and rates that wait for a person."""

from __future__ import annotations

from io import BytesIO

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from planner.errors import Conflict, FieldProblem, InvalidInput, NotFound
from planner.services.fx import RatesImport, import_rate_file, known_currencies, list_rates, rates_on
from planner.services.held_rates import approve_rates, list_held_rates, num_waiting_rates, refuse_rates
from planner.services.price_sources import PriceSourceView, list_price_sources, set_price_source
from planner.services.requests import parse
from planner.services.requests.fx import RateFileQuery, RateQuery
from planner.services.requests.imports import PriceSourceRequest
from planner.web.database import now, session
from planner.web.forms import Form
from planner.web.pages.blueprint import pages
from planner.web.price_files import ACTOR
from planner.web.queries import RowsRequest, read_query

NUM_LISTED = 200  # held rates on a page; each brings a field, and a form has at most 500
NUM_SAID = 10
DAILY = {"cron": "30 16 * * 1-5", "timezone": "Europe/Berlin"}  # the bank publishes at about 16:00 its time
FEEDS = {
    "ecb-rates": "European Central Bank, the last working day",
    "ecb-rates-90d": "European Central Bank, 90 days",
}


@pages.get("/fx-rates")
def fx_rates_page() -> tuple[str, int]:
    """Exchange rates as they are stored or as they count on a day; those that wait; and a file to send."""
    query, form = read_query(RateQuery)
    return _page(query or RateQuery(), form, 422 if query is None else 200)


@pages.post("/fx-rates")
def upload_rates() -> Response | tuple[str, int]:
    """Bring the rates of a file in."""
    form = Form.sent()
    try:
        asked = parse(RateFileQuery, form.given(RateFileQuery))
        found = import_rate_file(
            session(), _sent_file(), now(), asked.source, allow_large_changes=asked.allow_large_changes
        )
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _page(RateQuery(), form, 422)
    _say(found)
    return redirect(url_for("pages.fx_rates_page"), 303)


@pages.post("/fx-rates/sources/<name>")
def set_rate_source(name: str) -> Response:
    """Let the worker read a source every working day after the bank has published, or no more."""
    if name not in FEEDS:
        raise NotFound(f"there is no source of exchange rates {name!r}")
    form = Form.sent()
    given = form.given(PriceSourceRequest)
    asked = parse(PriceSourceRequest, {**DAILY, "enabled": given.get("enabled", "false")})
    view = set_price_source(session(), name, asked, now())
    flash(f"{FEEDS[name]}: read {view.in_words}." if view.enabled else f"{FEEDS[name]}: read no more.", "good")
    return redirect(url_for("pages.fx_rates_page"), 303)


@pages.post("/fx-rates/approve")
def approve_held_rates() -> Response | tuple[str, int]:
    """Let held rates count from now on: the ticked ones, or all."""
    return _decide(approving=True)


@pages.post("/fx-rates/refuse")
def refuse_held_rates() -> Response | tuple[str, int]:
    """Decide that held rates are wrong: the ticked ones, or all."""
    return _decide(approving=False)


def _decide(*, approving: bool) -> Response | tuple[str, int]:
    form = Form.sent()
    try:
        ignore = ("rows",) if form.value("all") else ()  # all are all, whatever is ticked
        asked = parse(RowsRequest, form.given(RowsRequest, lists=("rows",), ignore=ignore))
        decide = approve_rates if approving else refuse_rates
        number = decide(session(), now(), asked.chosen, ACTOR)
    except (InvalidInput, Conflict) as error:
        named = error.problems if isinstance(error, InvalidInput) else [FieldProblem("rows", str(error))]
        form.problems = list(named)
        return _page(RateQuery(), form, error.status)
    done = "approved and count from now on" if approving else "refused; the same ones are refused from now on"
    flash(f"Rates {done}: {number:,}.", "good")
    return redirect(url_for("pages.fx_rates_page"), 303)


def _sent_file() -> BytesIO:
    sent = request.files.getlist("file")
    if unknown := [name for name in request.files if name != "file"]:
        raise InvalidInput.of(unknown[0], "is not a field of this form")
    if len(sent) != 1 or not sent[0].filename:
        raise InvalidInput.of("file", "choose one file")
    return BytesIO(sent[0].read())


def _say(found: RatesImport) -> None:
    """What became of the file's rates, as messages on the page to come."""
    flash(f"{found.num_added:,} rates added; {found.num_known:,} were known.", "good")
    if found.num_held:
        flash(f"{found.num_held:,} rates jump by more than a fifth and wait for you.", "warn")
    for refused in found.refused[:NUM_SAID]:
        flash(f"Line {refused.line} was left out: {refused.reason}", "warn")
    if found.num_refused > NUM_SAID:
        flash(f"{found.num_refused - NUM_SAID:,} more lines were left out.", "warn")


def _page(query: RateQuery, form: Form, status: int) -> tuple[str, int]:
    listed, following = [], None
    if query.as_of is not None:
        found = rates_on(session(), query.as_of, query.known_at or now())
        rates = [rate for rate in found if query.base in (None, rate.base) and query.quote in (None, rate.quote)]
    else:
        listed = list_rates(session(), query)
        rates = [view.rate for view in listed]
        following = listed[-1].id if len(listed) == query.limit else None
    page = render_template(
        "fx/list.html",
        form=form,
        query=query,
        rates=rates,
        recorded={view.rate: view.recorded_at for view in listed},
        more=following,
        currencies=[(code, code) for code in known_currencies(session())],
        held=list_held_rates(session(), waiting=True, limit=NUM_LISTED),
        num_waiting=num_waiting_rates(session()),
        feeds=_feeds(),
    )
    return page, status


def _feeds() -> list[tuple[str, str, PriceSourceView | None]]:
    """Each source on the network with its rule and its last result, None where it has no rule."""
    views = {view.name: view for view in list_price_sources(session(), now())}
    return [(name, title, views.get(name)) for name, title in FEEDS.items()]
