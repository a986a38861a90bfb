"""`planner actuals`: what finished jobs took, beside what was estimated of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from planner.cli.edge import Edge, json_option, now, pass_edge
from planner.errors import InvalidInput
from planner.estimates.ledger import Metric
from planner.services.actual_tables import upload_actuals
from planner.services.actuals import (
    ActualView,
    ledger_summary,
    list_actuals,
    record_actual,
    record_step_log,
)
from planner.services.requests import parse, without_blanks
from planner.services.requests.actuals import ActualRequest, StepLogRequest
from planner.version import code_version

HELP = {
    "option": "Which option of the estimate ran: 0, the default, is the best one.",
    "measured_at": "When it ended, as 2026-11-21T09:00:00Z.",
    "reference": "Your own id of the job: the same is entered once.",
    "note": "Anything else.",
    "replaces": "The id of an earlier row that was wrong.",
}


@click.group()
def actuals() -> None:
    """Enter what finished jobs took and see how estimates have come true."""


def _subject(command: Callable[..., Any]) -> Callable[..., Any]:
    for name in reversed(HELP):
        command = click.option(f"--{name.replace('_', '-')}", name, help=HELP[name])(command)
    return click.argument("estimate_id", metavar="ESTIMATE")(command)


def _figures(command: Callable[..., Any]) -> Callable[..., Any]:
    for metric in reversed(Metric):
        command = click.option(f"--{metric.value.replace('_', '-')}", metric.value)(command)
    return command


@actuals.command("add", epilog="Example: planner actuals add 01KAJ… --step-seconds 0.81 --cost 240 --reference run-17")
@_subject
@_figures
@json_option
@pass_edge
def add(edge: Edge, /, **fields: Any) -> None:
    """Enter what one job took. Leave out what was not measured."""
    with edge.session() as session:
        made = record_actual(session, parse(ActualRequest, without_blanks(fields)), now(), code_version(), "cli")
    _show(edge, [made])


@actuals.command("log", epilog="Example: planner actuals log 01KAJ… train.log")
@_subject
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@pass_edge
def log(edge: Edge, /, file: Path, **fields: Any) -> None:
    """Enter the median step of a training program's log: CSV, JSON lines, or lines of text."""
    request = parse(StepLogRequest, {**without_blanks(fields), "log": _text(file)})
    with edge.session() as session:
        made = record_step_log(session, request, now(), code_version())
    _show(edge, [made.actual])


@actuals.command("import", epilog="Example: planner actuals import finished-jobs.csv --json")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@pass_edge
def import_table(edge: Edge, /, file: Path) -> None:
    """Enter every row of a CSV table; lines that cannot be used are left out and said."""
    with edge.session() as session:
        found = upload_actuals(session, _text(file), now(), code_version())
    if edge.as_json:
        edge.print_json(found)
        return
    edge.console.print(f"{len(found.entered)} entered, {found.num_known} known already, {len(found.bad)} left out")
    for bad in found.bad:
        edge.console.print(f"  line {bad.line}: {'; '.join(map(str, bad.problems))}")


@actuals.command("list", epilog="Example: planner actuals list --json")
@click.option("--estimate", "estimate_id", help="Only rows of this estimate.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@json_option
@pass_edge
def list_(edge: Edge, /, estimate_id: str | None, limit: int) -> None:
    """The newest rows of the ledger, and how estimates of each kind have come true."""
    with edge.session() as session:
        rows = list_actuals(session, limit, estimate_id=estimate_id)
        records = ledger_summary(session)
    if edge.as_json:
        edge.print_json({"actuals": rows, "records": records})
        return
    _show(edge, rows)
    for record in records:
        edge.console.print(record.sentence)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput.of("file", f"{file} cannot be read: {error}") from None


def _show(edge: Edge, rows: list[ActualView]) -> None:
    if edge.as_json:
        edge.print_json({"actuals": rows})
        return
    table = Table("Job", "Figure", "Measured", "Predicted", "Error")
    for row in rows:
        for figure in row.figures:
            table.add_row(
                row.title + (" (corrected)" if row.replaced_by else ""),
                figure.metric.value,
                f"{figure.measured:.6g} {figure.unit}",
                "unknown" if figure.predicted is None else f"{figure.predicted:.6g} {figure.unit}",
                "unknown" if figure.error is None else f"{figure.error:+.1%}",
            )
    edge.console.print(table)
