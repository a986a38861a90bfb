"""Reading the single fields of foreign price rows: exact amounts, counts, moments and texts, or a sentence why not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

AMOUNT_PLACES, COUNT_PLACES = 10, 6  # decimal places that prices and numbers of GPUs are kept with
MOST_PER_HOUR = Decimal(1_000_000)  # above the largest machine's price by three orders: a slip, not a price
MOST_GPUS = Decimal(100_000)
_MOST = Decimal(10) ** 15
BYTES_PER_GIB = 2**30
SECONDS_PER_HOUR = 3600
LONGEST = {"provider": 100, "region": 100, "zone": 100, "instance_type": 200, "gpu_name": 200, "source": 500}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_LONGEST_NUMBER = 60
_CURRENCY = re.compile(r"[A-Z]{3}")
_PROVIDER = re.compile(r"[a-z0-9][a-z0-9._-]*")


class Blank(ValueError):
    """A field holds nothing: what it would say is unknown."""


def text(row: Mapping[str, Any], column: str, as_field: str = "") -> str:
    """The text of a field, stripped. Raises Blank for an empty one and ValueError for what is no printable text."""
    value = row.get(column)
    if value is None or value == "":
        raise Blank(f"{column} is blank")
    if not isinstance(value, str):
        raise ValueError(f"{column} is {type(value).__name__}, not a text")
    stripped = value.strip()
    if not stripped:
        raise Blank(f"{column} is blank")
    longest = LONGEST.get(as_field or column, LONGEST["instance_type"])
    if len(stripped) > longest:
        raise ValueError(f"{column} is longer than {longest} characters")
    if not stripped.isprintable() and any(unicodedata.category(c) in ("Cc", "Cs") for c in stripped):
        raise ValueError(f"{column} has a control character: {stripped!r}")
    return stripped


def optional_text(row: Mapping[str, Any], column: str, as_field: str = "") -> str:
    """The text of a field, "" where it is empty or missing."""
    try:
        return text(row, column, as_field)
    except Blank:
        return ""


def provider(name: str) -> str:
    """The provider's short name. Raises ValueError for one that is none."""
    if not name or len(name) > LONGEST["provider"] or not _PROVIDER.fullmatch(name):
        raise ValueError(f"the provider {name!r} is not a short name in small letters, such as aws")
    return name


def currency(row: Mapping[str, Any], column: str) -> str:
    """The code of a currency. Raises ValueError for anything but three capital letters."""
    code = text(row, column)
    if not _CURRENCY.fullmatch(code):
        raise ValueError(f"{column}: {code!r} is not a currency code such as USD")
    return code


def number(value: object, column: str) -> Decimal:
    """An exact finite number. Raises Blank for nothing and ValueError for NaN, infinity or what is no number."""
    if value is None or (isinstance(value, str) and not value.strip()):
        raise Blank(f"{column} is blank")
    if not isinstance(value, str):
        raise ValueError(f"{column} is {type(value).__name__}, not a number")
    stripped = value.strip()
    if len(stripped) > _LONGEST_NUMBER or not _NUMBER.fullmatch(stripped):
        raise ValueError(f"{column}: {stripped[:_LONGEST_NUMBER]!r} is not a number such as 2.49")
    return Decimal(stripped)


def amount(value: object, column: str) -> Decimal:
    """A price per hour, exact to 10 places. Raises Blank or ValueError for what is no price; 0 is never one."""
    return checked_amount(number(value, column), column)


def checked_amount(price: Decimal, column: str) -> Decimal:
    """The price, rounded half-even to 10 places, if it can be one. Raises ValueError for 0, less, and the absurd."""
    if price == 0:
        raise ValueError(f"{column}: a price of 0 is unknown, not free")
    if price < 0:
        raise ValueError(f"{column}: the price {price} is below 0")
    if price > MOST_PER_HOUR:
        raise ValueError(f"{column}: {price:.4g} an hour is above {MOST_PER_HOUR:,}, which no machine costs")
    rounded = round(price, AMOUNT_PLACES)
    if rounded == 0:
        raise ValueError(f"{column}: {price} is too small to be a price")
    return rounded


def count(value: object, column: str) -> Decimal:
    """A number of GPUs or processors, perhaps a fraction. Raises Blank or ValueError for what is none."""
    found = number(value, column)
    if not 0 < found <= MOST_GPUS:
        raise ValueError(f"{column}: {found:.6g} is not a number between 0 and {MOST_GPUS:,}")
    rounded = round(found, COUNT_PLACES)
    if rounded == 0:
        raise ValueError(f"{column}: {found} is too small to be a number of GPUs")
    return rounded


def optional_count(value: object, column: str) -> Decimal | None:
    """The same; None where the field is blank or 0."""
    try:
        return count(value, column) if number(value, column) != 0 else None
    except Blank:
        return None


def optional_number(value: object, column: str) -> Decimal | None:
    """An exact number above 0; None where the field is blank or 0."""
    try:
        found = number(value, column)
    except Blank:
        return None
    if found < 0 or found > _MOST:
        raise ValueError(f"{column}: {found:.6g} is not a number between 0 and {_MOST:.0g}")
    return found or None


def gibibytes(value: object, column: str) -> int | None:
    """Bytes of a field in GiB; None where it is blank or 0."""
    found = optional_count(value, column)
    return None if found is None else int(found * BYTES_PER_GIB)


def day(value: object, column: str) -> date:
    """A calendar day such as 2026-07-20. Raises Blank or ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{column} is {type(value).__name__}, not a day")
    if not value.strip():
        raise Blank(f"{column} is blank")
    try:
        return date.fromisoformat(value.strip())
    except ValueError:
        raise ValueError(f"{column}: {value[:40]!r} is not a day such as 2026-07-20") from None


def moment(value: object, column: str) -> datetime:
    """A moment, UTC where the text names no zone. Raises Blank or ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{column} is {type(value).__name__}, not a moment")
    if not value.strip():
        raise Blank(f"{column} is blank")
    try:
        found = datetime.fromisoformat(value.strip())
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{column}: {value[:40]!r} is not a moment such as 2026-07-20T06:00:00Z") from None
