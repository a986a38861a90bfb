"""`planner press`: which presses a GPU harder, training a model or serving it."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from planner import units
from planner.cli.edge import Edge, json_option, now, pass_edge
from planner.cli.estimate import NOTHING_FITS
from planner.services.pressure import PressureView, compare_pressure
from planner.services.requests import parse
from planner.services.requests.pressure import PressureRequest


@click.command(
    epilog="Example: planner press --architecture llama-3-8b --gpu H100-80GB-SXM --gpu L4. Numbers may be written as "
    "4K. The same question: POST /api/v1/training-against-inference."
)
@click.option("--architecture", required=True, help="A known architecture, as llama-3-8b.")
@click.option("--dtype", help="Number format of both, as bf16.")
@click.option("--sequence-length", help="Tokens of a training sequence.")
@click.option("--batch", help="Sequences of a training step.")
@click.option("--prompt-tokens", help="Tokens of a request's prompt.")
@click.option("--output-tokens", help="Tokens of a request's answer.")
@click.option("--concurrency", help="Requests that are served at a time.")
@click.option("--gpu", "gpus", multiple=True, help="A GPU of the catalogue; may be given several times.")
@json_option
@pass_edge
def press(edge: Edge, /, **given: Any) -> int:
    """Compare training with inference of one model on the same GPUs: which presses them harder, and in what."""
    asked = {name: value for name, value in given.items() if value not in (None, ())}
    with edge.session() as session:
        view = compare_pressure(session, parse(PressureRequest, asked), now())
    if edge.as_json:
        edge.print_json(view)
    else:
        _show(edge, view)
    return 0 if view.gpus else NOTHING_FITS


def _show(edge: Edge, view: PressureView) -> None:
    edge.console.print(view.question)
    edge.console.print(f"[bold]{view.sentence}[/bold]")
    table = Table("GPU", "what it does", "of the peak", "of the bandwidth", "watts", "takes", "bound by")
    for gpu in view.gpus:
        for press in gpu.phases:
            table.add_row(
                gpu.title,
                view.names[press.phase.value],
                _share(press.compute_share),
                _share(press.memory_share),
                "unknown" if press.watts is None else f"{press.watts.mid:.0f}",
                units.format_seconds(press.seconds.mid),
                press.bound.value,
            )
    edge.console.print(table)
    for each in view.not_told:
        edge.console.print(f"  {each.title}: {each.reason}")


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0%}"
