"""The API of replays: a trace of jobs on a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import request

from planner.services.replays import replay_trace
from planner.services.requests.replays import ReplayRequest
from planner.services.trace_files import trace_text
from planner.web.api.resources import api


@dataclass(frozen=True, slots=True)
class ReplayAnswer:
    """Seconds are means and percentiles over jobs; `utilisation` is a share; `cost` is null without a price.

    `refused` are the jobs (by place in the trace) that are larger than the cluster.
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
    num_refused: int


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The replay and, where more nodes were asked about, the same with them and the difference in words."""

    replay: ReplayAnswer
    more: ReplayAnswer | None
    sentence: str


@api.post("/replays", tag="plans", answers=ReplayResult, query=ReplayRequest, upload=True)
def replay_one_trace(query: ReplayRequest) -> ReplayResult:
    """Replay a trace of jobs, the body: CSV with timestamp, duration and num_gpus, perhaps cluster, priority and name.

    Policies: fifo, sjf, priority, backfill, and timetable (by the column planned_start). Nothing is stored.
    """
    found = replay_trace(trace_text(request.get_data()), query)
    more = None if found.more is None else _answer(found.more)
    return ReplayResult(_answer(found.replay), more, found.sentence)


def _answer(found: Any) -> ReplayAnswer:
    return ReplayAnswer(**found.to_document())
