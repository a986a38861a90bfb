"""CSV by RFC 4180: UTF-8, point as decimal mark, ISO 8601 times, and no text cell that a spreadsheet would compute."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from typing import Any

from flask import Response

from planner.services.documents import document
from planner.units import plain_decimal

STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
UNSAFE_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under their columns; `name` is the file's without its ending, `next_after` leads to the next page."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    next_after: Any = None


def csv_response(table: Table) -> Response:
    """The table as a download; an unknown cell is empty. Raises ValueError for a row of another width."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(table.columns)
    writer.writerows([cell(value) for value, _ in zip(row, table.columns, strict=True)] for row in table.rows)
    return download(f"{table.name}.csv", text.getvalue(), "text/csv; charset=utf-8; header=present")


def download(name: str, content: str | bytes, content_type: str) -> Response:
    """The content as a file called `name`, of which only letters that are safe in a header are kept."""
    response = Response(content, content_type=content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{UNSAFE_IN_NAMES.sub("-", name)}"'
    return response


def cell(value: Any) -> str:
    """Numbers as they are (a negative one stays a number), text with an apostrophe where it would be a formula."""
    plain = document(value)
    if plain is None:
        return ""
    if isinstance(value, str) and value.startswith(STARTS_A_FORMULA):
        return f"'{value}"
    if isinstance(value, float):
        return plain_decimal(Decimal(repr(value)))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(plain)
