"""Divisible jobs on kinds of GPU as figures: gangs, speeds and prices by job and kind, room by stretch of time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from planner.plans.program.build import coarse
from planner.plans.program.jobs import window
from planner.plans.program.pools import gpus_by_slot, why_not
from planner.plans.request import PlanRequest
from planner.plans.supply import Supply

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
SAME = 1e-9


@dataclass(frozen=True, eq=False)
class Shop:
    """J jobs on K kinds of GPU over I stretches of time, between whose edges nothing that may be done changes.

    `gangs` (J, K): GPUs that a job holds, 0 where it does not run; `speeds` (J, K): share of the job done in an hour;
    `prices` (J, K): what an hour of the gang costs; `room` (I, K): GPUs there, infinite where never short; `may_run`
    (I, J).
    """

    jobs: tuple[str, ...]
    kinds: tuple[str, ...]
    gangs: Whole
    speeds: Array
    prices: Array
    edges: tuple[float, ...]
    room: Array
    may_run: NDArray[np.bool_]

    @property
    def num_stretches(self) -> int:
        return len(self.edges) - 1

    @property
    def hours(self) -> Array:
        """The length of each stretch."""
        return np.diff(np.array(self.edges))

    def until(self, num_stretches: int) -> Shop:
        """The same with the first so many stretches only."""
        return replace(
            self,
            edges=self.edges[: num_stretches + 1],
            room=self.room[:num_stretches],
            may_run=self.may_run[:num_stretches],
        )

    def ending(self, hour: float) -> Shop:
        """The same with its last stretch ending at another hour."""
        return replace(self, edges=(*self.edges[:-1], hour))


def shop_of(request: PlanRequest) -> Shop:
    """The figures of a request of divisible jobs with one supply for each kind of GPU."""
    cut = coarse(request)
    edges, supplies = cut.horizon.edges, request.supplies
    size = len(request.jobs), len(supplies)
    gangs, speeds, prices = np.zeros(size, dtype=np.int64), np.zeros(size), np.zeros(size)
    for j, job in enumerate(request.jobs):
        for k, supply in enumerate(supplies):
            work = next((option for option in job.options if option.gpu == supply.gpu), None)
            if work is None or why_not(job, supply) is not None:
                continue
            gangs[j, k] = held(supply, work.num_gpus)
            speeds[j, k] = supply.work_share / work.hours
            prices[j, k] = supply.running_per_hour * gangs[j, k]
    room = np.full((len(edges) - 1, len(supplies)), np.inf)
    for k, supply in enumerate(supplies):
        there = gpus_by_slot(supply, cut.horizon)
        if there is not None:
            room[:, k] = np.floor(there + SAME)
    windows = [window(job, cut.horizon) for job in request.jobs]
    may_run = np.array(
        [[start <= left + SAME and right <= end + SAME for start, end in windows] for left, right in pairwise(edges)]
    )
    return Shop(
        tuple(job.name for job in request.jobs),
        tuple(supply.gpu for supply in supplies),
        gangs,
        speeds,
        prices,
        edges,
        room,
        may_run,
    )


def held(supply: Supply, num_gpus: int) -> int:
    """GPUs that a gang holds on a supply: whole instances where they are not shared."""
    block = 1 if supply.shared else supply.gpus_per_instance
    return -(-num_gpus // block) * block
