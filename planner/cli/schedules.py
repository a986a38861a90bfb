"""`planner schedules`: what falls due when, and pausing all of it."""

from __future__ import annotations

import click
from rich.table import Table

from planner.cli.edge import Edge, json_option, now, pass_edge
from planner.services.pauses import current_pause, set_paused
from planner.services.schedules import ScheduleView, list_schedules


@click.group(epilog='Example: planner schedules pause --reason "the power company asked"')
def schedules() -> None:
    """Schedules of recurring calibration."""


@schedules.command("list", epilog="Example: planner schedules list --json")
@json_option
@pass_edge
def list_command(edge: Edge) -> None:
    """All schedules with their rule in words, next due time, and what keeps them."""
    with edge.session() as session:
        found, pause = list_schedules(session, now()), current_pause(session)
    if edge.as_json:
        edge.print_json({"schedules": found, "pause": pause})
        return
    if pause.paused:
        edge.console.print(f"All schedules are paused by {pause.actor}: {pause.reason}", style="yellow")
    edge.console.print(_table(found) if found else "Nothing is scheduled; the page /schedules/new makes a schedule.")


@schedules.command(epilog='Example: planner schedules pause --reason "an audit"')
@click.option("--reason", required=True, help="Why; it is kept and shown.")
@json_option
@pass_edge
def pause(edge: Edge, reason: str) -> None:
    """Pause all: runs under way go on, queued ones wait, due times that pass meanwhile do not count."""
    _switch(edge, True, reason)


@schedules.command(epilog='Example: planner schedules resume --reason "the audit is over"')
@click.option("--reason", required=True, help="Why; it is kept and shown.")
@json_option
@pass_edge
def resume(edge: Edge, reason: str) -> None:
    """Let all fall due again."""
    _switch(edge, False, reason)


def _switch(edge: Edge, paused: bool, reason: str) -> None:
    with edge.session() as session:
        found = set_paused(session, paused, reason, now(), "cli")
    if edge.as_json:
        edge.print_json(found)
    else:
        edge.console.print("All schedules are paused." if paused else "Schedules fall due again.")


def _table(found: list[ScheduleView]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("schedule", "suite", "when", "next due (UTC)", "kept by"):
        table.add_column(heading)
    for schedule in found:
        due = f"{schedule.next_due[0]:%Y-%m-%d %H:%M}" if schedule.next_due else "not now"
        held = schedule.problem or schedule.paused or ("" if schedule.enabled else "it is paused")
        table.add_row(schedule.name, schedule.suite, schedule.in_words, due, held)
    return table
