"""`planner estimate`: what a job takes and costs, on the attached devices and on the offers of the price book."""

from __future__ import annotations

import typing
from collections.abc import Callable
from functools import partial
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from planner import units
from planner.cli.edge import Edge, json_option, now, pass_edge
from planner.estimates.estimate import Option
from planner.quantity import Quantity
from planner.services.estimates import EstimateView, get_estimate, make_estimate
from planner.services.requests import EstimateRequest, parse, without_blanks
from planner.version import code_version

NOTHING_FITS = 6

HELP = {
    "preset": "A ready job to start from; other options change it. `planner estimate --preset ?` lists them.",
    "kind": "training or inference.",
    "architecture": 'A known architecture, or "custom" with its shape.',
    "tokens": "Training: how many tokens, as 300M.",
    "global_batch": "Training: sequences per optimizer step.",
    "micro_batch": "Training: sequences per GPU and pass (default: the most that fits).",
    "requests": "Inference: how many requests (default: a service, costed per hour).",
    "concurrency": "Inference: requests at a time (default: as many as memory holds).",
    "goal": "What to rank by: cost (default) or time.",
    "deadline": "Options slower than this are named but ranked out, as 12 h.",
    "budget": "Options dearer than this are named but ranked out, as 250.",
    "gpus": "Only these catalogue keys (repeatable).",
    "providers": "Only these providers (repeatable).",
    "regions": "Only these regions (repeatable).",
    "offer_kinds": "Only these kinds: on_demand, spot … (repeatable).",
    "as_of": "Prices as they held at this moment, as 2026-01-31T00:00:00Z.",
}


def _request_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """One command-line option per field of EstimateRequest, so that the two cannot drift apart."""
    for name, field in reversed(EstimateRequest.model_fields.items()):
        many = typing.get_origin(field.annotation) is tuple
        option = click.option(f"--{name.replace('_', '-')}", name, multiple=many, help=HELP.get(name))
        command = option(command)
    return command


@click.command(epilog="Example: planner estimate --preset finetune-small --goal time --gpus H100-80GB-SXM --json")
@_request_options
@click.option("--show", "estimate_id", help="Print a stored estimate by its id instead of making one.")
@click.option("--top", default=8, show_default=True, type=click.IntRange(1, 1000), help="How many options to print.")
@json_option
@pass_edge
def estimate(edge: Edge, /, estimate_id: str | None, top: int, **fields: Any) -> int:
    """Estimate time, memory, energy and cost of a job, with ranges, and say why the other options lost."""
    given = without_blanks({name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()})
    with edge.session() as session:
        if estimate_id is not None:
            view = get_estimate(session, estimate_id)
        else:
            view = make_estimate(session, parse(EstimateRequest, given), now(), code_version())
    if edge.as_json:
        edge.print_json(view)
    else:
        print_estimate(edge.console, view, top)
    return 0 if view.answer.options else NOTHING_FITS


def print_estimate(console: Console, view: EstimateView, top: int) -> None:
    """The job in a line, the best options as a table, what was rejected, and what it rests on."""
    console.print(f"[bold]{view.job_name}[/bold]  [dim]({view.job_sentence})[/dim]")
    options = view.answer.options[:top]
    if options:
        console.print(options_table(options, is_service=options[0].seconds is None))
        for option in options[:1]:
            for note in option.notes:
                console.print(f"  · {note}", style="dim")
    left = len(view.answer.options) - len(options)
    if left > 0:
        console.print(f"  and {left} more that lost; all of them: planner estimate --show {view.id} --top 1000")
    if view.answer.rejections:
        console.print(f"  {len(view.answer.rejections)} rejected, for example:")
        for rejection in view.answer.rejections[:2]:
            console.print(f"  · {rejection.placement.title}: {rejection.reason}", style="dim")
    console.print(f"  estimate {view.id}; prices as of {view.as_of:%Y-%m-%d}; code {view.code_version}", style="dim")


def options_table(options: typing.Sequence[Option], is_service: bool) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("on")
    table.add_column("tokens/s" if is_service else "time", justify="right")
    table.add_column("memory per GPU", justify="right")
    table.add_column("energy" if not is_service else "power", justify="right")
    table.add_column("cost per hour" if is_service else "cost", justify="right")
    table.add_column("basis")
    for option in options:
        currency = option.placement.currency
        energy = option.average_power_watts if is_service else option.energy_joules
        table.add_row(
            option.placement.title,
            span(option.tokens_per_second, units.format_count)
            if is_service
            else span(option.seconds, units.format_seconds),
            f"{units.format_bytes(option.memory_bytes.mid)} of {units.format_bytes(option.usable_memory_bytes)}",
            span(energy, _watts if is_service else units.format_energy),
            span(option.cost_per_hour if is_service else option.cost, partial(units.format_money, currency=currency)),
            option.basis,
        )
    return table


def _watts(value: float) -> str:
    return f"{value:,.0f} W"


def span(quantity: Quantity | None, show: Callable[[float], str]) -> str:
    """ "12 – 15 – 19 min", "unknown" for None, the bare figure where there is no range."""
    if quantity is None:
        return "unknown"
    if quantity.low == quantity.high:
        return show(quantity.mid)
    return f"{show(quantity.low)} – [bold]{show(quantity.mid)}[/bold] – {show(quantity.high)}"
