"""When to run a job with a deadline on spot, when on demand, and when to wait: never late, and cheapest in expectation.

Spot comes and goes as a chain of two states with known mean times. With w hours of work and T hours of time left,
the expected cost to go is V(T, w, there or not, where it runs now); each start, on either, loses some hours, which are
added to w. Every choice keeps w + lost <= T (w <= T while on demand), so on-demand time always suffices: the deadline
is met whatever spot does. Solved backwards over a grid of time; work is rounded up and time down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from planner.plans.supply import SpotTimes

Array = NDArray[np.float64]


class Place(IntEnum):
    """Where the job runs."""

    NOWHERE = 0
    SPOT = 1
    ON_DEMAND = 2


@dataclass(frozen=True)
class SpotJob:
    """A job of `work_hours` due in `deadline_hours`; spot at `spot_price`, on demand 1, `lost_hours` at each start."""

    work_hours: float
    deadline_hours: float
    spot_price: float
    lost_hours: float

    def __post_init__(self) -> None:
        if not 0 < self.work_hours + self.lost_hours <= self.deadline_hours:
            raise ValueError("even on demand throughout the job would be late")
        if not (self.spot_price >= 0 and self.lost_hours >= 0):
            raise ValueError("prices and losses must not be negative")


Decide = Callable[[float, float, bool, Place], Place]  # hours of work left, of time left, spot there, place now


@dataclass(frozen=True)
class SpotPolicy:
    """The choices of least expected cost for one job, which is looked at every `step_hours` (never less often)."""

    job: SpotJob
    times: SpotTimes
    step_hours: float = 0.05

    def decide(self, work: float, time: float, is_there: bool, place: Place) -> Place:
        """Where to run until the next look."""
        step = self.step_hours
        row = min(math.floor(time / step + 1e-6), self._choices.shape[0] - 1)
        column = min(math.ceil(work / step - 1e-6), self._choices.shape[1] - 1)
        if not is_there and place is Place.SPOT:
            place = Place.NOWHERE
        return Place(int(self._choices[row, column, int(is_there), int(place)]))

    @property
    def expected_cost(self) -> float:
        """Of the whole job, relative to its work on demand, from a moment when spot is there as often as it is."""
        column = math.ceil(self.job.work_hours / self.step_hours - 1e-6)
        there = self.times.paid_share
        values = self._solved[1]
        start = there * values[column, 1, 0] + (1 - there) * values[column, 0, 0]
        return float(start) / self.job.work_hours

    @property
    def _choices(self) -> NDArray[np.int8]:
        return self._solved[0]

    @cached_property
    def _solved(self) -> tuple[NDArray[np.int8], Array]:
        """Choices by time, work, spot there, place; and the expected cost with all time left."""
        step = self.step_hours
        num_times = math.floor(self.job.deadline_hours / step + 1e-6)
        num_works = math.ceil(self.job.work_hours / step) + 4 * self._lost_steps + 4
        stays = math.exp(-step / self.times.mean_up_hours)
        comes = 1 - math.exp(-step / self.times.mean_down_hours) if self.times.mean_down_hours else 1.0
        value = np.full((num_works, 2, 3), np.inf)
        value[0] = 0.0
        choices = np.full((num_times + 1, num_works, 2, 3), Place.ON_DEMAND, dtype=np.int8)
        for left in range(1, num_times + 1):
            coming = np.stack([_mean(value, comes), _mean(value, stays)], axis=1)
            value, choices[left] = self._stage(coming)
        return choices, value

    @property
    def _lost_steps(self) -> int:
        return math.ceil(self.job.lost_hours / self.step_hours - 1e-6)

    def _stage(self, coming: Array) -> tuple[Array, NDArray[np.int8]]:
        """Least cost and best choice a step earlier; `coming`: expected cost after it, by work, spot there, place."""
        num_works = coming.shape[0]
        works = np.arange(num_works)
        value = np.full((num_works, 2, 3), np.inf)
        choice = np.full((num_works, 2, 3), Place.ON_DEMAND, dtype=np.int8)
        for there in (0, 1):
            for place in Place:
                for target, price in ((Place.SPOT, self.job.spot_price), (Place.ON_DEMAND, 1.0), (Place.NOWHERE, 0.0)):
                    if not there and Place.SPOT in (place, target):
                        continue
                    added = self._lost_steps if target is not place else 0
                    after = works if target is Place.NOWHERE else np.maximum(works + added - 1, 0)
                    inside = np.flatnonzero(after < num_works)
                    cost = np.full(num_works, np.inf)
                    cost[inside] = price * self.step_hours + coming[after[inside], there, target]
                    better = cost < value[:, there, place]
                    value[better, there, place] = cost[better]
                    choice[better, there, place] = target
        value[:, 0, Place.SPOT], choice[:, 0, Place.SPOT] = value[:, 0, Place.NOWHERE], choice[:, 0, Place.NOWHERE]
        value[0], choice[0] = 0.0, Place.NOWHERE
        return value, choice


def _mean(value: Array, chance: float) -> Array:
    """The expected value by work and place where spot is there next with a chance; any chance of late is late."""
    gone, there = value[:, 0, :], value[:, 1, :]
    known = np.isfinite(gone) & np.isfinite(there)
    mean = np.full(gone.shape, np.inf)
    mean[known] = chance * there[known] + (1 - chance) * gone[known]
    return mean


@dataclass(frozen=True, slots=True)
class Run:
    """What a policy made of one job: cost relative to its work on demand, when it ended (None: not in time)."""

    relative_cost: float
    finish_hours: float | None
    starts: int

    def is_late(self, job: SpotJob) -> bool:
        return self.finish_hours is None or self.finish_hours > job.deadline_hours + 1e-9


def run_policy(job: SpotJob, there: Sequence[bool], tick_hours: float, decide: Decide) -> Run:
    """A policy on a trace: whether spot is there, tick by tick. An interruption is seen at its tick."""
    work, cost, starts = job.work_hours, 0.0, 0
    place = Place.NOWHERE
    overhead = 0.0
    for tick, is_there in enumerate(there):
        now = tick * tick_hours
        if not is_there and place is Place.SPOT:
            place = Place.NOWHERE
        wanted = decide(
            work + (overhead if place is not Place.NOWHERE else 0.0), job.deadline_hours - now, is_there, place
        )
        if wanted is not place:
            overhead = job.lost_hours
            starts += wanted is not Place.NOWHERE
        place = wanted
        if place is Place.NOWHERE:
            continue
        price = job.spot_price if place is Place.SPOT else 1.0
        length = min(tick_hours, overhead + work)
        cost += price * length
        spent = min(overhead, length)
        overhead -= spent
        work -= length - spent
        if work <= 1e-9:
            return Run(cost / job.work_hours, now + length, starts)
    return Run(cost / job.work_hours, None, starts)


def uniform_progress(job: SpotJob, tick_hours: float) -> Decide:
    """The known policy that keeps work done at or above the deadline's own pace, for comparison (our reading of it)."""

    def decide(work: float, time: float, is_there: bool, place: Place) -> Place:
        if _is_urgent(job, tick_hours, work, time, Place.NOWHERE if place is Place.ON_DEMAND else place):
            return Place.ON_DEMAND
        done, gone = job.work_hours - work, job.deadline_hours - time
        behind = done < gone * job.work_hours / job.deadline_hours
        if is_there:
            return Place.SPOT
        if place is Place.ON_DEMAND:
            ahead = done >= (gone + 2 * job.lost_hours) * job.work_hours / job.deadline_hours
            return Place.NOWHERE if ahead else Place.ON_DEMAND
        return Place.ON_DEMAND if behind else Place.NOWHERE

    return decide


def greedy_spot(job: SpotJob, tick_hours: float) -> Decide:
    """Spot while it is there, waiting otherwise, on demand to the end once there is no slack, for comparison."""

    def decide(work: float, time: float, is_there: bool, place: Place) -> Place:
        if place is Place.ON_DEMAND or _is_urgent(job, tick_hours, work, time, place):
            return Place.ON_DEMAND
        return Place.SPOT if is_there else Place.NOWHERE

    return decide


def _is_urgent(job: SpotJob, tick_hours: float, work: float, time: float, place: Place) -> bool:
    """Whether a start on spot that is lost again, or one more wait, might make the job late."""
    starts = {Place.ON_DEMAND: 0, Place.SPOT: 1, Place.NOWHERE: 2}[place]
    return work + starts * job.lost_hours + 2 * tick_hours >= time


def hindsight_cost(job: SpotJob, there: Sequence[bool], tick_hours: float) -> float:
    """What one who knew the future and lost nothing at starts would pay, relative to on demand: no policy pays less."""
    ticks = math.ceil(job.deadline_hours / tick_hours - 1e-9)
    on_spot = min(sum(there[:ticks]) * tick_hours, job.work_hours)
    return (on_spot * job.spot_price + job.work_hours - on_spot) / job.work_hours
