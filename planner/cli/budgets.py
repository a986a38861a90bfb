"""`planner budgets`: make, list and withdraw budgets, hold what happened against them, and close months."""

from __future__ import annotations

from decimal import Decimal
from typing import BinaryIO

import click

from planner.budgets.rounding import minor_units
from planner.cli.edge import Edge, json_object, json_option, now, pass_edge
from planner.services.budget_reports import BudgetReport, budget_report, listed_reports
from planner.services.budgets import add_budget, withdraw_budget
from planner.services.closings import Change, ClosingView, changes_since_closing, close_month, closed_months
from planner.services.requests import parse, without_blanks
from planner.services.requests.budgets import (
    BudgetRequest,
    BudgetsQuery,
    ChangesQuery,
    ClosingRequest,
    ReportQuery,
)
from planner.version import code_version

ACTOR = "command line"


@click.group()
def budgets() -> None:
    """Hold what finished jobs cost against budgets, cause by cause, and close months."""


@budgets.command("add", epilog="Example: planner budgets add october.json")
@click.argument("file", type=click.File("rb"))
@json_option
@pass_edge
def add_command(edge: Edge, file: BinaryIO) -> None:
    """Keep a budget from a JSON file (docs/budgets.md shows one); one that replaces another names it."""
    request = parse(BudgetRequest, json_object(file.read()))
    with edge.session() as session:
        made = add_budget(session, request, now(), ACTOR)
    if edge.as_json:
        edge.print_json(made)
    else:
        edge.console.print(f"Budget {made.id}: {made.name}, {_written(made.budget.amount, made.budget.currency)}.")


@budgets.command("list", epilog="Example: planner budgets list --month 2026-10")
@click.option("--month", help="Only budgets of this month, as 2026-10.")
@click.option("--replaced", is_flag=True, help="Those that were replaced or withdrawn too.")
@json_option
@pass_edge
def list_command(edge: Edge, month: str | None, replaced: bool) -> None:
    """List budgets with what was spent of them, the newest first."""
    query = parse(BudgetsQuery, without_blanks({"month": month}) | {"replaced": replaced})
    with edge.session() as session:
        found = listed_reports(session, query, now(), None)
    if edge.as_json:
        edge.print_json({"budgets": found})
        return
    for report in found:
        edge.console.print(f"{report.budget.id}  {report.budget.name}: {_in_short(report)}")
    if not found:
        edge.console.print("There is no budget.")


@budgets.command("report", epilog="Example: planner budgets report 01KF… --known-at 2026-11-05T00:00:00Z")
@click.argument("budget_id")
@click.option("--known-at", help="As far as was known at this moment (default now).")
@json_option
@pass_edge
def report_command(edge: Edge, budget_id: str, known_at: str | None) -> None:
    """Say what was spent of a budget, and why it differs, by cause; the causes add up to the difference."""
    query = parse(ReportQuery, without_blanks({"known_at": known_at}))
    with edge.session() as session:
        report = budget_report(session, budget_id, query.known_at or now())
    if edge.as_json:
        edge.print_json(report)
        return
    currency = report.budget.budget.currency
    edge.console.print(f"{report.budget.name}: {_in_short(report)}")
    for effect in report.effects:
        edge.console.print(f"  {effect.cause.value.replace('_', ' '):<10} {_written(effect.amount, currency)}")
    for one in report.untold:
        edge.console.print(f"  not told apart: {one.cause.value.replace('_', ' ')} of {one.num_charges}: {one.reason}")
    for job in report.uncounted:
        edge.console.print(f"  in no sum: {job.job_name}, {job.reason}")
    if report.corrections.num_charges:
        amount = _written(report.corrections.amount, currency)
        edge.console.print(f"  since months were closed: {amount} in {report.corrections.num_charges} charges")


@budgets.command("withdraw", epilog="Example: planner budgets withdraw 01KF…")
@click.argument("budget_id")
@json_option
@pass_edge
def withdraw_command(edge: Edge, budget_id: str) -> None:
    """Let a budget count no more; it is kept."""
    with edge.session() as session:
        view = withdraw_budget(session, budget_id, now())
    if edge.as_json:
        edge.print_json(view)
    else:
        edge.console.print(f"Budget {budget_id} counts no more.")


@budgets.command("close", epilog="Example: planner budgets close 2026-10")
@click.argument("month")
@click.option("--note", default="", help="Anything worth keeping.")
@json_option
@pass_edge
def close_command(edge: Edge, month: str, note: str) -> None:
    """Close a month that has ended: its charges stay as they are known now, for good."""
    request = parse(ClosingRequest, {"month": month, "note": note})
    with edge.session() as session:
        closing = close_month(session, request, now(), ACTOR, code_version())
    if edge.as_json:
        edge.print_json(closing)
    else:
        edge.console.print(_closed(closing))


@budgets.command("changes", epilog="Example: planner budgets changes 2026-10")
@click.argument("month", required=False)
@json_option
@pass_edge
def changes_command(edge: Edge, month: str | None) -> None:
    """List what was learnt of closed months since they were closed; of one where it is named."""
    query = parse(ChangesQuery, without_blanks({"month": month}))
    moment = now()
    with edge.session() as session:
        months = closed_months(session, moment) if query.month is None else (query.month,)
        found = changes_since_closing(session, months, moment)
    if edge.as_json:
        edge.print_json({"changes": found})
        return
    for change in found:
        edge.console.print(_changed(change))
    if not found:
        edge.console.print("Nothing was learnt since that changes a charge.")


def _in_short(report: BudgetReport) -> str:
    currency = report.budget.budget.currency
    beside = f", {len(report.uncounted)} jobs of unknown cost beside it" if report.uncounted else ""
    amount = _written(report.budget.budget.amount, currency)
    if report.actual is None or report.difference is None:
        return f"unknown of {amount} spent{beside}"
    return f"{_written(report.actual, currency)} of {amount} spent, {_written(report.difference, currency)}{beside}"


def _closed(closing: ClosingView) -> str:
    sums = ", ".join(_written(total.cost, total.currency) for total in closing.totals) or "nothing"
    beside = f"; {closing.num_unknown} jobs of unknown cost are not in it" if closing.num_unknown else ""
    return f"{closing.month} is closed: {sums} in {closing.num_charges} charges{beside}."


def _changed(change: Change) -> str:
    def said(amount: Decimal | None, otherwise: str) -> str:
        return otherwise if amount is None else _written(amount, change.currency)

    booked, known = said(change.booked, "not booked"), said(change.known, "does not count")
    return f"{change.month}  {change.job_name}: {booked} -> {known}, {change.reason}"


def _written(amount: Decimal, currency: str) -> str:
    return f"{amount:,.{minor_units(currency)}f} {currency}"
