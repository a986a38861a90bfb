"""A training job on GPUs of one or several nodes: the layout that takes the least time of those that fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner import units
from planner.calibration.links import MeasuredLinks
from planner.calibration.sample import Operation
from planner.estimates import memory
from planner.estimates.communication import (
    Links,
    communication_cause,
    measured_note,
    node_links,
    training_share,
    with_measured,
)
from planner.estimates.energy import with_energy
from planner.estimates.estimate import Bottleneck, Layout
from planner.estimates.layout import Layouts, training_layouts
from planner.estimates.memory import pick
from planner.estimates.outcome import Outcome, bound_by, fastest, inverse, shared
from planner.estimates.priors import load_priors
from planner.estimates.profile import Lack, Profile
from planner.estimates.ranges import Circumstances, published_causes
from planner.estimates.step import StepTimes, forward_share, micro_batches_per_step, step_times
from planner.hardware.gpu import Gpu
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.footprint import Split, training_bytes
from planner.jobs.job import LoraTargets, Recompute, TrainingJob, TrainingMethod
from planner.jobs.operations import Amount
from planner.quantity import Cause, Quantity

Array = NDArray[np.float64]
SPLITS = ("data_parallel", "tensor_parallel", "pipeline_parallel", "context_parallel", "expert_parallel")
MAX_RUNNERS_UP = 2
NETWORK_ENDS = 2  # embedding and output head may take a stage each
TRAINING_SHARES = ("training_link_share", "training_pcie_share")  # figures of the priors: own links, slots


@dataclass(frozen=True, slots=True)
class Nodes:
    """So many GPUs, so many of them to a node (None: all), and bytes/s of one GPU to other nodes (None: as usual)."""

    num_gpus: int
    gpus_per_node: int | None = None
    network_bytes_per_s: float | None = None

    @property
    def num_nodes(self) -> int:
        return -(-self.num_gpus // (self.gpus_per_node or self.num_gpus))


def train(job: TrainingJob, profile: Profile, nodes: Nodes, usable: float) -> Outcome | Lack:
    """The fastest layout that fits, or what keeps the job from running."""
    num_gpus = nodes.num_gpus
    links = None
    if num_gpus > 1:
        links = training_links(profile.gpu, nodes, profile.links)
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
    outcome = _outcome(job, profile, layouts, items, times, place, nodes, usable)
    measured = measured_note(profile.links, min(num_gpus, nodes.gpus_per_node or num_gpus), profile.basis)
    return replace(outcome, notes=(*outcome.notes, *measured, *_runners_up(layouts, times, fits, place)))


def training_links(gpu: Gpu, nodes: Nodes, measured: MeasuredLinks | None = None) -> Links | None:
    """How the GPUs of a training job exchange data, with the host's time per collective; None for one GPU alone, and
    where it is not known."""
    if nodes.num_gpus == 1:
        return None
    links = node_links(gpu, nodes.num_gpus, nodes.gpus_per_node, nodes.network_bytes_per_s, TRAINING_SHARES)
    links = with_measured(links, measured, training_share(gpu), nodes.num_gpus, nodes.gpus_per_node)
    if links is None:
        return None
    return replace(links, latency=load_priors().figures["training_collective_us"] * 1e-6)


def evaluated_share(job: TrainingJob, profile: Profile, nodes: Nodes, layout: Layout) -> float:
    """The part of a step on that layout that an evaluation of as many samples takes."""
    return forward_share(job, profile, layout, training_links(profile.gpu, nodes, profile.links))


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
    if stages > architecture.num_layers + NETWORK_ENDS:
        faults.append(("pipeline_parallel", f"{stages} stages are more than the {architecture.num_layers} layers"))
    if (job.virtual_stages or 1) > 1 and (job.pipeline_parallel or 1) == 1:
        faults.append(("virtual_stages", "needs pipeline_parallel above 1"))
    ranks = job.data_parallel or 1
    if ranks > job.global_batch:
        faults.append(("data_parallel", f"{ranks} GPUs are more than the {job.global_batch} sequences of a step"))
    return faults


def training_items(job: TrainingJob, profile: Profile, layouts: Layouts) -> dict[str, Amount]:
    """The memory bill per layout, with what a calibration of the device measured beyond its items."""
    micro = micro_batches_per_step(job, layouts)
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
        job.architecture,
        job.sequence_length,
        job.dtype,
        split,
        job.recompute,
        job.method,
        job.lora_rank,
        job.lora_targets,
        job.target_length,
    )
    if profile.fit is not None and profile.fit.memory_excess_bytes is not None:
        items = {**items, "measured beyond the items": profile.fit.memory_excess_bytes}
    return memory.with_runtime(items, profile.gpu, layouts.num_groups)


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
    nodes: Nodes,
    usable: float,
) -> Outcome:
    layout = layouts.at(place)
    num_gpus = nodes.num_gpus
    step = pick(times.total, place)
    communication = pick(times.communication, place)
    causes = _causes(job, profile, layout, times, place, nodes.num_nodes)
    step_seconds = Quantity.around(step, "s", profile.basis, causes)
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


def _causes(
    job: TrainingJob, profile: Profile, layout: Layout, times: StepTimes, place: int, num_nodes: int
) -> tuple[Cause, ...]:
    figures = load_priors().figures
    step = pick(times.total, place)
    communication = pick(times.communication, place) / step
    rows = float(layout.micro_batch * job.sequence_length)
    causes = profile.phase_causes(
        Operation.TRAIN_STEP, job.architecture, rows, pick(times.composed, place), job.sequence_length
    )
    if profile.fit is None:
        between = pick(times.compute.overhead, place) + pick(times.optimizer.overhead, place) + times.constant
        how = Circumstances(num_nodes, min(between / step, 1.0))
        causes = (*published_causes(job, profile, how), *profile.causes)
    found = shared(causes, 1.0 if profile.fit is None else 1.0 - communication)
    found += shared((communication_cause(profile.links),), communication)
    has_experts = isinstance(job.architecture, Transformer) and job.architecture.num_experts > 1
    if has_experts and profile.fit is not None:
        found += (Cause("uneven experts", figures["expert_imbalance_spread"]),)
    return found


def _notes(
    job: TrainingJob, layout: Layout, layouts: Layouts, items: dict[str, Amount], usable: float, num_gpus: int
) -> tuple[str, ...]:
    notes = []
    if job.method is not TrainingMethod.FULL:
        where = "every linear layer" if job.lora_targets is LoraTargets.ALL else "queries, keys and values"
        notes.append(f"Adapters of rank {job.lora_rank} on {where}; the other weights are frozen.")
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
