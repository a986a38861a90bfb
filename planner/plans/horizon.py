"""The time that a plan covers, cut into slots: hours of a week, typical days of months, or from event to event."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Horizon:
    """Slots between `edges` (hours from the plan's start, rising from 0); each happens `repeats` times (default once).

    A slot that repeats stands for many like it (an hour of a typical day): all done and paid in it counts as often.
    `starts` are the edges at which jobs that run whole may begin (empty: all, and a job's own release besides).
    Deadlines are then met in the plan's own hours: work of a job is what all repeats of its slots do.
    """

    edges: tuple[float, ...]
    repeats: tuple[float, ...] = ()
    starts: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.edges) < 2 or self.edges[0] != 0 or not all(a < b for a, b in pairwise(self.edges)):
            raise ValueError("a horizon needs rising edges that begin at 0")
        if not math.isfinite(self.edges[-1]):
            raise ValueError("a horizon must end")
        if self.repeats and (len(self.repeats) != len(self.edges) - 1 or min(self.repeats) <= 0):
            raise ValueError("repeats must be positive, one per slot")

    @classmethod
    def uniform(cls, num_slots: int, slot_hours: float = 1.0) -> Horizon:
        """`num_slots` slots of `slot_hours` each."""
        return cls(tuple(slot * slot_hours for slot in range(num_slots + 1)))

    @property
    def num_slots(self) -> int:
        return len(self.edges) - 1

    @property
    def hours(self) -> float:
        """The length of the horizon, each slot once."""
        return self.edges[-1]

    @cached_property
    def slot_hours(self) -> Array:
        """Hours of each slot."""
        return np.diff(self._moments)

    @cached_property
    def _moments(self) -> Array:
        return np.array(self.edges)

    @cached_property
    def weights(self) -> Array:
        """How often each slot happens."""
        return np.array(self.repeats) if self.repeats else np.ones(self.num_slots)

    def overlap(self, start: float, end: float) -> Array:
        """Hours of each slot that lie between two moments."""
        edges = self._moments
        hours: Array = np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], start), 0.0, None)
        return hours

    def slot_of(self, hour: float) -> int:
        """The slot that a moment lies in; the last one for the end of the horizon and after."""
        return min(max(int(np.searchsorted(self._moments, hour, side="right")) - 1, 0), self.num_slots - 1)
