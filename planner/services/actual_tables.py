"""Finished jobs entered from a table: every row that can be used, and the lines that cannot, with the reason."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from planner.errors import Conflict, FieldProblem, InvalidInput, NotFound
from planner.estimates.ledger import Metric
from planner.services.actuals import ActualView, enter
from planner.services.requests import parse, without_blanks
from planner.services.requests.actuals import ActualRequest
from planner.store.engine import Session

CSV_COLUMNS = (
    *("estimate_id", "option", "measured_at", "reference", "note", "replaces"),
    *(metric.value for metric in Metric),
)
MOST_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line of an uploaded table that was not entered, and why."""

    line: int
    problems: tuple[FieldProblem, ...]


@dataclass(frozen=True, slots=True)
class Upload:
    """What an uploaded table did: rows entered, rows that were in the ledger already, lines that cannot be used."""

    entered: tuple[ActualView, ...]
    num_known: int
    bad: tuple[BadLine, ...]


def upload_actuals(session: Session, text: str, now: datetime, code_version: str) -> Upload:
    """Enter every row of a CSV table with CSV_COLUMNS; unknown columns are refused, bad lines left out and said.

    A row without a reference of its own is known by its content, so that the same file twice is entered once.
    """
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), restkey="", strict=True)
    try:
        names = [name.strip() for name in rows.fieldnames or ()]
        _check_columns(names)
        rows.fieldnames = names
        return _upload(session, rows, now, code_version)
    except csv.Error as error:
        raise InvalidInput.of("file", f"line {rows.line_num} is no CSV: {error}") from None


def _check_columns(names: Sequence[str]) -> None:
    problems = [FieldProblem("file", f"has no column {name}") for name in ("estimate_id",) if name not in names]
    problems += [
        FieldProblem("file", f"{name!r} is no column of the ledger; there are {', '.join(CSV_COLUMNS)}")
        for name in names
        if name not in CSV_COLUMNS
    ]
    problems += [FieldProblem("file", f"{name!r} stands twice") for name in sorted(set(names)) if names.count(name) > 1]
    if problems:
        raise InvalidInput(problems)


def _upload(session: Session, rows: csv.DictReader[str], now: datetime, code_version: str) -> Upload:
    entered, num_known, bad = [], 0, []
    for number, row in enumerate(rows):
        if number >= MOST_ROWS:
            raise InvalidInput.of("file", f"has more than {MOST_ROWS:,} rows")
        try:
            if row.pop("", None):
                raise InvalidInput.of("line", "has more cells than columns")
            given = without_blanks({name: (value or "").strip() for name, value in row.items()})
            request = parse(ActualRequest, given)
            if request.reference is None:
                request = request.model_copy(update={"reference": _digest(given)})
            view, is_new = enter(session, request, request.measured(), now, code_version, "csv")
        except InvalidInput as error:
            bad.append(BadLine(rows.line_num, error.problems))
        except (NotFound, Conflict) as error:
            bad.append(BadLine(rows.line_num, (FieldProblem("line", str(error)),)))
        else:
            num_known += not is_new
            if is_new:
                entered.append(view)
    return Upload(tuple(entered), num_known, tuple(bad))


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]
