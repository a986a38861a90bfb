"""What the pages of budgets show: the walk from budget to actual in amounts that add up as they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from planner.budgets.rounding import apportioned, exact_sum, minor_units
from planner.budgets.variance import Cause
from planner.errors import FieldProblem, InvalidInput
from planner.services.budget_reports import BudgetReport

CAUSE_WORDS: Mapping[Cause, tuple[str, str]] = {
    Cause.WORK: ("Work", "more or less work, on other GPUs, at other foreseen prices: the budget states no hours"),
    Cause.QUANTITY: ("Quantity", "more or fewer GPU-hours foreseen for the jobs that ran than budgeted"),
    Cause.MIX: ("Mix", "on GPUs that were budgeted dearer or cheaper than the average"),
    Cause.SPEED: ("Speed", "the same work took more or fewer hours than estimated"),
    Cause.FAILURES: ("Failures", "hours lost to failures, restarts and waiting, beyond those foreseen"),
    Cause.PRICE: ("Price", "an hour cost more or less than budgeted"),
    Cause.CURRENCY: ("Currency", "the exchange rate that held was not the planned one"),
    Cause.NOT_SPLIT: ("Not split", "the cost is known, what it is made of is not"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the walk: its name, what it means, its amount as written, and where its bar lies (0 to 200)."""

    name: str
    means: str
    amount: str
    is_total: bool
    bar_from: float
    bar_width: float


def walk(report: BudgetReport) -> tuple[Step, ...]:
    """From the budget over each cause to what was spent. Empty where that is unknown.

    Amounts are rounded to the currency's places, half to even, what is over going to the largest remainders.
    """
    if report.actual is None:
        return ()
    budget = report.budget.budget
    places = minor_units(budget.currency)
    amounts = apportioned([budget.amount, *(effect.amount for effect in report.effects)], places)
    levels = [amounts[0]]
    for amount in amounts[1:]:
        levels.append(exact_sum((levels[-1], amount)))
    scale = 200 / float(max(*levels, -min(Decimal(0), *levels), Decimal(1)))
    steps = [_total("Budget", "", amounts[0], places, scale)]
    for effect, amount, before, after in zip(report.effects, amounts[1:], levels, levels[1:], strict=False):
        name, means = CAUSE_WORDS[effect.cause]
        low, high = max(0.0, float(min(before, after))), max(0.0, float(max(before, after)))
        steps.append(Step(name, means, f"{amount:+,.{places}f}", False, low * scale, (high - low) * scale))
    return (*steps, _total("Actual", counted(len(report.lines), "charge"), levels[-1], places, scale))


def _total(name: str, means: str, amount: Decimal, places: int, scale: float) -> Step:
    return Step(name, means, f"{amount:,.{places}f}", True, 0.0, max(0.0, float(amount)) * scale)


def written(amount: Decimal | None, currency: str) -> str | None:
    """An amount in its currency's places, "1,234.50 EUR"; None is unknown."""
    return None if amount is None else f"{amount:,.{minor_units(currency)}f} {currency}".replace("-", "−")


def counted(number: int, noun: str) -> str:
    """ "1 charge", "1,200 charges"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def lines_of(text: str) -> list[dict[str, Any]]:
    """Budget lines typed one a row: GPU, GPU-hours, price, and perhaps the kind of offer. Raises InvalidInput."""
    return [_line(number, _cells(row)) for number, row in _rows(text)]


def rates_of(text: str) -> list[dict[str, Any]]:
    """Planned rates typed one a row: currency and what one unit of it is worth. Raises InvalidInput."""
    found = []
    for number, row in _rows(text):
        cells = _cells(row)
        if len(cells) != 2:
            raise InvalidInput.of("planned_rates", f"row {number}: write a currency and a rate, as EUR 1.08")
        found.append({"currency": cells[0].upper(), "rate": cells[1]})
    return found


def _rows(text: str) -> list[tuple[int, str]]:
    return [(number, row.strip()) for number, row in enumerate(text.splitlines(), start=1) if row.strip()]


def _cells(row: str) -> list[str]:
    """Cells between semicolons or tabs, as a spreadsheet gives them, else between spaces."""
    for mark in ("\t", ";"):
        if mark in row:
            return [cell.strip() for cell in row.split(mark) if cell.strip()]
    return row.split()


def _line(number: int, cells: Sequence[str]) -> dict[str, Any]:
    if len(cells) not in (3, 4):
        message = f"row {number}: write GPU, GPU-hours and price of a GPU-hour, as H100-80GB-SXM 4000 2.50"
        raise InvalidInput([FieldProblem("lines", message)])
    gpu, hours, price, *kind = cells
    for name, value in (("GPU-hours", hours), ("price", price)):
        try:
            Decimal(value.replace(",", "").removeprefix("$"))
        except InvalidOperation:
            raise InvalidInput.of("lines", f"row {number}: {value[:40]!r} is not a number of {name}") from None
    line = {"gpu_key": gpu, "gpu_hours": hours, "price_per_gpu_hour": price}
    return {**line, "offer_kind": kind[0]} if kind else line
