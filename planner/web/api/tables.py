"""Prices and estimates as flat tables for spreadsheets; the columns are part of the interface (docs/api.md)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from flask import Response

from planner.estimates.estimate import Option, Placement, Rejection
from planner.quantity import Quantity
from planner.services.estimates import EstimateView
from planner.services.offers import PricedOffer
from planner.web.exports import csv_response

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
)
ESTIMATE_COLUMNS = (
    *("estimate_id", "created_at", "as_of", "job", "outcome", "rank", "title", "gpu_key", "num_gpus", "provider"),
    *("region", "instance_type", "kind", "offer_id", "price_id", "device_id", "currency", "price_per_hour"),
    *(f"{name}_{end}" for name in RANGES for end in ("low", "mid", "high")),
    *("usable_memory_bytes", "bottleneck", "basis", "fit_id", "why", "code_version"),
)  # fmt: skip


def prices_csv(found: list[PricedOffer], as_of: datetime, known_at: datetime, now: datetime) -> Response:
    """One line per offer."""
    rows = [[*_price_row(item, now), as_of, known_at] for item in found]
    return csv_response(f"prices-{as_of:%Y-%m-%d}.csv", PRICE_COLUMNS, rows)


def estimate_csv(view: EstimateView) -> Response:
    """One line per option, best first, then one per rejection."""
    head = [view.id, view.created_at, view.as_of, view.job_name]
    rows = [
        [*head, "option", rank, *_place(option.placement), *_ranges(option), *_end(option), view.code_version]
        for rank, option in enumerate(view.answer.options, start=1)
    ]
    rows += [
        [*head, "rejection", None, *_place(found.placement), *_no_ranges(), *_rejection_end(found), view.code_version]
        for found in view.answer.rejections
    ]
    return csv_response(f"estimate-{view.id}.csv", ESTIMATE_COLUMNS, rows)


def _price_row(item: PricedOffer, now: datetime) -> list[Any]:
    offer, price = item.offer, item.price
    amount = None if price is None else price.amount
    reason = "no price held at that moment" if price is None else price.reason
    return [
        *(item.offer_id, offer.provider, offer.region, offer.zone, offer.instance_type, offer.kind, offer.gpu_key),
        *(offer.gpu_name, offer.num_gpus, offer.vcpus, offer.memory_bytes, offer.host_included, offer.currency),
        *(amount, item.per_gpu_hour, reason if amount is None else "", item.price_id),
        *(None if price is None else price.valid_from, None if price is None else price.recorded_at),
        *(None if price is None else price.source, None if price is None else price.source_date, item.age_days(now)),
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
