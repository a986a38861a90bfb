"""The euro reference rates that the European Central Bank publishes as XML: one day, ninety days or all since 1999."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import BinaryIO
from xml.parsers import expat

from planner.errors import InvalidInput
from planner.offers.currency import Rate, RefusedRate

SOURCE = "European Central Bank, euro foreign exchange reference rates"
NAMESPACE = "http://www.ecb.int/vocabulary/2002-08-01/eurofxref"
ENVELOPE = "http://www.gesmes.org/xml/2002-08-01 Envelope"
MOST_BYTES = 64 * 2**20  # the whole history has about 8 MB
_CUBE = f"{NAMESPACE} Cube"
_CHUNK = 64 * 1024


def read_ecb_rates(stream: BinaryIO) -> Iterator[Rate | RefusedRate]:
    """What one euro was worth, day by day, in the order of the file; a rate that cannot be is refused with its line.

    Raises InvalidInput, when that is seen, for what is no such file: other XML, a document type, a file cut short.
    """
    found = _Cubes()
    num_bytes = 0
    while chunk := stream.read(_CHUNK):
        num_bytes += len(chunk)
        if num_bytes > MOST_BYTES:
            raise InvalidInput.of("file", f"holds more than {MOST_BYTES // 2**20} MiB")
        yield from found.of(chunk)
    yield from found.of(b"", is_last=True)
    if not found.num_days:
        raise InvalidInput.of("file", "is XML, but holds no reference rates of the European Central Bank")


class _Cubes:
    """Turns pieces of the file into rates as soon as they are whole."""

    def __init__(self) -> None:
        self.num_days = 0
        self._day: date | None = None
        self._found: list[Rate | RefusedRate] = []
        self._is_first = True
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartElementHandler = self._begin
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype

    def of(self, chunk: bytes, *, is_last: bool = False) -> list[Rate | RefusedRate]:
        self._found = []
        try:
            self._parser.Parse(chunk, is_last)
        except expat.ExpatError as error:
            raise InvalidInput.of("file", f"is no whole XML file ({error})") from None
        return self._found

    def _refuse_doctype(self, *_: object) -> None:
        raise InvalidInput.of("file", "declares a document type, which a file of rates has none of")

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        if self._is_first and name != ENVELOPE:
            raise InvalidInput.of("file", "is XML, but holds no reference rates of the European Central Bank")
        self._is_first = False
        if name != _CUBE:
            return
        if "time" in attributes:
            self._begin_day(attributes["time"])
        elif "currency" in attributes:
            self._rate(attributes["currency"], attributes.get("rate", ""))

    def _begin_day(self, text: str) -> None:
        try:
            self._day = date.fromisoformat(text)
        except ValueError:
            raise InvalidInput.of("file", f"{text[:40]!r} is not a day") from None
        self.num_days += 1

    def _rate(self, currency: str, text: str) -> None:
        line = self._parser.CurrentLineNumber
        if self._day is None:
            self._found.append(RefusedRate(line, f"{currency[:10]}: no day is stated"))
            return
        try:
            self._found.append(Rate("EUR", currency, Decimal(text), self._day, SOURCE))
        except InvalidOperation:
            self._found.append(RefusedRate(line, f"{currency[:10]}: {text[:40]!r} is not a number"))
        except InvalidInput as error:
            self._found.append(RefusedRate(line, f"{currency[:10]}: {error}"))
