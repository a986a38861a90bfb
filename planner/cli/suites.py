"""`planner suites`: what a calibration can run, and keeping suites of one's own."""

from __future__ import annotations

import click
from rich.table import Table

from planner import units
from planner.cli.edge import Edge, json_option, now, pass_edge
from planner.services.requests import SuiteRequest, parse
from planner.services.suites import keep_suite, list_suites


@click.group(epilog="Example: planner suites keep my-gemms matmul/bf16/k=4096,m=64,n=4096")
def suites() -> None:
    """Suites: those of the planner and your own."""


@suites.command("list", epilog="Example: planner suites list --json")
@json_option
@pass_edge
def list_command(edge: Edge) -> None:
    """All suites with their versions and time limits."""
    with edge.session() as session:
        found = list_suites(session)
    if edge.as_json:
        edge.print_json({"suites": found})
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("suite", "version", "stops after", "what"):
        table.add_column(heading)
    for suite in found:
        table.add_row(suite.name, str(suite.version), units.format_seconds(suite.time_limit_seconds), suite.title)
    edge.console.print(table)


@suites.command(epilog="Example: planner suites keep my-gemms matmul/bf16/k=4096,m=64,n=4096 --time-limit '2 min'")
@click.argument("name")
@click.argument("benches", nargs=-1, required=True)
@click.option("--title", default="", help="What it is for.")
@click.option("--time-limit", "time_limit_seconds", help="Stops at the latest after so long (default: 10 min).")
@json_option
@pass_edge
def keep(edge: Edge, name: str, benches: tuple[str, ...], title: str, time_limit_seconds: str | None) -> None:
    """Keep a suite of BENCHES by their keys; under a NAME that there is, as its next version."""
    given = {"name": name, "benches": list(benches), "title": title, "time_limit_seconds": time_limit_seconds}
    request = parse(SuiteRequest, {field: value for field, value in given.items() if value is not None})
    with edge.session() as session:
        made = keep_suite(session, request, now(), "cli")
    if edge.as_json:
        edge.print_json(made)
    else:
        edge.console.print(f"{made.name} is kept as version {made.version}; run: planner calibrate --suite {made.name}")
