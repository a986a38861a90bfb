"""`planner track`: a locked plan beside what happened."""

from __future__ import annotations

import click
from rich.table import Table

from planner.cli.edge import Edge, json_option, now, pass_edge
from planner.services.documents import document
from planner.services.plan_tracking import Tracking, track_plan


@click.command(name="track", epilog="Example: planner track 01J… --json (what each field means: docs/plans.md)")
@click.argument("plan_id")
@json_option
@pass_edge
def track_command(edge: Edge, /, plan_id: str) -> None:
    """What became of the locked plan PLAN_ID so far: planned against the ledger, prices then against now."""
    with edge.session() as session:
        found = track_plan(session, plan_id, now())
    if edge.as_json:
        edge.print_json(document(found))
    else:
        _show(edge, found)


def _show(edge: Edge, found: Tracking) -> None:
    money = found.currency
    edge.console.print(
        f"{found.elapsed_hours:,.1f} h in; planned to have spent {found.totals.planned_spent:,.2f} {money}",
        markup=False,
    )
    table = Table("demand", "is", "planned h", "actual h", "planned cost", "actual cost", box=None)
    for row in found.demands:
        table.add_row(
            row.demand,
            row.standing.value.replace("_", " "),
            _number(row.planned_hours),
            _with(row.actual_hours, row.time_deviation),
            _number(row.planned_cost),
            _with(row.actual_cost, row.cost_deviation),
        )
    edge.console.print(table)
    totals = found.totals
    if totals.num_over:
        edge.console.print(
            f"of {totals.num_over} that have ended or should have: hours {_share(totals.hours_deviation)} "
            f"({totals.num_hours_unknown} unknown), cost {_share(totals.cost_deviation)} "
            f"({totals.num_cost_unknown} unknown)",
            markup=False,
        )
    for price in found.prices:
        today = f"unknown: {price.reason}" if price.now is None else f"{price.now:,.4g} ({_share(price.change)})"
        edge.console.print(f"{price.supply}: {price.then:,.4g} then, now {today}", markup=False)
    for row in found.demands:
        if row.reason:
            edge.console.print(f"{row.demand}: {row.reason}", style="dim", markup=False)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.2f}"


def _with(value: float | None, deviation: float | None) -> str:
    return _number(value) + (f" ({_share(deviation)})" if deviation is not None else "")


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+.1%}"
