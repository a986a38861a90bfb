"""`planner size`: how many GPUs serve a model's requests at a service level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from planner import units
from planner.cli.edge import Edge, json_object, json_option, now, pass_edge
from planner.cli.estimate import NOTHING_FITS
from planner.errors import InvalidInput
from planner.services.pass_sizing import PassSizingView, cut_passes, size_pass_service
from planner.services.requests import parse
from planner.services.requests.pass_sizing import PassSizingRequest
from planner.services.requests.sizing import SizingRequest
from planner.services.sizing import SizingView, cut, size_service
from planner.services.trace_files import trace_text

SHOWN = 10


@click.command(
    epilog="Example: planner size question.json --trace requests.csv.gz. The question is the body of "
    "POST /api/v1/service-sizes, as "
    '{"architecture": "llama-3-8b", "prompt_tokens": 1024, "output_tokens": 256, "rate": 20, "first_token": "500 ms"}, '
    "or of POST /api/v1/pass-sizes, as "
    '{"network": "YOLOv5m", "cameras": 16, "frame_rate": 30, "deadline": "50 ms"}.'
)
@click.argument("file", type=click.File("rb"), metavar="FILE.json")
@click.option("--trace", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A trace, plain or gzip.")
@click.option("--options", default=SHOWN, show_default=True, type=click.IntRange(1), help="How many ways are shown.")
@json_option
@pass_edge
def size(edge: Edge, /, file: Any, trace: Path | None, options: int) -> int:
    """Size a service: replicas × GPUs that keep a level, with percentiles and costs. FILE.json is the question."""
    given = json_object(file.read())
    if "network" in given:
        if trace is not None:
            raise InvalidInput.of("trace", "belongs to a question about tokens; items of single passes come at a rate")
        return _size_passes(edge, given, options)
    if trace is not None:
        given["trace"] = trace_text(trace.read_bytes())
    with edge.session() as session:
        view = cut(size_service(session, parse(SizingRequest, given), now()), options, options)
    if edge.as_json:
        edge.print_json(view)
    else:
        _show(edge, view)
    return 0 if view.options else NOTHING_FITS


def _show(edge: Edge, view: SizingView) -> None:
    edge.console.print(view.job_sentence)
    edge.console.print(f"[bold]{view.sentence}[/bold]")
    if view.replica_range is not None:
        high = "no number" if view.replica_range.high is None else view.replica_range.high
        edge.console.print(f"Replicas, with steps as fast or slow as may be: {view.replica_range.low} to {high}.")
    table = Table("where", "GPUs", "first token p95", "per token p95", "whole p95", "an hour", "why not")
    for option in view.options:
        found = option.found
        table.add_row(
            option.title,
            str(option.num_gpus),
            units.format_seconds(found.first_token.p95),
            "none" if found.per_token is None else units.format_seconds(found.per_token.p95),
            units.format_seconds(found.whole.p95),
            "unknown" if option.cost_per_hour is None else units.format_money(option.cost_per_hour, option.currency),
            option.why_not,
        )
    edge.console.print(table)
    edge.console.print(f"{view.num_options} ways keep the level; {view.num_others} cannot or did not win:")
    for other in view.others:
        edge.console.print(f"  {other.title}: {other.reason}")


def _size_passes(edge: Edge, given: dict[str, Any], options: int) -> int:
    with edge.session() as session:
        view = cut_passes(size_pass_service(session, parse(PassSizingRequest, given), now()), options, options)
    if edge.as_json:
        edge.print_json(view)
    else:
        _show_passes(edge, view)
    return 0 if view.options else NOTHING_FITS


def _show_passes(edge: Edge, view: PassSizingView) -> None:
    edge.console.print(view.job_sentence)
    edge.console.print(f"[bold]{view.sentence}[/bold]")
    table = Table("where", "GPUs", "p50", "p99", "late", "an hour", "per thousand", "why not")
    for option in view.options:
        cost, each = option.cost_per_hour, option.bill.cost_per_thousand
        table.add_row(
            option.title,
            str(option.num_gpus),
            units.format_seconds(option.waited.p50),
            units.format_seconds(option.waited.p99),
            "no deadline" if option.late_share is None else f"{option.late_share:.2%}",
            "unknown" if cost is None else units.format_money(cost, option.currency),
            "unknown" if each is None else units.format_money(each, option.currency),
            option.why_not,
        )
    edge.console.print(table)
    edge.console.print(f"{view.num_options} ways keep the deadline; {view.num_others} cannot or did not win:")
    for other in view.others:
        edge.console.print(f"  {other.title}: {other.reason}")
