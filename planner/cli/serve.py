"""`planner serve`, `planner worker` and `planner db upgrade`: the long-running processes and the schema."""

from __future__ import annotations

import click

from planner.cli.edge import Edge, json_option, pass_edge
from planner.errors import Unavailable
from planner.store.migrate import current, upgrade


@click.command(epilog="Example: PLANNER_PORT=8800 planner serve")
@pass_edge
def serve(edge: Edge) -> None:
    """Serve the pages and the REST API at http://127.0.0.1:8750 (PLANNER_PORT) until Ctrl-C."""
    from planner.web.server import serve_pages  # Flask is read when it is needed: other commands start sooner

    serve_pages(edge.settings.with_secret())


@click.command(epilog="Example: PLANNER_DATABASE_URL=postgresql://planner@db/planner planner worker")
@click.option("--ray", "address", help='Calibrate the nodes of the Ray cluster at this address ("auto": the one here).')
@pass_edge
def worker(edge: Edge, address: str | None) -> None:
    """Watch the schedules and calibrate this machine's devices when they are due, until Ctrl-C.

    With --ray it is the nodes of a Ray cluster instead, one run at a time on each.
    """
    if address is not None:
        try:
            from planner.worker.engines.fleet import run_fleet
        except ModuleNotFoundError as error:
            raise Unavailable(f"{error.name} is not installed; pip install 'gpu-planner[ray]' brings it") from None
        run_fleet(edge.settings, address)
        return
    from planner.worker.main import run_worker  # likewise APScheduler

    run_worker(edge.settings)


@click.group()
def db() -> None:
    """Look after the database schema."""


@db.command("upgrade", epilog="Example: planner db upgrade --json")
@json_option
@pass_edge
def upgrade_command(edge: Edge) -> None:
    """Bring the schema to the revision of this code; data is kept. Safe to repeat and to run twice at once."""
    settings = edge.settings
    settings.home.mkdir(parents=True, exist_ok=True)
    before = current(settings.database_url)
    upgrade(settings.database_url)
    after = current(settings.database_url)
    if edge.as_json:
        edge.print_json({"before": before, "after": after})
    elif before == after:
        click.echo(f"The schema is at revision {after} already.")
    else:
        click.echo(f"Schema brought from {before or 'nothing'} to revision {after}.")
