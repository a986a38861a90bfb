"""Replays: hand-made traces with known waits, what holds under any policy, and exact cells of a published trace."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InvalidInput
from planner.plans.replay.cluster import Cluster
from planner.plans.replay.queues import Policy
from planner.plans.replay.replay import more_gpus, replay
from planner.plans.replay.trace import TraceJob, read_trace

LINES = [
    "timestamp,duration,num_gpus,cluster",
    "2017-10-09 07:00:10,60.9,4,a",
    "2017-10-09 07:00:00,100,8,b",
    "2017-10-09 07:00:10,5,1,a",
]


def trace(*jobs: tuple[float, float, int]) -> tuple[TraceJob, ...]:
    return tuple(TraceJob(submit, duration, gpus) for submit, duration, gpus in jobs)


def test_a_trace_is_read_in_order_of_submission_and_instants_keep_their_order() -> None:
    jobs = read_trace(LINES, whole_seconds=True)
    assert [job.duration_seconds for job in jobs] == [100.0, 60.0, 5.0]
    assert [job.cluster for job in jobs] == ["b", "a", "a"]
    assert read_trace(LINES)[1].duration_seconds == 60.9


def test_lines_that_cannot_be_read_are_named() -> None:
    with pytest.raises(InvalidInput, match=r"line 3: num_gpus must be a whole number"):
        read_trace(["timestamp,duration,num_gpus", "0,1,1", "0,1,0.5"])
    with pytest.raises(InvalidInput, match="duration is missing"):
        read_trace(["timestamp,num_gpus"])


def test_fifo_lets_nothing_pass_the_first_and_sjf_takes_the_shortest() -> None:
    jobs = trace((0, 10, 8), (1, 10, 8), (2, 1, 1))
    assert replay(jobs, 1, 8, Policy.FIFO).starts == (0, 10, 20)
    assert replay(jobs, 1, 8, Policy.SJF).starts == (0, 11, 10)


def test_backfill_passes_the_first_only_where_that_costs_it_nothing() -> None:
    jobs = trace((0, 10, 4), (1, 10, 8), (2, 5, 4), (3, 9, 4))
    assert replay(jobs, 1, 8, Policy.BACKFILL).starts == (0, 10, 2, 20)
    assert replay(jobs, 1, 8, Policy.FIFO).starts == (0, 10, 20, 20)


def test_priority_goes_first_and_a_timetable_waits_for_its_hour() -> None:
    jobs = (TraceJob(0, 10, 8), TraceJob(1, 10, 8), TraceJob(2, 10, 8, priority=5))
    assert replay(jobs, 1, 8, Policy.PRIORITY).starts == (0, 20, 10)
    planned = (TraceJob(0, 10, 8, planned_start=30.0), TraceJob(1, 10, 8, planned_start=5.0))
    assert replay(planned, 1, 8, Policy.TIMETABLE).starts == (30, 5)


def test_gangs_take_the_fullest_node_with_room_and_whole_free_nodes_beyond_that() -> None:
    cluster = Cluster(3, 8)
    assert cluster.place(4) == ((0, 4),)
    assert cluster.place(3) == ((0, 3),)
    assert cluster.place(2) == ((1, 2),)
    assert cluster.place(17) is None  # one node is free, not two
    assert cluster.place(12) == ((2, 8), (1, 4))
    cluster.release(((1, 2), (1, 4)))
    assert cluster.place(8) == ((1, 8),)


def test_a_job_larger_than_the_cluster_is_refused_and_said() -> None:
    found = replay(trace((0, 5, 9), (0, 5, 8)), 1, 8)
    assert found.refused == (0,)
    assert found.starts == (None, 0)
    assert found.num_jobs == 1


def test_more_gpus_say_what_they_would_have_done() -> None:
    difference = more_gpus(trace((0, 3600, 8), (0, 3600, 8)), 1, 8, Policy.FIFO, price_per_gpu_hour=2.0)
    assert (difference.before.wait_seconds, difference.after.wait_seconds) == (1800.0, 0.0)
    assert difference.sentence.startswith("8 more GPUs: the average wait falls from 0.50 h to 0.00 h")
    assert (difference.before.cost, difference.after.cost) == (32.0, 32.0)


JOBS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20), st.integers(1, 20)), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(JOBS, st.integers(1, 4), st.sampled_from(list(Policy)))
def test_no_instant_holds_more_gpus_than_there_are_and_all_that_fit_run(
    jobs: list[tuple[int, int, int]], num_nodes: int, policy: Policy
) -> None:
    sequence = trace(*sorted(jobs, key=lambda job: job[0]))
    found = replay(sequence, num_nodes, 4, policy)
    change: dict[float, int] = defaultdict(int)
    for job, start in zip(sequence, found.starts, strict=True):
        assert (start is None) == (job.num_gpus > num_nodes * 4)
        if start is not None:
            assert start >= job.submit_seconds
            change[start] += job.num_gpus
            change[start + job.duration_seconds] -= job.num_gpus
    held = 0
    for moment in sorted(change):
        held += change[moment]
        assert held <= num_nodes * 4


@settings(max_examples=40, deadline=None)
@given(JOBS)
def test_backfill_without_gaps_to_fill_is_fifo_for_the_first_of_the_queue(jobs: list[tuple[int, int, int]]) -> None:
    whole = trace(*sorted(((submit, length, 4) for submit, length, _ in jobs), key=lambda job: job[0]))
    first = replay(whole, 1, 4, Policy.FIFO)
    second = replay(whole, 1, 4, Policy.BACKFILL)
    assert second.makespan_seconds <= first.makespan_seconds
