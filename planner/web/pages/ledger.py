"""The ledger: what finished jobs took beside their estimates, entered by form, log or table."""

from __future__ import annotations

from typing import Any

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from planner.errors import Conflict, InvalidInput, NotFound
from planner.services.actual_tables import CSV_COLUMNS, upload_actuals
from planner.services.actuals import (
    ledger_summary,
    list_actuals,
    record_actual,
    record_step_log,
)
from planner.services.estimates import get_estimate
from planner.services.requests import parse
from planner.services.requests.actuals import ActualRequest, StepLogRequest
from planner.version import code_version
from planner.web.api.actuals import table_text
from planner.web.database import now, session
from planner.web.exports import download
from planner.web.forms import Form
from planner.web.pages.blueprint import pages
from planner.web.queries import LedgerQuery, read_query

CHOICES = 60  # options of an estimate that the form offers by name


@pages.get("/ledger")
def ledger_page() -> tuple[str, int]:
    """Every job that was entered, newest first, with the measured error of each kind."""
    query, form = read_query(LedgerQuery)
    return _page(query or LedgerQuery(), form, 422 if query is None else 200)


@pages.get("/ledger/template.csv")
def ledger_template() -> FlaskResponse:
    """The columns of a table of finished jobs."""
    return download("ledger-template.csv", ",".join(CSV_COLUMNS) + "\r\n", "text/csv; charset=utf-8; header=present")


@pages.post("/ledger/table")
def upload_ledger_table() -> Response | tuple[str, int]:
    """Enter a table of finished jobs."""
    form = Form.sent()
    sent = request.files.get("file")
    try:
        found = upload_actuals(session(), table_text(sent.read() if sent else b""), now(), code_version())
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _page(LedgerQuery(), form, 422)
    known = f"; in the ledger already: {found.num_known}" if found.num_known else ""
    flash(f"Jobs entered: {len(found.entered)}{known}.", "good")
    for bad in found.bad[:10]:
        flash(f"Line {bad.line} was left out: {'; '.join(map(str, bad.problems))}", "warn")
    if len(found.bad) > 10:
        flash(f"{len(found.bad) - 10} more lines were left out.", "warn")
    return redirect(url_for("pages.ledger_page"), 303)


@pages.get("/estimates/<estimate_id>/actual")
def new_actual(estimate_id: str) -> tuple[str, int]:
    """The form for what a job took."""
    return _form_page(estimate_id, Form.filled({"option": 0}), 200)


@pages.post("/estimates/<estimate_id>/actual")
def enter_actual_page(estimate_id: str) -> Response | tuple[str, int]:
    """Enter what was typed, or the steps of the log that was pasted."""
    form = Form.sent()
    try:
        _enter(estimate_id, form)
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _form_page(estimate_id, form, 422)
    except (Conflict, NotFound) as error:
        form.problems = list(InvalidInput.of("replaces", str(error)).problems)
        return _form_page(estimate_id, form, error.status)
    flash("Entered. The next estimate of this kind counts it.", "good")
    return redirect(url_for("pages.show_estimate", estimate_id=estimate_id) + "#actuals", 303)


def _enter(estimate_id: str, form: Form) -> None:
    if form.value("log").strip():
        given: dict[str, Any] = form.given(
            StepLogRequest, ignore=[name for name in form.values if form.value(name) == ""]
        )
        record_step_log(session(), parse(StepLogRequest, {**given, "estimate_id": estimate_id}), now(), code_version())
        return
    given = form.given(ActualRequest, ignore=["log"])
    record_actual(session(), parse(ActualRequest, {**given, "estimate_id": estimate_id}), now(), code_version(), "form")


def _page(query: LedgerQuery, form: Form, status: int) -> tuple[str, int]:
    found = list_actuals(session(), query.limit, query.after, query.estimate_id)
    page = render_template(
        "ledger/list.html",
        rows=found,
        records=ledger_summary(session()),
        form=form,
        query=query,
        more=found[-1].id if len(found) == query.limit else None,
    )
    return page, status


def _form_page(estimate_id: str, form: Form, status: int) -> tuple[str, int]:
    view = get_estimate(session(), estimate_id)
    choices = [(position, option.placement.title) for position, option in enumerate(view.answer.options[:CHOICES])]
    page = render_template("ledger/form.html", view=view, choices=choices, form=form)
    return page, status
