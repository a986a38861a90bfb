"""Offers and prices: a way to get GPU time, and what it costs from a moment on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

UNSTATED_REGION = "unstated"  # the region of an offer whose source names none


class OfferKind(StrEnum):
    OWNED = "owned"
    ON_DEMAND = "on_demand"
    SPOT = "spot"
    RESERVED_1Y = "reserved_1y"
    RESERVED_3Y = "reserved_3y"
    NEGOTIATED = "negotiated"


class Upfront(StrEnum):
    """How much of a reservation is paid at its start; the price per hour always counts all of it in."""

    UNSTATED = ""  # no reservation, or the source does not say
    NO = "no"
    PART = "part"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Offer:
    """What is on offer. The first six fields and `upfront` are its identity; a changed price never makes a new offer.

    `num_gpus` may be a fraction (Azure rents a sixth of an A10). `gpu_key` is None while `gpu_name`, the
    provider's own word, has no entry in the alias table. The last six fields say how the offer can be had, as its
    source states; None is unknown, which is the usual case.
    """

    provider: str
    region: str
    zone: str  # "" where prices do not differ by zone
    instance_type: str
    kind: OfferKind
    currency: str
    gpu_name: str
    gpu_key: str | None
    num_gpus: Decimal
    vcpus: Decimal | None = None
    memory_bytes: int | None = None
    host_included: bool = True  # the price covers CPU, RAM and chassis, not the GPU alone
    upfront: Upfront = Upfront.UNSTATED
    interconnect: str = ""  # between machines, as the provider words it ("3200 Gigabit"); "" is unknown
    is_available: bool | None = None  # whether it could be had when the source was read
    quota_gpus: Decimal | None = None  # at most so many GPUs at a time
    minimum_term_seconds: int | None = None
    lead_time_seconds: int | None = None
    interruptions_per_hour: Decimal | None = None  # of one spot machine, on average

    def __post_init__(self) -> None:
        if not (self.num_gpus.is_finite() and self.num_gpus > 0):
            raise ValueError(f"an offer has more than 0 GPUs, not {self.num_gpus}")
        if self.upfront and self.kind not in (OfferKind.RESERVED_1Y, OfferKind.RESERVED_3Y, OfferKind.NEGOTIATED):
            raise ValueError(f"nothing is paid upfront for an offer of kind {self.kind}")

    @property
    def identity(self) -> tuple[str, str, str, str, str, str, str]:
        first = (self.provider, self.region, self.zone, self.instance_type, self.kind.value, self.currency)
        return (*first, self.upfront.value)


@dataclass(frozen=True, slots=True)
class Price:
    """What the whole offer costs per hour from `valid_from` until the offer's next price.

    `amount` is None where the offer was withdrawn or the price is not known; `reason` then says which.
    `recorded_at` is when we learnt it, `source` where from and `source_date` the date that the source states.
    """

    amount: Decimal | None
    valid_from: datetime
    recorded_at: datetime
    source: str
    source_date: date
    reason: str = ""

    def __post_init__(self) -> None:
        if self.amount is None and not self.reason:
            raise ValueError("a price without an amount needs its reason")
        if self.amount is not None and not (self.amount.is_finite() and self.amount > 0):
            raise ValueError(f"a price is above 0, not {self.amount}; unknown is None with a reason")
        if self.valid_from.tzinfo is None or self.recorded_at.tzinfo is None:
            raise ValueError("the times of a price are aware UTC")


def price_at(prices: Iterable[Price], moment: datetime, known_at: datetime) -> Price | None:
    """The price that held at `moment` as far as was known at `known_at`; None before the first one.

    Among prices recorded by `known_at` and valid from `moment` or before, the one valid latest holds, and of
    several with the same `valid_from` (a correction) the one recorded latest.
    """
    candidates = [p for p in prices if p.valid_from <= moment and p.recorded_at <= known_at]
    return max(candidates, key=lambda p: (p.valid_from, p.recorded_at), default=None)
