"""How near the estimates of a calibrated device come to runs that its calibration never saw.

`python -m benchmarks.calibrated_accuracy [--rounds N] [--seconds N] [--record FILE]` goes N times through the standard
suite on this CPU and then jobs of other sizes than any bench has: training steps, prompts, decoding steps, a service
under load. It tells how near the estimates come with the calibrations of all rounds pooled, as a scheduled calibration
gives them, against the mean of each job over the rounds; and with one calibration alone, against its own round and
against the others. Worth something on an idle machine only, so the load stands in the report. `--record FILE` adds the
rounds to those that the file has; `--replay FILE` measures nothing and holds today's estimator against a recording.
Estimates come through the same `answer` as a user's; nothing is drawn from these runs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from benchmarks.held_out import HeldOut, Recording, Round, ServedLoad, Times
from benchmarks.served_run import DISTURBED, Load, comparison, drawn, engine_table, served, simulated, step_ratios
from planner.calibration.basis import RunSamples, best_basis, has_moved
from planner.calibration.bench_time import bench_of
from planner.calibration.draw import fit_samples
from planner.calibration.fit import Fit
from planner.calibration.sample import Bench, Operation
from planner.calibration.suites import get_suite
from planner.estimates.answer import answer
from planner.estimates.estimate import Placement
from planner.estimates.ledger import Comparison, Metric, predictions
from planner.gpu import cpu
from planner.gpu.events import ChildJob, Event, Failed, Measured
from planner.gpu.runner import measure
from planner.hardware.catalogue import unlisted_gpu
from planner.hardware.gpu import Dtype, Gpu, GpuKind
from planner.inventory.device import Backend
from planner.services.run_actuals import bench_job

DEVICE = "held-out"
TRAINING_SECONDS = 60.0
PASS_SECONDS = 15.0
# Sizes that no bench has, between and a little beyond those that they have.
DECODER = {"kv_heads": 4, "gated": 1}
VIT = {"gated": 0, "vocab": 200, "patch": 16, "image": 224}
TRAINING: tuple[tuple[Operation, Mapping[str, int]], ...] = (
    (Operation.TRAIN_STEP, DECODER | {"layers": 5, "hidden": 640, "heads": 8, "ffn": 1728, "vocab": 6000,
                                      "sequence": 192, "micro_batch": 2}),
    (Operation.TRAIN_STEP, DECODER | {"layers": 8, "hidden": 384, "heads": 8, "ffn": 1024, "vocab": 5000,
                                      "sequence": 256, "micro_batch": 3}),
    (Operation.TRAIN_STEP, DECODER | {"layers": 3, "hidden": 896, "heads": 16, "ffn": 2400, "vocab": 12000,
                                      "sequence": 320, "micro_batch": 1}),
    (Operation.TRAIN_STEP, DECODER | {"layers": 4, "hidden": 768, "heads": 12, "ffn": 2048, "vocab": 8192,
                                      "sequence": 192, "micro_batch": 3}),
    (Operation.ENCODER_STEP, {"layers": 6, "hidden": 448, "heads": 7, "kv_heads": 7, "gated": 0, "ffn": 1792,
                              "vocab": 7000, "sequence": 160, "micro_batch": 4}),
    (Operation.VIT_STEP, VIT | {"layers": 6, "hidden": 320, "heads": 5, "kv_heads": 5, "ffn": 1280, "batch": 6}),
    (Operation.CNN_STEP, {"width": 24, "image": 112, "blocks": 2, "classes": 200, "batch": 10}),
    (Operation.RECOMPUTE_STEP, DECODER | {"layers": 6, "hidden": 576, "heads": 12, "ffn": 1536, "vocab": 6000,
                                          "sequence": 192, "micro_batch": 2}),
)  # fmt: skip
PREFILLS = ((96, 1), (192, 1), (384, 1), (800, 1))  # prompt, batch
DECODES = ((192, 2), (320, 4), (768, 1), (640, 6), (256, 16), (1500, 8))  # context, batch

LOADS = (
    Load(requests=150, slots=4, prompts=(24, 96), answers=(8, 24), share=0.6),
    Load(requests=100, slots=8, prompts=(48, 160), answers=(16, 40), share=0.8),
    Load(requests=40, slots=6, prompts=(32, 128), answers=(12, 36), share=None),
)


def measured_round(recording: Recording, seconds: float) -> Round:
    """The standard suite, run on this CPU, and the jobs beside it."""
    found, begun = Round(), time.perf_counter()
    measure_into(found, get_suite("standard").benches_for(Backend.CPU, recording.memory_bytes))
    print(f"calibrated with {len(found.samples)} benches in {time.perf_counter() - begun:.0f} s", flush=True)
    run_beside(found, recording, seconds)
    return found


def measure_into(found: Round, benches: tuple[Bench, ...]) -> None:
    """Run these benches in a process of their own and keep what comes of them."""
    events: list[Event] = []
    measure(ChildJob("CPU-calibrated", Backend.CPU, benches, 1_200.0), events.append)
    found.samples += [event.sample for event in events if isinstance(event, Measured)]
    found.failures += [event.failure for event in events if isinstance(event, Failed)]


def fit_of(recording: Recording, rounds: Sequence[Round]) -> Fit:
    """The fit that a user's database would draw from these calibrations."""
    runs = [RunSamples(str(number), True, tuple(one.samples)) for number, one in enumerate(rounds)]
    basis = best_basis([run for run in runs if not has_moved(run, runs[-1])])
    samples = [sample for chosen in basis.values() for sample in chosen]
    failures = [failure for number, one in enumerate(rounds) if str(number) in basis for failure in one.failures]
    return fit_samples(samples, gpu_of(recording), failures=failures)


def gpu_of(recording: Recording) -> Gpu:
    """The processor that the recording is of."""
    return unlisted_gpu(recording.device, "", GpuKind.CPU, recording.memory_bytes)


def held_out_benches() -> Iterator[Bench]:
    """What is run beside the suite."""
    for operation, parameters in TRAINING:
        yield bench_of(Backend.CPU, operation, Dtype.BF16, parameters)
    shape = served_bench().parameters
    shape = {name: shape[name] for name in ("layers", "hidden", "heads", "kv_heads", "ffn", "gated", "vocab")}
    for sequence, batch in PREFILLS:
        inside = shape | {"sequence": sequence, "batch": batch}
        yield bench_of(Backend.CPU, Operation.PREFILL, Dtype.BF16, inside)
    for context, batch in DECODES:
        inside = shape | {"context": context, "batch": batch}
        yield bench_of(Backend.CPU, Operation.DECODE, Dtype.BF16, inside)


def served_bench() -> Bench:
    """The suite's bench whose model the loads are served with."""
    benches = get_suite("standard").benches_for(Backend.CPU, None)
    return next(bench for bench in benches if bench.operation is Operation.SERVE)


def is_training(bench: Bench) -> bool:
    """Whether it is a step of training and not of inference."""
    return bench.operation not in (Operation.PREFILL, Operation.DECODE)


def predicted(bench: Bench, fit: Fit, gpu: Gpu, memory_bytes: int | None) -> Comparison:
    """What the estimate of the bench's job says of its seconds, with nothing measured beside it yet."""
    job = bench_job(bench)
    if job is None:
        raise ValueError(f"{bench.key} is no job of its own")
    placement = Placement(gpu, Decimal(1), device_id=DEVICE, device_name=gpu.key, device_memory_bytes=memory_bytes)
    found = answer(job, [placement], {DEVICE: ("fit", fit)})
    if not found.options:
        raise ValueError(f"{bench.key}: {found.rejections[0].reason}")
    metric = Metric.FIRST_TOKEN_SECONDS if bench.operation is Operation.PREFILL else Metric.STEP_SECONDS
    said = predictions(found.options[0], job)[metric]
    return Comparison(metric, math.nan, said.low, said.mid, said.high, said.basis)


def measured(bench: Bench, seconds: float) -> Times:
    """What a process of its own takes per execution, running for so long."""
    order = {"operation": bench.operation.value, "dtype": bench.dtype.value, "parameters": dict(bench.parameters)}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.calibrated_accuracy", "--one", json.dumps(order), "--seconds", str(seconds)],
        check=True,
        capture_output=True,
        text=True,
    )
    return Times(**json.loads(done.stdout.splitlines()[-1]))


def run_one(order: Mapping[str, Any], seconds: float) -> Times:
    """The executions of one bench, one after the other, in this process; those in which threads waited for a processor
    count only where hardly any are left without them."""
    from planner.gpu.child import BENCHES, reach

    parameters = dict(order["parameters"])
    bench = bench_of(Backend.CPU, Operation(order["operation"]), Dtype(order["dtype"]), parameters)
    accelerator = reach(ChildJob("CPU-held-out", Backend.CPU, (bench,), 3_600.0))
    prepared = BENCHES[bench.operation](bench, accelerator)
    times: list[float] = []
    lost: list[float] = []  # of each execution, the share that threads waited
    with prepared.around:
        calls = cycle(prepared.calls)
        for _ in range(2):
            next(calls)()
        busy, begun = time.process_time(), time.perf_counter()
        waited = accelerator.waited_seconds() or 0.0
        while (now := time.perf_counter()) - begun < seconds or len(times) < 3:
            next(calls)()
            times.append(time.perf_counter() - now)
            before, waited = waited, accelerator.waited_seconds() or 0.0
            lost.append(max(0.0, waited - before) / times[-1])
        busy, spent = time.process_time() - busy, time.perf_counter() - begun
    calm = [each for each, share in zip(times, lost, strict=True) if share <= DISTURBED]
    kept = calm if len(calm) >= max(3, len(times) // 10) else times
    fastest = sorted(kept)[: max(1, len(kept) // 10)]
    left_out = float(len(times) - len(kept))
    return Times(fmean(kept), median(kept), fmean(fastest), float(len(kept)), busy / spent, left_out)


def run_beside(found: Round, recording: Recording, seconds: float) -> None:
    """Every held-out run, and then the loads."""
    benches = list(held_out_benches())
    known = {sample.bench.key for sample in found.samples}
    if seen := sorted(bench.key for bench in benches if bench.key in known):
        raise ValueError(f"the suite measures these, so they are not held out: {', '.join(seen)}")
    for bench in benches:
        found.runs.append(HeldOut(bench, measured(bench, seconds if is_training(bench) else PASS_SECONDS)))
    bench, gpu, fit = served_bench(), gpu_of(recording), fit_of(recording, [found])
    for load in LOADS:
        table = engine_table(bench, fit, gpu, load.slots, (load.prompts[1], load.answers[1]), recording.memory_bytes)
        requests = drawn(load, table)
        run = served(bench, requests, load.slots)
        found.served.append(ServedLoad(requests, load.slots, load.share, run.found, run.steps, run.waited_share))


def report_loads(recording: Recording, fit: Fit, served_loads: Sequence[ServedLoad]) -> None:
    """Every served load, its percentiles beside the simulation's."""
    errors: list[float] = []
    gpu = gpu_of(recording)
    for load in served_loads:
        longest = (int(load.requests.prompt_tokens.max()), int(load.requests.output_tokens.max()))
        table = engine_table(served_bench(), fit, gpu, load.slots, longest, recording.memory_bytes)
        said = simulated(load.requests, table, load.slots)
        parts = []
        for name, simulated_seconds, seconds in comparison(said, load.found):
            errors.append(abs(math.log(simulated_seconds / seconds)))
            parts.append(f"{name} {simulated_seconds * 1e3:.1f} / {seconds * 1e3:.1f}")
        coming = "all at the start" if load.share is None else f"at {load.share:.0%} of the most"
        size = load.requests.size
        print(f"served {size} requests, {load.slots} at a time, {coming}: {', '.join(parts)} (ms, said / was)")
        if load.steps:
            ratios = step_ratios(load.steps, table)
            waited = "not told" if load.waited_share is None else f"{load.waited_share:.1%}"
            print(
                f"    steps, measured ÷ table: prompts {ratios['prompts']:.2f}, decoding {ratios['decoding']:.2f}; "
                f"{ratios['between_seconds'] * 1e6:.0f} µs between two; threads waited {waited} of the time"
            )
    print(
        f"served percentiles:\n    median error {median(errors):.1%}, worst {max(errors):.1%}, "
        f"{sum(error <= 0.15 for error in errors)} of {len(errors)} within 15 %"
    )


def title(bench: Bench) -> str:
    """The operation and what makes it this one, short."""
    inside = bench.parameters
    names = ("layers", "hidden", "width", "image", "sequence", "context", "micro_batch", "batch")
    return f"{bench.operation.value} " + " ".join(f"{name}={inside[name]}" for name in names if name in inside)


def kind_of(bench: Bench) -> str:
    """What its error is counted under."""
    return "training" if is_training(bench) else bench.operation.value


def compared(recording: Recording, fit: Fit, rounds: Sequence[Round]) -> list[tuple[Bench, Comparison, float]]:
    """Each held-out job: what the fit says beside the mean over these rounds, and how far one round lies from another
    (the standard deviation of ln; 0 of a single round)."""
    gpu = gpu_of(recording)
    found = []
    for bench in held_out_benches():
        seconds = [run.times.mean for one in rounds for run in one.runs if run.bench.key == bench.key]
        apart = stdev(map(math.log, seconds)) if len(seconds) > 1 else 0.0
        said = predicted(bench, fit, gpu, recording.memory_bytes)
        row = Comparison(said.metric, fmean(seconds), said.low, said.mid, said.high, said.basis)
        found.append((bench, row, apart))
    return found


def report_pooled(recording: Recording, fit: Fit) -> None:
    """Each job beside its estimate from all calibrations, and per kind the median error and how many lie inside."""
    kinds: dict[str, list[tuple[Comparison, float]]] = {}
    for bench, row, apart in compared(recording, fit, recording.rounds):
        kinds.setdefault(kind_of(bench), []).append((row, apart))
        print(
            f"{title(bench):<66} said {row.mid * 1e3:9.2f} ms (−{1 - row.low / row.mid:.0%} "
            f"+{row.high / row.mid - 1:.0%})  was {row.measured * 1e3:9.2f}, rounds {apart:.1%} apart  "
            f"{row.error:+.1%}  {'inside' if row.is_inside else 'OUTSIDE'}"
        )
    for kind, rows in kinds.items():
        errors = sorted(abs(row.error) for row, _ in rows)
        inside = sum(row.is_inside for row, _ in rows)
        print(
            f"{kind}, {len(recording.rounds)} calibrations pooled:\n    median error {median(errors):.1%}, worst "
            f"{errors[-1]:.1%}, {inside} of {len(rows)} inside; a round lies {median(apart for _, apart in rows):.1%} "
            "from another"
        )


def report_single(recording: Recording) -> None:
    """Per kind the median error of one calibration, against the jobs of its own round and of the others."""
    own: dict[str, list[float]] = {}
    other: dict[str, list[float]] = {}
    for one in recording.rounds:
        fit = fit_of(recording, [one])
        for against in recording.rounds:
            errors = own if against is one else other
            for bench, row, _ in compared(recording, fit, [against]):
                errors.setdefault(kind_of(bench), []).append(abs(row.error))
    for words, errors in (("its own round", own), ("another round", other)):
        parts = [f"{kind} {median(found):.1%} (worst {max(found):.1%})" for kind, found in errors.items()]
        if parts:
            print(f"one calibration against {words}: {', '.join(parts)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1, help="calibrations, each with the jobs beside it")
    parser.add_argument("--seconds", type=float, default=TRAINING_SECONDS, help="of each training job in a round")
    parser.add_argument("--record", type=Path, help="add what is measured to this file")
    parser.add_argument("--replay", type=Path, help="measure nothing, take this recording")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(asdict(run_one(json.loads(given.one), given.seconds))))
        return
    recording = Recording(cpu.cpu_name(), cpu.memory_limit_bytes())
    kept = given.replay or given.record
    if kept is not None and (given.replay or kept.exists()):
        recording = Recording.read(kept)
    if not given.replay:
        if recording.device != cpu.cpu_name():
            raise ValueError(f"the recording is of {recording.device}, this is {cpu.cpu_name()}")
        for _ in range(given.rounds):
            begun, load = time.perf_counter(), os.getloadavg()[0]
            recording.rounds.append(measured_round(recording, given.seconds))
            spent = time.perf_counter() - begun
            print(f"{recording.device}, {cpu.usable_cpus()} processors, load {load:.2f}: {spent:.0f} s.", flush=True)
            if given.record:
                recording.write(given.record)
    fit = fit_of(recording, recording.rounds)
    report_pooled(recording, fit)
    report_single(recording)
    report_loads(recording, fit, [load for one in recording.rounds for load in one.served])


if __name__ == "__main__":
    main()
