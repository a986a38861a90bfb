"""What a plan must get done: jobs with deadlines, and services that are asked for by the slot."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """A job on one kind of GPU: `num_gpus` together for `hours`, from its start to its end (an estimate's mid)."""

    gpu: str
    num_gpus: int
    hours: float

    def __post_init__(self) -> None:
        _positive("num_gpus", self.num_gpus)
        _positive("hours", self.hours)


@dataclass(frozen=True, slots=True)
class Job:
    """A training or batch job: done on any of `options` between release and deadline (hours; None: the horizon's end).

    A divisible job may stop, wait and move between kinds of GPU at no cost and runs as one gang at a time, or as up to
    `copies` at once (batch work); another runs once started, on one option. `after` names jobs that must have ended.
    Empty `providers` and `regions` allow all. `drop_cost` is what leaving it undone costs; None: it must be done.
    `priority` says whom to keep first where not all can be.
    """

    name: str
    options: tuple[Work, ...]
    release_hours: float = 0.0
    deadline_hours: float | None = None
    is_divisible: bool = True
    copies: int = 1
    priority: int = 0
    after: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    may_use_spot: bool = True
    drop_cost: float | None = None

    def __post_init__(self) -> None:
        _positive("copies", self.copies)
        if not (math.isfinite(self.release_hours) and self.release_hours >= 0):
            raise ValueError("release_hours must be finite and not negative")
        if self.deadline_hours is not None and self.deadline_hours <= self.release_hours:
            raise ValueError("deadline_hours must come after release_hours")
        if self.copies > 1 and not self.is_divisible:
            raise ValueError("only divisible jobs run as several copies")
        if len({work.gpu for work in self.options}) != len(self.options):
            raise ValueError("options must be of different GPUs")


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica of a service on one kind of GPU: `num_gpus` serve up to `rate` (in the unit of the demand)."""

    gpu: str
    num_gpus: int
    rate: float

    def __post_init__(self) -> None:
        _positive("num_gpus", self.num_gpus)
        _positive("rate", self.rate)


@dataclass(frozen=True, slots=True)
class Service:
    """An inference service: whole replicas, of any of `replicas` in any mix, serve `demand` (one level per slot).

    `headroom` is kept on top, as a share of the demand. `drop_cost` is what an hour of one unit of demand unserved
    costs; None: all of it must be served. It is not put on spot unless `may_use_spot`.
    """

    name: str
    replicas: tuple[Replica, ...]
    demand: tuple[float, ...]
    headroom: float = 0.0
    priority: int = 0
    providers: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    may_use_spot: bool = False
    drop_cost: float | None = None

    def __post_init__(self) -> None:
        if any(not (math.isfinite(level) and level >= 0) for level in self.demand):
            raise ValueError("demand must be finite and not negative")
        if not (math.isfinite(self.headroom) and self.headroom >= 0):
            raise ValueError("headroom must be finite and not negative")
        if len({replica.gpu for replica in self.replicas}) != len(self.replicas):
            raise ValueError("replicas must be of different GPUs")

    def needed(self, slot: int) -> float:
        """The demand of a slot with its headroom."""
        return self.demand[slot] * (1.0 + self.headroom)


Demand = Job | Service


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be finite and above 0, not {value}")
