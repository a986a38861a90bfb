"""How fast services are simulated and sized: `python -m benchmarks.load [TRACE]` prints seconds of one core, the least
of several tries.

Without a trace, as many random requests as Azure's conversation trace of 2023 has, at its rate and mean sizes.
"""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np

from planner.estimates.answer import profiles
from planner.estimates.estimate import Placement
from planner.estimates.load.arrivals import Sizes, random_requests
from planner.estimates.load.demand import RandomDemand
from planner.estimates.load.engine import EnginePolicy, simulate
from planner.estimates.load.latencies import latencies
from planner.estimates.load.level import ServiceLevel
from planner.estimates.load.requests import Requests
from planner.estimates.load.sizing import Terms, size
from planner.estimates.load.traces import read_trace
from planner.estimates.load.ways import find_ways
from planner.hardware.catalogue import load_catalogue
from planner.jobs.job import InferenceJob
from planner.jobs.presets import ARCHITECTURES

TRIES = 5
POLICY = EnginePolicy()
MODEL = "qwen2.5-7b"


def least(work: Callable[[], object]) -> float:
    """Processor seconds of the fastest try."""
    found = []
    for _ in range(TRIES):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def trace() -> Requests:
    """The trace that was named, or random requests like it."""
    if len(sys.argv) > 1:
        data = Path(sys.argv[1]).read_bytes()
        return read_trace((gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode())
    return random_requests(5.53, 19_366, Sizes.fixed(1_155, 211), np.random.default_rng(1))


def main() -> None:
    job = InferenceJob("serve", ARCHITECTURES[MODEL].architecture, 1_024, 256)
    catalogue = load_catalogue().gpus
    eight = [Placement(gpu=gpu, num_gpus=Decimal(8)) for _, gpu in sorted(catalogue.items())]
    start = time.process_time()
    ways = find_ways(job, eight, profiles(job, eight, {}), POLICY, "USD").ways
    tabulated = time.process_time() - start
    one = next(way for way in ways if "H100-80GB-SXM" in way.title and way.layout == "TP 1")
    requests = trace()
    seconds = least(lambda: simulate(requests, one.table, POLICY))
    served = simulate(requests, one.table, POLICY)
    found = latencies([served])
    print(f"{requests.size:,} requests replayed against one H100 with {MODEL}: {seconds:.3f} s")
    print(f"  steps {served.num_steps:,}, p95 first token {found.first_token.p95:.3f} s, whole {found.whole.p95:.2f} s")
    hundred = ways[:100]
    demand, terms = RandomDemand(40.0, Sizes.fixed(1_024, 256)), Terms(ServiceLevel(95, 0.5, 0.05))
    sized = least(lambda: size(hundred, demand, terms, POLICY))
    print(f"{len(ways)} layouts tabulated: {tabulated:.3f} s; {len(hundred)} of them sized: {sized:.3f} s")


if __name__ == "__main__":
    main()
