"""What one job costs within a calendar month, as a charge, and as the document that a closed month keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from planner.offers.offer import OfferKind


class CostKind(StrEnum):
    """Whether a charge is foreseen or happened."""

    ESTIMATE = "estimate"
    ACTUAL = "actual"


class Known(StrEnum):
    """Where a cost is known from."""

    ESTIMATED = "estimated"
    STATED = "stated"  # entered into the ledger
    DERIVED = "derived"  # the measured time at what a second costs by the estimate


@dataclass(frozen=True, slots=True)
class Charge:
    """What one job costs within one calendar month. None is unknown, or does not apply.

    A job that runs over months is a charge in each, with its share of every amount and hour by time. `estimated_cost`,
    `cost_low` and `cost_high` are the estimate's, beside an actual too. `price_per_hour` is that of all GPUs together,
    of which `paid_hours` make up the cost; `run_hours` is how long it ran. `period_is` says how its time is known.
    Of an actual, `estimated_gpu_hours` and `estimated_lost_gpu_hours` are what the estimate said, and
    `lost_gpu_hours` those that failures, restarts and waiting took.
    """

    cost_kind: CostKind
    known: Known
    start: datetime
    end: datetime
    period_is: str
    cost: Decimal
    currency: str
    estimated_cost: Decimal | None
    cost_low: Decimal | None
    cost_high: Decimal | None
    price_per_hour: Decimal | None
    paid_hours: Decimal | None
    run_hours: Decimal | None
    gpu_hours: Decimal | None
    energy_kwh: Decimal | None
    job_name: str
    job_kind: str
    title: str
    gpu_key: str
    num_gpus: Decimal | None
    provider: str | None
    region: str | None
    offer_kind: OfferKind | None
    estimate_id: str
    actual_id: str | None
    basis: str
    estimated_gpu_hours: Decimal | None = None
    estimated_lost_gpu_hours: Decimal | None = None
    lost_gpu_hours: Decimal | None = None

    @property
    def id(self) -> str:
        """What tells it apart: its job's id and its month."""
        return f"{self.actual_id or self.estimate_id}:{self.start:%Y-%m}"


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A job whose cost is unknown, and why: it is in no sum. `at` is when it ended, of an estimate its `as_of`."""

    cost_kind: CostKind
    estimate_id: str
    actual_id: str | None
    job_name: str
    reason: str
    at: datetime
    job_kind: str
    gpu_key: str | None
    provider: str | None
    region: str | None
    offer_kind: OfferKind | None


def charge_from_document(kept: Mapping[str, Any]) -> Charge:
    """What `document` wrote of a charge."""
    return Charge(**{name: _read(name, value) for name, value in kept.items() if name in _CHARGE})


def unpriced_from_document(kept: Mapping[str, Any]) -> Unpriced:
    """What `document` wrote of a job whose cost was unknown."""
    return Unpriced(**{name: _read(name, value) for name, value in kept.items() if name in _UNPRICED})


_CHARGE = frozenset(found.name for found in fields(Charge))
_UNPRICED = frozenset(found.name for found in fields(Unpriced))
_EXACT = frozenset(found.name for found in fields(Charge) if "Decimal" in str(found.type))
_MOMENTS = frozenset({"start", "end", "at"})
_CHOICES: Mapping[str, type[StrEnum]] = {"cost_kind": CostKind, "known": Known, "offer_kind": OfferKind}


def _read(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _EXACT:
        return Decimal(value)
    if name in _MOMENTS:
        return datetime.fromisoformat(value)
    return _CHOICES[name](value) if name in _CHOICES else value
