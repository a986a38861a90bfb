"""What a price source says, row by row: a quote, or a row that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from planner.offers.offer import Offer


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
