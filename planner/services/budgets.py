"""Budgets: made, revised by a later one, withdrawn, and read as far as was known at a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from planner.budgets.budget import Budget, Line, Scope
from planner.errors import Conflict, InvalidInput, NotFound
from planner.hardware.catalogue import load_catalogue
from planner.services.documents import document
from planner.services.requests.budgets import BudgetRequest, BudgetsQuery
from planner.store import budgets as store
from planner.store.budgets import NewBudget, StoredBudget
from planner.store.engine import Session


@dataclass(frozen=True, slots=True)
class BudgetView:
    """A budget as it was made. `replaced_by` names its revision; one that is replaced or withdrawn counts no more."""

    id: str
    name: str
    recorded_at: datetime
    recorded_by: str
    budget: Budget
    note: str
    replaces: str | None
    replaced_by: str | None
    withdrawn_at: datetime | None

    @property
    def counts(self) -> bool:
        return self.replaced_by is None and self.withdrawn_at is None

    @property
    def scope_words(self) -> str:
        """ "aws, H100-80GB-SXM, training, jobs that begin with team-a"; "every job" for a scope of everything."""
        scope = self.budget.scope
        given = (scope.provider, scope.region, scope.gpu_key, scope.offer_kind, scope.job_kind)
        parts = [
            value.replace("_", " ") if value == scope.offer_kind else value for value in given if value is not None
        ]
        if scope.job_starts is not None:
            parts.append(f"jobs that begin with {scope.job_starts}")
        return ", ".join(parts) or "every job"


def add_budget(session: Session, request: BudgetRequest, now: datetime, by: str) -> BudgetView:
    """Keep a budget; one that `replaces` another lets that one count no more.

    Raises InvalidInput for a GPU that the catalogue does not know, NotFound for a budget to replace that is not there,
    Conflict for one that is replaced or withdrawn already.
    """
    _check_gpus(request)
    if request.replaces is not None:
        old = get_budget(session, request.replaces, now)
        if not old.counts:
            said = "was withdrawn" if old.replaced_by is None else f"is replaced by {old.replaced_by} already"
            raise Conflict(f"{old.id} {said}")
    budget = request.budget()
    new = NewBudget(
        recorded_at=now,
        recorded_by=by,
        name=request.name,
        currency=budget.currency,
        from_month=budget.from_month,
        until_month=budget.until_month,
        terms=_terms(budget),
        note=request.note,
        replaces_id=request.replaces,
    )
    made = store.add(session, new)
    if made is None:
        raise Conflict(f"{request.replaces} is replaced by another one already")
    return get_budget(session, made, now)


def get_budget(session: Session, budget_id: str, known_at: datetime) -> BudgetView:
    """The budget of that id as far as was known then; raises NotFound."""
    found = store.get(session, budget_id, known_at)
    if found is None:
        raise NotFound(f"there is no budget {budget_id!r}")
    return _view(found)


def list_budgets(session: Session, query: BudgetsQuery, now: datetime, limit: int | None) -> list[BudgetView]:
    """The newest first; those that were replaced or withdrawn only where they are wanted."""
    known_at = query.known_at or now
    found = store.newest(session, known_at, limit, after=query.after, month=query.month, with_replaced=query.replaced)
    return [_view(row) for row in found]


def withdraw_budget(session: Session, budget_id: str, now: datetime) -> BudgetView:
    """Let a budget count no more; what was known before stays so. Raises NotFound, Conflict for one that is ended."""
    view = get_budget(session, budget_id, now)
    if not view.counts or not store.withdraw(session, budget_id, now):
        raise Conflict(f"{budget_id} counts no more already")
    session.expire_all()
    return get_budget(session, budget_id, now)


def _check_gpus(request: BudgetRequest) -> None:
    gpus = load_catalogue().gpus
    named = {"gpu_key": request.gpu_key, **{f"lines.{n}.gpu_key": line.gpu_key for n, line in enumerate(request.lines)}}
    for field, key in named.items():
        if key is not None and key not in gpus:
            raise InvalidInput.of(field, f"the catalogue has no GPU {key!r}")


def _terms(budget: Budget) -> dict[str, Any]:
    parts = {"amount": budget.amount, "scope": budget.scope, "lines": budget.lines, "rates": budget.planned_rates}
    found: dict[str, Any] = document(parts)
    return found


def _view(row: StoredBudget) -> BudgetView:
    return BudgetView(
        id=row.id,
        name=row.name,
        recorded_at=row.recorded_at,
        recorded_by=row.recorded_by,
        budget=Budget(
            currency=row.currency,
            from_month=row.from_month,
            until_month=row.until_month,
            amount=Decimal(row.terms["amount"]),
            scope=Scope(**row.terms["scope"]),
            lines=tuple(_line(kept) for kept in row.terms["lines"]),
            planned_rates={currency: Decimal(rate) for currency, rate in row.terms["rates"].items()},
        ),
        note=row.note,
        replaces=row.replaces_id,
        replaced_by=row.replaced_by,
        withdrawn_at=row.withdrawn_at,
    )


def _line(kept: Mapping[str, Any]) -> Line:
    exact = {name: Decimal(kept[name]) for name in ("gpu_hours", "price_per_gpu_hour")}
    return Line(gpu_key=kept["gpu_key"], offer_kind=kept["offer_kind"], **exact)
