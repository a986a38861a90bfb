"""Items that each take a single pass: at random, or frames of cameras, which come at a fixed rate with a deadline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from planner.estimates.load.arrivals import split_gaps
from planner.estimates.load.demand import SAMPLE_REQUESTS, SEED

Array = NDArray[np.float64]
SAMPLE_ITEMS = 2 * SAMPLE_REQUESTS
EMPTY_START = 0.1  # of a random sample: its first items meet an idle GPU and are not counted
MIN_TICKS = 40


@dataclass(frozen=True, slots=True)
class Stream:
    """Items in the order in which they arrive, and the moments from which their wait counts: seconds."""

    arrivals: Array
    since: Array


class Items(Protocol):
    """Items per second of the whole service at its most and on average, and what one of N GPUs gets of them."""

    @property
    def rate(self) -> float: ...

    @property
    def mean_rate(self) -> float: ...

    @property
    def skipped_share(self) -> float: ...

    @property
    def most_replicas(self) -> int | None:
        """GPUs among which the items can be divided; None: any number."""
        ...

    def on_one_of(self, num_replicas: int) -> Stream:
        """What the busiest of so many GPUs gets."""
        ...


@dataclass(frozen=True, slots=True)
class RandomItems:
    """`rate` items per second whose gaps vary so much (1: Poisson), the same draws at every rate; bursts are divided
    among the GPUs."""

    rate: float
    variation: float = 1.0
    mean_share: float = 1.0
    number: int = SAMPLE_ITEMS
    skipped_share: float = EMPTY_START

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise ValueError(f"a rate must be above 0, not {self.rate}")
        if not 0 < self.mean_share <= 1:
            raise ValueError(f"the mean is a share of the busiest, above 0 and at most 1, not {self.mean_share}")

    @property
    def mean_rate(self) -> float:
        return self.rate * self.mean_share

    @property
    def most_replicas(self) -> int | None:
        return None

    def on_one_of(self, num_replicas: int) -> Stream:
        parts = num_replicas if self.variation > 1 else 1
        gaps = split_gaps(self.number, np.random.default_rng(SEED), self.variation, parts)
        arrivals: Array = np.cumsum(gaps) * (num_replicas / self.rate)
        return Stream(arrivals, arrivals)


@dataclass(frozen=True, slots=True)
class Frames:
    """`cameras` at `per_second` frames each. All show at one moment, or spread evenly over the time between frames;
    each arrives up to `jitter_seconds` after it shows, evenly distributed. A camera stays with one GPU."""

    cameras: int
    per_second: float
    is_spread: bool = False
    jitter_seconds: float = 0.0
    mean_share: float = 1.0
    skipped_share: float = 0.0

    def __post_init__(self) -> None:
        if self.cameras < 1 or not (math.isfinite(self.per_second) and self.per_second > 0):
            raise ValueError("there is at least one camera, with some frames a second")
        if not 0 <= self.jitter_seconds < math.inf or not 0 < self.mean_share <= 1:
            raise ValueError("jitter is not negative, and the mean a share of the busiest")

    @property
    def rate(self) -> float:
        return self.cameras * self.per_second

    @property
    def mean_rate(self) -> float:
        return self.rate * self.mean_share

    @property
    def most_replicas(self) -> int | None:
        return self.cameras

    def on_one_of(self, num_replicas: int) -> Stream:
        """Of the GPU with the most cameras; waits count from the moment that a frame shows."""
        mine = math.ceil(self.cameras / num_replicas)
        ticks = max(MIN_TICKS, SAMPLE_ITEMS // mine)
        shown = np.arange(ticks)[:, None] / self.per_second + np.zeros((1, mine))
        if self.is_spread:
            shown = shown + np.arange(mine)[None, :] / (mine * self.per_second)
        since = shown.ravel()
        arrivals = since + np.random.default_rng(SEED).random(since.size) * self.jitter_seconds
        order = np.argsort(arrivals, kind="stable")
        return Stream(arrivals[order], since[order])
