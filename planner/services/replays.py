"""A trace of jobs replayed on a cluster: waiting, completion, utilisation and cost, by policy. Nothing is stored."""

from __future__ import annotations

from dataclasses import dataclass

from planner.errors import InvalidInput
from planner.plans.replay.queues import Policy
from planner.plans.replay.replay import Replay, more_gpus, replay
from planner.plans.replay.trace import TraceJob, read_trace
from planner.services.requests.replays import ReplayRequest

MOST_JOBS = 250_000


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the cluster made of the trace and, where asked, what it would have made with more nodes, in a sentence."""

    replay: Replay
    more: Replay | None
    sentence: str


def replay_trace(text: str, ask: ReplayRequest) -> Replayed:
    """The trace under the policy asked for. Raises InvalidInput naming lines that cannot be read, or an empty trace."""
    jobs = _jobs(text, ask)
    price = None if ask.price is None else float(ask.price)
    if not ask.more_nodes:
        return Replayed(replay(jobs, ask.nodes, ask.gpus_per_node, ask.policy, price), None, "")
    difference = more_gpus(jobs, ask.nodes, ask.gpus_per_node, ask.policy, ask.more_nodes, price)
    return Replayed(difference.before, difference.after, difference.sentence)


def replay_policies(text: str, ask: ReplayRequest) -> tuple[Replay, ...]:
    """The trace under every policy that needs no plan, side by side."""
    jobs = _jobs(text, ask)
    price = None if ask.price is None else float(ask.price)
    planned = any(job.planned_start is not None for job in jobs)
    chosen = [policy for policy in Policy if planned or policy is not Policy.TIMETABLE]
    return tuple(replay(jobs, ask.nodes, ask.gpus_per_node, policy, price) for policy in chosen)


def _jobs(text: str, ask: ReplayRequest) -> tuple[TraceJob, ...]:
    jobs = read_trace(text.splitlines())
    if ask.cluster:
        jobs = tuple(job for job in jobs if job.cluster == ask.cluster)
    if not jobs:
        raise InvalidInput.of("trace", "holds no job" + (f" of the cluster {ask.cluster!r}" if ask.cluster else ""))
    if len(jobs) > MOST_JOBS:
        raise InvalidInput.of("trace", f"holds {len(jobs):,} jobs, more than {MOST_JOBS:,}; use the command line")
    return jobs
