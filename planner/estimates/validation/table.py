"""A table of measured runs: rows with the columns that are known, and the rows that cannot be read with their line."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO

from planner.errors import InvalidInput

NEEDED = ("source", "model_name", "gpu_model", "metric", "value")
MAX_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class Row:
    """One measured run. `cells` holds every column as text; an empty cell is not there."""

    line: int
    id: str
    source: str
    metric: str
    value: float
    cells: Mapping[str, str]

    def text(self, name: str) -> str:
        """The cell, empty where nothing is stated."""
        return self.cells.get(name, "")

    def number(self, name: str) -> float | None:
        """The cell as a number; None where nothing (or no number) is stated."""
        try:
            value = float(self.cells.get(name, ""))
        except ValueError:
            return None
        return value if math.isfinite(value) else None

    def whole(self, name: str) -> int | None:
        """The cell as a whole number; None where nothing, or something else, is stated."""
        value = self.number(name)
        return int(value) if value is not None and value == int(value) else None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that cannot be read, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Table:
    """The readable rows in order, and the others."""

    rows: tuple[Row, ...]
    bad: tuple[BadRow, ...]

    @property
    def is_inference(self) -> bool:
        """Whether the columns are those of inference runs: a scenario with prompt and output lengths."""
        return bool(self.rows) and "output_len" in self.rows[0].cells


def read_table(text: str) -> Table:
    """The table in a CSV text. Raises InvalidInput where a needed column is missing; unknown columns are kept aside."""
    reader = csv.DictReader(StringIO(text.removeprefix("\ufeff")), strict=True)
    names = _names(reader)
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise InvalidInput.of("table", f"the columns {', '.join(missing)} are missing; it has {', '.join(names[:12])}")
    rows: list[Row] = []
    bad: list[BadRow] = []
    while len(rows) + len(bad) < MAX_ROWS:
        try:
            record = next(reader)
        except StopIteration:
            return Table(tuple(rows), tuple(bad))
        except csv.Error as error:
            bad.append(BadRow(reader.line_num, f"is not CSV: {error}"))
            continue
        read = _row(record, reader.line_num)
        if isinstance(read, Row):
            rows.append(read)
        else:
            bad.append(read)
    raise InvalidInput.of("table", f"has more than {MAX_ROWS:,} rows; split it")


def _names(reader: csv.DictReader[str]) -> list[str]:
    try:
        return list(reader.fieldnames or ())
    except csv.Error as error:
        raise InvalidInput.of("table", f"its first line is not CSV: {error}") from None


def _row(record: dict[str, str], line: int) -> Row | BadRow:
    if None in record or None in record.values():
        return BadRow(line, "has another number of fields than the header")
    cells = {name.strip(): value.strip() for name, value in record.items()}
    for name in ("source", "model_name", "gpu_model", "metric"):
        if not cells[name]:
            return BadRow(line, f"{name} is empty")
    try:
        value = float(cells["value"])
    except ValueError:
        return BadRow(line, f"value {cells['value']!r} is not a number")
    if not (math.isfinite(value) and value > 0):
        return BadRow(line, f"value must be finite and above 0, not {cells['value']}")
    return Row(line, cells.get("id", "") or f"line {line}", cells["source"], cells["metric"], value, cells)
