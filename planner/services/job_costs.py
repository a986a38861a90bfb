"""What jobs cost, as charges: what estimates say beside what the ledger knows, unknown ones named and in no sum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field

from planner.estimates.document import option_from_document
from planner.estimates.estimate import Option
from planner.estimates.ledger import LOST_PARTS, Metric
from planner.offers.billing_months import by_month, shared
from planner.offers.offer import OfferKind
from planner.services.charges import Charge, CostKind, Known, Unpriced
from planner.services.estimates import BestOption, EstimateSummary, stream_estimates
from planner.services.requests.base import DayOrMoment, Moment, Request
from planner.store import actuals as store
from planner.store import estimates as estimate_store
from planner.store.actuals import StoredActual
from planner.store.engine import Session

HOUR = Decimal(3600)
JOULES_PER_KWH = Decimal(3_600_000)
NUM_KEPT = 1024  # options of estimates that are kept while the ledger is read: several jobs may share one
SERVICE = "a service has no end: its cost is one per hour, in estimates.csv"
NO_OPTION = "no option: every place was rejected"
NOT_MEASURED = "neither its cost nor its whole time was measured"
OLD = "it was listed before the place of its best option was kept: its figures are in its own table"
BEYOND = "it would end beyond the calendar"
AMOUNTS = (
    *("cost", "estimated_cost", "cost_low", "cost_high", "paid_hours", "run_hours", "gpu_hours", "energy_kwh"),
    *("estimated_gpu_hours", "estimated_lost_gpu_hours", "lost_gpu_hours"),
)


class CostsQuery(Request):
    """Which charges: those whose time begins from `since` on and before `before`; a day begins at 00:00 UTC.

    `known_at`: as far as was known then, later estimates, entries and corrections left out.
    """

    since: DayOrMoment | None = None
    before: DayOrMoment | None = None
    cost_kind: CostKind | None = None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    known_at: Moment | None = None


@dataclass(frozen=True, slots=True)
class CostTotal:
    """The sum of the charges of one kind in one currency, and how many there are."""

    cost_kind: CostKind
    currency: str
    cost: Decimal
    num_charges: int


@dataclass(frozen=True, slots=True)
class JobCosts:
    """Charges, the earliest first, what they come to, and every job of that time whose cost is unknown."""

    charges: tuple[Charge, ...]
    totals: tuple[CostTotal, ...]
    unknown: tuple[Unpriced, ...]


def job_costs(session: Session, query: CostsQuery) -> JobCosts:
    """What stored estimates say that jobs cost (by the best option of each), and what finished ones did cost.

    Calibration runs are in the ledger but are nobody's jobs; rows that another one corrects do not count. What lies
    outside the time asked for is passed over while it is read, so that it takes no memory.
    """
    charges: list[Charge] = []
    unknown: list[Unpriced] = []
    for one in _found(session, query):
        if isinstance(one, Charge):
            charges += [part for part in _monthly(one) if _is_asked(part, query)]
        elif _lies_within(one, query):
            unknown.append(one)
    charges.sort(key=lambda one: (one.start, one.cost_kind, one.estimate_id, one.actual_id or ""))
    return JobCosts(tuple(charges), _totals(charges), tuple(unknown))


def _found(session: Session, query: CostsQuery) -> Iterator[Charge | Unpriced]:
    if query.cost_kind is not CostKind.ACTUAL:
        for item in stream_estimates(session, query.before, query.known_at):
            yield _estimated(item)
    if query.cost_kind is not CostKind.ESTIMATE:
        yield from _happened(session, query)


def _is_asked(charge: Charge, query: CostsQuery) -> bool:
    return (
        (query.since is None or query.since <= charge.start)
        and (query.before is None or charge.start < query.before)
        and query.currency in (None, charge.currency)
    )


def _lies_within(one: Unpriced, query: CostsQuery) -> bool:
    """Its currency is not asked for: a cost that is unknown may be in any."""
    return (query.since is None or query.since <= one.at) and (query.before is None or one.at < query.before)


def _totals(charges: list[Charge]) -> tuple[CostTotal, ...]:
    sums: dict[tuple[CostKind, str], list[Decimal]] = {}
    for charge in charges:
        sums.setdefault((charge.cost_kind, charge.currency), []).append(charge.cost)
    return tuple(CostTotal(*key, sum(costs, Decimal(0)), len(costs)) for key, costs in sorted(sums.items()))


def _monthly(charge: Charge) -> Iterator[Charge]:
    """The charge month by month; its parts add up to it."""
    stretches = by_month(charge.start, charge.end)
    amounts = {name: amount for name in AMOUNTS if (amount := getattr(charge, name)) is not None}
    parts: dict[str, Any] = {name: shared(amount, stretches) for name, amount in amounts.items()}
    for number, (start, end) in enumerate(stretches):
        yield replace(charge, start=start, end=end, **{name: part[number] for name, part in parts.items()})


def _estimated(item: EstimateSummary) -> Charge | Unpriced:
    best, reason = item.best, _why_not(item.best)
    end = None if best is None or best.seconds is None else _end(item.as_of, best.seconds)
    if best is None or best.cost is None or best.seconds is None or best.gpu_key is None or end is None or reason:
        return _unpriced_estimate(item, reason or BEYOND)
    cost, price, hours = _exact(best.cost), _known(best.cost_per_hour), _exact(best.seconds) / HOUR
    return Charge(
        cost_kind=CostKind.ESTIMATE,
        known=Known.ESTIMATED,
        start=item.as_of,
        end=end,
        period_is="from the moment of its prices, for as long as it is to take",
        cost=cost,
        currency=best.currency,
        estimated_cost=cost,
        cost_low=_known(best.cost_low),
        cost_high=_known(best.cost_high),
        price_per_hour=price,
        paid_hours=cost / price if price else None,
        run_hours=hours,
        gpu_hours=None if best.num_gpus is None else hours * best.num_gpus,
        energy_kwh=None,
        job_name=item.job_name,
        job_kind=item.job_kind,
        title=best.title,
        gpu_key=best.gpu_key,
        num_gpus=best.num_gpus,
        provider=best.provider,
        region=best.region,
        offer_kind=None if best.offer_kind is None else OfferKind(best.offer_kind),
        estimate_id=item.id,
        actual_id=None,
        basis=best.basis.value,
    )


def _unpriced_estimate(item: EstimateSummary, reason: str) -> Unpriced:
    best = item.best
    return Unpriced(
        cost_kind=CostKind.ESTIMATE,
        estimate_id=item.id,
        actual_id=None,
        job_name=item.job_name,
        reason=reason,
        at=item.as_of,
        job_kind=item.job_kind,
        gpu_key=None if best is None else best.gpu_key,
        provider=None if best is None else best.provider,
        region=None if best is None else best.region,
        offer_kind=None if best is None or best.offer_kind is None else OfferKind(best.offer_kind),
    )


def _why_not(best: BestOption | None) -> str:
    """Why an estimate is no charge; empty where it may be one."""
    if best is None:
        return NO_OPTION
    if best.seconds is None:
        return SERVICE
    if best.cost is None:
        return (best.unknown or {}).get("cost", "no price is known")
    return OLD if best.gpu_key is None else ""


def _happened(session: Session, query: CostsQuery) -> Iterator[Charge | Unpriced]:
    """The rows of the ledger that count and whose time may lie within what is asked for."""

    @lru_cache(NUM_KEPT)
    def job_and_option(estimate_id: str, position: int) -> tuple[str, Option]:
        found = estimate_store.get(session, estimate_id)
        if found is None:
            raise ValueError(f"the ledger names the estimate {estimate_id}, which is not there")
        return found.job_name, option_from_document(found.result, position)

    for row in store.jobs_that_ended(session, query.since, query.known_at):
        measured = {Metric(name): _exact(value) for name, value in row.measured.items()}
        start, _, _ = _period(row, measured.get(Metric.SECONDS))
        if query.before is None or start < query.before:
            yield _finished(row, measured, *job_and_option(row.estimate_id or "", row.option_position or 0))


def _finished(
    row: StoredActual, measured: Mapping[Metric, Decimal], job_name: str, option: Option
) -> Charge | Unpriced:
    cost, known, reason = _cost_of(measured, option)
    estimate_id, place = row.estimate_id or "", option.placement
    offer = place.offer
    where: dict[str, Any] = {
        "provider": None if offer is None else offer.provider,
        "region": None if offer is None else offer.region,
        "offer_kind": None if offer is None else offer.kind,
    }
    if cost is None or known is None:
        return Unpriced(
            cost_kind=CostKind.ACTUAL,
            estimate_id=estimate_id,
            actual_id=row.id,
            job_name=job_name,
            reason=reason,
            at=row.measured_at or row.recorded_at,
            job_kind=row.job_kind,
            gpu_key=place.gpu.key,
            **where,
        )
    seconds, joules = measured.get(Metric.SECONDS), measured.get(Metric.ENERGY_JOULES)
    start, end, period_is = _period(row, seconds)
    hours = None if seconds is None else seconds / HOUR
    price = None if known is Known.STATED or option.cost_per_hour is None else _exact(option.cost_per_hour.mid)
    said = option.cost
    return Charge(
        cost_kind=CostKind.ACTUAL,
        known=known,
        start=start,
        end=end,
        period_is=period_is,
        cost=cost,
        currency=place.currency,
        estimated_cost=None if said is None else _exact(said.mid),
        cost_low=None if said is None else _exact(said.low),
        cost_high=None if said is None else _exact(said.high),
        price_per_hour=price,
        paid_hours=cost / price if price else None,
        run_hours=hours,
        gpu_hours=None if hours is None else hours * place.num_gpus,
        energy_kwh=None if joules is None else joules / JOULES_PER_KWH,
        job_name=job_name,
        job_kind=row.job_kind,
        title=place.title,
        gpu_key=place.gpu.key,
        num_gpus=place.num_gpus,
        estimate_id=estimate_id,
        actual_id=row.id,
        basis=row.basis,
        **where,
        **_gpu_hours(option, measured.get(Metric.LOST_SECONDS)),
    )


def _gpu_hours(option: Option, lost_seconds: Decimal | None) -> dict[str, Any]:
    """GPU-hours as the estimate foresaw them, those of them that are lost, and those that were."""
    gpus = option.placement.num_gpus
    foreseen = None if option.seconds is None else _exact(option.seconds.mid)
    lost = sum((_exact(part.mid) for name, part in option.time_parts if name in LOST_PARTS), Decimal(0))
    return {
        "estimated_gpu_hours": None if foreseen is None else foreseen / HOUR * gpus,
        "estimated_lost_gpu_hours": None if foreseen is None else lost / HOUR * gpus,
        "lost_gpu_hours": None if lost_seconds is None else lost_seconds / HOUR * gpus,
    }


def _cost_of(measured: Mapping[Metric, Decimal], option: Option) -> tuple[Decimal | None, Known | None, str]:
    """What a finished job cost and where that is known from; or None and why."""
    if Metric.COST in measured:
        return measured[Metric.COST], Known.STATED, ""
    if Metric.SECONDS not in measured:
        return None, None, NOT_MEASURED
    if option.cost is None or option.seconds is None or option.seconds.mid <= 0:
        return None, None, f"its cost was not measured; {option.unknown.get('cost', 'the estimate has none either')}"
    per_second = _exact(option.cost.mid) / _exact(option.seconds.mid)
    return measured[Metric.SECONDS] * per_second, Known.DERIVED, ""


def _period(row: StoredActual, seconds: Decimal | None) -> tuple[datetime, datetime, str]:
    ended = row.measured_at or row.recorded_at
    entered = "" if row.measured_at is not None else ", taken to be when it was entered"
    if seconds is None:
        day = ended.replace(hour=0, minute=0, second=0, microsecond=0)
        return day, day + timedelta(days=1), f"the day of its end{entered}; how long it took is unknown"
    return ended - timedelta(seconds=max(float(seconds), 1.0)), ended, f"as long as it took, until its end{entered}"


def _end(start: datetime, seconds: float) -> datetime | None:
    """When it ends, at least a second later; None beyond the calendar."""
    try:
        return start + timedelta(seconds=max(seconds, 1.0), days=32) - timedelta(days=32)
    except OverflowError:
        return None


def _exact(value: float) -> Decimal:
    return Decimal(repr(value))


def _known(value: float | None) -> Decimal | None:
    return None if value is None else _exact(value)
