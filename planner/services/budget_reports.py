"""What happened against what was budgeted and estimated, by cause; closed months as they were booked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from planner.budgets.budget import Subject
from planner.budgets.rounding import exact_sum, in_places
from planner.budgets.variance import Effect, Explained, Spending, Untold, variance
from planner.offers.currency import MAX_AGE, MissingRate, convert
from planner.services.budgets import BudgetView, get_budget, list_budgets
from planner.services.charges import Charge, Known, Unpriced
from planner.services.closings import Happened, booked_in, happened_between
from planner.services.requests.budgets import BudgetsQuery
from planner.store import closings as closing_store
from planner.store import fx as fx_store
from planner.store.engine import Session

INSTANT = timedelta(microseconds=1)
ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Uncounted:
    """A finished job of the budget's scope that is in no sum, and why."""

    actual_id: str
    estimate_id: str
    job_name: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What the estimates of the finished jobs had said that they cost, in the budget's currency at planned rates.

    `low` and `high` are the sums of the ends, as if all erred the same way. Charges without an estimated cost are in
    none of the sums; None where no charge has one.
    """

    low: Decimal | None
    mid: Decimal | None
    high: Decimal | None
    num_charges: int
    num_unknown: int


@dataclass(frozen=True, slots=True)
class ReportLine:
    """A charge of a budget: what it cost in its own currency and in the budget's, and what it adds to each cause."""

    charge: Charge
    is_booked: bool
    rate: Decimal
    planned_rate: Decimal | None
    budgeted_price: Decimal | None
    explained: Explained


@dataclass(frozen=True, slots=True)
class Corrections:
    """What is known of closed months beyond what was booked: it is not in the report's sums."""

    amount: Decimal
    num_charges: int
    num_uncounted: int


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """Actual, budget and estimate side by side. `actual` is None where jobs ran and no cost is known.

    `difference` is actual less budget, and `effects` add up to it; `used` is actual ÷ budget. Closed months count as
    they were booked; `corrections` is what was learnt of them since. `uncounted` names the jobs whose cost in the
    budget's currency is unknown, and `untold` the causes that could not be told apart.
    """

    budget: BudgetView
    known_at: datetime
    actual: Decimal | None
    difference: Decimal | None
    used: Decimal | None
    effects: tuple[Effect, ...]
    untold: tuple[Untold, ...]
    foreseen: Foreseen
    lines: tuple[ReportLine, ...]
    uncounted: tuple[Uncounted, ...]
    closed_months: tuple[str, ...]
    corrections: Corrections


def budget_report(session: Session, budget_id: str, known_at: datetime) -> BudgetReport:
    """The report of one budget as far as was known then. Raises NotFound."""
    return budget_reports(session, [get_budget(session, budget_id, known_at)], known_at)[0]


def listed_reports(
    session: Session, query: BudgetsQuery, now: datetime, limit: int | None, budget_id: str | None = None
) -> list[BudgetReport]:
    """The reports of the budgets that are listed, the newest first; of one where it is named."""
    known_at = query.known_at or now
    if budget_id is not None:
        return [budget_report(session, budget_id, known_at)]
    return budget_reports(session, list_budgets(session, query, now, limit), known_at)


def budget_reports(session: Session, views: Sequence[BudgetView], known_at: datetime) -> list[BudgetReport]:
    """The reports of these budgets; the ledger is read once for all of them."""
    if not views:
        return []
    first = min(view.budget.from_month for view in views)
    last = max(view.budget.until_month for view in views)
    facts = _Facts(session, first, last, known_at)
    return [_report(view, facts) for view in views]


class _Facts:
    """What happened in a stretch of months, what of it is booked, and what currencies were worth: read once."""

    def __init__(self, session: Session, first: str, last: str, known_at: datetime) -> None:
        self.known_at = known_at
        self.known = happened_between(session, first, last, known_at)
        closed = closing_store.closed(session, known_at)
        self.closed_at = {one.month: one.closed_at for one in closed if first <= one.month <= last}
        self.booked = {month: booked_in(session, month, known_at) for month in self.closed_at}
        self._session = session
        self._rates: dict[tuple[str, str, date, datetime], Decimal | None] = {}

    def booked_or_known(self, months: Iterable[str]) -> list[tuple[Happened, datetime, bool]]:
        """Of each month what is booked, else what is known; the moment whose rates count; whether it is booked."""
        return [
            (self.booked[month], self.closed_at[month], True)
            if month in self.booked
            else (self.known.of(month), self.known_at, False)
            for month in months
        ]

    def rate(self, charge: Charge, target: str, known_at: datetime) -> Decimal | None:
        """What one unit of the charge's currency was worth on its last day, as far as was known; None: no rate is."""
        if charge.currency == target:
            return ONE
        day = (charge.end - INSTANT).date()
        key = (charge.currency, target, day, known_at)
        if key not in self._rates:
            rates = fx_store.rates_between(self._session, day - MAX_AGE, day, known_at)
            try:
                self._rates[key] = convert(ONE, charge.currency, target, day, rates).amount
            except MissingRate:
                self._rates[key] = None
        return self._rates[key]


def _report(view: BudgetView, facts: _Facts) -> BudgetReport:
    budget = view.budget
    counted, uncounted = _counted(view, facts.booked_or_known(budget.months), facts)
    found = variance(budget, [_spending(one) for one in counted])
    is_known = bool(counted) or not uncounted
    return BudgetReport(
        budget=view,
        known_at=facts.known_at,
        actual=found.actual if is_known else None,
        difference=found.total if is_known else None,
        used=in_places(Fraction(found.actual) / Fraction(budget.amount), 6) if is_known else None,
        effects=found.effects if is_known else (),
        untold=found.untold,
        foreseen=_foreseen(view, counted),
        lines=tuple(_line(view, one, what) for one, what in zip(counted, found.explained, strict=True)),
        uncounted=tuple(uncounted),
        closed_months=tuple(month for month in budget.months if month in facts.booked),
        corrections=_corrections(view, facts),
    )


@dataclass(frozen=True, slots=True)
class _Counted:
    """A charge of a budget's scope with what its currency was worth in the budget's."""

    charge: Charge
    rate: Decimal
    is_booked: bool


def _counted(
    view: BudgetView, found: Iterable[tuple[Happened, datetime, bool]], facts: _Facts
) -> tuple[list[_Counted], list[Uncounted]]:
    """The charges of the budget's scope that can be summed in its currency, and those that cannot, with the reason."""
    budget = view.budget
    counted: list[_Counted] = []
    uncounted: list[Uncounted] = []
    for happened, rates_known_at, is_booked in found:
        for charge in happened.charges:
            if not budget.scope.holds(_subject(charge)):
                continue
            rate = facts.rate(charge, budget.currency, rates_known_at)
            if rate is None:
                day = (charge.end - INSTANT).date()
                reason = f"no rate from {charge.currency} to {budget.currency} is known for {day}"
                uncounted.append(_uncounted(charge, charge.end - INSTANT, reason))
            else:
                counted.append(_Counted(charge, rate, is_booked))
        unpriced = [one for one in happened.unknown if budget.scope.holds(_subject(one))]
        uncounted += [_uncounted(one, one.at, one.reason) for one in unpriced]
    return counted, uncounted


def _uncounted(one: Charge | Unpriced, at: datetime, reason: str) -> Uncounted:
    return Uncounted(one.actual_id or "", one.estimate_id, one.job_name, at, reason)


def _subject(one: Charge | Unpriced) -> Subject:
    kind = None if one.offer_kind is None else one.offer_kind.value
    return Subject(one.provider, one.region, one.gpu_key, kind, one.job_kind, one.job_name)


def _spending(one: _Counted) -> Spending:
    charge = one.charge
    return Spending(
        id=charge.id,
        subject=_subject(charge),
        cost=charge.cost,
        currency=charge.currency,
        rate=one.rate,
        hours=charge.gpu_hours,
        lost_hours=charge.lost_gpu_hours,
        estimated_hours=charge.estimated_gpu_hours,
        estimated_lost_hours=charge.estimated_lost_gpu_hours,
        estimated_cost=charge.estimated_cost,
        price_is_estimated=charge.known is Known.DERIVED,
    )


def _line(view: BudgetView, one: _Counted, explained: Explained) -> ReportLine:
    budgeted = view.budget.line_of(_subject(one.charge))
    return ReportLine(
        charge=one.charge,
        is_booked=one.is_booked,
        rate=one.rate,
        planned_rate=_planned_rate(view, one),
        budgeted_price=None if budgeted is None else budgeted.price_per_gpu_hour,
        explained=explained,
    )


def _planned_rate(view: BudgetView, one: _Counted) -> Decimal | None:
    return ONE if one.charge.currency == view.budget.currency else view.budget.planned_rates.get(one.charge.currency)


def _foreseen(view: BudgetView, counted: Sequence[_Counted]) -> Foreseen:
    sums: dict[str, list[Decimal]] = {"cost_low": [], "estimated_cost": [], "cost_high": []}
    for one in counted:
        rate = Fraction(_planned_rate(view, one) or one.rate)
        ends = {name: getattr(one.charge, name) for name in sums}
        if None not in ends.values():
            for name, amount in ends.items():
                sums[name].append(in_places(Fraction(amount) * rate))
    known = len(sums["estimated_cost"])
    low, mid, high = (exact_sum(amounts) if known else None for amounts in sums.values())
    return Foreseen(low, mid, high, known, len(counted) - known)


def _corrections(view: BudgetView, facts: _Facts) -> Corrections:
    """What closed months come to as they are known, less what was booked."""
    months = [month for month in view.budget.months if month in facts.booked]
    booked, _ = _counted(view, facts.booked_or_known(months), facts)
    known, uncounted = _counted(view, [(facts.known.of(month), facts.known_at, False) for month in months], facts)
    before, after = ({one.charge.id: _amount(one) for one in found} for found in (booked, known))
    changed = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
    amount = exact_sum((*after.values(), *(-cost for cost in before.values())))
    return Corrections(amount, len(changed), len(uncounted))


def _amount(one: _Counted) -> Decimal:
    return in_places(Fraction(one.charge.cost) * Fraction(one.rate))
