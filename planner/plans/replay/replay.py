"""Replay a trace on a cluster, and what a larger cluster would have done."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.plans import codec
from planner.plans.replay.cluster import Allocation, Cluster
from planner.plans.replay.queues import BackfillQueue, OrderedQueue, Policy
from planner.plans.replay.trace import TraceJob

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Replay:
    """What a cluster made of a trace. Waits and completions (wait + run) are means and percentiles over jobs, in s.

    `utilisation` is the share of GPU time between the first submission and the last end that ran jobs; `cost` is that
    time, idle or not, at the price given (None: no price). `starts` are seconds by job in the order of the trace, None
    for the `refused`, which are larger than the cluster.
    """

    policy: str
    num_nodes: int
    gpus_per_node: int
    num_jobs: int
    wait_seconds: float | None
    wait_p50_seconds: float | None
    wait_p95_seconds: float | None
    completion_seconds: float | None
    completion_p95_seconds: float | None
    makespan_seconds: float
    gpu_hours: float
    utilisation: float | None
    cost: float | None
    refused: tuple[int, ...]
    starts: tuple[float | None, ...] = ()

    def to_document(self, with_starts: bool = False) -> dict[str, Any]:
        """As JSON values; the starts of all jobs only where asked for."""
        document: dict[str, Any] = codec.to_document(self)
        document["num_refused"] = len(self.refused)
        if not with_starts:
            del document["starts"]
        return document


@dataclass(frozen=True, slots=True)
class Difference:
    """What more GPUs would have done: seconds saved per job on average, and the rest as (before, after)."""

    before: Replay
    after: Replay

    @property
    def sentence(self) -> str:
        """The difference in words."""
        more = (self.after.num_nodes * self.after.gpus_per_node) - (self.before.num_nodes * self.before.gpus_per_node)
        if self.before.wait_seconds is None or self.after.wait_seconds is None:
            return f"{more} more GPUs: no job ran in one of the two"
        hours = (self.before.wait_seconds / SECONDS_PER_HOUR, self.after.wait_seconds / SECONDS_PER_HOUR)
        words = f"{more} more GPUs: the average wait falls from {hours[0]:,.2f} h to {hours[1]:,.2f} h"
        if hours[1] >= hours[0]:
            words = f"{more} more GPUs: the average wait goes from {hours[0]:,.2f} h to {hours[1]:,.2f} h"
        if self.before.utilisation is not None and self.after.utilisation is not None:
            words += f"; utilisation from {self.before.utilisation:.1%} to {self.after.utilisation:.1%}"
        return words


def replay(
    jobs: Sequence[TraceJob],
    num_nodes: int,
    gpus_per_node: int = 8,
    policy: Policy = Policy.FIFO,
    price_per_gpu_hour: float | None = None,
) -> Replay:
    """The trace (sorted by submission) on a cluster. Gangs start together, run to their end and are never moved.

    At one instant, jobs that end give back their GPUs first, then new ones join, then the queue is served. Under
    backfill a job may pass the first in the queue if it ends by the time that one can begin.
    """
    cluster = Cluster(num_nodes, gpus_per_node)
    refused = tuple(place for place, job in enumerate(jobs) if not cluster.could_hold(job.num_gpus))
    run = _Backfill(jobs, cluster) if policy is Policy.BACKFILL else _Ordered(jobs, cluster, policy)
    run.to_the_end(set(refused))
    return _measured(jobs, cluster, policy, price_per_gpu_hour, refused, run.starts)


def more_gpus(
    jobs: Sequence[TraceJob],
    num_nodes: int,
    gpus_per_node: int,
    policy: Policy,
    more_nodes: int = 1,
    price_per_gpu_hour: float | None = None,
) -> Difference:
    """The same trace with more nodes beside it as it was."""
    before = replay(jobs, num_nodes, gpus_per_node, policy, price_per_gpu_hour)
    after = replay(jobs, num_nodes + more_nodes, gpus_per_node, policy, price_per_gpu_hour)
    return Difference(before, after)


class _Run(ABC):
    """The clock: ends, submissions and the service of the queue, instant by instant."""

    def __init__(self, jobs: Sequence[TraceJob], cluster: Cluster) -> None:
        self.jobs = jobs
        self.cluster = cluster
        self.starts: list[float | None] = [None] * len(jobs)
        self.running: list[tuple[float, int, Allocation]] = []  # by end, the next one last
        self.num_waiting = 0

    @abstractmethod
    def add(self, place: int) -> None:
        """Let a job join the queue."""

    @abstractmethod
    def serve(self, now: float) -> None:
        """Start what may start now."""

    def opens_at(self, now: float) -> float:  # noqa: ARG002
        """When the queue must be looked at although nothing ends or joins."""
        return math.inf

    def to_the_end(self, refused: set[int]) -> None:
        waiting = [place for place in range(len(self.jobs)) if place not in refused]
        waiting.reverse()
        now = -math.inf
        while waiting or self.running or self.num_waiting:
            submit = self.jobs[waiting[-1]].submit_seconds if waiting else math.inf
            end = -self.running[-1][0] if self.running else math.inf
            now = max(now, min(submit, end, self.opens_at(now)))
            while self.running and -self.running[-1][0] <= now:
                self.cluster.release(self.running.pop()[2])
            while waiting and self.jobs[waiting[-1]].submit_seconds <= now:
                self.add(waiting.pop())
                self.num_waiting += 1
            self.serve(now)

    def begin(self, place: int, now: float) -> bool:
        job = self.jobs[place]
        allocation = self.cluster.place(job.num_gpus)
        if allocation is None:
            return False
        self.starts[place] = now
        insort(self.running, (-(now + job.duration_seconds), -place, allocation))
        self.num_waiting -= 1
        return True


class _Ordered(_Run):
    def __init__(self, jobs: Sequence[TraceJob], cluster: Cluster, policy: Policy) -> None:
        super().__init__(jobs, cluster)
        self.queue = OrderedQueue(jobs, policy)

    def add(self, place: int) -> None:
        self.queue.add(place)

    def opens_at(self, now: float) -> float:
        opens = self.queue.opens_at()
        return opens if opens > now else math.inf

    def serve(self, now: float) -> None:
        while (place := self.queue.first()) is not None and self.queue.opens_at() <= now:
            if not self.begin(place, now):
                return
            self.queue.pop()


class _Backfill(_Run):
    def __init__(self, jobs: Sequence[TraceJob], cluster: Cluster) -> None:
        super().__init__(jobs, cluster)
        self.queue = BackfillQueue(jobs)
        self.blocked: tuple[int, float] | None = None  # the first in the queue, and when it can begin

    def add(self, place: int) -> None:
        self.queue.add(place)

    def serve(self, now: float) -> None:
        while (place := self.queue.first()) is not None:
            if not self.begin(place, now):
                break
            self.queue.begin(place)
            self.blocked = None
        if place is None:
            return
        if self.blocked is None or self.blocked[0] != place:
            ends = ((-minus, allocation) for minus, _, allocation in reversed(self.running))
            moment = self.cluster.fits_after(self.jobs[place].num_gpus, ends)
            self.blocked = (place, now if moment is None else moment)
        for size in self.queue.sizes():
            while self.cluster.fits(size) and (found := self.queue.shortest(size)) is not None:
                if now + found[0] > self.blocked[1]:
                    break
                self.begin(found[1], now)
                self.queue.begin(found[1])


def _measured(
    jobs: Sequence[TraceJob],
    cluster: Cluster,
    policy: Policy,
    price: float | None,
    refused: tuple[int, ...],
    starts: Sequence[float | None],
) -> Replay:
    ran = [(job, start) for job, start in zip(jobs, starts, strict=True) if start is not None]
    waits = np.array([start - job.submit_seconds for job, start in ran])
    done = np.array([start - job.submit_seconds + job.duration_seconds for job, start in ran])
    gpu_seconds = math.fsum(job.duration_seconds * job.num_gpus for job, _ in ran)
    first = min((job.submit_seconds for job, _ in ran), default=0.0)
    makespan = max((start + job.duration_seconds for job, start in ran), default=first) - first
    held = cluster.num_gpus * makespan
    return Replay(
        policy=policy.value,
        num_nodes=len(cluster.free),
        gpus_per_node=cluster.gpus_per_node,
        num_jobs=len(ran),
        wait_seconds=float(waits.mean()) if ran else None,
        wait_p50_seconds=float(np.percentile(waits, 50)) if ran else None,
        wait_p95_seconds=float(np.percentile(waits, 95)) if ran else None,
        completion_seconds=float(done.mean()) if ran else None,
        completion_p95_seconds=float(np.percentile(done, 95)) if ran else None,
        makespan_seconds=makespan,
        gpu_hours=gpu_seconds / SECONDS_PER_HOUR,
        utilisation=gpu_seconds / held if held > 0 else None,
        cost=None if price is None else held / SECONDS_PER_HOUR * price,
        refused=refused,
        starts=tuple(starts),
    )
