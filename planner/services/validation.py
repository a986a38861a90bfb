"""Score the estimator on a table of measured runs: the user's own, or published ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from planner.estimates.validation.score import Overall, Score, Scored, by_source, overall
from planner.estimates.validation.table import BadRow, read_table
from planner.estimates.validation.validate import validate_table
from planner.hardware.catalogue import load_catalogue


@dataclass(frozen=True, slots=True)
class Validation:
    """The scores of a table: overall, by source, by row; and the lines that could not be read."""

    overall: Overall
    sources: tuple[Score, ...]
    rows: tuple[Scored, ...]
    bad: tuple[BadRow, ...]


def validate(text: str) -> Validation:
    """The scores of the table in a CSV text, without any calibration. Raises InvalidInput for what is no such table."""
    table = read_table(text)
    scored = validate_table(table, load_catalogue())
    sources = by_source(scored)
    return Validation(overall(scored, sources), tuple(sources), tuple(scored), table.bad)


def validation_document(found: Validation) -> dict[str, Any]:
    """The scores as JSON: fractions, null where nothing could be said."""
    return {
        "overall": found.overall,
        "sources": found.sources,
        "rows": [_row(item) for item in found.rows],
        "bad_rows": found.bad,
    }


def _row(item: Scored) -> dict[str, Any]:
    return {
        "id": item.row.id,
        "line": item.row.line,
        "source": item.row.source,
        "metric": item.row.metric,
        "published": item.row.value,
        "predicted": item.predicted,
        "low": item.low,
        "high": item.high,
        "ratio": item.ratio,
        "inside": item.is_inside,
        "declined": item.reason or None,
        "gpu": item.gpu_key or None,
        "basis": item.basis or None,
        "assumptions": list(item.assumptions),
    }
