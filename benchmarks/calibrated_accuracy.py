"""How near the estimates of a calibrated device come to runs that its calibration never saw.

`python -m benchmarks.calibrated_accuracy [--home FOLDER] [--seconds N]` takes the newest calibration of this CPU stored
in FOLDER (a copy of its database is read), or runs the standard suite first, and then really runs jobs of other sizes
than any bench has: training steps for N seconds each, prompts, decoding steps, and a service under load. Each is
estimated before it runs, through the same `answer` as a user's. Nothing is drawn from these runs; worth something on an
idle machine only, so the load stands in the report.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from statistics import fmean, median
from typing import Any

from sqlalchemy import select

from benchmarks.served_run import Load, comparison, drawn, engine_table, served, simulated
from planner.calibration.bench_time import bench_of
from planner.calibration.draw import fit_samples
from planner.calibration.fit import FIT_FORM, Fit
from planner.calibration.sample import Bench, BenchFailure, Operation, Sample
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
from planner.store import runs as run_store
from planner.store.engine import make_engine, session_factory
from planner.store.fits import fits_of
from planner.store.migrate import upgrade
from planner.store.tables import DeviceRow

DEVICE = "held-out"
TRAINING_SECONDS = 60.0
PASS_SECONDS = 6.0
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


def calibrated(home: Path | None) -> tuple[Fit, Gpu, set[str], str]:
    """The fit, the device, the keys of the benches it was drawn from, and where it comes from."""
    if home is not None:
        return _stored(home)
    benches = get_suite("standard").benches_for(Backend.CPU, cpu.memory_limit_bytes())
    events: list[Event] = []
    begun = time.perf_counter()
    measure(ChildJob("CPU-calibrated", Backend.CPU, benches, 1_200.0), events.append)
    samples = [event.sample for event in events if isinstance(event, Measured)]
    failures = [event.failure for event in events if isinstance(event, Failed)]
    gpu = unlisted_gpu(cpu.cpu_name(), "", GpuKind.CPU, cpu.memory_limit_bytes())
    source = f"the standard suite, run just before in {time.perf_counter() - begun:.0f} s"
    return fit_samples(samples, gpu, failures=failures), gpu, {bench.key for bench in benches}, source


def _stored(home: Path) -> tuple[Fit, Gpu, set[str], str]:
    """The newest fit in a copy of the folder's database; one of an older form is drawn anew from its standard run."""
    with tempfile.TemporaryDirectory() as folder:
        for part in home.glob("planner.sqlite3*"):
            shutil.copy(part, folder)
        url = f"sqlite:///{Path(folder) / 'planner.sqlite3'}"
        upgrade(url)
        engine = make_engine(url)
        with session_factory(engine)() as session:
            device = next(row for row in session.scalars(select(DeviceRow)) if row.backend == Backend.CPU.value)
            gpu = unlisted_gpu(device.name, "", GpuKind.CPU, device.memory_bytes)
            newest = fits_of(session, device.id, 1)[0]
            run_ids = newest.run_ids
            if newest.document.get("form") != FIT_FORM:
                standard = [run.id for run, _ in run_store.newest_runs(session, 100) if run.suite == "standard"]
                run_ids = standard[:1] or run_ids
            outcomes = [stored.outcome for stored in run_store.samples_of(session, run_ids)]
        engine.dispose()
    source = f"the calibration stored at {newest.created_at:%Y-%m-%d %H:%M} UTC"
    samples = [outcome for outcome in outcomes if isinstance(outcome, Sample)]
    known = {sample.bench.key for sample in samples}
    if newest.document.get("form") == FIT_FORM:
        return Fit.from_document(newest.document), gpu, known, source
    failures = [outcome for outcome in outcomes if isinstance(outcome, BenchFailure)]
    return fit_samples(samples, gpu, failures=failures), gpu, known, f"{source}, drawn anew"


def held_out_benches() -> Iterator[tuple[Bench, float, Metric]]:
    """The runs: what, for how many seconds, and which figure of the estimate they are held against."""
    for operation, parameters in TRAINING:
        yield bench_of(Backend.CPU, operation, Dtype.BF16, parameters), TRAINING_SECONDS, Metric.STEP_SECONDS
    shape = next(
        bench.parameters
        for bench in get_suite("standard").benches_for(Backend.CPU, None)
        if bench.operation is Operation.DECODE
    )
    shape = {name: value for name, value in shape.items() if name not in ("context", "batch")}
    for sequence, batch in PREFILLS:
        inside = shape | {"sequence": sequence, "batch": batch}
        yield bench_of(Backend.CPU, Operation.PREFILL, Dtype.BF16, inside), PASS_SECONDS, Metric.FIRST_TOKEN_SECONDS
    for context, batch in DECODES:
        inside = shape | {"context": context, "batch": batch}
        yield bench_of(Backend.CPU, Operation.DECODE, Dtype.BF16, inside), PASS_SECONDS, Metric.STEP_SECONDS


def predicted(bench: Bench, fit: Fit, gpu: Gpu, metric: Metric) -> Any:
    """What the estimate of the bench's job says."""
    job = bench_job(bench)
    if job is None:
        raise ValueError(f"{bench.key} is no job of its own")
    memory = cpu.memory_limit_bytes()
    placement = Placement(gpu, Decimal(1), device_id=DEVICE, device_name=gpu.key, device_memory_bytes=memory)
    found = answer(job, [placement], {DEVICE: ("fit", fit)})
    if not found.options:
        raise ValueError(f"{bench.key}: {found.rejections[0].reason}")
    return predictions(found.options[0])[metric]


def measured(bench: Bench, seconds: float) -> dict[str, float]:
    """What a process of its own takes per execution, running for so long: mean, median, and its processor's share."""
    order = {"operation": bench.operation.value, "dtype": bench.dtype.value, "parameters": dict(bench.parameters)}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.calibrated_accuracy", "--one", json.dumps(order), "--seconds", str(seconds)],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_one(order: Mapping[str, Any], seconds: float) -> dict[str, float]:
    """The executions of one bench, one after the other, in this process."""
    from planner.gpu.child import BENCHES, reach

    parameters = dict(order["parameters"])
    bench = bench_of(Backend.CPU, Operation(order["operation"]), Dtype(order["dtype"]), parameters)
    accelerator = reach(ChildJob("CPU-held-out", Backend.CPU, (bench,), 3_600.0))
    prepared = BENCHES[bench.operation](bench, accelerator)
    times: list[float] = []
    with prepared.around:
        calls = cycle(prepared.calls)
        for _ in range(2):
            next(calls)()
        busy, begun = time.process_time(), time.perf_counter()
        while (now := time.perf_counter()) - begun < seconds or len(times) < 3:
            next(calls)()
            times.append(time.perf_counter() - now)
        busy, spent = time.process_time() - busy, time.perf_counter() - begun
    fastest = sorted(times)[: max(1, len(times) // 10)]
    return {
        "mean": fmean(times),
        "median": median(times),
        "fastest": fmean(fastest),
        "executions": float(len(times)),
        "busy": busy / spent,
    }


def serve_loads(fit: Fit, gpu: Gpu) -> None:
    """Every load really served, its percentiles beside the simulation's."""
    bench = next(
        bench for bench in get_suite("standard").benches_for(Backend.CPU, None) if bench.operation is Operation.SERVE
    )
    errors: list[float] = []
    for load in LOADS:
        table = engine_table(bench, fit, gpu, load.slots, (load.prompts[1], load.answers[1]))
        requests = drawn(load, table)
        said, found = simulated(requests, table, load.slots), served(bench, requests, load.slots)
        parts = []
        for name, simulated_seconds, seconds in comparison(said, found):
            errors.append(abs(math.log(simulated_seconds / seconds)))
            parts.append(f"{name} {simulated_seconds * 1e3:.1f} / {seconds * 1e3:.1f}")
        coming = "all at the start" if load.share is None else f"at {load.share:.0%} of the most"
        print(f"served {load.requests} requests, {load.slots} at a time, {coming}: {', '.join(parts)} (ms, said / was)")
    print(
        f"served percentiles:\n    median error {median(errors):.1%}, worst {max(errors):.1%}, "
        f"{sum(error <= 0.15 for error in errors)} of {len(errors)} within 15 %",
        flush=True,
    )


def title(bench: Bench) -> str:
    """The operation and what makes it this one, short."""
    inside = bench.parameters
    names = ("layers", "hidden", "width", "image", "sequence", "context", "micro_batch", "batch")
    return f"{bench.operation.value} " + " ".join(f"{name}={inside[name]}" for name in names if name in inside)


def report(rows: Sequence[tuple[str, Comparison, Mapping[str, float]]]) -> None:
    """Median error and how many lie inside, of all rows of a kind."""
    errors = sorted(abs(row.error) for _, row, _ in rows)
    inside = sum(row.is_inside for _, row, _ in rows)
    print(f"    median error {median(errors):.1%}, worst {errors[-1]:.1%}, {inside} of {len(rows)} inside their range")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="take the calibration stored there instead of running the suite")
    parser.add_argument("--seconds", type=float, default=TRAINING_SECONDS, help="of each training run")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(run_one(json.loads(given.one), given.seconds)))
        return
    begun = time.perf_counter()
    fit, gpu, known, source = calibrated(given.home)
    print(f"{gpu.key}, {cpu.usable_cpus()} processors, load {os.getloadavg()[0]:.2f}; {source}.")
    rows: dict[str, list[tuple[str, Comparison, Mapping[str, float]]]] = {}
    for bench, seconds, metric in held_out_benches():
        if bench.key in known:
            raise ValueError(f"{bench.key} is no held-out run: the suite measures it")
        said = predicted(bench, fit, gpu, metric)
        is_training = metric is Metric.STEP_SECONDS and bench.operation is not Operation.DECODE
        found = measured(bench, given.seconds if is_training else seconds)
        row = Comparison(metric, found["mean"], said.low, said.mid, said.high, said.basis)
        kind = "training" if is_training else bench.operation.value
        rows.setdefault(kind, []).append((title(bench), row, found))
        verdict = "inside" if row.is_inside else "OUTSIDE"
        print(
            f"{title(bench):<66} predicted {said.mid * 1e3:9.2f} ms (−{1 - said.low / said.mid:.0%} "
            f"+{said.high / said.mid - 1:.0%})  measured {found['mean'] * 1e3:9.2f} "
            f"(median {found['median'] * 1e3:.2f}, fastest tenth {found['fastest'] * 1e3:.2f}, "
            f"{found['busy']:.2f} processors busy, {found['executions']:.0f}×)  {row.error:+.1%}  {verdict}",
            flush=True,
        )
    serve_loads(fit, gpu)
    for kind, found_rows in rows.items():
        print(f"{kind}:")
        report(found_rows)
    print(f"In all {time.perf_counter() - begun:.0f} s; load now {os.getloadavg()[0]:.2f}.")


if __name__ == "__main__":
    main()
