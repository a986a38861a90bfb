"""What every price source gives: a stream of quotes and refused rows, one at a time and in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import BinaryIO, Protocol

from planner.hardware.catalogue import Catalogue
from planner.offers.quote import Quote, Refused

LONGEST_TEXT = 500  # characters of a refused row that are kept

__all__ = ["LONGEST_TEXT", "Quote", "ReadContext", "Refused", "Source", "midnight"]


@dataclass(frozen=True, slots=True)
class ReadContext:
    """What a reader needs besides the bytes.

    `stated_date` is the day that the prices are of, for formats that do not say it themselves; without it, it is
    the day on which the file was received. `left_out` counts, by reason, the rows that are well formed and no
    offers of GPU time (other systems, machines without a GPU): too many to be refused one by one.
    """

    catalogue: Catalogue
    received_at: datetime
    stated_date: date | None = None
    source: str = ""  # where the prices can be read; "" is the reader's own words
    provider: str = ""  # for formats that name none (histories of one provider, tables of one cloud)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def source_date(self) -> date:
        return self.stated_date or self.received_at.astimezone(UTC).date()


class Source(Protocol):
    """A reader of one format. It never raises for what a file holds: each fault becomes a `Refused`."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    def read(self, stream: BinaryIO, context: ReadContext) -> Iterator[Quote | Refused]: ...


@lru_cache(maxsize=64)
def midnight(day: date) -> datetime:
    """The moment at which the day begins, UTC."""
    return datetime.combine(day, time(), UTC)
