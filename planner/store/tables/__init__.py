"""Every table. Facts (prices, samples, telemetry, transitions, fits, estimates) are only ever inserted."""

from planner.store.tables.answers import IdempotencyRow
from planner.store.tables.base import Base
from planner.store.tables.budgets import BudgetRow, ClosingRow
from planner.store.tables.devices import DeviceRow, DeviceTransitionRow, NodeRow
from planner.store.tables.estimates import ActualRow, EstimateRow, JobRow
from planner.store.tables.money import (
    AssetDeviceRow,
    AssetRow,
    AssetVersionRow,
    FxRateRow,
    HeldRateRow,
    PriceBookRow,
    PriceBookTermRow,
)
from planner.store.tables.plans import PlanRow, PlanStageRow
from planner.store.tables.prices import (
    GpuAliasRow,
    OfferRow,
    PriceImportLogRow,
    PriceImportRow,
    PriceRow,
    PriceSourceRow,
)
from planner.store.tables.runs import (
    RUN_STATES,
    FitRow,
    LateResultRow,
    LeaseRow,
    RunPeerRow,
    RunReviewRow,
    RunRow,
    RunTransitionRow,
    SampleRow,
    TelemetryRow,
)
from planner.store.tables.schedules import PauseRow, ScheduleRow, SuiteRow
from planner.store.tables.tokens import TokenRow

__all__ = [
    "RUN_STATES",
    "ActualRow",
    "AssetDeviceRow",
    "AssetRow",
    "AssetVersionRow",
    "Base",
    "BudgetRow",
    "ClosingRow",
    "DeviceRow",
    "DeviceTransitionRow",
    "EstimateRow",
    "FitRow",
    "FxRateRow",
    "GpuAliasRow",
    "HeldRateRow",
    "IdempotencyRow",
    "JobRow",
    "LateResultRow",
    "LeaseRow",
    "NodeRow",
    "OfferRow",
    "PauseRow",
    "PlanRow",
    "PlanStageRow",
    "PriceBookRow",
    "PriceBookTermRow",
    "PriceImportLogRow",
    "PriceImportRow",
    "PriceRow",
    "PriceSourceRow",
    "RunPeerRow",
    "RunReviewRow",
    "RunRow",
    "RunTransitionRow",
    "SampleRow",
    "ScheduleRow",
    "SuiteRow",
    "TelemetryRow",
    "TokenRow",
]
