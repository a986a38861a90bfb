"""Tables as Excel workbooks: numbers, dates and flags as such, unknown as an empty cell, text never computed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from typing import TYPE_CHECKING, Any

from flask import Response

from planner.errors import InvalidInput
from planner.services.documents import document
from planner.web.exports import STARTS_A_FORMULA, Table, download

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST_ROWS = 1_048_575  # of a sheet, beside its header (Excel's specification, "Total number of rows and columns")
LONGEST_TEXT = 32_767  # characters of a cell (the same, "Total number of characters that a cell can contain")
FIRST_DAY = date(1900, 3, 1)  # Excel counts a 29th of February 1900 that never was; earlier days go as text
MOST_EXACT = 2**53  # of whole numbers that a spreadsheet's floating point holds; larger ones go as text
MADE = datetime(1980, 1, 1)  # noqa: DTZ001 the earliest a ZIP file knows: the same figures give the same file and ETag
NARROWEST, WIDEST, LOOKED_AT = 9, 48, 200  # characters, characters, rows


def workbook_response(table: Table, about: dict[str, str]) -> Response:
    """The table as a workbook of two sheets: the figures, and what they are. Raises InvalidInput for too many rows."""
    rows = list(table.rows)
    if len(rows) > MOST_ROWS:
        raise InvalidInput.of("limit", f"the table has {len(rows):,} rows, a sheet of Excel holds {MOST_ROWS:,}")
    from xlsxwriter import Workbook

    content = BytesIO()
    book = Workbook(
        content,
        {
            "constant_memory": True,
            "strings_to_numbers": False,
            "strings_to_formulas": False,
            "strings_to_urls": False,
        },
    )
    book.set_properties({"created": MADE})
    styles = _Styles(book)
    _figures(book.add_worksheet("figures"), styles, table, rows)
    _about(book.add_worksheet("about"), styles, {**about, "rows": f"{len(rows):,}"})
    book.close()
    return download(f"{table.name}.xlsx", content.getvalue(), CONTENT_TYPE)


def _figures(sheet: Worksheet, styles: _Styles, table: Table, rows: list[Any]) -> None:
    for column, name in enumerate(table.columns):
        sheet.set_column(column, column, _width(name, [row[column] for row in rows[:LOOKED_AT]]))
    for column, name in enumerate(table.columns):
        sheet.write_string(0, column, name, styles.header)
    for number, row in enumerate(rows, start=1):
        for column, (value, _) in enumerate(zip(row, table.columns, strict=True)):
            _write(sheet, number, column, value, styles)
    sheet.freeze_panes(1, 1)
    sheet.autofilter(0, 0, len(rows), len(table.columns) - 1)


def _about(sheet: Worksheet, styles: _Styles, facts: dict[str, str]) -> None:
    sheet.set_column(0, 0, 16)
    sheet.set_column(1, 1, 100)
    for number, (name, text) in enumerate(facts.items()):
        sheet.write_string(number, 0, name, styles.header)
        _write(sheet, number, 1, text, styles)


class _Styles:
    """The formats of cells; times are UTC, which a spreadsheet has no sign for, so the sheet "about" says it."""

    def __init__(self, book: Workbook) -> None:
        self.header: Format = book.add_format({"bold": True})
        self.moment: Format = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self.day: Format = book.add_format({"num_format": "yyyy-mm-dd"})
        self.inert: Format = book.add_format({"quote_prefix": True})  # stays text when somebody edits the cell


def _write(sheet: Worksheet, row: int, column: int, value: Any, styles: _Styles) -> None:
    plain = document(value)
    if plain is None or plain == "":
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, float | Decimal) or (isinstance(value, int) and abs(value) <= MOST_EXACT):
        sheet.write_number(row, column, float(value))
    elif isinstance(value, datetime) and value.astimezone(UTC).date() >= FIRST_DAY:
        sheet.write_datetime(row, column, value.astimezone(UTC).replace(tzinfo=None), styles.moment)
    elif isinstance(value, date) and not isinstance(value, datetime) and value >= FIRST_DAY:
        sheet.write_datetime(row, column, datetime(value.year, value.month, value.day), styles.day)  # noqa: DTZ001
    else:
        text = str(plain)
        text = text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
        sheet.write_string(row, column, text, styles.inert if text.startswith(STARTS_A_FORMULA) else None)


def _width(name: str, values: list[Any]) -> int:
    """Characters, from the header and the first rows."""
    longest = max((len(str(document(value))) for value in values if value is not None), default=0)
    return min(max(NARROWEST, len(name) + 3, longest + 1), WIDEST)
