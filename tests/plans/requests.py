"""Small planning requests with sensible defaults; each test overrides what it is about."""

from __future__ import annotations

from typing import Any

from planner.plans.demand import Job, Replica, Service, Work
from planner.plans.horizon import Horizon
from planner.plans.request import PlanRequest
from planner.plans.supply import Kind, Supply


def job(name: str = "train", hours: float = 4.0, gpu: str = "H100", num_gpus: int = 1, **changes: Any) -> Job:
    """A job on one kind of GPU."""
    return Job(**{"name": name, "options": (Work(gpu, num_gpus, hours),), **changes})


def service(name: str = "chat", demand: tuple[float, ...] = (3.0,), rate: float = 1.0, **changes: Any) -> Service:
    """A service on one kind of GPU, one GPU per replica."""
    return Service(**{"name": name, "replicas": (Replica("H100", 1, rate),), "demand": demand, **changes})


def on_demand(name: str = "rent", price: float = 2.0, gpu: str = "H100", **changes: Any) -> Supply:
    return Supply(**{"name": name, "gpu": gpu, "kind": Kind.ON_DEMAND, "price_per_hour": price, **changes})


def owned(name: str = "own", num_gpus: int = 4, gpu: str = "H100", price: float = 0.0, **changes: Any) -> Supply:
    return Supply(
        **{"name": name, "gpu": gpu, "kind": Kind.OWNED, "price_per_hour": price, "num_gpus": num_gpus, **changes}
    )


def reserved(name: str = "reserve", price: float = 1.2, term: float = 8760.0, **changes: Any) -> Supply:
    fields = {"name": name, "gpu": "H100", "kind": Kind.RESERVED, "price_per_hour": price, "term_hours": term}
    return Supply(**{**fields, **changes})


def request(*, slots: int = 8, supplies: tuple[Supply, ...] | None = None, **changes: Any) -> PlanRequest:
    """A request over hours, with one endless offer unless told."""
    fields = {"horizon": Horizon.uniform(slots), "supplies": (on_demand(),) if supplies is None else supplies}
    return PlanRequest(**{**fields, **changes})
