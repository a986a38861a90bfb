"""The worker's own runs in the ledger: what the estimator said of a bench before it was measured, and what came out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from planner.calibration.fit import Fit
from planner.calibration.run_states import RunState
from planner.calibration.sample import Bench, Operation, Sample
from planner.calibration.theory import bench_architecture, bench_network, num_patches
from planner.errors import InvalidInput
from planner.estimates.answer import answer
from planner.estimates.estimate import Option, Placement
from planner.estimates.ledger import Metric, predictions
from planner.jobs.document import job_kind
from planner.jobs.engine import Batching
from planner.jobs.job import InferenceJob, Job, Recompute, TrainingJob
from planner.services.actuals import family_of, prediction_document
from planner.services.devices import DeviceView, get_device
from planner.services.estimates import device_gpu
from planner.services.runs import get_run
from planner.store import actuals as store
from planner.store.actuals import NewActual
from planner.store.engine import Session
from planner.store.fits import newest_fit_before

WHOLE_STEPS = frozenset({Operation.TRAIN_STEP, Operation.MOE_STEP, Operation.ENCODER_STEP, Operation.RECOMPUTE_STEP})
PICTURE_STEPS = frozenset({Operation.VIT_STEP, Operation.CNN_STEP})
TITLES = {Operation.PREFILL: "reading a prompt", Operation.DECODE: "writing a token"}


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """A finished run as the ledger sees it."""

    run_id: str
    device: DeviceView
    started_at: datetime
    finished_at: datetime
    samples: tuple[Sample, ...]


def enter_run(session: Session, run_id: str, now: datetime, code_version: str) -> int:
    """Enter every bench of a run that succeeded and is a job of its own; the number of new rows, 0 for other runs."""
    run = get_run(session, run_id)
    if run.state is not RunState.SUCCEEDED or run.started_at is None or run.finished_at is None:
        return 0
    device = get_device(session, run.device_id)
    measured = MeasuredRun(run.id, device, run.started_at, run.finished_at, run.samples)
    return record_run(session, measured, now, code_version)


def record_run(session: Session, run: MeasuredRun, now: datetime, code_version: str) -> int:
    """Enter the run's samples that are jobs of their own; the number of new rows. The same run twice is one.

    The prediction rests on the device's newest fit from before the run, on published figures where there was none;
    what the estimator cannot tell of such a device is left out. Unsteady samples are no measurement of a job.
    """
    earlier = newest_fit_before(session, run.device.id, run.started_at)
    fits = {} if earlier is None else {run.device.id: (earlier.id, Fit.from_document(earlier.document))}
    placement = Placement(
        gpu=device_gpu(run.device),
        num_gpus=Decimal(1),
        device_id=run.device.id,
        device_name=run.device.name,
        device_memory_bytes=run.device.memory_bytes,
    )
    entered = 0
    for sample, job in _jobs(run.samples):
        reference = f"{run.run_id}:{sample.bench.key}"[:200]
        if store.by_reference(session, "run", reference) is not None:
            continue
        option = _option(job, placement, fits)
        if option is None:
            continue
        store.add(session, _row(run, sample, job, option, reference, now, code_version))
        entered += 1
    return entered


def _jobs(samples: Iterable[Sample]) -> Iterable[tuple[Sample, Job]]:
    for sample in samples:
        if sample.steady:
            job = bench_job(sample.bench)
            if job is not None:
                yield sample, job


def bench_job(bench: Bench) -> Job | None:
    """The job that a bench runs one step of; None for benches that are only part of one."""
    if bench.operation in WHOLE_STEPS:
        sequence, batch = bench.parameters["sequence"], bench.parameters["micro_batch"]
        return TrainingJob(
            name=bench.key,
            architecture=bench_architecture(bench),
            num_tokens=float(sequence * batch),
            sequence_length=sequence,
            global_batch=batch,
            micro_batch=batch,
            dtype=bench.dtype,
            recompute=Recompute.FULL if bench.operation is Operation.RECOMPUTE_STEP else Recompute.NONE,
        )
    if bench.operation in PICTURE_STEPS:
        batch = bench.parameters["batch"]
        positions = num_patches(bench) if bench.operation is Operation.VIT_STEP else 1
        return TrainingJob(
            name=bench.key,
            architecture=bench_network(bench),
            num_tokens=float(positions * batch),
            sequence_length=positions,
            global_batch=batch,
            micro_batch=batch,
            dtype=bench.dtype,
            head_share=1.0 / positions,
        )
    if bench.operation is Operation.DECODE:
        return InferenceJob(
            name=bench.key,
            architecture=bench_architecture(bench),
            prompt_tokens=bench.parameters["context"],
            output_tokens=1,
            concurrency=bench.parameters["batch"],
            dtype=bench.dtype,
            batching=Batching.STATIC,  # every sequence decodes at once, as in the bench; none is still read
        )
    if bench.operation is Operation.PREFILL and bench.parameters["batch"] == 1:
        return InferenceJob(
            name=bench.key,
            architecture=bench_architecture(bench),
            prompt_tokens=bench.parameters["sequence"],
            output_tokens=1,
            concurrency=1,
            dtype=bench.dtype,
        )
    return None


def _option(job: Job, placement: Placement, fits: dict[str, tuple[str, Fit]]) -> Option | None:
    try:
        options = answer(job, [placement], fits).options
    except InvalidInput:  # a format that no job of this kind is estimated in
        return None
    return options[0] if options else None


def _row(
    run: MeasuredRun, sample: Sample, job: Job, option: Option, reference: str, now: datetime, code_version: str
) -> NewActual:
    metric = Metric.FIRST_TOKEN_SECONDS if sample.bench.operation is Operation.PREFILL else Metric.STEP_SECONDS
    predicted = {known: found for known, found in predictions(option, job).items() if known is metric}
    what = TITLES.get(sample.bench.operation, "a training step")
    return NewActual(
        recorded_at=now,
        measured_at=run.finished_at,
        source="run",
        reference=reference,
        estimate_id=None,
        run_id=run.run_id,
        option_position=None,
        title=f"{what}, on {run.device.name}"[:500],
        job_kind=job_kind(job),
        family=family_of(job),
        gpu_key=option.placement.gpu.key,
        basis=option.basis.value,
        measured={metric.value: sample.seconds},
        predicted={known.value: prediction_document(found) for known, found in predicted.items()},
        note=sample.bench.key,
        code_version=code_version,
    )
