"""What happened less what was budgeted, by cause: exact, and the causes add up to the difference to the last digit.

A finished job is walked from its budget to its cost one figure at a time: the GPU-hours that its estimate foresaw at
the budget's average price (quantity), the same at the price budgeted for its GPU (mix), the hours it took (speed, and
what failures took of them), the price it paid, at the planned exchange rate, and last at the rate that held (currency).
Each step's difference is one cause, so nothing is left over and nothing is counted twice. Quantities are taken at
budgeted prices and prices on hours that happened, as is usual in cost accounting (from memory: Horngren, Cost
Accounting, on flexible budgets and on sales-mix variances). A step whose figures are unknown is taken together with
the next one that is known, and `untold` says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from planner.budgets.budget import Budget, Subject
from planner.budgets.rounding import exact_sum, in_places


class Cause(StrEnum):
    """Why money was spent otherwise than budgeted."""

    WORK = "work"  # quantity, mix and foreseen price together, of a budget that states no hours
    QUANTITY = "quantity"  # more or fewer GPU-hours foreseen for the jobs that ran
    MIX = "mix"  # on dearer or cheaper GPUs than budgeted
    SPEED = "speed"  # the same work took more or fewer hours
    FAILURES = "failures"  # hours lost to failures, restarts and waiting beyond those foreseen
    PRICE = "price"  # an hour cost more or less
    CURRENCY = "currency"  # the exchange rate that held was not the planned one
    NOT_SPLIT = "not_split"  # the cost is known and what it is made of is not


class Gap(StrEnum):
    """What of a job is not known, so that a cause cannot be told from another."""

    NO_LOST_TIME = "the ledger does not say how much of their time was lost to failures: it counts as speed"
    NO_ESTIMATED_TIME = "the estimate says no time: that they took longer or shorter counts as quantity"
    NO_PLANNED_RATE = "the budget plans no exchange rate for their currency: a change of it counts as price"
    PRICE_OF_ESTIMATE = "their cost is their time at the estimate's price: what changed since does not show"
    PRICE_OF_ITS_OWN = "neither budget nor estimate knows their price: what it is off by counts as mix or work"
    NO_HOURS = "how long they took is unknown: what they cost beyond the foreseen hours is not split"
    NOTHING = "too little is known of their hours and prices: their cost is not split"


CAUSE_OF: Mapping[Gap, Cause] = {
    Gap.NO_LOST_TIME: Cause.FAILURES,
    Gap.NO_ESTIMATED_TIME: Cause.SPEED,
    Gap.NO_PLANNED_RATE: Cause.CURRENCY,
    Gap.PRICE_OF_ESTIMATE: Cause.PRICE,
    Gap.PRICE_OF_ITS_OWN: Cause.PRICE,
    Gap.NO_HOURS: Cause.NOT_SPLIT,
    Gap.NOTHING: Cause.NOT_SPLIT,
}


@dataclass(frozen=True, slots=True)
class Spending:
    """What a finished job cost within a month, and what is known of how. Hours are GPU-hours; None is unknown.

    `rate` is what one unit of the cost's currency was worth in the budget's; `estimated_cost` is in the former.
    `price_is_estimated` where the cost was derived from the estimate's price and not billed.
    """

    id: str
    subject: Subject
    cost: Decimal
    currency: str
    rate: Decimal
    hours: Decimal | None
    lost_hours: Decimal | None
    estimated_hours: Decimal | None
    estimated_lost_hours: Decimal | None
    estimated_cost: Decimal | None
    price_is_estimated: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """What one cause adds to the difference, in the budget's currency: above 0, more was spent."""

    cause: Cause
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Explained:
    """One job's cost in the budget's currency, and what it adds to each cause: these add up to it."""

    id: str
    cost: Decimal
    effects: tuple[Effect, ...]
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class Untold:
    """A cause that could not be told from another, of how many charges, and why."""

    cause: Cause
    num_charges: int
    reason: str


@dataclass(frozen=True, slots=True)
class Variance:
    """Actual less budget, by cause: `effects` add up to `total` exactly. `untold` says which are not told apart."""

    budget: Decimal
    actual: Decimal
    effects: tuple[Effect, ...]
    untold: tuple[Untold, ...]
    explained: tuple[Explained, ...]

    @property
    def total(self) -> Decimal:
        return exact_sum((self.actual, -self.budget))


def variance(budget: Budget, spent: Sequence[Spending]) -> Variance:
    """The difference between these jobs' costs and the budget, by cause, in the budget's currency."""
    average = _average_price(budget)
    explained = tuple(_explained(budget, average, one) for one in spent)
    sums: dict[Cause, Decimal] = {}
    first = Cause.WORK if average is None else Cause.QUANTITY
    for effect in (Effect(first, -budget.amount), *(effect for one in explained for effect in one.effects)):
        sums[effect.cause] = exact_sum((sums.get(effect.cause, Decimal(0)), effect.amount))
    effects = tuple(Effect(cause, sums[cause]) for cause in Cause if cause in sums)
    actual = exact_sum(one.cost for one in explained)
    return Variance(budget.amount, actual, effects, _untold(explained), explained)


def _average_price(budget: Budget) -> Fraction | None:
    """Of a budgeted GPU-hour; None for a budget that states no hours."""
    hours = sum((Fraction(line.gpu_hours) for line in budget.lines), Fraction(0))
    return Fraction(budget.amount) / hours if hours else None


def _explained(budget: Budget, average: Fraction | None, spent: Spending) -> Explained:
    parts, gaps = _parts(budget, average, spent)
    cost = in_places(Fraction(spent.cost) * Fraction(spent.rate))
    rounded = {cause: in_places(part) for cause, part in parts.items()}
    over = exact_sum((cost, *(-part for part in rounded.values())))
    largest = max(rounded, key=lambda cause: abs(rounded[cause]))
    rounded[largest] = exact_sum((rounded[largest], over))
    return Explained(spent.id, cost, tuple(Effect(cause, rounded[cause]) for cause in Cause if cause in rounded), gaps)


def _parts(budget: Budget, average: Fraction | None, spent: Spending) -> tuple[dict[Cause, Fraction], tuple[Gap, ...]]:
    """What the job adds to each cause, exactly, and what could not be told apart."""
    planned_rate = _planned_rate(budget, spent.currency)
    gaps = [Gap.NO_PLANNED_RATE] if planned_rate is None else []
    rate = Fraction(spent.rate)
    cost = Fraction(spent.cost) * (rate if planned_rate is None else planned_rate)
    parts = {} if spent.currency == budget.currency or gaps else {Cause.CURRENCY: Fraction(spent.cost) * rate - cost}
    hours, foreseen = _maybe(spent.hours), _maybe(spent.estimated_hours)
    worked = hours if foreseen is None else foreseen
    line = budget.line_of(spent.subject)
    price, gap = _price(None if line is None else line.price_per_gpu_hour, spent, cost, hours, foreseen)
    if worked is None or price is None:
        return {**parts, Cause.NOT_SPLIT: cost}, (*gaps, Gap.NOTHING)
    if gap is not None:
        gaps.append(gap)
    if average is None:
        parts[Cause.WORK] = worked * price
    else:
        parts[Cause.QUANTITY] = worked * average
        parts[Cause.MIX] = worked * (price - average)
    if hours is None:
        return {**parts, Cause.NOT_SPLIT: cost - worked * price}, (*gaps, Gap.NO_HOURS)
    parts[Cause.PRICE] = cost - hours * price
    if spent.price_is_estimated:
        gaps.append(Gap.PRICE_OF_ESTIMATE)
    if foreseen is None:
        return parts, (*gaps, Gap.NO_ESTIMATED_TIME)
    if spent.lost_hours is None:
        return {**parts, Cause.SPEED: (hours - foreseen) * price}, (*gaps, Gap.NO_LOST_TIME)
    lost = Fraction(spent.lost_hours) - (_maybe(spent.estimated_lost_hours) or Fraction(0))
    parts[Cause.FAILURES] = lost * price
    parts[Cause.SPEED] = (hours - foreseen - lost) * price
    return parts, tuple(gaps)


def _planned_rate(budget: Budget, currency: str) -> Fraction | None:
    """What one unit of the currency was taken to be worth; None: the budget does not say."""
    return Fraction(1) if currency == budget.currency else _maybe(budget.planned_rates.get(currency))


def _price(
    budgeted: Decimal | None, spent: Spending, cost: Fraction, hours: Fraction | None, foreseen: Fraction | None
) -> tuple[Fraction | None, Gap | None]:
    """What a GPU-hour was to cost at the planned rate: by the budget, else by the estimate, else what it did cost."""
    if budgeted is not None:
        return Fraction(budgeted), None
    if foreseen and spent.estimated_cost is not None and spent.cost:
        return Fraction(spent.estimated_cost) * cost / Fraction(spent.cost) / foreseen, None
    return (cost / hours, Gap.PRICE_OF_ITS_OWN) if hours else (None, None)


def _untold(explained: Iterable[Explained]) -> tuple[Untold, ...]:
    numbers = Counter(gap for one in explained for gap in one.gaps)
    return tuple(Untold(CAUSE_OF[gap], numbers[gap], gap.value) for gap in Gap if numbers[gap])


def _maybe(value: Decimal | None) -> Fraction | None:
    return None if value is None else Fraction(value)
