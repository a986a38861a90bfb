"""CSV from elsewhere as rows with line numbers, in bounded memory; refuses what is no such table."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO

from planner.readers.source import LONGEST_TEXT, Refused
from planner.readers.unpack import FileFault

LONGEST_LINE = 1_000_000  # bytes
MOST_COLUMNS = 1_000
Row = dict[str, str]


def read_table(
    stream: BinaryIO,
    needed: Collection[str],
    *,
    num_lines_before: int = 0,
    wanted: Callable[[bytes], bool] | None = None,
) -> Iterator[tuple[int, Row] | Refused]:
    """Each row by column name with the line on which it ends; a row of another length is refused.

    `wanted` may leave out raw lines cheaply, before they are parsed. Raises FileFault for what is no CSV in UTF-8
    with one header that has the `needed` columns.
    """
    lines = _Lines(stream, num_lines_before, wanted)
    reader = csv.reader(lines, strict=True)
    header = _header(reader, lines, needed)
    width = len(header)
    for fields in _records(reader, lines):
        if len(fields) == width:
            yield lines.number, dict(zip(header, fields, strict=True))
        elif fields:
            yield Refused(lines.number, f"the row has {len(fields)} fields, not {width}", shortened(",".join(fields)))


def read_lines(stream: BinaryIO) -> Iterator[str]:
    """The lines of a text in UTF-8. Raises FileFault for what is none."""
    return iter(_Lines(stream, 0, None))


def shortened(text: str) -> str:
    """The text as it is kept of a refused row: one line, not too long."""
    plain = text.encode("utf-8", "replace").decode("utf-8")
    one_line = " ".join(plain.split())
    return one_line if len(one_line) <= LONGEST_TEXT else one_line[: LONGEST_TEXT - 1] + "…"


def row_text(row: Row) -> str:
    """A row as it is kept of a refused one."""
    return shortened(",".join(row.values()))


class _Lines:
    """Decoded lines; `number` is the last line given."""

    def __init__(self, stream: BinaryIO, num_before: int, wanted: Callable[[bytes], bool] | None) -> None:
        self.number = num_before
        self._stream = stream
        self._wanted = wanted
        self._is_first = True
        self._is_header = True

    def __iter__(self) -> Iterator[str]:
        while line := self._stream.readline(LONGEST_LINE + 1):
            self.number += 1
            if len(line) > LONGEST_LINE:
                raise FileFault(self.number, f"a line of more than {LONGEST_LINE:,} bytes is no row of a price list")
            if self._wanted and not self._is_header and line.count(b'"') % 2 == 0 and not self._wanted(line):
                continue
            if self._is_header or b"\0" in line:
                yield self._decoded(line)
                self._is_header = False
                continue
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError:
                raise FileFault(self.number, "the line is not UTF-8") from None

    def _decoded(self, line: bytes) -> str:
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(codecs.BOM_UTF8)
            _refuse_markup(self.number, line)
        if b"\0" in line:
            raise FileFault(self.number, "the line has a NUL byte: this is no text")
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            raise FileFault(self.number, "the line is not UTF-8") from None


def _refuse_markup(line_number: int, line: bytes) -> None:
    start = line.lstrip()[:15].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<error", b"<head")):
        raise FileFault(line_number, "this is a web page (perhaps an error message), not a price list")


def _records(reader: Iterator[list[str]], lines: _Lines) -> Iterator[list[str]]:
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise FileFault(lines.number, f"this is not CSV ({error})") from None
        if fields is None:
            return
        yield fields


def _header(reader: Iterator[list[str]], lines: _Lines, needed: Collection[str]) -> list[str]:
    header = next(_records(reader, lines), None)
    if header is None or not any(column.strip() for column in header):
        raise FileFault(max(lines.number, 1), "the file is empty")
    header = [column.strip() for column in header]
    if len(header) > MOST_COLUMNS:
        raise FileFault(lines.number, f"a table of more than {MOST_COLUMNS:,} columns is no price list")
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise FileFault(lines.number, f"the column {twice[0]!r} is there twice")
    if missing := [column for column in needed if column not in header]:
        raise FileFault(lines.number, f"there is no column {', '.join(missing)}")
    return header
