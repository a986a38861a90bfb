"""`planner validate`: the estimator against a table of measured runs, the user's own or published ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from planner.cli.edge import Edge, json_option, pass_edge
from planner.errors import InvalidInput
from planner.services.validation import Validation, validate, validation_document

MAX_BYTES = 100_000_000
MAX_BAD_SHOWN = 20


@click.command(name="validate", epilog="Example: planner validate my_runs.csv --per-source")
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--per-source", is_flag=True, help="Print the score of each source too.")
@json_option
@pass_edge
def validate_command(edge: Edge, table: Path, per_source: bool) -> int:
    """Score the estimator on TABLE, a CSV of measured runs (columns: docs/accuracy.md).

    Every row is predicted from its job and hardware alone and compared with its published value, or declined with the
    reason. Nothing is stored, and no calibration is used.
    """
    found = validate(_text(table))
    if edge.as_json:
        edge.print_json(validation_document(found))
    else:
        print_validation(edge.console, found, per_source)
    return 0


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise InvalidInput.of("table", f"{path.name} is larger than {MAX_BYTES // 1_000_000} MB")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput.of("table", f"{path.name} is not UTF-8 text (byte {error.start})") from None


def print_validation(console: Console, found: Validation, per_source: bool) -> None:
    """The medians over sources in a few lines, the sources if asked for, what was declined, and lines not read."""
    if per_source:
        console.print(_sources(found))
    total = found.overall
    console.print(
        f"Median over sources: error {_percent(total.median_of_source_medians)}, nine in ten rows within "
        f"{_percent(total.p90)}, bias {_percent(total.bias, signed=True)}"
    )
    console.print(
        f"Ranges hold {_percent(total.coverage)} of the rows at a median width of ±{_percent(total.median_range_width)}"
    )
    console.print(f"{total.rows} rows, of which {total.declined} were declined:")
    reasons = Counter(item.reason for item in found.rows if item.predicted is None)
    for reason, count in reasons.most_common():
        console.print(f"  {count:5d}  {reason}", style="dim", soft_wrap=True, markup=False)
    for bad in found.bad[:MAX_BAD_SHOWN]:
        console.print(f"line {bad.line} was left out: {bad.reason}", markup=False)
    if len(found.bad) > MAX_BAD_SHOWN:
        console.print(f"… and {len(found.bad) - MAX_BAD_SHOWN} more lines")


def _sources(found: Validation) -> Table:
    table = Table("source", "rows", "declined", "median", "90th", "bias", "inside", box=None)
    for source in found.sources:
        table.add_row(
            source.source,
            str(source.rows),
            str(source.declined),
            _percent(source.median),
            _percent(source.p90),
            _percent(source.bias, signed=True),
            _percent(source.coverage),
        )
    return table


def _percent(value: float | None, signed: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:+.1%}" if signed else f"{value:.1%}"
