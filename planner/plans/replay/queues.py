"""The order in which waiting jobs are begun: first come, shortest, priority, filling gaps, or by a plan's timetable."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from enum import StrEnum

from planner.plans.replay.trace import TraceJob


class Policy(StrEnum):
    """Which job begins next. In all but `backfill`, nothing passes the first in the queue."""

    FIFO = "fifo"
    SJF = "sjf"
    PRIORITY = "priority"
    BACKFILL = "backfill"
    TIMETABLE = "timetable"


class OrderedQueue:
    """Jobs by a key and then by submission; entries are places in the trace."""

    def __init__(self, jobs: Sequence[TraceJob], policy: Policy) -> None:
        self._jobs = jobs
        self._policy = policy
        self._heap: list[tuple[float, int]] = []

    def add(self, place: int) -> None:
        heapq.heappush(self._heap, (self._key(self._jobs[place]), place))

    def first(self) -> int | None:
        return self._heap[0][1] if self._heap else None

    def pop(self) -> None:
        heapq.heappop(self._heap)

    def opens_at(self) -> float:
        """The moment before which the first job must not begin."""
        return self._heap[0][0] if self._policy is Policy.TIMETABLE and self._heap else float("-inf")

    def _key(self, job: TraceJob) -> float:
        if self._policy is Policy.SJF:
            return job.duration_seconds
        if self._policy is Policy.PRIORITY:
            return -job.priority
        if self._policy is Policy.TIMETABLE and job.planned_start is not None:
            return job.planned_start
        return job.submit_seconds


class BackfillQueue:
    """First come first, and beside it the shortest waiting job of each size, to fill gaps with."""

    def __init__(self, jobs: Sequence[TraceJob]) -> None:
        self._jobs = jobs
        self._order: deque[int] = deque()
        self._by_size: dict[int, list[tuple[float, int]]] = {}
        self._begun: set[int] = set()

    def add(self, place: int) -> None:
        self._order.append(place)
        job = self._jobs[place]
        heapq.heappush(self._by_size.setdefault(job.num_gpus, []), (job.duration_seconds, place))

    def first(self) -> int | None:
        while self._order and self._order[0] in self._begun:
            self._begun.discard(self._order.popleft())
        return self._order[0] if self._order else None

    def begin(self, place: int) -> None:
        """Take a job out, wherever it stands."""
        self._begun.add(place)

    def shortest(self, num_gpus: int) -> tuple[float, int] | None:
        """Seconds and place of the shortest waiting job of a size."""
        heap = self._by_size[num_gpus]
        while heap and (heap[0][1] in self._begun or self._is_past(heap[0][1])):
            heapq.heappop(heap)
        return heap[0] if heap else None

    def sizes(self) -> list[int]:
        """The sizes that were seen, largest first."""
        return sorted(self._by_size, reverse=True)

    def _is_past(self, place: int) -> bool:
        return not self._order or place < self._order[0]
