"""A training job on the GPUs of one node: the layout that takes the least time of those that fit, and what it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner import units
from planner.calibration.efficiency import Seconds
from planner.calibration.sample import Operation
from planner.estimates import memory
from planner.estimates.communication import Links, all_gather_seconds, all_reduce_seconds, node_links
from planner.estimates.energy import with_energy
from planner.estimates.estimate import Bottleneck, Layout
from planner.estimates.layout import Layouts, training_layouts
from planner.estimates.memory import pick
from planner.estimates.outcome import Outcome, bound_by, fastest, inverse, shared
from planner.estimates.priors import load_priors
from planner.estimates.profile import Lack, Profile
from planner.jobs.footprint import Split, local_parameters, training_bytes
from planner.jobs.job import Recompute, TrainingJob, TrainingMethod
from planner.jobs.operations import Amount, Pass, lora_parameters, side_dtype, training_work
from planner.quantity import Cause, Quantity

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Seconds of one optimizer step per layout, by part: micro-batches, optimizer, exposed communication, constant."""

    compute: Seconds  # all micro-batches of the step
    optimizer: Seconds
    communication: Array
    constant: float
    micro_seconds: Array  # one micro-batch forward and backward, without communication

    @property
    def total(self) -> Array:
        total: Array = self.compute.total + self.optimizer.total + self.communication + self.constant
        return total


def train(job: TrainingJob, profile: Profile, num_gpus: int, usable: float) -> Outcome | Lack:
    """The fastest layout that fits, or what keeps the job from running."""
    layouts = training_layouts(job, num_gpus)
    if layouts.size == 0:
        return Lack(
            Bottleneck.FRACTION,
            f"a global batch of {job.global_batch} sequences cannot be split over {num_gpus} GPUs: some would idle",
        )
    links = node_links(profile.gpu, num_gpus) if num_gpus > 1 else None
    if num_gpus > 1 and links is None:
        return Lack(Bottleneck.UNKNOWN_FIGURE, f"how fast {profile.gpu.key}s of one node exchange data is not known")
    items = training_items(job, profile, layouts)
    needed = np.broadcast_to(memory.total(items), layouts.data_parallel.shape)
    fits = needed <= usable
    if not fits.any():
        return Lack(Bottleneck.MEMORY, _too_large(job, profile, layouts, items, needed, usable))
    times = step_times(job, profile, layouts, links)
    fits &= np.isfinite(times.total)
    if not fits.any():
        return Lack(Bottleneck.UNKNOWN_FIGURE, f"how fast {num_gpus} {profile.gpu.key}s exchange data is not known")
    place = fastest(times.total, fits, layouts.simplicity)
    return _outcome(job, profile, layouts, items, times, place, num_gpus, usable)


def training_items(job: TrainingJob, profile: Profile, layouts: Layouts) -> dict[str, Amount]:
    """The memory bill per layout, with what a calibration of the device measured beyond its items."""
    split = Split(
        layouts.micro_batch,
        layouts.data_parallel,
        layouts.tensor_parallel,
        layouts.shard_optimizer,
        layouts.shard_weights,
    )
    items = training_bytes(
        job.architecture, job.sequence_length, job.dtype, split, job.recompute, job.method, job.lora_rank
    )
    if profile.fit is not None and profile.fit.memory_excess_bytes is not None:
        items = {**items, "measured beyond the items": profile.fit.memory_excess_bytes}
    return memory.with_runtime(items, profile.gpu, layouts.num_groups)


def step_times(job: TrainingJob, profile: Profile, layouts: Layouts, links: Links | None) -> StepTimes:
    """Seconds of one step per layout. Data-parallel reduction hides behind the backward pass, the rest does not."""
    figures = load_priors().figures
    tensor, ranks = layouts.tensor_parallel, layouts.data_parallel
    through = Pass(layouts.micro_batch, float(job.sequence_length), job.dtype, tensor_parallel=tensor)
    trained = trained_parameters(job) / tensor
    updated = trained / np.where(layouts.shard_optimizer > 0, ranks, 1.0)
    work = training_work(job.architecture, through, updated, job.recompute, job.method, job.lora_rank)
    micro = profile.seconds(
        Operation.TRAIN_STEP,
        (*work.forward, *work.recompute, *work.backward),
        layouts.micro_batch * job.sequence_length,
    )
    optimizer = profile.seconds(Operation.TRAIN_STEP, work.optimizer, layouts.micro_batch * job.sequence_length)
    num_micro = np.ceil(np.ceil(job.global_batch / ranks) / layouts.micro_batch)
    communication = np.zeros(layouts.size)
    if links is not None:
        communication = _communication(job, layouts, links, micro.total, num_micro)
    return StepTimes(
        compute=Seconds(
            num_micro * micro.total, num_micro * micro.compute, num_micro * micro.memory, num_micro * micro.overhead
        ),
        optimizer=optimizer,
        communication=communication,
        constant=0.0 if profile.fit is not None else figures["step_constant_ms"] * 1e-3,
        micro_seconds=np.broadcast_to(micro.total, layouts.data_parallel.shape),
    )


def trained_parameters(job: TrainingJob) -> float:
    """Weights that get gradients."""
    if job.method is TrainingMethod.LORA:
        return float(lora_parameters(job.architecture, job.lora_rank))
    return float(job.architecture.num_parameters)


def _communication(job: TrainingJob, layouts: Layouts, links: Links, micro: Amount, num_micro: Array) -> Array:
    """Exposed seconds per step: activations of tensor-parallel blocks, gradients, and gathered weights."""
    e = side_dtype(job.dtype).num_bytes
    hidden = job.architecture.num_layers * layouts.micro_batch * job.sequence_length * job.architecture.hidden * e
    reductions = 6.0 if job.recompute is Recompute.FULL else 4.0
    per_layer = all_reduce_seconds(hidden / job.architecture.num_layers, layouts.tensor_parallel, links)
    tensor = num_micro * reductions * job.architecture.num_layers * per_layer
    gradients = e * trained_parameters(job) / layouts.tensor_parallel
    overlap = load_priors().figures["data_parallel_overlap"]
    reduced = all_reduce_seconds(gradients, layouts.data_parallel, links)
    once = np.maximum(reduced - overlap * micro * 2.0 / 3.0, 0.0)
    weights = e * local_parameters(job.architecture, layouts.tensor_parallel)
    gathers = 2.0 * all_gather_seconds(weights, layouts.data_parallel, links)
    scattered = all_gather_seconds(gradients, layouts.data_parallel, links)
    each = num_micro * np.maximum(gathers + scattered - overlap * micro, 0.0)
    exposed: Array = tensor + np.where(layouts.shard_weights > 0, each, once)
    return exposed


def _outcome(
    job: TrainingJob,
    profile: Profile,
    layouts: Layouts,
    items: dict[str, Amount],
    times: StepTimes,
    place: int,
    num_gpus: int,
    usable: float,
) -> Outcome:
    layout = layouts.at(place)
    step = pick(times.total, place)
    communication = pick(times.communication, place)
    step_seconds = Quantity.around(step, "s", profile.basis, _causes(job, profile, layout, times, place))
    tokens_per_step = job.global_batch * job.sequence_length
    num_steps = math.ceil(job.num_tokens / tokens_per_step)
    bill = memory.bill(items, place)
    outcome = Outcome(
        layout=layout,
        seconds=step_seconds.times(num_steps),
        step_seconds=step_seconds,
        tokens_per_second=inverse(step_seconds, tokens_per_step, "tokens/s"),
        memory_bytes=memory.quantity(bill, profile.fit is not None and profile.fit.memory_excess_bytes is not None),
        memory_items=bill,
        usable_memory_bytes=usable,
        bottleneck=bound_by((times.compute, times.optimizer), communication, place),
        basis=profile.basis,
        fit_id=profile.fit_id,
        extras={
            "num_steps": Quantity.exact(num_steps, "steps", profile.basis),
            "communication_seconds": Quantity.exact(communication, "s", profile.basis),
        },
        notes=(*_notes(job, layout, layouts, items, usable, num_gpus), *profile.phase_notes((Operation.TRAIN_STEP,))),
    )
    return with_energy(outcome, profile, Operation.TRAIN_STEP, num_gpus)


def _causes(job: TrainingJob, profile: Profile, layout: Layout, times: StepTimes, place: int) -> tuple[Cause, ...]:
    figures = load_priors().figures
    step = pick(times.total, place)
    communication = pick(times.communication, place) / step
    rows = float(layout.micro_batch * job.sequence_length)
    causes = profile.phase_causes(Operation.TRAIN_STEP, job.architecture, rows, pick(times.micro_seconds, place))
    found = shared(causes, 1.0 - communication)
    found += shared((Cause("communication", figures["communication_spread"]),), communication)
    if job.architecture.num_experts > 1:
        found += (Cause("uneven experts", figures["expert_imbalance_spread"]),)
    return found


def _notes(
    job: TrainingJob, layout: Layout, layouts: Layouts, items: dict[str, Amount], usable: float, num_gpus: int
) -> tuple[str, ...]:
    notes = ["Steady steps only: data loading, evaluation, checkpoints, start-up and failures are not counted."]
    if job.method is TrainingMethod.LORA:
        notes.append(f"Adapters of rank {job.lora_rank} on every linear layer; the other weights are frozen.")
    if num_gpus > 1:
        notes.append(_why_layout(layout, layouts, items, usable))
    return tuple(notes)


def _why_layout(layout: Layout, layouts: Layouts, items: dict[str, Amount], usable: float) -> str:
    """Why this sharding: the least memory of plain data parallelism against what there is."""
    chosen = f"{layout.data_parallel} data-parallel × {layout.tensor_parallel} tensor-parallel GPUs"
    sharding = {"none": "nothing sharded", "zero1": "optimizer states sharded", "zero3": "all states sharded"}
    plain = (layouts.sharding == 0) & (layouts.tensor_parallel == 1)
    needed = np.broadcast_to(memory.total(items), layouts.data_parallel.shape)
    text = f"{chosen}, {sharding[layout.sharding]}, is the fastest split that fits"
    if not plain.any():
        return f"{text}."
    least = float(needed[plain].min())
    if least <= usable:
        return f"{text}; a full copy per GPU needs {units.format_bytes(least)} and fits too."
    return f"{text}; a full copy per GPU needs {units.format_bytes(least)} of {units.format_bytes(usable)} usable."


def _too_large(
    job: TrainingJob, profile: Profile, layouts: Layouts, items: dict[str, Amount], needed: Array, usable: float
) -> str:
    place = int(np.argmin(needed))
    text = memory.shortfall(memory.bill(items, place), usable)
    if layouts.size > 1:
        text += f" (the leanest of {layouts.size} layouts)"
    if job.recompute is not Recompute.FULL:
        again = training_items(replace(job, recompute=Recompute.FULL), profile, layouts)
        least = float(np.min(memory.total(again)))
        verdict = "would fit" if least <= usable else "would not fit either"
        text += f"; with full recomputation it needs {units.format_bytes(least)} and {verdict}"
    return text
