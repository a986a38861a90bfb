"""Closed months: their charges stay as they were booked, and what is learnt later is shown as corrections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from planner.budgets.budget import month_name, month_start, next_month
from planner.budgets.rounding import exact_sum
from planner.errors import Conflict, InvalidInput, NotFound
from planner.services.charges import Charge, CostKind, Unpriced, charge_from_document, unpriced_from_document
from planner.services.documents import document
from planner.services.job_costs import CostsQuery, CostTotal, job_costs
from planner.services.requests.budgets import ClosingRequest
from planner.store import closings as store
from planner.store.closings import StoredClosing
from planner.store.engine import Session


@dataclass(frozen=True, slots=True)
class Happened:
    """What finished jobs cost in a stretch of time, and those of unknown cost."""

    charges: tuple[Charge, ...]
    unknown: tuple[Unpriced, ...]

    def of(self, month: str) -> Happened:
        """Those of one calendar month."""
        return Happened(
            tuple(one for one in self.charges if month_name(one.start) == month),
            tuple(one for one in self.unknown if month_name(one.at) == month),
        )


@dataclass(frozen=True, slots=True)
class ClosingView:
    """A closed month with what its finished jobs came to by currency, as it was booked."""

    month: str
    closed_at: datetime
    closed_by: str
    note: str
    code_version: str
    num_charges: int
    num_unknown: int
    totals: tuple[CostTotal, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What was learnt of a job since its month was closed; `difference` is what that adds, in the job's currency.

    `booked` is None where its cost was not known then, `known` where it is not known now or its row does not count.
    """

    month: str
    actual_id: str
    estimate_id: str
    job_name: str
    currency: str
    booked: Decimal | None
    known: Decimal | None
    difference: Decimal
    reason: str


def close_month(session: Session, request: ClosingRequest, now: datetime, by: str, code_version: str) -> ClosingView:
    """Book a month that has ended: its charges as they are known now.

    Raises InvalidInput for a month that has not ended, Conflict for one that is closed.
    """
    if month_start(next_month(request.month)) > now:
        raise InvalidInput.of("month", f"{request.month} has not ended; a month can be closed from the next one on")
    found = happened_between(session, request.month, request.month, now)
    closing = StoredClosing(
        month=request.month,
        closed_at=now,
        closed_by=by,
        note=request.note,
        code_version=code_version,
        num_charges=len(found.charges),
        num_unknown=len(found.unknown),
    )
    if not store.add(session, closing, document(found)):
        raise Conflict(f"{request.month} is closed already; what is learnt later stands in its changes")
    return _view(closing, found)


def list_closings(session: Session, known_at: datetime) -> list[ClosingView]:
    """The months that were closed by then, the newest first."""
    return [_view(one, booked_in(session, one.month, known_at)) for one in store.closed(session, known_at)]


def get_closing(session: Session, month: str, known_at: datetime) -> ClosingView:
    """A closed month; raises NotFound for one that was not closed by then."""
    found = next((one for one in store.closed(session, known_at) if one.month == month), None)
    if found is None:
        raise NotFound(f"{month!r} is not closed")
    return _view(found, booked_in(session, month, known_at))


def closed_months(session: Session, known_at: datetime) -> tuple[str, ...]:
    """Which months were closed by then, in order."""
    return tuple(sorted(one.month for one in store.closed(session, known_at)))


def booked_in(session: Session, month: str, known_at: datetime) -> Happened:
    """What was booked in a month; raises NotFound for one that was not closed by then."""
    kept = store.booked(session, month, known_at)
    if kept is None:
        raise NotFound(f"{month!r} is not closed")
    return _happened_from_document(kept)


def happened_between(session: Session, first: str, last: str, known_at: datetime) -> Happened:
    """What finished jobs cost in these months, as far as was known then."""
    query = CostsQuery(
        since=month_start(first), before=month_start(next_month(last)), cost_kind=CostKind.ACTUAL, known_at=known_at
    )
    found = job_costs(session, query)
    return Happened(found.charges, found.unknown)


def changes_since_closing(session: Session, months: Iterable[str], known_at: datetime) -> list[Change]:
    """What was learnt of these closed months by then, job by job, the oldest month first. Raises NotFound."""
    wanted = sorted(months)
    if not wanted:
        return []
    known = happened_between(session, wanted[0], wanted[-1], known_at)
    return [
        change
        for month in wanted
        for change in changes_between(month, booked_in(session, month, known_at), known.of(month))
    ]


def changes_between(month: str, booked: Happened, known: Happened) -> list[Change]:
    """The jobs of a month whose cost is another than was booked, in the order of their ids."""
    before, after = ({one.actual_id or "": one for one in found.charges} for found in (booked, known))
    pairs = ((actual_id, before.get(actual_id), after.get(actual_id)) for actual_id in sorted({**before, **after}))
    return [
        _change(month, actual_id, old, new, booked, known)
        for actual_id, old, new in pairs
        if old is None or new is None or old.cost != new.cost
    ]


def _change(
    month: str, actual_id: str, old: Charge | None, new: Charge | None, booked: Happened, known: Happened
) -> Change:
    one = new or old
    if one is None:
        raise ValueError("a change is of a charge that was booked or is known")
    amounts = [Decimal(0) if charge is None else charge.cost for charge in (new, old)]
    return Change(
        month=month,
        actual_id=actual_id,
        estimate_id=one.estimate_id,
        job_name=one.job_name,
        currency=one.currency,
        booked=None if old is None else old.cost,
        known=None if new is None else new.cost,
        difference=exact_sum((amounts[0], -amounts[1])),
        reason=_reason(actual_id, old, new, booked, known),
    )


def _reason(actual_id: str, old: Charge | None, new: Charge | None, booked: Happened, known: Happened) -> str:
    if old is None:
        was_unknown = any(one.actual_id == actual_id for one in booked.unknown)
        return "its cost was unknown when the month was closed" if was_unknown else "entered after the month was closed"
    if new is None:
        is_unknown = any(one.actual_id == actual_id for one in known.unknown)
        return "its cost is unknown now" if is_unknown else "corrected by a later row, which stands where it belongs"
    return "worked out otherwise by another version of the program"


def _view(closing: StoredClosing, found: Happened) -> ClosingView:
    return ClosingView(
        month=closing.month,
        closed_at=closing.closed_at,
        closed_by=closing.closed_by,
        note=closing.note,
        code_version=closing.code_version,
        num_charges=closing.num_charges,
        num_unknown=closing.num_unknown,
        totals=_totals(found.charges),
    )


def _totals(charges: Sequence[Charge]) -> tuple[CostTotal, ...]:
    by_currency: dict[str, list[Decimal]] = {}
    for charge in charges:
        by_currency.setdefault(charge.currency, []).append(charge.cost)
    return tuple(
        CostTotal(CostKind.ACTUAL, currency, exact_sum(costs), len(costs))
        for currency, costs in sorted(by_currency.items())
    )


def _happened_from_document(kept: dict[str, Any]) -> Happened:
    return Happened(
        tuple(charge_from_document(one) for one in kept["charges"]),
        tuple(unpriced_from_document(one) for one in kept["unknown"]),
    )
