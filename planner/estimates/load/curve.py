"""Latency against load on one replica, and the knee: where one more request a second begins to cost the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from planner.estimates.load.demand import RandomDemand
from planner.estimates.load.engine import EnginePolicy, simulate
from planner.estimates.load.latencies import Latencies, latencies
from planner.estimates.load.level import ServiceLevel, floor
from planner.estimates.load.replicas import running_at_a_time
from planner.estimates.load.saturation import fullest
from planner.estimates.load.step_table import StepTable

SHARES = (0.05, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.87, 0.93, 0.98)
KNEE = 2.0  # a whole request may take so many times as long as alone


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """What requests wait at a load, a `share` of the most that the replica could serve; whether all limits hold."""

    share: float
    requests_per_second: float
    found: Latencies
    concurrent: float
    busy_share: float
    keeps_level: bool


@dataclass(frozen=True, slots=True)
class LoadCurve:
    """Points in the order of their load; the first is no load at all.

    `knee_per_second` is the highest load of a point at which the median whole request takes at most KNEE times as long
    as alone, `level_per_second` that up to which every point keeps the level (None: not even the first does).
    """

    points: tuple[LoadPoint, ...]
    most_per_second: float
    knee_per_second: float
    level_per_second: float | None


def load_curve(
    table: StepTable,
    demand: RandomDemand,
    policy: EnginePolicy,
    level: ServiceLevel,
    shares: Sequence[float] = SHARES,
) -> LoadCurve:
    """The same requests at shares of the most that the replica could serve: common random numbers."""
    most = fullest(table, demand, policy, None)
    if most is None:
        raise ValueError("a replica without a level serves at some rate")
    alone = floor(demand.sample(), table, policy)
    points = [LoadPoint(0.0, 0.0, alone, 0.0, 0.0, not level.missed(alone))]
    for share in shares:
        served = simulate(demand.at_rate(share * most.requests_per_second), table, policy)
        found = latencies([served], demand.skipped_share)
        span = served.end_seconds - float(served.requests.arrival_seconds[0])
        points.append(
            LoadPoint(
                share=share,
                requests_per_second=share * most.requests_per_second,
                found=found,
                concurrent=running_at_a_time([served]),
                busy_share=min(1.0, served.busy_seconds / span),
                keeps_level=not level.missed(found),
            )
        )
    return LoadCurve(tuple(points), most.requests_per_second, _knee(points), _kept_up_to(points))


def _knee(points: Sequence[LoadPoint]) -> float:
    highest = 0.0
    for point in points:
        if point.found.whole.p50 > KNEE * points[0].found.whole.p50:
            break
        highest = point.requests_per_second
    return highest


def _kept_up_to(points: Sequence[LoadPoint]) -> float | None:
    highest = None
    for point in points:
        if not point.keeps_level:
            break
        highest = point.requests_per_second
    return highest
