"""A service really run on this CPU beside its simulation: requests at random, batched continuously.

What the requests waited is held against the simulation, and every step of the engine against the table that the
simulation reads. A run in which other programs held up the threads that compute is done again.

Part of `benchmarks.calibrated_accuracy`; `python -m benchmarks.served_run ORDER` is the process that serves.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np

from planner.calibration.fit import Fit
from planner.calibration.sample import Bench
from planner.calibration.theory import bench_architecture
from planner.estimates.layout import inference_layouts
from planner.estimates.load.engine import EnginePolicy, simulate
from planner.estimates.load.latencies import Latencies, Percentiles, latencies
from planner.estimates.load.requests import Requests
from planner.estimates.load.step_table import StepTable, tabulate
from planner.estimates.profile import Lack, profile_from_fit
from planner.estimates.serving_steps import Deployment, replica_steps
from planner.hardware.gpu import Dtype, Gpu
from planner.inventory.device import Backend
from planner.jobs.job import InferenceJob

SEED = 20_261_121
DISTURBED = 0.02  # of a run, that threads waited for a processor: then it is done again …
MOST_RUNS = 3  # … so often, and the least disturbed counts
IDLE_SECONDS = 2e-3  # a longer time between two steps is one without work: steps follow each other in 0.1 ms


@dataclass(frozen=True, slots=True)
class Load:
    """So many requests with prompts and answers of lengths between the two, `slots` at a time; `share` is the part of
    the most that the device could serve at which they come (None: all at the start)."""

    requests: int
    slots: int
    prompts: tuple[int, int]
    answers: tuple[int, int]
    share: float | None


@dataclass(frozen=True, slots=True)
class EngineStep:
    """A step as the engine noted it: seconds, requests that run, tokens of a prompt that was read (0: it decoded),
    tokens of all caches, and seconds since the step before while there was work."""

    seconds: float
    running: int
    new_tokens: int
    cached_tokens: int
    since: float


@dataclass(frozen=True, slots=True)
class Run:
    """What requests waited, the engine's steps, and the share of the time that its threads waited for a processor."""

    found: Latencies
    steps: tuple[EngineStep, ...]
    waited_share: float | None


def drawn(load: Load, table: StepTable) -> Requests:
    """The requests of a load: lengths and gaps at random, always the same ones."""
    random = np.random.default_rng(SEED)
    prompts = random.integers(load.prompts[0], load.prompts[1] + 1, load.requests)
    answers = random.integers(load.answers[0], load.answers[1] + 1, load.requests)
    if load.share is None:
        return Requests(np.zeros(load.requests), prompts, answers)
    context = load.slots * float(np.mean(prompts + answers / 2.0))
    step = table.decode(load.slots, context) / load.slots
    each = float(np.mean([table.prefill(float(prompt), 0.0) for prompt in prompts]) + (np.mean(answers) - 1.0) * step)
    gaps = random.exponential(each / load.share, load.requests)
    return Requests(np.cumsum(gaps), prompts, answers)


def engine_table(
    bench: Bench, fit: Fit, gpu: Gpu, slots: int, longest: tuple[int, int], memory_bytes: int | None
) -> StepTable:
    """Steps of the bench's model on the calibrated device, as every simulation reads them."""
    job = InferenceJob(
        name="served",
        architecture=bench_architecture(bench),
        prompt_tokens=longest[0],
        output_tokens=longest[1],
        concurrency=slots,
        dtype=bench.dtype,
        tensor_parallel=1,
        pipeline_parallel=1,
    )
    profile = profile_from_fit(gpu, bench.dtype, fit, "fit", is_own_device=True)
    if isinstance(profile, Lack):
        raise ValueError(profile.reason)
    layouts = inference_layouts(job, 1)
    steps = replica_steps(Deployment(job, profile, layouts, None), float(memory_bytes or 0))
    return tabulate(steps, slots, longest[0])


def simulated(requests: Requests, table: StepTable, slots: int) -> Latencies:
    """What the requests wait for by the simulation: whole prompts before further tokens, as the engine here does."""
    policy = EnginePolicy(max_sequences=slots, batch_tokens=1, is_chunked=False, reuses_prefixes=False)
    return latencies([simulate(requests, table, policy)])


def served(bench: Bench, requests: Requests, slots: int) -> Run:
    """What they wait for when a process of its own serves them: of several runs the least disturbed."""
    runs = []
    while not runs or ((runs[-1].waited_share or 0.0) > DISTURBED and len(runs) < MOST_RUNS):
        runs.append(_served_once(bench, requests, slots))
    return min(runs, key=lambda run: run.waited_share or 0.0)


def _served_once(bench: Bench, requests: Requests, slots: int) -> Run:
    order = {
        "parameters": dict(bench.parameters),
        "dtype": bench.dtype.value,
        "slots": slots,
        "arrivals": requests.arrival_seconds.tolist(),
        "prompts": requests.prompt_tokens.tolist(),
        "answers": requests.output_tokens.tolist(),
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.served_run", json.dumps(order)], check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    parts = {name: Percentiles(**found[name]) for name in ("first_token", "per_token", "whole")}
    steps = tuple(EngineStep(*step) for step in found["steps"])
    return Run(Latencies(**parts, num_requests=requests.size), steps, found["waited_share"])


def step_ratios(steps: Sequence[EngineStep], table: StepTable) -> dict[str, float]:
    """Measured seconds ÷ the table's of all prompts and of all steps that decode, and the mean seconds between two."""
    prompts = [step for step in steps if step.new_tokens]
    decodes = [step for step in steps if not step.new_tokens]
    return {
        "prompts": sum(step.seconds for step in prompts)
        / sum(table.prefill(float(step.new_tokens), 0.0) for step in prompts),
        "decoding": sum(step.seconds for step in decodes)
        / sum(table.decode(step.running, float(step.cached_tokens)) for step in decodes),
        "between_seconds": fmean(step.since for step in steps),
    }


def comparison(said: Latencies, found: Latencies) -> list[tuple[str, float, float]]:
    """(which percentile, simulated, measured) seconds."""
    rows = []
    for name in ("first_token", "per_token", "whole"):
        here, there = getattr(said, name), getattr(found, name)
        rows += [(f"{name} p{part}", here.at(part), there.at(part)) for part in (50, 95, 99)]
    return rows


def _run(order: Mapping[str, Any]) -> dict[str, Any]:
    """Serve in this process: once for warming up, once for the record.

    The warm-up takes all requests, for a CPU's kernels are made anew for every length of prompt that comes for the
    first time; a service that has run for a while has seen them.
    """
    from planner.gpu.benches.accelerator import TORCH_DTYPES
    from planner.gpu.benches.continuous import Engine, Request, Step
    from planner.gpu.benches.serve import serving
    from planner.gpu.benches.transformer import Shape, random_transformer
    from planner.gpu.child import reach
    from planner.gpu.events import ChildJob

    accelerator = reach(ChildJob("CPU-served", Backend.CPU, (), 3_600.0))
    dtype = Dtype(order["dtype"])
    shape = Shape.of(order["parameters"])
    model = random_transformer(shape, accelerator.device, TORCH_DTYPES[dtype], accelerator.generator)
    columns: Sequence[Sequence[float]] = (order["arrivals"], order["prompts"], order["answers"])
    requests = [Request(float(at), int(prompt), int(answer)) for at, prompt, answer in zip(*columns, strict=True)]
    capacity = max(request.prompt_tokens + request.answer_tokens for request in requests)
    engine = Engine(model, accelerator, order["slots"], capacity)
    with serving(dtype):
        engine.serve([replace(request, arrival_seconds=0.0) for request in requests])
        waited, begun = accelerator.waited_seconds(), time.perf_counter()
        answered, _ = engine.serve(requests)
        after, spent = accelerator.waited_seconds(), time.perf_counter() - begun
    first = np.array([moments.first_token - moments.arrival for moments in answered])
    whole = np.array([moments.last_token - moments.arrival for moments in answered])
    further = np.array([request.answer_tokens - 1 for request in requests])
    each = ((whole - first) / np.maximum(further, 1))[further > 0]
    parts = {"first_token": first, "per_token": each, "whole": whole}
    found: dict[str, Any] = {name: asdict(Percentiles.of(part)) for name, part in parts.items()}  # type: ignore[arg-type]

    def since(before: Step, step: Step) -> float:
        gap = step.begun - before.ended
        return gap if gap < IDLE_SECONDS else 0.0  # the engine waited for a request

    gaps = [0.0, *(since(before, step) for before, step in pairwise(engine.steps))]
    found["steps"] = [
        (step.seconds, step.running, step.new_tokens, step.cached_tokens, gap)
        for step, gap in zip(engine.steps, gaps, strict=True)
    ]
    found["waited_share"] = None if waited is None or after is None else (after - waited) / spent
    return found


if __name__ == "__main__":
    print(json.dumps(_run(json.loads(sys.argv[1]))))
