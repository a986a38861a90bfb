"""How large a plan is solved how fast: `python -m benchmarks.plan_scale 288 40 60 8 --seconds 120`.

A seeded instance: jobs with deadlines, services with daily curves, rented and reserved offers of four kinds of GPU.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from planner.plans.curves import diurnal
from planner.plans.demand import Job, Replica, Service, Work
from planner.plans.horizon import Horizon
from planner.plans.linear import Progress
from planner.plans.plan import plan
from planner.plans.request import PlanRequest
from planner.plans.supply import Kind, SpotTimes, Supply

SPEED = {"A": 1.0, "B": 1.9, "C": 2.6, "D": 4.2}  # of one GPU, relative
PRICE = {"A": 0.9, "B": 1.5, "C": 2.2, "D": 3.9}  # an hour on demand


def instance(slots: int, offers: int, jobs: int, services: int, seed: int = 7) -> PlanRequest:
    """The request of these sizes, the same for the same seed."""
    random = np.random.default_rng(seed)
    horizon = Horizon.uniform(slots)
    return PlanRequest(
        horizon,
        tuple(_offer(number, slots, random) for number in range(offers)),
        tuple(_job(number, slots, random) for number in range(jobs)),
        tuple(_service(number, horizon, random) for number in range(services)),
    )


def _offer(number: int, slots: int, random: np.random.Generator) -> Supply:
    gpu = "ABCD"[number % 4]
    price = PRICE[gpu] * random.uniform(0.85, 1.4)
    form = number // 4 % 5
    if form == 0:  # one of each kind that is never short
        return Supply(f"rent {number}", gpu, Kind.ON_DEMAND, price * 1.2, gpus_per_instance=8 if number % 2 else 1)
    if form == 1:
        term = float(random.choice([slots / 4, slots / 2, 8760.0]))
        every = 24.0 if term < slots else 0.0
        return Supply(
            f"reserve {number}", gpu, Kind.RESERVED, price * 0.6, term_hours=term, num_gpus=64, starts_every_hours=every
        )
    if form == 2:
        times = SpotTimes(float(random.uniform(2, 10)), float(random.uniform(0.8, 3)), 0.2)
        return Supply(f"spot {number}", gpu, Kind.SPOT, price * 0.35, num_gpus=int(random.integers(4, 24)), spot=times)
    if form == 3:
        return Supply(f"own {number}", gpu, Kind.OWNED, 0.1, num_gpus=int(random.integers(4, 24)), gpus_per_instance=8)
    return Supply(f"few {number}", gpu, Kind.ON_DEMAND, price, num_gpus=int(random.integers(8, 40)))


def _job(number: int, slots: int, random: np.random.Generator) -> Job:
    gang = int(random.choice([1, 2, 4, 8]))
    release = int(random.integers(0, slots * 3 // 4))
    window = int(random.integers(slots // 8, slots // 2))
    hours = window * random.uniform(0.2, 0.7)
    chosen = random.choice(list(SPEED), size=int(random.integers(2, 4)), replace=False)
    slowest = min(SPEED[gpu] for gpu in chosen)
    options = tuple(Work(str(gpu), gang, float(hours * slowest / SPEED[gpu])) for gpu in chosen)
    return Job(f"job {number}", options, float(release), float(min(release + window, slots)))


def _service(number: int, horizon: Horizon, random: np.random.Generator) -> Service:
    chosen = random.choice(list(SPEED), size=3, replace=False)
    replicas = tuple(
        Replica(str(gpu), int(random.choice([1, 2])), float(SPEED[gpu] * random.uniform(8, 12))) for gpu in chosen
    )
    high = float(random.uniform(60, 300))
    return Service(f"service {number}", replicas, diurnal(horizon, high * 0.3, high, float(random.uniform(9, 20))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("slots", "offers", "jobs", "services"):
        parser.add_argument(name, type=int)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--gap", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    asked = instance(given.slots, given.offers, given.jobs, given.services, given.seed)
    start = time.perf_counter()

    def show(progress: Progress) -> None:
        gap = "—" if progress.gap is None else f"{progress.gap:.2%}"
        print(
            f"{time.perf_counter() - start:7.1f} s  {progress.stage:<10} {progress.cost} {progress.bound} {gap}",
            flush=True,
        )

    found = plan(asked, gap=given.gap, seconds=given.seconds, on_progress=show)
    took = time.perf_counter() - start
    gap = "—" if found.gap is None else f"{found.gap:.3%}"
    print(f"{found.outcome.value}: {found.cost} bound {found.bound} gap {gap}")
    print(f"{found.seconds:.1f} s of solving, {took:.1f} s in all")


if __name__ == "__main__":
    main()
