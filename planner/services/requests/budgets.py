"""What can be said of a budget and of the end of a month, and what can be asked of them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from planner import units
from planner.budgets.budget import Budget, Line, Scope
from planner.budgets.rounding import exact_sum
from planner.offers.offer import OfferKind
from planner.services.requests.base import Key, Moment, Money, Name, Request, field_problem, human
from planner.services.requests.fx import Code
from planner.services.requests.lists import ListQuery

_MONTH = re.compile(r"2[01][0-9]{2}-(?:0[1-9]|1[0-2])")
MOST_DIGITS = 28  # of an amount that is a product, so that it is exact


def _check_month(text: str) -> str:
    if not _MONTH.fullmatch(text):
        message = f"must be a calendar month from 2000 to 2199, such as 2026-10, not {text[:20]!r}"
        raise PydanticCustomError("unreadable", "{message}", {"message": message})
    return text


Month = Annotated[
    str,
    AfterValidator(_check_month),
    WithJsonSchema({"type": "string", "pattern": f"^{_MONTH.pattern}$", "examples": ["2026-10"]}),
]
GpuHours = Annotated[Decimal, *human("number", ["4000"], units.parse_money, 1e-6, 1e12)]
RateNumber = Annotated[Decimal, *human("number", ["1.08"], units.parse_money, 1e-9, 1e6)]
Note = Annotated[str, Field(max_length=2000)]


class LineRequest(Request):
    """So many GPU-hours of a GPU model (of one kind of offer, or of any) at a price in the budget's currency."""

    gpu_key: Key
    gpu_hours: GpuHours
    price_per_gpu_hour: Money
    offer_kind: OfferKind | None = None


class PlannedRate(Request):
    """What one unit of `currency` is taken to be worth in the budget's currency."""

    currency: Code
    rate: RateNumber


class BudgetRequest(Request):
    """An amount for a scope of jobs from the first day of one month until the end of another (left out: the same one).

    The scope is every job that has all the fields given: `provider` … `job_kind`, and a name that begins with
    `job_starts`. `lines` say what GPU-hours the amount was made from; they add up to it, and it may be left out.
    `replaces` names the budget that this one revises.
    """

    name: Name
    currency: Code
    from_month: Month
    until_month: Month | None = None
    amount: Money | None = None
    provider: Key | None = None
    region: Key | None = None
    gpu_key: Key | None = None
    offer_kind: OfferKind | None = None
    job_kind: Literal["training", "inference"] | None = None
    job_starts: Name | None = None
    lines: Annotated[tuple[LineRequest, ...], Field(max_length=500)] = ()
    planned_rates: Annotated[tuple[PlannedRate, ...], Field(max_length=100)] = ()
    note: Note = ""
    replaces: Key | None = None

    def budget(self) -> Budget:
        """What it says, as what happened is held against it."""
        return Budget(
            currency=self.currency,
            from_month=self.from_month,
            until_month=self.until_month or self.from_month,
            amount=self.whole_amount,
            scope=Scope(
                provider=self.provider,
                region=self.region,
                gpu_key=self.gpu_key,
                offer_kind=None if self.offer_kind is None else self.offer_kind.value,
                job_kind=self.job_kind,
                job_starts=self.job_starts,
            ),
            lines=self._budget_lines(),
            planned_rates={planned.currency: planned.rate for planned in self.planned_rates},
        )

    @property
    def whole_amount(self) -> Decimal:
        """The amount that is given, else the sum of the lines."""
        return exact_sum(line.amount for line in self._budget_lines()) if self.amount is None else self.amount

    def _budget_lines(self) -> tuple[Line, ...]:
        return tuple(
            Line(
                line.gpu_key,
                line.gpu_hours,
                line.price_per_gpu_hour,
                None if line.offer_kind is None else line.offer_kind.value,
            )
            for line in self.lines
        )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.until_month is not None and self.until_month < self.from_month:
            raise field_problem("until_month", "must not be before from_month")
        if self.amount is None and not self.lines:
            raise field_problem("amount", "is needed, or lines that add up to it")
        for number, line in enumerate(self.lines):
            if _digits(line.gpu_hours) + _digits(line.price_per_gpu_hour) > MOST_DIGITS:
                message = f"hours and price have more than {MOST_DIGITS} digits together: their product is not exact"
                raise field_problem(f"lines.{number}", message)
        kinds = [(line.gpu_key, line.offer_kind) for line in self.lines]
        if len(set(kinds)) != len(kinds):
            raise field_problem("lines", "two are for the same GPU and kind of offer; make them one")
        if self.lines and self.amount is not None:
            total = exact_sum(line.amount for line in self._budget_lines())
            if total != self.amount:
                said = f"the lines add up to {units.plain_decimal(total)}, not to {units.plain_decimal(self.amount)}"
                raise field_problem("amount", f"{said}; leave it out or make them agree")
        currencies = [planned.currency for planned in self.planned_rates]
        if self.currency in currencies:
            raise field_problem("planned_rates", f"{self.currency} is the budget's own currency")
        if len(set(currencies)) != len(currencies):
            raise field_problem("planned_rates", "two are for the same currency")
        return self


def _digits(amount: Decimal) -> int:
    return len(amount.as_tuple().digits)


class BudgetsQuery(ListQuery):
    """Which budgets, newest first: those of a month, all where none is named; replaced ones only if they are wanted.

    `known_at`: as far as was known then.
    """

    month: Month | None = None
    replaced: bool = False
    known_at: Moment | None = None

    @property
    def rows(self) -> int | None:
        """How many rows a table has at most: the limit where one is asked for, else all (None)."""
        return self.limit if "limit" in self.model_fields_set else None


class ReportQuery(Request):
    """The report as far as was known at `known_at` (left out: now)."""

    known_at: Moment | None = None


class BudgetLinesQuery(ReportQuery):
    """The lines of one budget, or of every budget of a month; of all that count where neither is named."""

    budget_id: Key | None = None
    month: Month | None = None


class ClosingRequest(Request):
    """A calendar month whose figures are to stay as they are known now."""

    month: Month
    note: Note = ""


class ChangesQuery(Request):
    """What was learnt of closed months since they were closed: of one, or of all; by `known_at` (left out: now)."""

    month: Month | None = None
    known_at: Moment | None = None
