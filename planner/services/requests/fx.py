"""What can be said of and asked for exchange rates."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from planner import units
from planner.services.requests.base import Day, Request, human, whole

Code = Annotated[str, Field(pattern="^[A-Z]{3}$")]


class RateRequest(Request):
    """One unit of `base` was worth `rate` of `quote` on `rate_date`, as `source` states."""

    base: Code
    quote: Code
    rate: Annotated[Decimal, *human("number", ["1.0837"], units.parse_money, 1e-9, 1e6)]
    rate_date: Day
    source: Annotated[str, Field(min_length=1, max_length=500)]


class RateQuery(Request):
    """Which stored rates, the last recorded first."""

    base: Code | None = None
    quote: Code | None = None
    limit: Annotated[int, *whole(1, 1000)] = 100
    after: Annotated[int, *whole(1, 2**63 - 1)] | None = None


class ConversionRequest(Request):
    """An amount to be converted at the rates of a day (left out: today)."""

    amount: Annotated[Decimal, *human("number", ["2.49"], units.parse_money, -1e12, 1e12)]
    source: Code
    target: Code
    on: Day | None = None
