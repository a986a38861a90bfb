"""One GPU that answers each item in a single pass and puts those that wait into one batch: pictures, frames, texts.

Whenever the GPU is free it takes what waits, up to `max_batch` items; with `wait_seconds` it holds a batch that is not
full so long for others. The items of a batch are done together.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BatchTimes:
    """Seconds of a pass over 1, 2, … items: `seconds[b − 1]` for b of them."""

    seconds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.seconds or not all(math.isfinite(each) and each > 0 for each in self.seconds):
            raise ValueError("passes take some seconds, for one item at least")

    @property
    def most(self) -> int:
        """The largest batch."""
        return len(self.seconds)

    def up_to(self, batch: int) -> BatchTimes:
        """The same GPU with batches of at most so many."""
        return BatchTimes(self.seconds[:batch])

    def scaled(self, factor: float) -> BatchTimes:
        """Passes that take so many times as long."""
        return BatchTimes(tuple(each * factor for each in self.seconds))

    @property
    def most_per_second(self) -> float:
        """Items per second of the batch that serves most."""
        return max((place + 1) / each for place, each in enumerate(self.seconds))

    @classmethod
    def between(cls, batches: Array, seconds: Array, most: int) -> BatchTimes:
        """Of measured or estimated batches, in between on straight lines."""
        points = np.interp(np.arange(1, most + 1, dtype=float), batches, seconds)
        return cls(tuple(points.tolist()))


@dataclass(frozen=True, slots=True)
class Batched:
    """What one GPU did: when each item was done, the time in passes, and how many passes there were."""

    arrivals: Array
    done: Array
    busy_seconds: float
    num_passes: int

    @property
    def mean_batch(self) -> float:
        return self.arrivals.size / self.num_passes

    @property
    def busy_share(self) -> float:
        """Of the time from the first arrival to the last answer."""
        span = float(self.done[-1] - self.arrivals[0])
        return min(1.0, self.busy_seconds / span) if span > 0 else 1.0


def serve_batches(arrivals: Array, times: BatchTimes, wait_seconds: float = 0.0) -> Batched:
    """The items, which arrive at these moments in order, on one GPU. Raises ValueError for none."""
    if not arrivals.size:
        raise ValueError("there is no item to answer")
    moments: list[float] = arrivals.tolist()
    total, most, seconds = len(moments), times.most, times.seconds
    done = np.empty(total)
    clock = busy = 0.0
    place = passes = 0
    while place < total:
        start = max(clock, moments[place])
        end = place + most
        if wait_seconds:
            full = moments[end - 1] if end <= total else math.inf
            start = max(start, min(moments[place] + wait_seconds, full))
        taken = bisect_right(moments, start, place, min(end, total)) - place
        clock = start + seconds[taken - 1]
        busy += seconds[taken - 1]
        done[place : place + taken] = clock
        place += taken
        passes += 1
    return Batched(arrivals, done, busy, passes)
