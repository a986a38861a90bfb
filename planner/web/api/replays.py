"""The API of replays: a trace of jobs on a cluster."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flask import request

from planner.plans.replay.replay import Replay
from planner.services.replays import replay_trace
from planner.services.requests.replays import ReplayRequest
from planner.services.trace_files import trace_text
from planner.web.api.resources import api


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The replay and, where more nodes were asked about, the same with them and the difference in words.

    `starts` are the seconds at which the jobs began, in the order of the trace; empty where they were not asked for.
    """

    replay: Replay
    more: Replay | None
    sentence: str


@api.post("/replays", tag="plans", answers=ReplayResult, query=ReplayRequest, upload=True)
def replay_one_trace(query: ReplayRequest) -> ReplayResult:
    """Replay a trace of jobs, the body: CSV with timestamp, duration and num_gpus, perhaps cluster, priority and name.

    Policies: fifo, sjf, priority, backfill, and timetable (by the column planned_start). Nothing is stored.
    """
    found = replay_trace(trace_text(request.get_data()), query)
    if query.starts:
        return ReplayResult(found.replay, found.more, found.sentence)
    more = None if found.more is None else replace(found.more, starts=())
    return ReplayResult(replace(found.replay, starts=()), more, found.sentence)
