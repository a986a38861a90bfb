"""Reading a recorded file, or a text, with one of the price sources."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from pathlib import Path

from planner.hardware.catalogue import load_catalogue
from planner.readers.registry import get_source, read_file
from planner.readers.source import Quote, ReadContext, Refused

DATA = Path(__file__).parent / "data"
RECEIVED = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Reading:
    """What a source found in one file: quotes, refused rows, and what it left out."""

    def __init__(self, name: str, content: bytes, provider: str = "", stated_date: date | None = None) -> None:
        self.context = ReadContext(load_catalogue(), RECEIVED, stated_date, provider=provider)
        found = list(read_file(get_source(name), io.BytesIO(content), self.context))
        self.quotes = [item for item in found if isinstance(item, Quote)]
        self.refused = [item for item in found if isinstance(item, Refused)]
        self.left_out = self.context.left_out

    @property
    def prices(self) -> dict[tuple[str, ...], str]:
        """Amounts as plain text by instance type, kind, region and, where there is one, zone and upfront."""
        return {_key(quote): "" if quote.amount is None else f"{quote.amount.normalize():f}" for quote in self.quotes}

    @property
    def fault(self) -> str:
        """Why the whole file was refused; "" where it was not."""
        last = self.refused[-1] if self.refused else None
        return last.reason if last is not None and last.is_whole_file else ""

    def quote(self, *key: str) -> Quote:
        return next(quote for quote in self.quotes if _key(quote) == key)


def _key(quote: Quote) -> tuple[str, ...]:
    offer = quote.offer
    last = tuple(part for part in (offer.zone, offer.upfront.value) if part)
    return (offer.instance_type, offer.kind.value, offer.region, *last)


def read_recorded(name: str, *files: str, provider: str = "") -> Reading:
    """The recorded files, one after the other as pages are."""
    return Reading(name, b"\n".join((DATA / file).read_bytes() for file in files), provider)
