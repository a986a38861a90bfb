"""What a job would take on a placement: an option with ranges and causes, or a rejection with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from planner.hardware.gpu import Gpu
from planner.offers.offer import UNSTATED_REGION, Offer, Price
from planner.quantity import Basis, Quantity
from planner.units import plain_decimal


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a job could run: so many GPUs of a model, by an offer with its price, or on an attached device.

    `usable_memory_bytes` is what a device reports (None: taken from the catalogue with a reserve).
    Either `offer_id` (with `offer`) or `device_id` is set, and neither for a planned purchase; `price_id` is None where
    no price holds. A device that its owner entered the cost of, and a planned purchase, has an owned offer and its
    price, part of which may be assumed.
    """

    gpu: Gpu
    num_gpus: Decimal
    offer_id: int | None = None
    offer: Offer | None = None
    price_id: int | None = None
    price: Price | None = None
    device_id: str | None = None
    device_name: str | None = None
    device_memory_bytes: int | None = None
    num_nodes: int = 1  # so many of the offer together; `num_gpus` counts the GPUs of all of them
    network_bytes_per_s: float | None = None  # of one GPU to other nodes, one way; None: what is usual for its family
    is_cost_assumed: bool = False  # part of the price is an assumption and no figure of the owner's

    @property
    def gpus_per_node(self) -> int:
        """GPUs of one node."""
        return max(1, int(self.num_gpus) // self.num_nodes)

    @property
    def title(self) -> str:
        """ "8 × H100-80GB-SXM, aws p5.48xlarge us-east-1, spot", or the attached device's own name."""
        if self.device_name is not None:
            return f"{self.device_name}, attached"
        gpus = f"{plain_decimal(self.num_gpus)} × {self.gpu.key}"
        if self.num_nodes > 1:
            gpus += f" in {self.num_nodes} nodes"
        if self.offer is None:
            return gpus
        offer = self.offer
        region = "" if offer.region == UNSTATED_REGION else f" {offer.zone or offer.region}"
        return f"{gpus}, {offer.provider} {offer.instance_type}{region}, {offer.kind.value.replace('_', ' ')}"

    @property
    def currency(self) -> str:
        """The currency its costs are in."""
        return "USD" if self.offer is None else self.offer.currency


@dataclass(frozen=True, slots=True)
class Layout:
    """How the work is split over the GPUs."""

    data_parallel: int
    tensor_parallel: int
    pipeline_parallel: int
    micro_batch: int
    sharding: str  # "none", "zero1", "zero2", "zero3"
    recompute: str
    context_parallel: int = 1
    expert_parallel: int = 1
    virtual_stages: int = 1


@dataclass(frozen=True, slots=True)
class MemoryItem:
    """One line of the memory bill of a GPU, in bytes."""

    name: str
    num_bytes: float


class Bottleneck(StrEnum):
    """What bounds an option, or what a rejected one lacks."""

    COMPUTE = "compute"
    BANDWIDTH = "bandwidth"
    OVERHEAD = "overhead"
    COMMUNICATION = "communication"
    DATA = "data_loading"
    MEMORY = "memory"
    DTYPE = "dtype"
    FRACTION = "fraction"
    UNKNOWN_GPU = "unknown_gpu"
    UNKNOWN_FIGURE = "unknown_figure"
    CONTEXT = "context"
    PRICE = "price"
    DEADLINE = "deadline"
    BUDGET = "budget"
    POWER = "power"
    INTERRUPTIONS = "interruptions"


TIME_PARTS = (
    *("steady steps", "data loading", "evaluation", "checkpoints", "lost work", "restarts", "waiting for capacity"),
    *("start up", "queue", "lead time"),
)


@dataclass(frozen=True, slots=True)
class Option:
    """The job on one placement. Quantities in SI units; `cost` in the offer's currency.

    `step_seconds` is one optimizer step (training) or one decoding step of the whole batch (inference).
    For a service without a number of requests `seconds` is None and `cost` is per hour (`cost_per_hour` too).
    What is not known is None, and `unknown` names it with the reason.
    """

    placement: Placement
    layout: Layout
    seconds: Quantity | None
    step_seconds: Quantity
    tokens_per_second: Quantity
    memory_bytes: Quantity
    memory_items: tuple[MemoryItem, ...]
    usable_memory_bytes: float
    energy_joules: Quantity | None
    average_power_watts: Quantity | None
    cost: Quantity | None
    cost_per_hour: Quantity | None
    cost_per_million_tokens: Quantity | None
    bottleneck: Bottleneck
    basis: Basis
    fit_id: str | None
    extras: Mapping[str, Quantity] = field(default_factory=dict)  # first_token_seconds, concurrency …
    notes: tuple[str, ...] = ()  # assumptions in words, each a full sentence
    unknown: Mapping[str, str] = field(default_factory=dict)
    carbon_kg: Quantity | None = None  # of the energy of its GPUs with what the site draws on top
    why_not: str = ""  # what it lost on against the best option; empty for the best
    cost_per_thousand_requests: Quantity | None = None  # of inference: at the rate at which it answers them

    @property
    def time_parts(self) -> tuple[tuple[str, Quantity], ...]:
        """The parts of its time by name, which add up to it; empty where steady steps are all."""
        names = (name for name in TIME_PARTS if f"{name.replace(' ', '_')}_seconds" in self.extras)
        return tuple((name, self.extras[f"{name.replace(' ', '_')}_seconds"]) for name in names)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a job cannot run on a placement, in a sentence with the figures that decide it."""

    placement: Placement
    bottleneck: Bottleneck
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """All options, best first by the goal, and all rejections."""

    options: tuple[Option, ...]
    rejections: tuple[Rejection, ...]
