"""Money over time, exact in decimals: recovering capital, present value, payback. Times in years, rates per year."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Flow:
    """An amount that comes in (above 0) or goes out (below 0) so many years from now."""

    years: Decimal
    amount: Decimal


def capital_recovery(rate: Decimal, years: Decimal, payments_per_year: int = 1) -> Decimal:
    """What to pay each year so that a capital of 1 and its interest are paid back after so many years.

    i(1+i)^m ÷ ((1+i)^m − 1) per payment, with i = rate ÷ payments a year (nominal) and m payments; 1 ÷ m at rate 0.
    Paying monthly costs less in a year than paying at its end (10 %, 4 years: 0.3044 against 0.3155): say which.
    """
    num_payments = years * payments_per_year
    interest = rate / payments_per_year
    growth = (1 + interest) ** num_payments
    each = 1 / num_payments if growth == 1 else interest * growth / (growth - 1)
    return each * payments_per_year


def left_after(decline: Decimal, years: int) -> Decimal:
    """What is left of 1 after so many years of losing the share `decline` a year: (1 − d)^t, and all of it at once."""
    return (1 - decline) ** years if years else Decimal(1)


def present_value(flows: Iterable[Flow], rate: Decimal) -> Decimal:
    """What the flows are worth today: each amount ÷ (1 + rate)^years."""
    return sum((flow.amount / (1 + rate) ** flow.years for flow in flows), ZERO)


def payback_years(outlay: Decimal, savings: Sequence[Flow], begin: Decimal = ZERO) -> Decimal | None:
    """Years until the savings, in order of time and undiscounted, have brought back the outlay; None if they never do.

    Within a period, the first of which starts at `begin`, the saving is taken as coming in evenly.
    """
    missing, since = outlay, begin
    for saving in sorted(savings, key=lambda flow: flow.years):
        if saving.amount >= missing > 0:
            return since + (saving.years - since) * missing / saving.amount
        missing -= saving.amount
        since = saving.years
    return ZERO if outlay <= 0 else None
