"""A training job on GPUs of one or several nodes: the layout that takes the least time of those that fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner import units
from planner.calibration.efficiency import Seconds
from planner.calibration.sample import Operation
from planner.estimates import memory
from planner.estimates.communication import (
    Links,
    all_gather_seconds,
    all_reduce_seconds,
    all_to_all_seconds,
    node_links,
    send_seconds,
)
from planner.estimates.energy import with_energy
from planner.estimates.estimate import Bottleneck, Layout
from planner.estimates.layout import Layouts, training_layouts
from planner.estimates.memory import pick
from planner.estimates.outcome import Outcome, bound_by, fastest, inverse, shared
from planner.estimates.priors import StackPrior, load_priors
from planner.estimates.profile import Lack, Profile
from planner.estimates.ranges import published_cause
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.footprint import QUANTISED_BASE_BYTES, Split, local_parameters, training_bytes
from planner.jobs.job import Recompute, TrainingJob, TrainingMethod
from planner.jobs.operations import Amount, Pass, lora_parameters, side_dtype, training_work
from planner.quantity import Cause, Quantity

Array = NDArray[np.float64]
SPLITS = ("data_parallel", "tensor_parallel", "pipeline_parallel", "context_parallel", "expert_parallel")
MAX_RUNNERS_UP = 2
TRAINING_SHARES = ("training_link_share", "training_pcie_share")  # figures of the priors: own links, slots


@dataclass(frozen=True, slots=True)
class Nodes:
    """So many GPUs, so many of them to a node (None: all), and bytes/s of one GPU to other nodes (None: as usual)."""

    num_gpus: int
    gpus_per_node: int | None = None
    network_bytes_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Seconds of one optimizer step per layout, by part: micro-batches, what the stages of a pipeline idle, optimizer,
    exposed communication, constant."""

    compute: Seconds  # all micro-batches of the step
    bubble: Array
    optimizer: Seconds
    communication: Array
    constant: float
    micro_seconds: Array  # one micro-batch forward and backward of one stage, without communication

    @property
    def total(self) -> Array:
        total: Array = self.compute.total + self.bubble + self.optimizer.total + self.communication + self.constant
        return total


def train(job: TrainingJob, profile: Profile, nodes: Nodes, usable: float) -> Outcome | Lack:
    """The fastest layout that fits, or what keeps the job from running."""
    num_gpus = nodes.num_gpus
    links = None
    if num_gpus > 1:
        links = node_links(profile.gpu, num_gpus, nodes.gpus_per_node, nodes.network_bytes_per_s, TRAINING_SHARES)
        if links is not None:
            links = replace(links, latency=load_priors().figures["training_collective_us"] * 1e-6)
        if links is None:
            return Lack(
                Bottleneck.UNKNOWN_FIGURE, f"how fast {profile.gpu.key}s of one node exchange data is not known"
            )
    layouts = training_layouts(job, num_gpus, None if links is None else links.domain)
    if layouts.size == 0:
        return Lack(Bottleneck.FRACTION, _no_layout(job, num_gpus))
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
    outcome = _outcome(job, profile, layouts, items, times, place, num_gpus, usable)
    return replace(outcome, notes=(*outcome.notes, *_runners_up(layouts, times, fits, place)))


def layout_faults(job: TrainingJob) -> list[tuple[str, str]]:
    """What is asked of the layout that no number of GPUs could do, as (field, message)."""
    architecture = job.architecture
    faults: list[tuple[str, str]] = []
    if isinstance(architecture, ConvNet):
        asked = ("tensor_parallel", "pipeline_parallel", "context_parallel", "expert_parallel")
        faults += [
            (name, "a convolutional network is split over its pictures alone; leave it out or give 1")
            for name in asked
            if getattr(job, name) not in (None, 1)
        ]
        if job.method is not TrainingMethod.FULL:
            faults.append(("method", "adapters are for transformers"))
        return faults
    for name, number, what in (
        ("tensor_parallel", architecture.num_heads, "heads"),
        ("tensor_parallel", architecture.ffn, "feed-forward width"),
        ("context_parallel", job.sequence_length, "sequence length"),
        ("expert_parallel", architecture.num_experts, "experts"),
    ):
        asked_for = getattr(job, name)
        if asked_for is not None and asked_for > 0 and number % asked_for:
            faults.append((name, f"{asked_for} does not divide the {what} of {architecture.name}, {number:,}"))
    stages = (job.pipeline_parallel or 1) * (job.virtual_stages or 1)
    if stages > architecture.num_layers:
        faults.append(("pipeline_parallel", f"{stages} stages are more than the {architecture.num_layers} layers"))
    if (job.virtual_stages or 1) > 1 and (job.pipeline_parallel or 1) == 1:
        faults.append(("virtual_stages", "needs pipeline_parallel above 1"))
    ranks = job.data_parallel or 1
    if ranks > job.global_batch:
        faults.append(("data_parallel", f"{ranks} GPUs are more than the {job.global_batch} sequences of a step"))
    return faults


def training_items(job: TrainingJob, profile: Profile, layouts: Layouts) -> dict[str, Amount]:
    """The memory bill per layout, with what a calibration of the device measured beyond its items."""
    micro = _micro_batches_per_step(job, layouts)
    interleaved = 1.0 + (layouts.pipeline_parallel - 1.0) / (layouts.pipeline_parallel * layouts.virtual_stages)
    split = Split(
        layouts.micro_batch,
        layouts.data_parallel,
        layouts.tensor_parallel,
        layouts.shard_optimizer,
        layouts.shard_gradients,
        layouts.shard_weights,
        layouts.pipeline_parallel,
        layouts.context_parallel,
        layouts.expert_parallel,
        np.minimum(layouts.pipeline_parallel, micro) * np.where(layouts.virtual_stages > 1, interleaved, 1.0),
    )
    items = training_bytes(
        job.architecture, job.sequence_length, job.dtype, split, job.recompute, job.method, job.lora_rank
    )
    if profile.fit is not None and profile.fit.memory_excess_bytes is not None:
        items = {**items, "measured beyond the items": profile.fit.memory_excess_bytes}
    return memory.with_runtime(items, profile.gpu, layouts.num_groups)


def step_times(job: TrainingJob, profile: Profile, layouts: Layouts, links: Links | None) -> StepTimes:
    """Seconds of one step per layout: (m + (p−1)/v) micro-batches of the slowest stage, and what lies bare between."""
    tokens = float(job.sequence_length)
    through = Pass(
        layouts.micro_batch,
        tokens,
        job.dtype,
        tensor_parallel=layouts.tensor_parallel,
        head_tokens=None if job.head_share == 1.0 else np.maximum(job.head_share * tokens, 1.0),
        pipeline_parallel=layouts.pipeline_parallel,
        context_parallel=layouts.context_parallel,
        expert_parallel=layouts.expert_parallel,
        norm_parallel=layouts.tensor_parallel if job.sequence_parallel else 1.0,
    )
    updated = _local(job, layouts) / np.where(layouts.shard_optimizer > 0, layouts.replicas, 1.0)
    work = training_work(
        job.architecture,
        through,
        updated,
        job.recompute,
        job.method,
        job.lora_rank,
        job.fused_attention,
        job.channels_last,
    )
    rows = layouts.micro_batch * job.sequence_length
    micro = profile.seconds(Operation.TRAIN_STEP, (*work.forward, *work.recompute, *work.backward), rows)
    optimizer = profile.seconds(Operation.TRAIN_STEP, work.optimizer, rows)
    num_micro = _micro_batches_per_step(job, layouts)
    stage = np.broadcast_to(micro.total, layouts.data_parallel.shape)
    inside, once = np.zeros(layouts.size), np.zeros(layouts.size)
    if links is not None:
        stack = profile.training or load_priors().stacks[job.stack]
        inside = _inside_micro_batch(job, layouts, links, stage, stack)
        once = _once_per_step(job, layouts, links, stage, stack.overlap)
    idle = (layouts.pipeline_parallel - 1.0) / layouts.virtual_stages
    return StepTimes(
        compute=Seconds(
            num_micro * micro.total, num_micro * micro.compute, num_micro * micro.memory, num_micro * micro.overhead
        ),
        bubble=np.where(idle > 0, idle * (stage + np.where(np.isfinite(inside), inside, 0.0)), 0.0),
        optimizer=optimizer,
        communication=num_micro * inside + once,
        constant=0.0 if profile.training is None else profile.training.step_seconds,
        micro_seconds=stage,
    )


def trained_parameters(job: TrainingJob) -> float:
    """Weights that get gradients."""
    if job.method is not TrainingMethod.FULL and isinstance(job.architecture, Transformer):
        return float(lora_parameters(job.architecture, job.lora_rank))
    return float(job.architecture.num_parameters)


def _micro_batches_per_step(job: TrainingJob, layouts: Layouts) -> Array:
    found: Array = np.ceil(np.ceil(job.global_batch / layouts.data_parallel) / layouts.micro_batch)
    return found


def _local(job: TrainingJob, layouts: Layouts) -> Amount:
    """Weights with gradients on one GPU, before any sharding."""
    if job.method is not TrainingMethod.FULL:
        return trained_parameters(job) / (layouts.tensor_parallel * layouts.pipeline_parallel)
    return _weights(job, layouts)


def _weights(job: TrainingJob, layouts: Layouts) -> Amount:
    return local_parameters(
        job.architecture, layouts.tensor_parallel, layouts.pipeline_parallel, layouts.expert_parallel
    )


def _inside_micro_batch(job: TrainingJob, layouts: Layouts, links: Links, micro: Array, stack: StackPrior) -> Array:
    """Exposed seconds of one micro-batch on one stage: activations of tensor-, context- and expert-parallel blocks,
    stages that hand over, and weights that are gathered."""
    architecture = job.architecture
    e = side_dtype(job.dtype).num_bytes
    exposed = np.zeros(layouts.size)
    overlap = stack.overlap
    if isinstance(architecture, Transformer):
        t, c, p = layouts.tensor_parallel, layouts.context_parallel, layouts.pipeline_parallel
        layers = architecture.num_layers / p
        rows = layouts.micro_batch * job.sequence_length / c
        hidden = rows * architecture.hidden * e
        again = job.recompute is Recompute.FULL
        exchanges = (6.0 if again else 4.0) * layers * (1.0 - stack.tensor_overlap)
        exposed += exchanges * all_reduce_seconds(hidden, t, links)
        if architecture.num_experts > 1:
            routed = hidden * architecture.experts_per_token
            exposed += exchanges * all_to_all_seconds(routed, layouts.expert_parallel, links, t)
        kv = 2.0 * rows * architecture.num_kv_heads * architecture.head_dim * e / t * c
        ring = (4.0 if again else 3.0) * layers * all_gather_seconds(kv, c, links, t)
        exposed += np.maximum(ring - overlap * micro * _attention_share(job), 0.0)
        handed = 2.0 * layouts.virtual_stages * send_seconds(hidden / t, links, layouts.replicas * t)
        exposed += np.where(p > 1, handed, 0.0)
    if not (layouts.shard_weights > 0).any():
        return exposed
    stride = layouts.tensor_parallel
    stored = QUANTISED_BASE_BYTES if job.method is TrainingMethod.QLORA else e
    weights, gradients = stored * _weights(job, layouts), e * _local(job, layouts)
    gathered = 2.0 * all_gather_seconds(weights, layouts.replicas, links, stride)
    scattered = all_gather_seconds(gradients, layouts.replicas, links, stride)
    sharded = np.maximum(gathered + scattered - overlap * micro, 0.0)
    return exposed + np.where(layouts.shard_weights > 0, sharded, 0.0)


def _attention_share(job: TrainingJob) -> float:
    """The part of a block's FLOPs that are attention's, behind which a ring of keys and values hides."""
    architecture = job.architecture
    if isinstance(architecture, ConvNet):
        return 0.0
    attention = 2.0 * job.sequence_length * architecture.num_heads * architecture.head_dim
    active = architecture.experts_per_token + architecture.shared_experts
    products = 2.0 * (architecture.attention_parameters + active * architecture.ffn_parameters)
    return attention / (attention + products)


def _once_per_step(job: TrainingJob, layouts: Layouts, links: Links, micro: Array, overlap: float) -> Array:
    """Exposed seconds of reducing gradients (and gathering updated weights) where weights are not sharded."""
    e = side_dtype(job.dtype).num_bytes
    stride = layouts.tensor_parallel
    reduced = all_reduce_seconds(e * _local(job, layouts), layouts.replicas, links, stride)
    # Sharded optimizer states gather the new weights behind the next forward pass too.
    hidden = np.where(layouts.shard_optimizer > 0, 1.0, 2.0 / 3.0) * overlap * micro
    exposed = np.maximum(reduced - hidden, 0.0)
    found: Array = np.where(layouts.shard_weights > 0, 0.0, exposed)
    return found


def _no_layout(job: TrainingJob, num_gpus: int) -> str:
    asked = {
        "data": job.data_parallel,
        "tensor": job.tensor_parallel,
        "pipeline": job.pipeline_parallel,
        "context": job.context_parallel,
        "expert": job.expert_parallel,
    }
    given = [f"{value} {kind} parallel" for kind, value in asked.items() if value is not None]
    if given:
        return f"{' × '.join(given)} cannot be had from {num_gpus} GPUs with a global batch of {job.global_batch}"
    return f"a global batch of {job.global_batch} sequences cannot be split over {num_gpus} GPUs: some would idle"


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
            "bubble_seconds": Quantity.exact(pick(times.bubble, place), "s", profile.basis),
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
    if profile.fit is None:
        causes = (published_cause(job, profile), *profile.causes)
    found = shared(causes, 1.0 if profile.fit is None else 1.0 - communication)
    found += shared((Cause("communication", figures["communication_spread"]),), communication)
    has_experts = isinstance(job.architecture, Transformer) and job.architecture.num_experts > 1
    if has_experts and profile.fit is not None:
        found += (Cause("uneven experts", figures["expert_imbalance_spread"]),)
    return found


def _notes(
    job: TrainingJob, layout: Layout, layouts: Layouts, items: dict[str, Amount], usable: float, num_gpus: int
) -> tuple[str, ...]:
    notes = ["Data loading, evaluation and start-up are not counted."]
    if job.method is not TrainingMethod.FULL:
        notes.append(f"Adapters of rank {job.lora_rank} on every linear layer; the other weights are frozen.")
    if num_gpus > 1:
        notes.append(_why_layout(layout, layouts, items, usable))
    return tuple(notes)


def _why_layout(layout: Layout, layouts: Layouts, items: dict[str, Amount], usable: float) -> str:
    """Why this sharding: the least memory of plain data parallelism against what there is."""
    chosen = f"{layout.data_parallel} data-parallel × {layout.tensor_parallel} tensor-parallel GPUs"
    for kind, number in (("pipeline", layout.pipeline_parallel), ("context", layout.context_parallel)):
        chosen += f" × {number} {kind}-parallel" if number > 1 else ""
    sharding = {
        "none": "nothing sharded",
        "zero1": "optimizer states sharded",
        "zero2": "optimizer states and gradients sharded",
        "zero3": "all states sharded",
    }
    plain = (layouts.sharding == 0) & (layouts.tensor_parallel * layouts.pipeline_parallel == 1)
    needed = np.broadcast_to(memory.total(items), layouts.data_parallel.shape)
    text = f"{chosen}, {sharding[layout.sharding]}, is the fastest split that fits"
    if not plain.any():
        return f"{text}."
    least = float(needed[plain].min())
    if least <= usable:
        return f"{text}; a full copy per GPU needs {units.format_bytes(least)} and fits too."
    return f"{text}; a full copy per GPU needs {units.format_bytes(least)} of {units.format_bytes(usable)} usable."


def _runners_up(layouts: Layouts, times: StepTimes, fits: NDArray[np.bool_], chosen: int) -> tuple[str, ...]:
    """The next best splits in a sentence, and which part of the step they lose on."""
    splits = np.stack([getattr(layouts, name) for name in SPLITS], axis=1)
    seen = {tuple(splits[chosen])}
    lost: list[str] = []
    for place in np.argsort(np.where(fits, times.total, np.inf), kind="stable"):
        if len(lost) == MAX_RUNNERS_UP or not fits[place]:
            break
        if tuple(splits[place]) not in seen:
            seen.add(tuple(splits[place]))
            lost.append(_lost(layouts, times, int(place), chosen))
    return (f"Next: {'; '.join(lost)}.",) if lost else ()


def _lost(layouts: Layouts, times: StepTimes, place: int, chosen: int) -> str:
    """ "4 data × 2 tensor parallel +6 %, by communication"."""
    parts = {
        "passes": times.compute.total,
        "idle pipeline stages": times.bubble,
        "the optimizer": times.optimizer.total,
        "communication": times.communication,
    }
    more = {name: pick(part, place) - pick(part, chosen) for name, part in parts.items()}
    slower = pick(times.total, place) / pick(times.total, chosen) - 1.0
    names = [(name.split("_")[0], int(getattr(layouts, name)[place])) for name in SPLITS]
    split = " × ".join(f"{number} {name}" for name, number in names if number > 1) or "1 data"
    where = max(more, key=lambda name: more[name])
    return f"{split} parallel {slower:+.0%}, by {where}"


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
