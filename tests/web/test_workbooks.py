"""Every table as an Excel workbook, read back by another library: the CSV's cells under their types, unknown empty."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO, StringIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openpyxl import load_workbook

from planner.errors import InvalidInput
from planner.services.documents import iso_utc
from planner.web import workbooks
from planner.web.exports import Table
from planner.web.workbooks import CONTENT_TYPE, workbook_response
from tests.web.test_tables import TABLES, address_of
from tests.web.world import World


def sheets(content: bytes) -> tuple[list[list[Any]], dict[Any, Any]]:
    """The figures row by row, and what the workbook says of itself."""
    book = load_workbook(BytesIO(content))
    figures = [[cell.value for cell in row] for row in book["figures"].iter_rows()]
    return figures, {name.value: text.value for name, text in book["about"].iter_rows()}


def is_same(cell: str, value: Any) -> bool:
    """Whether a cell of a CSV table and one of a workbook say the same."""
    if isinstance(value, bool):
        return cell == str(value).lower()
    if isinstance(value, int | float):
        return float(cell) == pytest.approx(value, rel=1e-14)
    if isinstance(value, datetime):  # a day comes back as its midnight
        return abs((datetime.fromisoformat(cell).replace(tzinfo=UTC) - value.replace(tzinfo=UTC)).total_seconds()) < 1
    return cell.removeprefix("'") == (value or "")


def figures_of(*values: Any) -> list[Any]:
    """One row written and read back."""
    table = Table("t", [f"c{number}" for number, _ in enumerate(values)], [values])
    return sheets(workbook_response(table, {}).data)[0][1]


def test_every_table_holds_the_cells_of_its_csv(client: FlaskClient, world: World) -> None:
    num_numbers = num_moments = 0
    for path in TABLES:
        address = f"/api/v1/{address_of(path, world)}"
        query = {"prices.csv": "?limit=30", "prices/compare.csv": "?offers=1,2"}.get(path, "")
        lines = list(csv.reader(StringIO(client.get(f"{address}{query}").data.decode())))
        answer = client.get(f"{address.removesuffix('.csv')}.xlsx{query}")
        assert (answer.status_code, answer.content_type) == (200, CONTENT_TYPE), path
        assert answer.headers["Content-Disposition"].endswith('.xlsx"')
        rows, about = sheets(answer.data)
        assert len(rows) == len(lines)
        assert about["asked for"] == f"{address.removesuffix('.csv')}.xlsx{query}"
        assert about["rows"] == f"{len(lines) - 1:,}"
        for line, row in zip(lines, rows, strict=True):
            cells = zip(lines[0], line, row, strict=True)
            wrong = [(name, cell, value) for name, cell, value in cells if not is_same(cell, value)]
            assert wrong == [], path
            num_numbers += sum(isinstance(value, int | float) for value in row)
            num_moments += sum(isinstance(value, datetime) for value in row)
    assert num_numbers > 1000
    assert num_moments > 100


def test_the_same_figures_are_the_same_file_though_asked_later(client: FlaskClient, world: World) -> None:
    address = f"/api/v1/estimates/{world.training}.xlsx"
    first = client.get(address)
    again = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert client.get("/api/v1/estimates/none-such.xlsx").status_code == 404


def test_cells_keep_their_types_and_unknown_is_no_zero(app: Flask) -> None:
    moment = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    found = figures_of(None, Decimal("12.7948475088"), -3, 0.5, True, moment, date(2026, 11, 21), "")
    assert found == [None, 12.7948475088, -3, 0.5, True, datetime(2026, 11, 21, 9, 30), datetime(2026, 11, 21), None]  # noqa: DTZ001


def test_text_is_never_computed_and_stays_text_when_it_is_edited(app: Flask) -> None:
    table = Table("t", ["name"], [["=1+1"], ["-2"], ["@sum"], ["plain"], ["http://example.com"]])
    book = load_workbook(BytesIO(workbook_response(table, {"asked for": "=cmd"}).data))
    cells = [row[0] for row in book["figures"].iter_rows(min_row=2)]
    assert [(cell.value, cell.data_type, cell.quotePrefix) for cell in cells] == [
        ("=1+1", "s", True),
        ("-2", "s", True),
        ("@sum", "s", True),
        ("plain", "s", False),
        ("http://example.com", "s", False),
    ]
    assert all(cell.hyperlink is None for cell in cells)
    assert book["about"]["B1"].data_type == "s"


def test_what_a_sheet_cannot_hold_is_text_or_refused(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    early = datetime(1899, 5, 1, tzinfo=UTC)
    found = figures_of(2**60 + 1, early, date(1900, 2, 1), "x" * 40_000)
    assert found[:3] == [str(2**60 + 1), iso_utc(early), "1900-02-01"]
    assert (len(found[3]), found[3][-1]) == (32_767, "…")
    monkeypatch.setattr(workbooks, "MOST_ROWS", 1)
    with pytest.raises(InvalidInput, match="2 rows"):
        workbook_response(Table("t", ["c"], [[1], [2]]), {})
