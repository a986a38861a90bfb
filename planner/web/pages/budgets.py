"""Budgets: a form, what happened against them by cause, and the months that are closed."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from planner.budgets.budget import month_name
from planner.errors import Conflict, InvalidInput, NotFound
from planner.offers.offer import OfferKind
from planner.services.budget_reports import budget_report, listed_reports
from planner.services.budgets import add_budget, get_budget, withdraw_budget
from planner.services.closings import changes_since_closing, close_month, closed_months, get_closing, list_closings
from planner.services.requests import parse
from planner.services.requests.budgets import BudgetRequest, BudgetsQuery, ClosingRequest, ReportQuery
from planner.units import plain_decimal
from planner.version import code_version
from planner.web.budget_page import counted, lines_of, rates_of, walk, written
from planner.web.database import now, session
from planner.web.forms import Form
from planner.web.pages.blueprint import pages
from planner.web.price_files import ACTOR
from planner.web.queries import read_query

TYPED = {"lines": lines_of, "planned_rates": rates_of}  # fields that are typed one row each


@pages.get("/budgets")
def budgets_page() -> tuple[str, int]:
    """Every budget with what was spent of it, and the months that are closed."""
    query, form = read_query(BudgetsQuery)
    return _page(query or BudgetsQuery(), form, 422 if query is None else 200)


@pages.get("/budgets/new")
def new_budget() -> tuple[str, int]:
    """The form of a budget for this month."""
    return _form_page(Form.filled({"from_month": month_name(now()), "currency": "USD"}), 200)


@pages.get("/budgets/<budget_id>/revise")
def revise_budget(budget_id: str) -> tuple[str, int]:
    """The same form, filled with a budget that it is to replace."""
    view = get_budget(session(), budget_id, now())
    budget, scope = view.budget, view.budget.scope
    lines = [
        " ".join(
            filter(
                None,
                (
                    line.gpu_key,
                    plain_decimal(line.gpu_hours),
                    plain_decimal(line.price_per_gpu_hour),
                    line.offer_kind,
                ),
            )
        )
        for line in budget.lines
    ]
    rates = [f"{currency} {plain_decimal(rate)}" for currency, rate in budget.planned_rates.items()]
    values = {
        "name": view.name,
        "currency": budget.currency,
        "from_month": budget.from_month,
        "until_month": budget.until_month,
        "amount": None if lines else plain_decimal(budget.amount),
        "provider": scope.provider,
        "region": scope.region,
        "gpu_key": scope.gpu_key,
        "offer_kind": scope.offer_kind,
        "job_kind": scope.job_kind,
        "job_starts": scope.job_starts,
        "lines": "\n".join(lines),
        "planned_rates": "\n".join(rates),
        "note": view.note,
        "replaces": view.id,
    }
    return _form_page(Form.filled(values), 200)


@pages.post("/budgets")
def add_budget_by_form() -> Response | tuple[str, int]:
    """Keep the budget that was typed."""
    form = Form.sent()
    try:
        made = add_budget(session(), parse(BudgetRequest, _given(form)), now(), ACTOR)
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _form_page(form, 422)
    except (Conflict, NotFound) as error:
        form.problems = list(InvalidInput.of("replaces", str(error)).problems)
        return _form_page(form, error.status)
    flash(f"{made.name} is kept.", "good")
    return redirect(url_for("pages.budget_page", budget_id=made.id), 303)


@pages.get("/budgets/<budget_id>")
def budget_page(budget_id: str) -> tuple[str, int]:
    """One budget: actual, budget and estimate, the difference by cause, and each charge."""
    query, form = read_query(ReportQuery)
    report = budget_report(session(), budget_id, (query or ReportQuery()).known_at or now())
    page = render_template(
        "budgets/show.html",
        report=report,
        view=report.budget,
        steps=walk(report),
        written=written,
        counted=counted,
        form=form,
        query=query,
    )
    return page, 422 if query is None else 200


@pages.post("/budgets/<budget_id>/withdraw")
def withdraw_budget_by_form(budget_id: str) -> Response:
    """Let a budget count no more."""
    view = withdraw_budget(session(), budget_id, now())
    flash(f"{view.name} counts no more.", "good")
    return redirect(url_for("pages.budgets_page"), 303)


@pages.post("/closings")
def close_month_by_form() -> Response | tuple[str, int]:
    """Close the month that was typed."""
    form = Form.sent()
    try:
        asked = parse(ClosingRequest, form.given(ClosingRequest))
        made = close_month(session(), asked, now(), ACTOR, code_version())
    except (InvalidInput, Conflict) as error:
        named = error if isinstance(error, InvalidInput) else InvalidInput.of("month", str(error))
        form.problems = list(named.problems)
        return _page(BudgetsQuery(), form, error.status)
    flash(f"{made.month} is closed with {counted(made.num_charges, 'charge')}.", "good")
    return redirect(url_for("pages.closing_page", month=made.month), 303)


@pages.get("/closings/<month>")
def closing_page(month: str) -> tuple[str, int]:
    """One closed month: what was booked, and what was learnt since."""
    closing = get_closing(session(), month, now())
    changes = changes_since_closing(session(), [month], now())
    return render_template(
        "budgets/closing.html", closing=closing, changes=changes, written=written, counted=counted
    ), 200


def _given(form: Form) -> dict[str, Any]:
    """What the form says, rows that were typed read into fields of their own. Raises InvalidInput."""
    given = form.given(BudgetRequest)
    return {name: TYPED[name](value) if name in TYPED else value for name, value in given.items()}


def _page(query: BudgetsQuery, form: Form, status: int) -> tuple[str, int]:
    reports = listed_reports(session(), query, now(), query.limit)
    months = closed_months(session(), now())
    page = render_template(
        "budgets/list.html",
        reports=reports,
        more=reports[-1].budget.id if len(reports) == query.limit else None,
        closings=list_closings(session(), now()),
        num_changes=len(changes_since_closing(session(), months, now())),
        written=written,
        form=form,
        query=query,
    )
    return page, status


def _form_page(form: Form, status: int) -> tuple[str, int]:
    kinds = [(kind.value, kind.value.replace("_", " ")) for kind in OfferKind]
    return render_template("budgets/form.html", form=form, kinds=kinds), status
