"""What jobs cost, for finance tools: as JSON with what is unknown, and in the columns of FOCUS 1.4.

FOCUS (FinOps Open Cost and Usage Specification) 1.4, dataset Cost and Usage: names, allowed values and what may be
empty are the standard's. It knows neither estimates nor ranges; columns of our own begin with `x_`, as it asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from planner.offers.billing_months import month_of
from planner.offers.offer import OfferKind
from planner.services.charges import Charge, CostKind
from planner.services.job_costs import CostsQuery, JobCosts, job_costs
from planner.web.api.resources import api
from planner.web.database import session
from planner.web.exports import Table

FOCUS_COLUMNS = (
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd"),
    *("BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency"),
    *("ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit", "ContractedCost"),
    *("ContractedUnitPrice", "EffectiveCost", "HostProviderName", "InvoiceIssuerName", "ListCost", "ListUnitPrice"),
    *("PricingCategory", "PricingQuantity", "PricingUnit", "RegionId", "ResourceName", "ServiceCategory"),
    *("ServiceName", "ServiceProviderName"),
    *("x_CostKind", "x_CostKnown", "x_CostBasis", "x_EstimatedCost", "x_CostLow", "x_CostHigh", "x_EnergyKwh"),
    *("x_GpuHours", "x_GpuKey", "x_NumGpus", "x_JobKind", "x_EstimateId", "x_ActualId", "x_PeriodIs", "x_ChargeId"),
)
ACCOUNT = "gpu-planner"
OWN = "own GPUs"
CATEGORIES: Mapping[OfferKind, str] = MappingProxyType(
    {
        OfferKind.OWNED: "Other",
        OfferKind.ON_DEMAND: "Standard",
        OfferKind.SPOT: "Dynamic",
        OfferKind.RESERVED_1Y: "Committed",
        OfferKind.RESERVED_3Y: "Committed",
        OfferKind.NEGOTIATED: "Standard",
    }
)
ZERO = Decimal(0)


@api.get("/costs", tag="costs", answers=JobCosts, query=CostsQuery)
def get_costs(query: CostsQuery) -> JobCosts:
    """What jobs cost by calendar month: estimates beside actuals, their sums, and every job whose cost is unknown.

    `since` and `before` narrow by when a charge's time begins, unknown ones by their end; `known_at` leaves out what
    was learnt later.
    """
    return job_costs(session(), query)


@api.table("/costs", tag="costs", query=CostsQuery)
def get_costs_table(query: CostsQuery) -> Table:
    """The charges as CSV in the columns of FOCUS 1.4 (Cost and Usage); jobs whose cost is unknown are not in it."""
    return Table("focus-1.4-cost-and-usage", FOCUS_COLUMNS, cost_rows(job_costs(session(), query)))


def cost_rows(found: JobCosts) -> list[list[Any]]:
    """The cells of FOCUS_COLUMNS."""
    return [_row(charge) for charge in found.charges]


def _row(charge: Charge) -> list[Any]:
    first, following = month_of(charge.start)
    start, end = _whole_seconds(charge.start, charge.end)
    cost, price = charge.cost, charge.price_per_hour
    owner = OWN if charge.provider in (None, "owned") else charge.provider
    paid, run = charge.paid_hours, charge.run_hours
    return [
        # Nothing is billed for an estimate: sums of BilledCost are of what happened.
        *(ZERO if charge.cost_kind is CostKind.ESTIMATE else cost, ACCOUNT, None, charge.currency, following),
        *(first, "Usage", None, f"{charge.job_name}, on {charge.title}", "Usage-Based"),
        *(end, start, run, None if run is None else "Hours", cost),
        *(price, cost, owner, owner, cost, price),
        None if charge.offer_kind is None else CATEGORIES[charge.offer_kind],
        *(paid, None if paid is None else "Hours", charge.region or None, charge.title, "Compute"),
        *("GPU computing", owner),
        *(charge.cost_kind, charge.known, charge.basis, charge.estimated_cost),
        *(charge.cost_low, charge.cost_high, charge.energy_kwh),
        *(charge.gpu_hours, charge.gpu_key, charge.num_gpus, charge.job_kind, charge.estimate_id),
        *(charge.actual_id, charge.period_is, charge.id),
    ]


def _whole_seconds(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The time as the standard writes it, without fractions of a second; never empty."""
    begun, ended = start.replace(microsecond=0), end.replace(microsecond=0)
    return begun, ended if ended > begun else begun + timedelta(seconds=1)
