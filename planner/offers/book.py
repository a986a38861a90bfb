"""The bundled price book, and the project's own CSV form for prices (described in docs/prices.md)."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from importlib.resources import files
from io import StringIO

from planner.errors import NotFound
from planner.hardware.catalogue import Catalogue, load_catalogue
from planner.offers.offer import Offer, OfferKind, Price, Upfront

BOOK_FILES = ("aws.csv", "azure.csv", "gcp.csv", "gpu_clouds.csv")
COLUMNS = (
    *("provider", "region", "zone", "instance_type", "kind", "currency", "gpu_name", "gpu_key", "num_gpus", "vcpus"),
    *("memory_gib", "host_included", "price_per_hour", "valid_from", "source_date", "source", "reason"),
)
OPTIONAL_COLUMNS = (
    *("upfront", "interconnect", "is_available", "quota_gpus"),
    *("minimum_term_hours", "lead_time_hours", "interruptions_per_hour"),
)
_LONGEST = {  # characters that the database keeps
    **dict.fromkeys(("provider", "region", "zone", "gpu_key"), 100),
    **dict.fromkeys(("instance_type", "gpu_name", "interconnect"), 200),
    **dict.fromkeys(("source", "reason"), 500),
}
_REQUIRED = ("provider", "region", "instance_type", "kind", "currency", "gpu_name", "num_gpus", "source_date", "source")
_PROVIDER = re.compile(r"[a-z0-9][a-z0-9._-]*")
_CURRENCY = re.compile(r"[A-Z]{3}")
_DECIMAL = re.compile(r"[0-9]{1,7}(?:\.[0-9]{1,10})?")
_LONGEST_NUMBER = 40
_BYTES_PER_GIB = 2**30
_SECONDS_PER_HOUR = 3600


class BookError(ValueError):
    """A price file that cannot be used as it stands: names the file, the line and what is wrong."""


@dataclass(frozen=True, slots=True)
class BookEntry:
    """One row of a price file: an offer and what it costs per hour from `valid_from` on; amount None: withdrawn."""

    offer: Offer
    amount: Decimal | None
    valid_from: datetime
    source: str
    source_date: date
    reason: str = ""

    def price(self, recorded_at: datetime) -> Price:
        """The price as learnt at `recorded_at`."""
        return Price(self.amount, self.valid_from, recorded_at, self.source, self.source_date, self.reason)


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was not taken, and why."""

    file: str
    line: int
    reason: str
    is_last: bool = False  # the file is no CSV from here on

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}"


@cache
def load_book() -> tuple[BookEntry, ...]:
    """All offers of the bundled book, read once. Raises BookError for an unsound row or an offer there twice."""
    folder = files("planner.offers") / "facts"
    return parse_book({name: (folder / name).read_text(encoding="utf-8") for name in BOOK_FILES}, load_catalogue())


def parse_book(texts: Mapping[str, str], catalogue: Catalogue) -> tuple[BookEntry, ...]:
    """The entries of price files by name, all of them sound or none: raises BookError for the first fault."""
    entries: dict[tuple[str, ...], BookEntry] = {}
    for name, text in texts.items():
        for line, found in read_entries(StringIO(text, newline=""), name, catalogue):
            if isinstance(found, RejectedRow):
                raise BookError(str(found))
            if found.offer.identity in entries:
                raise BookError(f"{name}, line {line}: the offer {' · '.join(found.offer.identity)} is there twice")
            entries[found.offer.identity] = found
    return tuple(entries.values())


def read_entries(
    lines: Iterable[str], name: str, catalogue: Catalogue
) -> Iterator[tuple[int, BookEntry | RejectedRow]]:
    """Each row of a price file with its line number, one at a time, either read or rejected with its reason.

    Reading ends at the first line that is no CSV at all. Raises BookError where the columns are not ours.
    """
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise BookError(f"{name}, line 1: not CSV ({error})") from None
    if header is None or not _is_ours(header):
        optional = f"after them may be {', '.join(OPTIONAL_COLUMNS)}"
        raise BookError(f"{name}, line 1: the columns must be {','.join(COLUMNS)}; {optional}")
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            yield reader.line_num, _not_csv(name, reader.line_num, error)
            return
        if fields is None:
            return
        if not fields:
            continue
        try:
            yield reader.line_num, _entry(fields, header, catalogue)
        except ValueError as error:
            yield reader.line_num, RejectedRow(name, reader.line_num, str(error))


def _is_ours(header: list[str]) -> bool:
    first, others = tuple(header[: len(COLUMNS)]), header[len(COLUMNS) :]
    return first == COLUMNS and len(set(others)) == len(others) and set(others) <= set(OPTIONAL_COLUMNS)


def _not_csv(name: str, line: int, error: csv.Error) -> RejectedRow:
    return RejectedRow(name, line, f"not CSV ({error}); nothing after it was read", is_last=True)


def _entry(fields: list[str], header: list[str], catalogue: Catalogue) -> BookEntry:
    """The entry of one row; raises ValueError naming the column and what would be right."""
    if len(fields) != len(header):
        raise ValueError(f"{len(fields)} fields, not {len(header)}")
    row = dict.fromkeys(OPTIONAL_COLUMNS, "") | dict(zip(header, fields, strict=True))
    for column, text in row.items():
        _check_text(column, text)
    if not _PROVIDER.fullmatch(row["provider"]):
        raise ValueError(f"provider: {row['provider']!r} is not a short name in small letters, such as aws")
    if not _CURRENCY.fullmatch(row["currency"]):
        raise ValueError(f"currency: {row['currency']!r} is not a code of three capital letters, such as USD")
    source_date = _date(row["source_date"])
    amount = _amount(row["price_per_hour"], row["reason"])
    return BookEntry(
        offer=_offer(row, catalogue),
        amount=amount,
        valid_from=_moment(row["valid_from"]) if row["valid_from"] else _midnight(source_date),
        source=row["source"],
        source_date=source_date,
        reason=row["reason"],
    )


def _offer(row: Mapping[str, str], catalogue: Catalogue) -> Offer:
    num_gpus = _decimal("num_gpus", row["num_gpus"])
    if num_gpus != round(num_gpus, 6):
        raise ValueError(f"num_gpus: {row['num_gpus']} has more than 6 places")
    return Offer(
        provider=row["provider"],
        region=row["region"],
        zone=row["zone"],
        instance_type=row["instance_type"],
        kind=_kind(row["kind"]),
        currency=row["currency"],
        gpu_name=row["gpu_name"],
        gpu_key=_gpu_key(row, catalogue),
        num_gpus=num_gpus,
        vcpus=_decimal("vcpus", row["vcpus"]) if row["vcpus"] else None,
        memory_bytes=_memory_bytes(row["memory_gib"]) if row["memory_gib"] else None,
        host_included=_yes_or_no("host_included", row["host_included"]),
        upfront=_upfront(row["upfront"]),
        interconnect=row["interconnect"],
        is_available=_yes_or_no("is_available", row["is_available"]) if row["is_available"] else None,
        quota_gpus=_decimal("quota_gpus", row["quota_gpus"]) if row["quota_gpus"] else None,
        minimum_term_seconds=_seconds("minimum_term_hours", row),
        lead_time_seconds=_seconds("lead_time_hours", row),
        interruptions_per_hour=_interruptions(row["interruptions_per_hour"]),
    )


def _gpu_key(row: Mapping[str, str], catalogue: Catalogue) -> str | None:
    """The key that the row gives, else what the alias table says of the instance type or of the GPU's name."""
    if not row["gpu_key"]:
        scope = row["provider"]
        return catalogue.find(row["instance_type"], scope) or catalogue.find(row["gpu_name"], scope)
    try:
        return catalogue.get(row["gpu_key"]).key
    except NotFound as error:
        raise ValueError(f"gpu_key: {error}") from None


def _check_text(column: str, text: str) -> None:
    if not text and column in _REQUIRED:
        raise ValueError(f"{column}: is empty")
    if text != text.strip():
        raise ValueError(f"{column}: {text!r} begins or ends with a blank")
    if len(text) > _LONGEST.get(column, _LONGEST_NUMBER):
        raise ValueError(f"{column}: longer than {_LONGEST.get(column, _LONGEST_NUMBER)} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError(f"{column}: {text!r} has a control character")


def _amount(text: str, reason: str) -> Decimal | None:
    if not text and not reason:
        raise ValueError("price_per_hour: is empty; a withdrawn or unknown price needs its reason")
    if text and reason:
        raise ValueError("reason: only for a row without a price")
    return _decimal("price_per_hour", text) if text else None


def _decimal(column: str, text: str) -> Decimal:
    """A positive decimal; 0 is never a price nor a number of GPUs."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{column}: {text!r} is not a plain number with at most 10 places, such as 2.49")
    value = Decimal(text)
    if value == 0:
        raise ValueError(f"{column}: 0 is not known to be meant; leave it out where it is not known")
    return value


def _memory_bytes(text: str) -> int:
    num_bytes = _decimal("memory_gib", text) * _BYTES_PER_GIB
    if num_bytes != int(num_bytes):
        raise ValueError(f"memory_gib: {text} is no whole number of bytes")
    return int(num_bytes)


def _kind(text: str) -> OfferKind:
    try:
        return OfferKind(text)
    except ValueError:
        raise ValueError(f"kind: {text!r} is not one of {', '.join(OfferKind)}") from None


def _yes_or_no(column: str, text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError(f"{column}: {text!r} is neither yes nor no")
    return text == "yes"


def _upfront(text: str) -> Upfront:
    try:
        return Upfront(text)
    except ValueError:
        raise ValueError(f"upfront: {text!r} is not one of no, part, all") from None


def _seconds(column: str, row: Mapping[str, str]) -> int | None:
    """Whole seconds of a column in hours, where 0 is a statement too; None where it is empty."""
    text = row[column]
    if not text:
        return None
    return 0 if text == "0" else round(_decimal(column, text) * _SECONDS_PER_HOUR)


def _interruptions(text: str) -> Decimal | None:
    """Per hour, where 0 (never interrupted) is a statement too; None where it is empty."""
    if not text:
        return None
    return Decimal(0) if text == "0" else _decimal("interruptions_per_hour", text)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"source_date: {text!r} is not a day such as 2026-07-20") from None


def _moment(text: str) -> datetime:
    """A moment with its zone, or a day, which begins at 00:00 UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"valid_from: {text!r} is neither a day nor a moment such as 2026-07-20T06:00:00Z") from None
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    if len(text) > len("2026-07-20"):
        raise ValueError(f"valid_from: {text!r} has no zone; write 2026-07-20T06:00:00Z")
    return _midnight(moment.date())


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
