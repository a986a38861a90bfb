"""Made instances of the kinds that other planners solve: never dearer than a simple planner, never under the bound."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.plans.demand import Job, Work
from planner.plans.horizon import Horizon
from planner.plans.mix import GroupOffer, Mix, solve_mix
from planner.plans.plan import plan
from planner.plans.replay.queues import Policy
from planner.plans.replay.replay import replay
from planner.plans.replay.trace import TraceJob
from planner.plans.request import Goal, PlanRequest
from planner.plans.spot_policy import SpotJob, SpotPolicy, greedy_spot, hindsight_cost, run_policy, uniform_progress
from planner.plans.supply import Kind, SpotTimes, Supply

SEEDS = st.integers(0, 10_000)


def tasks(seed: int) -> tuple[tuple[Job, ...], tuple[Supply, ...]]:
    """A few tasks that wait for each other and run whole, on offers in instances of several sizes."""
    random = np.random.default_rng(seed)
    gpus = [f"gpu {number}" for number in range(int(random.integers(2, 5)))]
    supplies = tuple(
        Supply(
            f"offer {number}",
            gpus[number % len(gpus)],
            Kind.ON_DEMAND,
            float(random.uniform(0.3, 5.0)),
            gpus_per_instance=int(random.choice([1, 2, 8])),
            region=str(random.choice(["here", "there"])),
        )
        for number in range(len(gpus) + int(random.integers(0, 6)))
    )
    jobs: list[Job] = []
    for number in range(int(random.integers(1, 4))):
        chosen = [gpu for gpu in gpus if random.random() < 0.8] or gpus[:1]
        after = tuple(job.name for job in jobs if random.random() < 0.5)
        options = tuple(Work(gpu, 1, float(random.uniform(0.5, 40))) for gpu in chosen)
        jobs.append(Job(f"task {number}", options, is_divisible=False, after=after))
    return tuple(jobs), supplies


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_tasks_that_wait_for_each_other_cost_and_end_as_brute_force_finds(seed: int) -> None:
    jobs, supplies = tasks(seed)
    hour = {s.gpu: min(o.price_per_hour * o.gpus_per_instance for o in supplies if o.gpu == s.gpu) for s in supplies}
    length = sum(max(work.hours for work in job.options) for job in jobs)
    every: list[tuple[float, float]] = []
    for chosen in itertools.product(*[job.options for job in jobs]):
        ends: dict[str, float] = {}
        for job, work in zip(jobs, chosen, strict=True):
            ends[job.name] = max((ends[name] for name in job.after), default=0.0) + work.hours
        every.append((sum(hour[work.gpu] * work.hours for work in chosen), max(ends.values())))
    whole = Horizon((0.0, length))
    assert plan(PlanRequest(whole, supplies, jobs), gap=0.0).cost == pytest.approx(min(c for c, _ in every))
    least = min(end for _, end in every)
    soonest = plan(PlanRequest(whole, supplies, jobs, goal=Goal.TIME), gap=0.0)
    assert soonest.finish_bound_hours == pytest.approx(least, rel=1e-5)
    assert soonest.cost == pytest.approx(min(c for c, end in every if end <= least * (1 + 1e-6)), rel=1e-4)
    due = PlanRequest(Horizon((0.0, least * 1.3)), supplies, jobs)
    assert plan(due, gap=0.0).cost == pytest.approx(min(c for c, end in every if end <= least * 1.3), rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, num_kinds=st.integers(1, 5), num_buckets=st.integers(1, 12))
def test_a_mix_is_never_dearer_than_simple_ones_nor_under_its_bound(
    seed: int, num_kinds: int, num_buckets: int
) -> None:
    random = np.random.default_rng(seed)
    rates = random.gamma(0.7, 2.0, num_buckets)
    speeds = random.uniform(0.2, 6.0, (num_kinds, num_buckets)) * (random.random((num_kinds, num_buckets)) < 0.8)
    speeds[0] = np.maximum(speeds[0], 0.1)  # one kind serves all
    costs = random.uniform(0.5, 8.0, num_kinds)
    groups = [GroupOffer(f"kind {k}", float(costs[k]), tuple(map(float, speeds[k]))) for k in range(num_kinds)]
    found = solve_mix(list(rates), groups)
    assert isinstance(found, Mix)
    assert found.is_optimal
    fluid = float(
        sum(
            rate * min(c / s for c, s in zip(costs, row, strict=True) if s > 0)
            for rate, row in zip(rates, speeds.T, strict=True)
        )
    )
    alone = min(
        math.ceil(float(np.sum(rates / speeds[k])) - 1e-9) * float(costs[k])
        for k in range(num_kinds)
        if (speeds[k] > 0).all()
    )
    best = [
        min((float(costs[k] / speeds[k, b]), k) for k in range(num_kinds) if speeds[k, b] > 0)[1]
        for b in range(num_buckets)
    ]
    load = [sum(float(rates[b] / speeds[k, b]) for b in range(num_buckets) if best[b] == k) for k in range(num_kinds)]
    each_on_its_cheapest = sum(math.ceil(load[k] - 1e-9) * float(costs[k]) for k in range(num_kinds))
    assert fluid - 1e-6 <= found.bound_per_hour <= found.cost_per_hour + 1e-6
    assert found.cost_per_hour <= min(alone, each_on_its_cheapest) * (1 + 1e-9)


@settings(max_examples=6, deadline=None)
@given(
    seed=SEEDS,
    slack=st.sampled_from([0.1, 0.17, 0.33, 0.67]),
    price=st.floats(0.15, 0.6),
    up=st.floats(1.0, 10.0),
    down=st.floats(0.5, 3.5),
)
def test_spot_is_never_late_nor_under_hindsight_and_on_average_no_dearer_than_simple_policies(
    seed: int, slack: float, price: float, up: float, down: float
) -> None:
    random, tick, job = np.random.default_rng(seed), 0.1, SpotJob(10.0, 10.0 * (1 + slack), price, 0.1)
    times = SpotTimes(up, down, job.lost_hours)
    ours, uniform, greedy = [], [], []
    policy = SpotPolicy(job, times, tick)
    for _ in range(40):
        there: list[bool] = []
        while len(there) * tick < job.deadline_hours + 2 * tick:
            is_there = not there[-1] if there else bool(random.random() < times.paid_share)
            mean = up if is_there else down
            there += [is_there] * max(1, round(random.exponential(mean) / tick))
        run = run_policy(job, there, tick, policy.decide)
        assert not run.is_late(job)
        assert run.relative_cost >= hindsight_cost(job, there, tick) - 1e-9
        ours.append(run.relative_cost)
        uniform.append(run_policy(job, there, tick, uniform_progress(job, tick)).relative_cost)
        greedy.append(run_policy(job, there, tick, greedy_spot(job, tick)).relative_cost)
    apart = np.array(ours) - np.array([uniform, greedy])
    error = apart.std(axis=1) / math.sqrt(len(ours))
    assert (apart.mean(axis=1) <= 4 * error + 1e-3).all()


def simple_replay(jobs: tuple[TraceJob, ...], num_nodes: int, per_node: int, is_shortest: bool) -> list[float]:
    """Starts by hand: at each instant ends, then arrivals, then the queue, whose first blocks all behind it."""
    free = [per_node] * num_nodes
    starts = [0.0] * len(jobs)
    queue: list[int] = []
    running: list[tuple[float, list[tuple[int, int]]]] = []
    moments = sorted({job.submit_seconds for job in jobs})
    while moments:
        now = moments.pop(0)
        for end, held in [item for item in running if item[0] <= now]:
            running.remove((end, held))
            for node, number in held:
                free[node] += number
        queue += [place for place, job in enumerate(jobs) if job.submit_seconds == now]
        queue.sort(key=lambda place: (jobs[place].duration_seconds if is_shortest else 0.0, place))
        while queue:
            wanted, held = jobs[queue[0]].num_gpus, []
            if wanted <= per_node:
                room = [node for node in range(num_nodes) if free[node] >= wanted]
                held = [(min(room, key=lambda node: (free[node], node)), wanted)] if room else []
            else:
                empty = [node for node in range(num_nodes) if free[node] == per_node][: wanted // per_node]
                rest = wanted % per_node
                others = [node for node in range(num_nodes) if node not in empty and free[node] >= rest]
                if len(empty) == wanted // per_node and (not rest or others):
                    held = [(node, per_node) for node in empty]
                    held += [(max(others, key=lambda node: (free[node], -node)), rest)] if rest else []
            if not held:
                break
            for node, number in held:
                free[node] -= number
            place = queue.pop(0)
            starts[place] = now
            end = now + jobs[place].duration_seconds
            running.append((end, held))
            moments = sorted({*moments, end})
    return starts


@settings(max_examples=40, deadline=None)
@given(
    jobs=st.lists(
        st.tuples(st.integers(0, 60), st.integers(1, 40), st.sampled_from([1, 1, 2, 3, 4, 8, 12])),
        min_size=1,
        max_size=25,
    ),
    num_nodes=st.integers(3, 4),
    policy=st.sampled_from([Policy.FIFO, Policy.SJF]),
)
def test_a_replay_starts_each_job_when_a_simple_simulation_does(
    jobs: list[tuple[int, int, int]], num_nodes: int, policy: Policy
) -> None:
    made = tuple(TraceJob(float(at), float(length), gpus) for at, length, gpus in sorted(jobs, key=lambda job: job[0]))
    expected = simple_replay(made, num_nodes, 4, policy is Policy.SJF)
    assert list(replay(made, num_nodes, 4, policy).starts) == expected
