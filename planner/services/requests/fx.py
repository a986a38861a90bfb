"""What can be said of and asked for exchange rates."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from planner import units
from planner.services.requests.base import Day, Moment, Request, human, whole

Code = Annotated[str, Field(pattern="^[A-Z]{3}$")]


class RateRequest(Request):
    """One unit of `base` was worth `rate` of `quote` on `rate_date`, as `source` states."""

    base: Code
    quote: Code
    rate: Annotated[Decimal, *human("number", ["1.0837"], units.parse_money, 1e-9, 1e6)]
    rate_date: Day
    source: Annotated[str, Field(min_length=1, max_length=500)]


class RatesRequest(Request):
    """Rates to be appended together; `allow_large_changes` lets jumps of more than a fifth pass, which wait else."""

    rates: Annotated[tuple[RateRequest, ...], Field(min_length=1, max_length=2000)]
    allow_large_changes: bool = False


class RateFileQuery(Request):
    """How a file of rates is read: `source` says who states them, for a table with a column a currency."""

    source: Annotated[str, Field(max_length=500)] = ""
    allow_large_changes: bool = False


class HeldRateQuery(Request):
    """Which held rates, in the order in which they came; `waiting` leaves out those that were decided on."""

    waiting: bool = False
    limit: Annotated[int, *whole(1, 1000)] = 100
    after: Annotated[int, *whole(0, 2**63 - 1)] = 0


class RateQuery(Request):
    """Which stored rates, the last recorded first; with `as_of` those that count on that day, by currency.

    `known_at` (only with `as_of`): as far as was known then.
    """

    base: Code | None = None
    quote: Code | None = None
    as_of: Day | None = None
    known_at: Moment | None = None
    limit: Annotated[int, *whole(1, 1000)] = 100
    after: Annotated[int, *whole(1, 2**63 - 1)] | None = None


class ConversionRequest(Request):
    """An amount to be converted at the rates of a day (left out: today)."""

    amount: Annotated[Decimal, *human("number", ["2.49"], units.parse_money, -1e12, 1e12)]
    source: Code
    target: Code
    on: Day | None = None
