"""What every price source gives: a stream of quotes and refused rows, one at a time and in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import BinaryIO, Protocol

from planner.hardware.catalogue import Catalogue
from planner.offers.offer import Offer

LONGEST_TEXT = 500  # characters of a refused row that are kept


@dataclass(frozen=True, slots=True)
class Quote:
    """One price as a source states it: what the whole offer costs per hour from `valid_from` on.

    `row` is where it stands (a line number, or a SKU). `amount` None says that the offer was withdrawn or that its
    price is not known; `reason` then says which. `source` is where it can be read, `source_date` the day that the
    source states.
    """

    row: int | str
    offer: Offer
    amount: Decimal | None
    valid_from: datetime
    source_date: date
    source: str
    reason: str = ""

    def __post_init__(self) -> None:
        if self.amount is None and not self.reason:
            raise ValueError("a quote without an amount needs its reason")
        if self.amount is not None and not (self.amount.is_finite() and self.amount > 0):
            raise ValueError(f"a price is above 0, not {self.amount}; unknown is None with a reason")
        if self.valid_from.tzinfo is None:
            raise ValueError("the moment from which a price holds is aware UTC")


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that cannot be used, why in a sentence, and its own text, shortened.

    `is_whole_file` says that the file cannot be trusted from here on (it is cut off, is no CSV, has other columns):
    reading has ended, and nothing of the file is to be kept, neither the quotes before nor after.
    """

    row: int | str
    reason: str
    text: str = ""
    is_whole_file: bool = False

    def __str__(self) -> str:
        where = f"line {self.row}" if isinstance(self.row, int) else self.row
        return f"{where}: {self.reason}"


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


def midnight(day: date) -> datetime:
    """The moment at which the day begins, UTC."""
    return datetime.combine(day, time(), UTC)
