"""The entity sets: which columns of which table under which name, and how their rows are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from planner.errors import InvalidInput
from planner.services.actuals import list_actuals
from planner.services.assets import list_assets
from planner.services.budget_reports import listed_reports
from planner.services.estimates import list_estimates
from planner.services.fx import list_rates
from planner.services.job_costs import CostsQuery, job_costs
from planner.services.offers import PriceFilter, find_prices
from planner.services.plans import get_plan, list_plans, unpriced_supplies
from planner.services.requests.budgets import BudgetLinesQuery, BudgetsQuery
from planner.services.requests.fx import RateQuery
from planner.services.requests.tokens import Scope
from planner.services.runs import list_runs
from planner.web.api.actuals import ACTUAL_COLUMNS, actual_rows
from planner.web.api.assets import ASSET_COLUMNS, asset_rows
from planner.web.api.budgets import (
    BUDGET_COLUMNS,
    BUDGET_LINE_COLUMNS,
    CAUSES,
    asked_reports,
    budget_line_rows,
    budget_rows,
)
from planner.web.api.focus import FOCUS_COLUMNS, cost_rows
from planner.web.api.fx_rates import RATE_COLUMNS, rate_rows
from planner.web.api.plan_tables import LINE_COLUMNS, PLAN_COLUMNS, line_rows, plan_rows
from planner.web.api.tables import (
    PRICE_COLUMNS,
    RUN_COLUMNS,
    SUMMARY_COLUMNS,
    estimate_rows,
    price_rows,
    run_rows,
)
from planner.web.database import now, session
from planner.web.odata.cells import Kind, plain
from planner.web.odata.query import FeedQuery

MOST_PLANS = 200  # whose lines are given together: each plan is read whole
Rows = Sequence[Sequence[Any]]
OF_KIND: Mapping[Kind, tuple[str, ...]] = {
    Kind.MOMENT: (
        *("created_at", "as_of", "known_at", "recorded_at", "measured_at", "valid_from", "updated_at", "started_at"),
        *("finished_at", "due_at", "from_at", "until_at", "withdrawn_at"),
        *("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"),
    ),
    Kind.DAY: ("source_date", "rate_date", "purchased_on"),
    Kind.WHOLE: (
        *("num_options", "num_rejections", "offer_id", "price_id", "memory_bytes", "age_days", "suite_version"),
        *("num_benches", "num_done", "num_missed", "attempt", "version", "rate_id", "lead_time_days", "line_number"),
        *("num_charges", "num_uncounted", "num_without_estimate", "num_corrections"),
    ),
    Kind.EXACT: (
        *("num_gpus", "vcpus", "price_per_hour", "price_per_gpu_hour", "rate", "wall_hour", "used_hour"),
        *("utilisation", "BilledCost", "ConsumedQuantity", "ContractedCost", "ContractedUnitPrice", "EffectiveCost"),
        *("ListCost", "ListUnitPrice", "PricingQuantity", "x_EstimatedCost", "x_CostLow", "x_CostHigh"),
        *("x_EnergyKwh", "x_GpuHours", "x_NumGpus", "amount", "actual", "difference", "used", "corrections", *CAUSES),
        *("estimate_low", "estimate_mid", "estimate_high", "charge_cost", "charge_estimated_cost", "planned_rate"),
        *("estimated_gpu_hours", "lost_gpu_hours", "estimated_lost_gpu_hours", "budgeted_price"),
    ),
    Kind.FLAG: ("host_included", "is_planned", "inside", "is_booked"),
    Kind.NUMBER: (
        *("cost", "cost_low", "cost_mid", "cost_high", "cost_per_hour_low", "cost_per_hour_mid", "cost_per_hour_high"),
        *(
            "seconds",
            "seconds_low",
            "seconds_mid",
            "seconds_high",
            "tokens_per_second",
            "items_per_second",
            "bound",
            "gap",
            "gpu_hours",
        ),
        *("from_hours", "until_hours", "cost_beyond", "measured", "predicted", "low", "high", "error"),
    ),
}
KIND_OF = {name: kind for kind, names in OF_KIND.items() for name in names}  # of other columns: text


@dataclass(frozen=True)
class EntitySet:
    """A table as a set of entities, its rows told apart by `key`; `options` are parameters of its own."""

    name: str
    entity: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    rows: Callable[[FeedQuery], Rows]
    scope: Scope = Scope.READ_COSTS
    options: tuple[str, ...] = ()

    @cached_property
    def kinds(self) -> Mapping[str, Kind]:
        """The type of each property, in their order."""
        return {name: KIND_OF.get(name, Kind.TEXT) for name in self.columns}

    def entities(self, query: FeedQuery) -> list[dict[str, Any]]:
        """Every entity by its properties, as they are compared."""
        kinds = self.kinds
        return [
            {name: plain(kind, cell) for (name, kind), cell in zip(kinds.items(), row, strict=True)}
            for row in self.rows(query)
        ]


def _estimates(_query: FeedQuery) -> Rows:
    return estimate_rows(list_estimates(session(), limit=None))


def _plans(_query: FeedQuery) -> Rows:
    return plan_rows(list_plans(session(), limit=None))


def _plan_lines(query: FeedQuery) -> Rows:
    """The lines of one plan, or of every plan where there are few, numbered within each."""
    ids = [query.plan_id] if query.plan_id is not None else _few_plans()
    views = [get_plan(session(), plan_id) for plan_id in ids]
    return [
        [number, *row] for view in views for number, row in enumerate(line_rows(view, unpriced_supplies(view)), start=1)
    ]


def _few_plans() -> list[str]:
    listed = list_plans(session(), limit=MOST_PLANS + 1)
    if len(listed) > MOST_PLANS:
        raise InvalidInput.of("plan_id", f"is needed: there are more than {MOST_PLANS} plans, too many for one answer")
    return [plan.id for plan in listed]


def _actuals(_query: FeedQuery) -> Rows:
    return actual_rows(list_actuals(session(), limit=None))


def _costs(_query: FeedQuery) -> Rows:
    return cost_rows(job_costs(session(), CostsQuery()))


def _prices(query: FeedQuery) -> Rows:
    as_of, known_at = query.as_of or now(), query.known_at or now()
    return price_rows(find_prices(session(), PriceFilter(), as_of, known_at, limit=None), as_of, known_at)


def _assets(_query: FeedQuery) -> Rows:
    return asset_rows(list_assets(session()))


def _rates(_query: FeedQuery) -> Rows:
    found = list_rates(session(), RateQuery(), whole=True)
    return rate_rows([(view.id, view.rate, view.recorded_at) for view in found])


def _budgets(query: FeedQuery) -> Rows:
    return budget_rows(listed_reports(session(), BudgetsQuery(known_at=query.known_at), now(), None))


def _budget_lines(query: FeedQuery) -> Rows:
    return budget_line_rows(asked_reports(BudgetLinesQuery(known_at=query.known_at)))


def _calibrations(_query: FeedQuery) -> Rows:
    return run_rows(list_runs(session(), limit=None))


SETS: Mapping[str, EntitySet] = {
    found.name: found
    for found in (
        EntitySet("Estimates", "Estimate", ("estimate_id",), SUMMARY_COLUMNS, _estimates),
        EntitySet("Plans", "Plan", ("plan_id",), PLAN_COLUMNS, _plans),
        EntitySet(
            "PlanLines",
            "PlanLine",
            ("plan_id", "line_number"),
            ("line_number", *LINE_COLUMNS),
            _plan_lines,
            options=("plan_id",),
        ),
        EntitySet("Costs", "Charge", ("x_ChargeId",), FOCUS_COLUMNS, _costs),
        EntitySet("Actuals", "Actual", ("id", "metric"), ACTUAL_COLUMNS, _actuals),
        EntitySet("Prices", "Price", ("offer_id",), PRICE_COLUMNS, _prices, options=("as_of", "known_at")),
        EntitySet("Assets", "Asset", ("asset_id",), ASSET_COLUMNS, _assets),
        EntitySet("ExchangeRates", "ExchangeRate", ("rate_id",), RATE_COLUMNS, _rates),
        EntitySet("Budgets", "Budget", ("budget_id",), BUDGET_COLUMNS, _budgets, options=("known_at",)),
        EntitySet(
            "BudgetLines",
            "BudgetLine",
            ("budget_id", "line_id"),
            BUDGET_LINE_COLUMNS,
            _budget_lines,
            options=("known_at",),
        ),
        EntitySet("Calibrations", "Calibration", ("run_id",), RUN_COLUMNS, _calibrations, Scope.READ_INVENTORY),
    )
}
