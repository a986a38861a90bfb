"""The central bank's XML is read day by day; what is no such file is refused, and nothing of it kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from io import BytesIO

import pytest

from planner.errors import InvalidInput
from planner.offers.currency import Rate, RefusedRate
from planner.readers.ecb_rates import SOURCE, read_ecb_rates

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" '
    'xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">\n'
    "\t<gesmes:subject>Reference rates</gesmes:subject>\n"
    "\t<gesmes:Sender>\n\t\t<gesmes:name>European Central Bank</gesmes:name>\n\t</gesmes:Sender>\n\t<Cube>\n"
)
TAIL = "\t</Cube>\n</gesmes:Envelope>\n"


def ecb(days: Mapping[str, Mapping[str, str]]) -> bytes:
    """A file as the bank publishes it, in the format recorded of it."""
    cubes = [
        f"\t\t<Cube time='{day}'>\n"
        + "".join(f"\t\t\t<Cube currency='{code}' rate='{rate}'/>\n" for code, rate in rates.items())
        + "\t\t</Cube>\n"
        for day, rates in days.items()
    ]
    return (HEAD + "".join(cubes) + TAIL).encode()


def read(body: bytes) -> list[Rate | RefusedRate]:
    return list(read_ecb_rates(BytesIO(body)))


def test_every_day_and_currency_is_a_rate_of_one_euro_with_the_bank_as_source() -> None:
    found = read(ecb({"2026-11-20": {"USD": "1.0838", "JPY": "163.45"}, "2026-11-19": {"USD": "1.0791"}}))
    assert found == [
        Rate("EUR", "USD", Decimal("1.0838"), date(2026, 11, 20), SOURCE),
        Rate("EUR", "JPY", Decimal("163.45"), date(2026, 11, 20), SOURCE),
        Rate("EUR", "USD", Decimal("1.0791"), date(2026, 11, 19), SOURCE),
    ]


def test_a_long_file_is_read_in_pieces() -> None:
    days = {
        f"2026-{month:02}-{day:02}": {"USD": "1.08", "JPY": "160"} for month in range(1, 13) for day in range(1, 29)
    }
    assert len(read(ecb(days))) == 2 * 12 * 28


@pytest.mark.parametrize("rate", ["N/A", "", "0", "-1", "NaN", "1e30"])
def test_a_rate_that_cannot_be_is_refused_with_its_line_and_stops_no_other(rate: str) -> None:
    refused, taken = read(ecb({"2026-11-20": {"USD": rate, "JPY": "163.45"}}))
    assert isinstance(refused, RefusedRate)
    assert refused.line == 9
    assert refused.reason.startswith("USD: ")
    assert isinstance(taken, Rate)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (ecb({"2026-11-20": {"USD": "1.08"}})[:-30], "is no whole XML file"),
        (b"<a><b></a>", "holds no reference rates"),
        (b"<html><body>Sorry</body></html>", "holds no reference rates"),
        (ecb({}), "holds no reference rates"),
        (ecb({"20 November": {"USD": "1.08"}}), "'20 November' is not a day"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "declares a document type"),
        (b"\x1f\x8b\x08 packed", "is no whole XML file"),
        (b"", "is no whole XML file"),
    ],
)
def test_what_is_no_such_file_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        read(body)
