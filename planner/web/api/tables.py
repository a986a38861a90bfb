"""Prices and estimates as flat tables for spreadsheets; the columns are part of the interface (docs/api.md)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from planner.estimates.estimate import Option, Placement, Rejection
from planner.quantity import Quantity
from planner.services.estimates import BestOption, EstimateSummary, EstimateView
from planner.services.offers import PricedOffer
from planner.services.runs import RunView
from planner.web.exports import Table

PRICE_COLUMNS = (
    *("offer_id", "provider", "region", "zone", "instance_type", "kind", "gpu_key", "gpu_name", "num_gpus", "vcpus"),
    *(
        "memory_bytes",
        "host_included",
        "currency",
        "price_per_hour",
        "price_per_gpu_hour",
        "unknown_reason",
        "price_id",
    ),
    *("valid_from", "recorded_at", "source", "source_date", "age_days", "as_of", "known_at"),
)
RANGES = (
    "seconds",
    "tokens_per_second",
    "memory_bytes",
    "energy_joules",
    "cost",
    "cost_per_hour",
    "cost_per_million_tokens",
    "carbon_kg",
    "cost_per_thousand_requests",
)
ESTIMATE_COLUMNS = (
    *("estimate_id", "created_at", "as_of", "job", "outcome", "rank", "title", "gpu_key", "num_gpus", "provider"),
    *("region", "instance_type", "kind", "offer_id", "price_id", "device_id", "currency", "price_per_hour"),
    *(f"{name}_{end}" for name in RANGES for end in ("low", "mid", "high")),
    *("usable_memory_bytes", "bottleneck", "basis", "fit_id", "why", "code_version", "unknown_reason"),
)  # fmt: skip
SUMMARY_COLUMNS = (
    *("estimate_id", "created_at", "as_of", "job", "kind", "job_sentence", "num_options", "num_rejections", "best"),
    *("gpu_key", "num_gpus", "provider", "region", "offer_kind", "currency", "cost_low", "cost_mid", "cost_high"),
    *("cost_per_hour_low", "cost_per_hour_mid", "cost_per_hour_high", "seconds_low", "seconds_mid", "seconds_high"),
    *("tokens_per_second", "item", "items_per_second", "basis", "unknown_reason"),
)
RUN_COLUMNS = (
    *("run_id", "device_id", "device", "suite", "suite_version", "state", "created_at", "started_at", "finished_at"),
    *("seconds", "num_benches", "num_done", "schedule_id", "due_at", "num_missed", "attempt", "retry_of", "error"),
    *("code_version", "unknown_reason"),
)
Row = list[Any]
NOTHING_FITS = "no option: every place was rejected"
NOT_KEPT = "its ranges were not kept in the list at the time: they are in estimates/{}.csv"


def prices_table(found: list[PricedOffer], as_of: datetime, known_at: datetime, next_after: str | None) -> Table:
    """One line per offer."""
    return Table(f"prices-{as_of:%Y-%m-%d}", PRICE_COLUMNS, price_rows(found, as_of, known_at), next_after)


def price_rows(found: list[PricedOffer], as_of: datetime, known_at: datetime) -> list[Row]:
    """The cells of PRICE_COLUMNS; ages are those at `known_at`, so that asking again gives the same."""
    return [[*_price_row(item, known_at), as_of, known_at] for item in found]


def estimate_table(view: EstimateView) -> Table:
    """One line per option, best first, then one per rejection."""
    head = [view.id, view.created_at, view.as_of, view.job_name]
    rows = [
        [
            *head,
            "option",
            rank,
            *_place(option.placement),
            *_ranges(option),
            *_end(option),
            view.code_version,
            _reasons(option.unknown),
        ]
        for rank, option in enumerate(view.answer.options, start=1)
    ]
    rows += [
        [
            *head,
            "rejection",
            None,
            *_place(found.placement),
            *_no_ranges(),
            *_rejection_end(found),
            view.code_version,
            found.reason,
        ]
        for found in view.answer.rejections
    ]
    return Table(f"estimate-{view.id}", ESTIMATE_COLUMNS, rows)


def estimates_table(found: list[EstimateSummary], next_after: str | None) -> Table:
    """One line per estimate with its best option."""
    return Table("estimates", SUMMARY_COLUMNS, estimate_rows(found), next_after)


def estimate_rows(found: list[EstimateSummary]) -> list[Row]:
    """The cells of SUMMARY_COLUMNS."""
    return [
        [
            *(item.id, item.created_at, item.as_of, item.job_name, item.job_kind, item.job_sentence),
            *(item.num_options, item.num_rejections),
            *(_no_best() if item.best is None else _best(item.id, item.best)),
        ]
        for item in found
    ]


def _no_best() -> list[Any]:
    return [*([None] * (len(SUMMARY_COLUMNS) - SUMMARY_COLUMNS.index("best") - 1)), NOTHING_FITS]


def _best(estimate_id: str, best: BestOption) -> list[Any]:
    is_whole = best.unknown is not None
    return [
        *(best.title, best.gpu_key, best.num_gpus, best.provider, best.region, best.offer_kind, best.currency),
        *(best.cost_low, best.cost, best.cost_high),
        *(best.cost_per_hour_low, best.cost_per_hour, best.cost_per_hour_high),
        *(best.seconds_low, best.seconds, best.seconds_high, best.tokens_per_second, best.item),
        *(best.items_per_second, best.basis),
        _reasons(best.unknown or {}) if is_whole else NOT_KEPT.format(estimate_id),
    ]


def _reasons(unknown: Mapping[str, str]) -> str:
    """Why which figures are not known: "cost: …; carbon_kg: …"; empty where all are."""
    return "; ".join(f"{name}: {reason}" for name, reason in unknown.items())


def runs_table(found: list[RunView], next_after: str | None) -> Table:
    """One line per calibration run."""
    return Table("calibrations", RUN_COLUMNS, run_rows(found), next_after)


def run_rows(found: list[RunView]) -> list[Row]:
    """The cells of RUN_COLUMNS."""
    return [
        [
            *(run.id, run.device_id, run.device_name, run.suite, run.suite_version, run.state, run.created_at),
            *(run.started_at, run.finished_at, run.seconds, run.num_benches, run.num_done, run.schedule_id, run.due_at),
            *(run.num_missed, run.attempt, run.retry_of, run.error, run.code_version),
            "" if run.seconds is not None else "it never ran" if run.is_final else "it has not ended",
        ]
        for run in found
    ]


def _price_row(item: PricedOffer, known_at: datetime) -> list[Any]:
    offer, price = item.offer, item.price
    amount = None if price is None else price.amount
    reason = "no price held at that moment" if price is None else price.reason
    return [
        *(item.offer_id, offer.provider, offer.region, offer.zone, offer.instance_type, offer.kind, offer.gpu_key),
        *(offer.gpu_name, offer.num_gpus, offer.vcpus, offer.memory_bytes, offer.host_included, offer.currency),
        *(amount, item.per_gpu_hour, reason if amount is None else "", item.price_id),
        *(None if price is None else price.valid_from, None if price is None else price.recorded_at),
        *(
            None if price is None else price.source,
            None if price is None else price.source_date,
            item.age_days(known_at),
        ),
    ]


def _place(placement: Placement) -> list[Any]:
    offer, price = placement.offer, placement.price
    where = (None,) * 4 if offer is None else (offer.provider, offer.region, offer.instance_type, offer.kind)
    amount: Decimal | None = None if price is None else price.amount
    return [
        *(placement.title, placement.gpu.key, placement.num_gpus, *where),
        *(placement.offer_id, placement.price_id, placement.device_id, placement.currency, amount),
    ]


def _ranges(option: Option) -> list[Any]:
    quantities: list[Quantity | None] = [getattr(option, name) for name in RANGES]
    return [
        value
        for found in quantities
        for value in ((None,) * 3 if found is None else (found.low, found.mid, found.high))
    ]


def _no_ranges() -> list[Any]:
    return [None] * (3 * len(RANGES))


def _end(option: Option) -> list[Any]:
    return [option.usable_memory_bytes, option.bottleneck, option.basis, option.fit_id, option.why_not]


def _rejection_end(rejection: Rejection) -> list[Any]:
    return [None, rejection.bottleneck, None, None, rejection.reason]
