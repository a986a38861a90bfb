"""The API of budgets: made, revised, withdrawn, held against what happened; and of months that are closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import url_for

from planner.budgets.variance import Cause, Effect
from planner.services.budget_reports import BudgetReport, ReportLine, budget_report, listed_reports
from planner.services.budgets import BudgetView, add_budget, get_budget, list_budgets, withdraw_budget
from planner.services.closings import (
    Change,
    ClosingView,
    changes_since_closing,
    close_month,
    closed_months,
    get_closing,
    list_closings,
)
from planner.services.requests.budgets import (
    BudgetLinesQuery,
    BudgetRequest,
    BudgetsQuery,
    ChangesQuery,
    ClosingRequest,
    ReportQuery,
)
from planner.version import code_version
from planner.web.api.resources import api
from planner.web.clients import actor
from planner.web.database import now, session
from planner.web.exports import Table

CAUSES = tuple(f"cause_{cause.value}" for cause in Cause)
BUDGET_COLUMNS = (
    *("budget_id", "name", "scope", "currency", "from_month", "until_month", "amount", "actual", "difference", "used"),
    *("estimate_low", "estimate_mid", "estimate_high", *CAUSES, "num_charges", "num_uncounted"),
    *("num_without_estimate", "closed_months", "corrections", "num_corrections", "recorded_at", "replaced_by"),
    *("withdrawn_at", "known_at", "unknown_reason"),
)
BUDGET_LINE_COLUMNS = (
    *("budget_id", "line_id", "line", "budget", "actual_id", "estimate_id", "job", "from_at", "until_at", "gpu_key"),
    *("num_gpus", "provider", "region", "offer_kind", "is_booked", "cost_is", "charge_currency", "charge_cost"),
    *("charge_estimated_cost", "rate", "planned_rate", "currency", "amount", *CAUSES, "gpu_hours"),
    *("estimated_gpu_hours", "lost_gpu_hours", "estimated_lost_gpu_hours", "budgeted_price", "known_at"),
    "unknown_reason",
)
CHANGE_COLUMNS = (
    *("month", "actual_id", "estimate_id", "job", "currency", "booked", "known", "difference", "reason", "known_at"),
)


@dataclass(frozen=True, slots=True)
class BudgetList:
    budgets: list[BudgetView]
    next_after: str | None


@dataclass(frozen=True, slots=True)
class ClosingList:
    closings: list[ClosingView]


@dataclass(frozen=True, slots=True)
class ChangeList:
    changes: list[Change]


@api.get("/budgets", tag="budgets", answers=BudgetList, query=BudgetsQuery)
def list_all_budgets(query: BudgetsQuery) -> BudgetList:
    """Budgets, newest first; of a month with `month`, replaced and withdrawn ones too with `replaced`."""
    found = list_budgets(session(), query, now(), query.limit)
    return BudgetList(found, found[-1].id if len(found) == query.limit else None)


@api.post(
    "/budgets", tag="budgets", answers=BudgetView, body=BudgetRequest, status=201, problems=(404, 409), location=True
)
def add_one_budget(body: BudgetRequest) -> tuple[BudgetView, str]:
    """Make a budget: an amount, or lines of GPU-hours and prices, for a scope over calendar months.

    A budget is never changed: a revision is a later one that names the one it `replaces`.
    """
    made = add_budget(session(), body, now(), actor())
    return made, url_for("api.get_one_budget", budget_id=made.id)


@api.table("/budgets", tag="budgets", query=BudgetsQuery)
def get_budgets_table(query: BudgetsQuery) -> Table:
    """Budgets against what happened as CSV, a line per budget; without `limit` all that pass the filters."""
    found = listed_reports(session(), query, now(), query.rows)
    following = found[-1].budget.id if found and len(found) == query.rows else None
    return Table("budgets", BUDGET_COLUMNS, budget_rows(found), following)


@api.get("/budgets/<budget_id>", tag="budgets", answers=BudgetView, query=ReportQuery)
def get_one_budget(budget_id: str, query: ReportQuery) -> BudgetView:
    """One budget as it was made."""
    return get_budget(session(), budget_id, query.known_at or now())


@api.post("/budgets/<budget_id>/withdraw", tag="budgets", answers=BudgetView, problems=(409,))
def withdraw_one_budget(budget_id: str) -> BudgetView:
    """Let a budget count no more; what was known before stays so."""
    return withdraw_budget(session(), budget_id, now())


@api.get("/budgets/<budget_id>/report", tag="budgets", answers=BudgetReport, query=ReportQuery)
def get_budget_report(budget_id: str, query: ReportQuery) -> BudgetReport:
    """Actual, budget and estimate, the difference by cause, each charge, and the jobs that are in no sum.

    Closed months count as they were booked; what was learnt since stands in `corrections`.
    """
    return budget_report(session(), budget_id, query.known_at or now())


@api.table("/budget-lines", tag="budgets", query=BudgetLinesQuery, problems=(404,))
def get_budget_lines_table(query: BudgetLinesQuery) -> Table:
    """What each charge adds to a budget's difference as CSV, by cause; of one budget with `budget_id`."""
    return Table("budget-lines", BUDGET_LINE_COLUMNS, budget_line_rows(asked_reports(query)))


@api.get("/closings", tag="closings", answers=ClosingList, query=ReportQuery)
def list_all_closings(query: ReportQuery) -> ClosingList:
    """The months that are closed, newest first, with what was booked."""
    return ClosingList(list_closings(session(), query.known_at or now()))


@api.post(
    "/closings", tag="closings", answers=ClosingView, body=ClosingRequest, status=201, problems=(409,), location=True
)
def close_one_month(body: ClosingRequest) -> tuple[ClosingView, str]:
    """Close a calendar month that has ended: its charges stay as they are known now, for good."""
    made = close_month(session(), body, now(), actor(), code_version())
    return made, url_for("api.get_one_closing", month=made.month)


@api.get("/closings/<month>", tag="closings", answers=ClosingView, query=ReportQuery)
def get_one_closing(month: str, query: ReportQuery) -> ClosingView:
    """One closed month with what was booked."""
    return get_closing(session(), month, query.known_at or now())


@api.get("/closing-changes", tag="closings", answers=ChangeList, query=ChangesQuery, problems=(404,))
def list_closing_changes(query: ChangesQuery) -> ChangeList:
    """What was learnt of closed months since they were closed, job by job; of one with `month`."""
    return ChangeList(_changes(query))


@api.table("/closing-changes", tag="closings", query=ChangesQuery, problems=(404,))
def get_closing_changes_table(query: ChangesQuery) -> Table:
    """The same as CSV, a line per job."""
    known_at = query.known_at or now()
    rows = [
        [
            *(one.month, one.actual_id, one.estimate_id, one.job_name, one.currency, one.booked, one.known),
            *(one.difference, one.reason, known_at),
        ]
        for one in _changes(query)
    ]
    return Table("closing-changes", CHANGE_COLUMNS, rows)


def _changes(query: ChangesQuery) -> list[Change]:
    known_at = query.known_at or now()
    months = closed_months(session(), known_at) if query.month is None else (query.month,)
    return changes_since_closing(session(), months, known_at)


def asked_reports(query: BudgetLinesQuery) -> list[BudgetReport]:
    """The reports whose lines are asked for."""
    asked = BudgetsQuery(month=query.month, known_at=query.known_at)
    return listed_reports(session(), asked, now(), None, query.budget_id)


def budget_rows(reports: list[BudgetReport]) -> list[list[Any]]:
    """The cells of BUDGET_COLUMNS."""
    return [_budget_row(found) for found in reports]


def _budget_row(found: BudgetReport) -> list[Any]:
    view, foreseen, corrections = found.budget, found.foreseen, found.corrections
    budget = view.budget
    return [
        *(view.id, view.name, view.scope_words, budget.currency, budget.from_month, budget.until_month),
        *(budget.amount, found.actual, found.difference, found.used, foreseen.low, foreseen.mid, foreseen.high),
        *_cells(found.effects),
        *(len(found.lines), len(found.uncounted), foreseen.num_unknown, " ".join(found.closed_months)),
        *(corrections.amount if found.closed_months else None, corrections.num_charges, view.recorded_at),
        *(view.replaced_by, view.withdrawn_at, found.known_at, _unknown_reason(found)),
    ]


def _unknown_reason(found: BudgetReport) -> str:
    """What is in no sum and what could not be told apart, with how many there are of each."""
    reasons = [f"{len(found.uncounted)} jobs are in no sum"] if found.uncounted else []
    reasons += [f"{one.cause.value}, {one.num_charges}: {one.reason}" for one in found.untold]
    return "; ".join(reasons)


def budget_line_rows(reports: list[BudgetReport]) -> list[list[Any]]:
    """The cells of BUDGET_LINE_COLUMNS: the budget itself, then its charges, then what could not be counted."""
    return [row for found in reports for row in (_first_row(found), *_charge_rows(found), *_uncounted_rows(found))]


def _first_row(found: BudgetReport) -> list[Any]:
    """The budget taken away from quantity, or from work, so that a cause's column adds up to its effect."""
    view, budget = found.budget, found.budget.budget
    first = Effect(Cause.QUANTITY if budget.lines else Cause.WORK, -budget.amount)
    return [
        *(view.id, view.id, "budget", view.name, None, None, None, budget.starts_at, budget.ends_at),
        *(budget.scope.gpu_key, None, budget.scope.provider, budget.scope.region, budget.scope.offer_kind),
        *(None, None, None, None, None, None, None, budget.currency, -budget.amount, *_cells((first,))),
        *(sum(line.gpu_hours for line in budget.lines) if budget.lines else None, None, None, None, None),
        *(found.known_at, ""),
    ]


def _charge_rows(found: BudgetReport) -> list[list[Any]]:
    return [_charge_row(found, line) for line in found.lines]


def _charge_row(found: BudgetReport, line: ReportLine) -> list[Any]:
    view, charge = found.budget, line.charge
    return [
        *(view.id, charge.id, "charge", view.name, charge.actual_id, charge.estimate_id, charge.job_name),
        *(charge.start, charge.end, charge.gpu_key, charge.num_gpus, charge.provider, charge.region),
        *(charge.offer_kind, line.is_booked, charge.known, charge.currency, charge.cost, charge.estimated_cost),
        *(line.rate, line.planned_rate, view.budget.currency, line.explained.cost, *_cells(line.explained.effects)),
        *(charge.gpu_hours, charge.estimated_gpu_hours, charge.lost_gpu_hours, charge.estimated_lost_gpu_hours),
        *(line.budgeted_price, found.known_at, "; ".join(gap.value for gap in line.explained.gaps)),
    ]


def _uncounted_rows(found: BudgetReport) -> list[list[Any]]:
    view = found.budget
    return [
        [
            *(view.id, f"{one.actual_id}:uncounted:{place}", "uncounted", view.name, one.actual_id, one.estimate_id),
            *(one.job_name, None, one.at, None, None, None, None, None, None, None, None, None, None, None, None),
            *(view.budget.currency, None, *(None for _ in Cause), None, None, None, None, None, found.known_at),
            one.reason,
        ]
        for place, one in enumerate(found.uncounted)
    ]


def _cells(effects: tuple[Effect, ...]) -> list[Any]:
    """A cell for each cause; empty where it was told of no charge."""
    known = {effect.cause: effect.amount for effect in effects}
    return [known.get(cause) for cause in Cause]
